r"""Patterns: Python regular expressions with shorthands for the values that programs print.

    @float@     a number: `5`, `-.5`, `5.`, `1E-5`, Fortran's `1.5D-05`, `nan`, `inf`, `Infinity`        Float64
    @int@       a whole number with an optional sign                                                   Int64
    @str@       a quoted string (the quotes are dropped), else a run of characters without space       text
    @slug@      letters, digits, `_` and `-`                                                           text
    @quantity@  a number with its unit, or a duration: `18.6k`, `3.2 MiB/s`, `95%`, `nan s`, `1h 23m`   Float64

`\@` is a plain `@`. A pattern is matched line by line, and every match in a line counts. One that says that it goes on
behind the end of a line (by `\n`, by `.` with the flag `s`, by `[\s\S]`) is matched in the whole text instead, where
each line ends with one `\n`, and `^` and `$` stand at lines as before.

The value of a match: the group named `value`; else the first group that took part; else, where there is no group but
exactly one shorthand, what that matched; else the whole match. A group named `unit` holds the unit of the value, a
group named `step` its step.
"""

from __future__ import annotations

import difflib
import importlib
import re
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Final

from tui_lab.experiment.patterns.effort import longest_line
from tui_lab.experiment.patterns.shorthands import KINDS, Kind, bounded, expansion
from tui_lab.experiment.yaml.problem import Suggestion

# Line breaks and escape sequences are gone before a line is searched; what is not UTF-8 reads as U+FFFD.
UNSEARCHABLE: Final = re.compile("[\n\r\x1b\ufffd\ud800-\udfff]")
SHORTHAND: Final = re.compile(r"@([A-Za-z]+)@")


class PatternError(ValueError):
    """A pattern that cannot be used. `offset` is the place in the pattern's text, counted from 0; `hint` says what to
    write there, if that is known."""

    def __init__(self, message: str, offset: int, hint: str = "") -> None:
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.offset = offset
        self.hint = hint


