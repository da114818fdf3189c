"""Values in the lines that a program prints: with a name before them, in columns of tables, rates of progress bars."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from tui_lab.experiment.patterns.pattern import compile_pattern
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.results.extraction.numbers import Notation, number
from tui_lab.results.extraction.units import quantity
from tui_lab.results.offers.offer import Candidate, Definition, slug

LONGEST: Final = 2000
"""Characters of a line that are read; longer ones are data."""
_MANY: Final = 3
"""Values of one kind in an output from which on all of them are kept: they are a curve."""

_PLAIN: Final = re.compile(
    r"[-+\u2212]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?(?i:nan|inf(?:inity)?)"
)
_THOUSANDS: Final = re.compile(r"[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?")
_UNIT: Final = re.compile(
    r"[ ]?(%|(?:[kKMGT]i?)?(?:B|bytes|bits?)(?:/s|ps)?|[nu\u00b5m]?s(?:/\w+)?|secs?|seconds?|mins?|minutes?|h|hours?"
    r"|[A-Za-z]+/(?:s|sec|second))(?![\w/])"
)
_UNIT_BEFORE: Final = re.compile(rf"[\[(]({_UNIT.pattern.removeprefix('[ ]?')})[\])]")
_SEPARATOR: Final = re.compile(r"[ \t]*(:=|=>|->|:|=|\|)[ \t]*\Z")
_WORD: Final = r"[A-Za-z_][\w./@+%-]*"
_QUOTED: Final = re.compile(rf"""(["'])({_WORD}(?: {_WORD})*)\1\Z""")
_BRACKETS: Final = re.compile(r"[ ]?[\[(][^\[\]()]*[\])]\Z")
_WORDS: Final = re.compile(rf"{_WORD}(?:[ \t]+{_WORD}){{0,4}}\Z")
_BEHIND: Final = re.compile(r"[ ]([A-Za-z][A-Za-z_-]{2,})\b")
_STOP_WORDS: Final = "a an the of in is at on to for with after and was were has by from took than per about over be"
_NO_NAMES: Final = """
version v pid port line cuda python rank device gpu worker seed jan feb mar apr may jun jul aug sep oct nov dec mon tue
wed thu fri sat sun
"""
_TIME_WORDS: Final = "took finished elapsed done completed ran passed"
_STOP: Final = frozenset(_STOP_WORDS.split())
_NO_VALUES: Final = frozenset(_NO_NAMES.split())
_TIMES: Final = frozenset(_TIME_WORDS.split())
_SPECIAL: Final = re.compile(r"[\\.^$*+?{}\[\]|()@]")
_BAR_RATE: Final = re.compile(r"<[0-9:?]+, *\Z")


@dataclass(frozen=True)
class _Number:
    """A number in a line, how a pattern reads it, and its unit."""

    start: int
    end: int
    after: int
    """Where its unit ends."""
    value: float
    shorthand: str
    unit: str = ""
    thousands: str = ""


def candidates(lines: Sequence[str], source: str = "stdout") -> dict[tuple[str, ...], Candidate]:
    """Return the values in the lines of an output, each by what stands around it. Of equal ones the last counts."""
    found: dict[tuple[str, ...], Candidate] = {}
    in_tables: set[int] = set()
    for candidate, number_of_line in _tables(lines, in_tables):
        _note(found, candidate, number_of_line, source)
    for at, line in enumerate(lines):
        if at not in in_tables and len(line) <= LONGEST and not line.lstrip().startswith('{"'):
            for candidate in _in_line(line):
                _note(found, candidate, at, source)
    return found


def _note(found: dict[tuple[str, ...], Candidate], candidate: Candidate, at: int, source: str) -> None:
    key = (source, *candidate.key)
    count = found[key].count + 1 if key in found else 1
    definitions = tuple(_of(one, source, count) for one in candidate.definitions)
    found[key] = replace(candidate, key=key, at=at, count=count, definitions=definitions)


def _of(definition: Definition, source: str, count: int) -> Definition:
    kind = PatternSource.kind
    parts: dict[str, Any] = {kind: definition} if isinstance(definition, str) else {**definition}
    if source != "stdout":
        parts = {kind: parts.pop(kind), "from": source, **parts}
    if count >= _MANY:
        parts["take"] = "all"
    return parts[kind] if len(parts) == 1 else parts


# --- Numbers


def _numbers(line: str) -> Iterator[_Number]:
    at = 0
    for match in compile_pattern("(@float@)").regex.finditer(line):
        start, end = match.span(1)
        if start < at:
            continue
        found = _number(line, start, end)
        if found is not None:
            at = found.after
            yield found


def _number(line: str, start: int, end: int) -> _Number | None:
    text = line[start:end]
    if _PLAIN.fullmatch(text):
        value = number(text)
        unit = _UNIT.match(line, end)
        if value is None:
            return None
        if unit is None:
            return _Number(start, end, end, float(value), "@float@")
        return _Number(start, end, unit.end(), float(value), "@quantity@", unit[1])
    if _THOUSANDS.fullmatch(text):
        value = number(text, Notation(".", ","))
        return None if value is None else _Number(start, end, end, float(value), "@float@", thousands=",")
    seconds = quantity(text, None, "s") if re.search(r":|[0-9][hms]", text) else None
    return None if seconds is None else _Number(start, end, end, seconds, "@quantity@", "s")


# --- Names before numbers


def _in_line(line: str) -> Iterator[Candidate]:
    before = 0
    label = ""  # the pattern that leads to the number before, if that has a name
    name = ""
    for one in _numbers(line):
        between = line[before : one.start]
        found = _named(between, before == 0) if between.strip() else None
        if found is not None:
            name, label, rank, unit = found
            if name in _TIMES and one.unit:
                name = "time"
            yield _candidate(name, label, replace(one, unit=one.unit or unit), line, rank)
        elif _BAR_RATE.search(line[: one.start]) and "/" in one.unit:
            rate = "it/s" if one.unit == "s/it" else one.unit
            value = 1 / one.value if rate != one.unit and one.value else one.value
            yield _candidate("it_per_s", "<[0-9:?]+, *", replace(one, unit=rate, value=value), line, 1, guard=False)
        elif label and re.fullmatch(r"[ ]\(", between) and one.unit == "%" and line[one.after : one.after + 1] == ")":
            yield _candidate(name, rf"{label}[0-9]+/[0-9]+ \(", one, line, -1)
        elif re.match(r"[^/]*/s|m?s/", one.unit) and one.unit != "%":
            words = slug(one.unit.replace("/", " per "))
            yield _behind(words, one, f" *{_escaped(one.unit)}", line)
        elif (word := _BEHIND.match(line, one.after)) and not one.unit and word[1].lower() not in _STOP:
            yield _behind(slug(word[1]), one, rf" +{_escaped(word[1])}\b", line)
        if found is None and between != "/":
            label = ""
        before = one.after


def _named(text: str, whole: bool) -> tuple[str, str, int, str] | None:
    """Name, pattern, rank and unit of what a text between two numbers says of the second one."""
    separator = _SEPARATOR.search(text)
    head = text[: separator.start()] if separator else text.rstrip()
    gap = (r"\s" if "\t" in text else " ") + ("*" if separator else "+")
    mark = separator[1] if separator else ""
    if not separator and head == text:
        return None  # digits that belong to a word
    joint = ((" *" if head != text[: separator.start(1)] else "") + _escaped(mark)) if separator else ""
    quoted = _QUOTED.search(head)
    if quoted and separator:
        name = slug(quoted[2])
        return (name, f"{quoted[1]}{_escaped(quoted[2])}{quoted[1]}{joint}{gap}", 0, "") if name else None
    bracket = _BRACKETS.search(head) if separator else None
    unit = ""
    if bracket:
        in_bracket = _UNIT_BEFORE.search(bracket[0])
        unit = in_bracket[1] if in_bracket else ""
        joint = (" *" if bracket[0][0] == " " else "") + _escaped(bracket[0].strip()) + joint
        head = head[: bracket.start()]
    found = _WORDS.search(head.rstrip() if bracket else head)
    words = found[0].split() if found else []
    if not words:
        return None
    if not separator:
        words = words[-2:] if words[-1].lower() in _STOP else words[-1:]
    elif len(words) > 1:
        last = max((i for i, word in enumerate(words[:-1]) if word.lower() in _STOP), default=-1)
        words = words[last + 1 :]
    telling = [word for word in words if word.lower() not in _STOP] or words[:0]
    name = slug(" ".join(telling))
    if not name or name in _NO_VALUES or (len(name) < 2 and not separator):
        return None
    blank = " +" if "  " in found[0] or "\t" in found[0] else " "  # type: ignore[index]
    pattern = r"\b" + blank.join(map(_escaped, words)) + joint + gap
    return name, pattern, 0 if mark in (":", "=", ":=") else 1 if mark else 2, unit


def _candidate(name: str, label: str, one: _Number, line: str, rank: int, guard: bool = True) -> Candidate:
    ways = [label]
    if guard and label.startswith(r"\b"):
        ways = [label, rf"(?:^|[^\w ] *){label[2:]}", rf"^ *{label[2:]}"]
    definitions = tuple(_definition(f"{way}({one.shorthand})", one) for way in ways)
    return Candidate((label, one.shorthand), name, definitions, one.value, line, rank)


def _behind(name: str, one: _Number, text: str, line: str) -> Candidate:
    plain = replace(one, shorthand="@float@", unit="")
    return Candidate((text,), name, (_definition(f"({plain.shorthand}){text}", plain),), one.value, line, 2)


def _definition(pattern: str, one: _Number) -> Definition:
    more = {key: text for key, text in (("unit", one.unit), ("thousands", one.thousands)) if text}
    return {PatternSource.kind: pattern, **more} if more else pattern


def _escaped(text: str) -> str:
    return _SPECIAL.sub(lambda match: "\\" + match[0], text)


# --- Tables

_LIKE_NUMBER: Final = re.compile(r"[-+]?\.?[0-9]|nan|inf", re.IGNORECASE)
_RULE: Final = re.compile(r"[ \t]*[-=+|:\u2500-\u257f][-=+|: \t\u2500-\u257f]*\Z")


def _tables(lines: Sequence[str], taken: set[int]) -> Iterator[tuple[Candidate, int]]:
    """The columns of tables: a line of words, and lines with as many cells and numbers among them."""
    header: tuple[str, list[str]] | None = None
    header_at = 0
    for at, line in enumerate(lines):
        if len(line) > LONGEST:
            header = None
            continue
        if header is not None and _RULE.match(line):
            taken.add(at)
            continue
        mark = "|" if line.count("|") >= 2 else "," if line.count(",") >= 1 else ""
        cells = _cells(line, mark)
        if header is not None and header[0] == mark and len(cells) == len(header[1]):
            values = [number(cell) if _PLAIN.fullmatch(cell) else None for cell in cells]
            like_numbers = sum(_LIKE_NUMBER.match(cell) is not None for cell in cells)
            if any(value is not None for value in values) and (like_numbers == len(cells) or mark == "|"):
                taken.update((header_at, at))
                for place, (title, value) in enumerate(zip(header[1], values, strict=True)):
                    if value is not None and slug(title):
                        yield _column(title, mark, place, len(cells), float(value), line), at
                continue
        if len(cells) >= 2 and all(re.match(r"[A-Za-z_#%]", cell) and "=" not in cell for cell in cells):
            header, header_at = (mark, cells), at
        else:
            header = None


def _cells(line: str, mark: str) -> list[str]:
    if not mark:
        return line.split()
    text = line.strip()
    if mark == "|":
        text = text.removeprefix("|").removesuffix("|")
    return [cell.strip() for cell in text.split(mark)]


def _column(title: str, mark: str, place: int, count: int, value: float, line: str) -> Candidate:
    rest = count - place - 1
    if mark:
        edge = rf" *\{mark}" if mark == "|" and line.lstrip().startswith("|") else ""
        cell = "[^|]*" if mark == "|" else "[^,]*"
        between = rf"\{mark}" if mark == "|" else mark
        end = rf" *\{mark} *" if mark == "|" and line.rstrip().endswith("|") else " *"
        pattern = f"^{edge}{_times(cell + between, place)} *(@float@) *{_times(between + cell, rest)}{end}$"
    else:
        pattern = "^ *" + _times(r"\S+\s+", place) + "(@float@)" + _times(r"\s+\S+", rest) + " *$"
    return Candidate(("column", mark, str(place), str(count), title), slug(title), (pattern,), value, line, 0)


def _times(text: str, count: int) -> str:
    return "" if count == 0 else text if count == 1 else f"(?:{text}){{{count}}}"