@dataclass(frozen=True)
class Pattern:
    """A pattern ready for use."""

    text: str
    """As the user wrote it."""
    spaced: bool
    """Whether numbers may have spaces between their thousands."""
    regex: re.Pattern[str]
    groups: tuple[str, ...]
    """Names of the named groups, in order of their numbers."""
    kinds: Mapping[int, Kind]
    """Kind of each group by number; 0 is the whole match."""
    value: int
    """Number of the group that holds the value; 0 the whole match, -1 the first group that took part."""
    unit: int | None
    step: int | None
    literal: bytes | None
    """Bytes that every line with a match contains, or None. In UTF-8, without line breaks."""
    folded: bool
    """Whether `literal` is in lower case, to be looked for without case (sound in ASCII text only)."""
    needs: tuple[str, ...]
    """All such texts, in the order in which a match contains them."""
    spans: bool
    """Whether it is for the whole text: it says that a match goes on behind the end of a line."""
    words: tuple[str, ...]
    """All plain text in the pattern, in order: to find the line that a pattern just missed."""

    @cached_property
    def reach(self) -> int:
        """Characters of a line that can be searched at once. What is longer may take for ever, and is for
        a process that can be ended."""
        plain = re.sub(
            r"\\.|@([A-Za-z]+)@",
            lambda match: bounded(match[1]) if match[1] in KINDS else match[0],
            self.text,
            flags=re.DOTALL,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            return longest_line(re.compile(plain))

    @property
    def kind(self) -> Kind:
        """Kind of the value."""
        if self.value >= 0:
            return self.kinds.get(self.value, "text")
        kinds = {kind for group, kind in self.kinds.items() if group > 0}
        return kinds.pop() if len(kinds) == 1 else "text"


@lru_cache(maxsize=512)  # some 10 ms for one with a shorthand, and the same patterns come again and again
def compile_pattern(text: str, spaced: bool = False) -> Pattern:
    """Compile a pattern; `spaced` says that numbers may have spaces between their thousands. Raises PatternError at the
    place in `text` where it is wrong."""
    scan = _Scan(text)
    if scan.captures == 0 and len(scan.shorthands) == 1:
        start, end = scan.shorthands[0]
        expanded = _Expansion(text, ((start, end),), spaced)
    else:
        expanded = _Expansion(text, (), spaced)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of `[[`, which may mean something else one day
            regex = re.compile(expanded.text)
            if spans := _spans(regex):
                regex = re.compile(expanded.text, re.MULTILINE)
            needs, words = _literals(text, expanded.text, regex)
    except re.error as error:
        raise PatternError(str(error.msg), expanded.origin(error.pos or 0)) from None
    except (OverflowError, RecursionError):
        raise PatternError("this pattern is too large", 0) from None
    names = sorted(regex.groupindex, key=lambda name: regex.groupindex[name])
    # The scan does not know verbose comments; where it counted differently, groups are not reported.
    kinds = scan.kinds if scan.captures == regex.groups else {}
    if expanded.captured:
        kinds = {1: scan.shorthand_kind(0)}
    value = regex.groupindex.get("value", _default_value(regex, names))
    folded = bool(regex.flags & re.IGNORECASE)
    return Pattern(
        text=text,
        spaced=spaced,
        regex=regex,
        groups=tuple(names),
        kinds=kinds,
        value=value,
        unit=regex.groupindex.get("unit"),
        step=regex.groupindex.get("step"),
        literal=max((run.encode() for run in needs), key=len, default=None),
        folded=folded,
        needs=needs,
        spans=spans,
        words=words,
    )


def _default_value(regex: re.Pattern[str], names: list[str]) -> int:
    plain = [group for group in range(1, regex.groups + 1) if group not in regex.groupindex.values()]
    if not names:
        return min(regex.groups, 1) if regex.groups < 2 else -1
    others = [regex.groupindex[name] for name in names if name not in ("unit", "step")]
    candidates = sorted(plain + others)
    if not candidates:
        return 0
    return candidates[0] if len(candidates) == 1 else -1


class _Scan:
    """One pass over a pattern as written: its groups, and the shorthands that stand in them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.captures = 0
        self.kinds: dict[int, Kind] = {}
        self.shorthands: list[tuple[int, int]] = []
        open_groups: list[tuple[int, int]] = []  # number (0: captures nothing), start of its content
        position, end = 0, len(text)
        while position < end:
            character = text[position]
            if character == "\\":
                position += 2
            elif character == "[":
                position = self._character_class(position)
            elif character == "(":
                position = self._open(position, open_groups)
            elif character == ")":
                if open_groups:
                    number, start = open_groups.pop()
                    if number:
                        self.kinds[number] = self._content_kind(start, position)
                position += 1
            elif character == "@" and (match := SHORTHAND.match(text, position)):
                position = self._shorthand(match)
            else:
                position += 1
        self.kinds[0] = self._content_kind(0, end)

    def shorthand_kind(self, index: int) -> Kind:
        start, end = self.shorthands[index]
        return KINDS[self.text[start + 1 : end - 1]]

    def _open(self, position: int, open_groups: list[tuple[int, int]]) -> int:
        text = self.text
        if text.startswith("(?#", position):
            close = text.find(")", position)
            return len(text) if close < 0 else close + 1
        named = re.compile(r"\(\?P<\w+>").match(text, position)
        if named or not text.startswith("(?", position):
            self.captures += 1
            start = named.end() if named else position + 1
            open_groups.append((self.captures, start))
            return start
        open_groups.append((0, position))
        return position + 2

    def _character_class(self, position: int) -> int:
        text, start = self.text, position
        position += 1
        if text.startswith("^", position):
            position += 1
        if text.startswith("]", position):
            position += 1
        while position < len(text) and text[position] != "]":
            position += 2 if text[position] == "\\" else 1
        for match in SHORTHAND.finditer(text, start, position):
            if match[1] in KINDS:
                raise PatternError(f"{match[0]} cannot stand inside [...]", match.start())
        return position + 1

    def _shorthand(self, match: re.Match[str]) -> int:
        word = match[1]
        if word in KINDS:
            self.shorthands.append(match.span())
            return match.end()
        close = difflib.get_close_matches(word.lower(), KINDS, 1, 0.6)
        if close:
            hint = Suggestion(match[0], f"@{close[0]}@")
            raise PatternError(f"unknown shorthand {match[0]}", match.start(), hint)
        # Some other text between two signs; the second sign may begin a shorthand.
        return match.end() - 1

    def _content_kind(self, start: int, end: int) -> Kind:
        if self.shorthands and self.shorthands[-1] == (start, end):
            return self.shorthand_kind(-1)
        return "text"


class _Expansion:
    """The pattern with its shorthands written out, and the way back from an offset in it."""

    def __init__(self, text: str, captured: Iterable[tuple[int, int]], spaced: bool) -> None:
        self.captured = tuple(captured)
        self._pieces: list[tuple[int, int, bool]] = []  # start here, start in the text, is it a shorthand
        parts: list[str] = []
        length, position = 0, 0
        for match in re.finditer(r"\\r(?:\\n)?|\r\n?|\\.|@([A-Za-z]+)@", text, re.DOTALL):
            if match[0].startswith(("\\r", "\r")):
                regex = r"\n"  # every end of a line is one
            elif match[1] not in KINDS:
                continue
            else:
                regex = expansion(match[1], text[: match.start()], spaced)
            if match.span() in self.captured:
                regex = f"({regex})"
            before = text[position : match.start()]
            self._pieces += [(length, position, False), (length + len(before), match.start(), True)]
            parts += [before, regex]
            length += len(before) + len(regex)
            position = match.end()
        self._pieces.append((length, position, False))
        parts.append(text[position:])
        self.text = "".join(parts)

    def origin(self, offset: int) -> int:
        """The offset in the text as written of an offset in the expansion."""
        start, place, shorthand = [piece for piece in self._pieces if piece[0] <= offset][-1]
        return place if shorthand else place + offset - start


def _literals(text: str, expanded: str, regex: re.Pattern[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The texts that every match must contain, in order, and all plain text of the pattern as written."""
    runs = _runs(expanded)
    required = [piece for run, needed in runs if needed for piece in UNSEARCHABLE.split(run)]
    if regex.flags & re.IGNORECASE:
        required = [run.lower() for run in required if run.isascii()]
    words = _runs(SHORTHAND.sub(lambda match: "." if match[1] in KINDS else match[0], text))
    return tuple(run for run in required if run), tuple(run for run, _ in words)


def _spans(regex: re.Pattern[str]) -> bool:
    """Whether a pattern says that its matches go on behind the end of a line."""
    try:
        parser: Any = importlib.import_module("re._parser")
        return _any_spans(parser.parse(regex.pattern, regex.flags & ~re.UNICODE), regex.flags)
    except (ImportError, AttributeError, TypeError, ValueError, re.error, RecursionError):
        return False


def _any_spans(tree: Any, flags: int) -> bool:
    """Whether a part of a parsed pattern says so."""
    for operator, argument in tree:
        name = str(operator)
        if (name == "LITERAL" and argument == _NEWLINE) or (name == "ANY" and flags & re.DOTALL):
            return True
        if name == "IN":
            members = {(str(kind), str(member)) for kind, member in argument}
            plain = ("NEGATE", "None") not in members
            if plain and (("LITERAL", str(_NEWLINE)) in members or any(pair <= members for pair in _ANYTHING)):
                return True
        elif name == "SUBPATTERN":
            if _any_spans(argument[3], (flags | argument[1]) & ~argument[2]):
                return True
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            if _any_spans(argument[2], flags):
                return True
        elif name in ("ASSERT", "ASSERT_NOT"):
            if _any_spans(argument[1], flags):
                return True
        elif name == "ATOMIC_GROUP":
            if _any_spans(argument, flags):
                return True
        elif name == "BRANCH":
            if any(_any_spans(branch, flags) for branch in argument[1]):
                return True
        elif name == "GROUPREF_EXISTS" and any(_any_spans(part, flags) for part in argument[1:] if part is not None):
            return True
    return False


_NEWLINE: Final = ord("\n")
_ANYTHING: Final = tuple(
    {("CATEGORY", f"CATEGORY_{name}"), ("CATEGORY", f"CATEGORY_NOT_{name}")} for name in ("SPACE", "DIGIT", "WORD")
)
r"""Two sets that are all characters together: `[\s\S]` is how people write any of them, ends of lines too."""


def _runs(expression: str) -> list[tuple[str, bool]]:
    """The runs of plain characters in an expression, each with whether every match contains it.

    The parser of `re` is not public: without it matching is slower, never different.
    """
    runs: list[tuple[str, bool]] = []
    try:
        parser: Any = importlib.import_module("re._parser")
        _collect(parser.parse(expression), runs, True)
    except (ImportError, AttributeError, TypeError, ValueError, re.error, RecursionError):
        return []
    return runs


def _collect(tree: Any, runs: list[tuple[str, bool]], needed: bool) -> None:
    """Append the runs of plain characters of a parsed pattern; `needed`: every match has them."""
    run = ""
    for operator, argument in tree:
        name = str(operator)
        if name == "LITERAL":
            run += chr(argument)
            continue
        if run:
            runs.append((run, needed))
            run = ""
        if name == "SUBPATTERN":
            # A group with flags of its own may read its letters without case.
            _collect(argument[3], runs, needed and not argument[1])
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            _collect(argument[2], runs, needed and argument[0] > 0)
        elif name == "ATOMIC_GROUP":
            _collect(argument, runs, needed)
        elif name == "BRANCH":
            for branch in argument[1]:
                _collect(branch, runs, False)
    if run:
        runs.append((run, needed))
