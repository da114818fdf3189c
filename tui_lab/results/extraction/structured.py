"""Values in JSON and CSV files.

A JSON path is `$`, then `.name`, `['any name']`, `[index]` (negative from the end) and `[*]` or `.*` (all of
them). Output that is no JSON document as a whole is searched for documents that begin a line: log lines
around a report, or one document a line. A value that is a list counts as its values.

A CSV file has a header line; its delimiter is the one of comma, semicolon and tab that the header has most
of, outside quotes, unless the metric names one.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.extraction.numbers import Unrepresentable, to_float
from tui_lab.results.extraction.text import Text, complete_lines, read_whole
from tui_lab.store.task_files import TaskFile

EVERY: Final = object()
_STEP: Final = re.compile(
    r"""\.(?P<name>[^.\[\]*]+)|\[(?P<index>-?[0-9]+)\]|\[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]|(?P<every>\.\*|\[\*\])"""
)


class SourceError(Exception):
    """A file that exists but can't be used; the text says why."""


def parse_path(path: str) -> tuple[Any, ...]:
    """Return the steps of a JSON path: names, indices, EVERY. Raises ValueError with the offset of the mistake."""
    if not path.startswith("$"):
        raise ValueError('a path begins with "$"', 0)
    steps: list[Any] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError("a path continues with .name, [0], ['name'] or [*]", at)
        if match["name"] is not None:
            steps.append(match["name"])
        elif match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            steps.append(EVERY if match["every"] else match["key"])
        at = match.end()
    return tuple(steps)


def select(document: Value, path: tuple[Any, ...]) -> list[Value]:
    """The values that a parsed path leads to; none where it leads nowhere."""
    found = [document]
    for step in path:
        found = [child for value in found for child in _children(value, step)]
    return [item for value in found for item in (value if isinstance(value, list) else [value])]


def _children(value: Value, step: Any) -> list[Value]:
    if step is EVERY:
        return list(value) if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
    if isinstance(value, dict):
        return [value[str(step)]] if str(step) in value else []
    if isinstance(value, list) and isinstance(step, int) and -len(value) <= step < len(value):
        return [value[step]]
    return []


@dataclass(frozen=True)
class Broken:
    """Stands for a JSON document that can't be read."""

    line: int
    why: str
    text: str

    def may_hold(self, path: tuple[Any, ...]) -> bool:
        """Whether a parsed path may lead somewhere in it: the last name of the path is there."""
        last = next((step for step in reversed(path) if isinstance(step, str)), None)
        return last is None or json.dumps(last) in self.text or json.dumps(last, ensure_ascii=False) in self.text


def documents(raw: bytes) -> Iterator[Value | Broken]:
    """All JSON documents of an output, in order, with a Broken for each that begins as one and isn't."""
    text = Text(raw).data.removeprefix(b"\xef\xbb\xbf")
    try:
        yield loads(text)
        return
    except ValueError:
        pass
    # The whole is no document: those that begin a line.
    decoded = _usual_numbers(text.decode("utf-8", "replace"))
    effort = _EFFORT * len(decoded) + (1 << 20)
    at, line, counted = 0, 1, 0
    while start := _START.search(decoded, at):
        at = start.end()
        while True:
            document, end, error, effort = _decode(decoded, at, effort)
            if error is None:
                yield document
                at = end
            else:
                # A line that begins with a bracket, as `[INFO] ...`, is none.
                if effort > 0 and not _LIKE_JSON.match(decoded, at):
                    break
                # Nothing begins within it: an item of a list would be taken for the whole.
                after = (_end(decoded, at) or len(decoded)) if effort > 0 else len(decoded)
                line += decoded.count("\n", counted, end)
                counted = end
                yield Broken(line, error if effort > 0 else "there is too much text before it", decoded[at:after])
                at = max(after, end)
            more = _NEXT.match(decoded, at)
            if more is None:
                break
            at = more.end()
        at = _line_end(decoded, at)


_EFFORT: Final = 8
"""Characters that are read in vain for each of an output; then the rest of it counts as broken."""


def _float(text: str) -> float | Unrepresentable:
    found = to_float(text)
    return Unrepresentable(text) if found is None else found


_DECODER: Final = json.JSONDecoder(parse_float=_float)


def _decode(text: str, at: int, effort: int) -> tuple[Value, int, str | None, int]:
    """The document that begins at a place, its end, and None; or None, the place of an error, and what is wrong. With
    it what is left of `effort`.

    An error costs as much as all text that the decoder was given: so that is a little at first, and more where the
    error may be one of its end."""
    length = 256
    while True:
        piece = text[at : at + length]
        try:
            document, stop = _DECODER.raw_decode(piece)
            return _encodable(document), at + stop, None, effort
        except json.JSONDecodeError as error:
            within = error.pos < length // 2 and not error.msg.startswith("Unterminated")
            if within or at + length >= len(text):
                return None, at + error.pos, error.msg, effort - error.pos
        except ValueError:
            return None, at, "an integer of too many digits", effort - len(piece)
        except RecursionError:
            return None, at, "nested too deeply", effort - len(piece)
        length *= 4


_START: Final = re.compile(r"^[ \t]*(?=[{\[])", re.MULTILINE)
_NEXT: Final = re.compile(r"[ \t]*(?=[{\[])")
_LIKE_JSON: Final = re.compile(
    r"""\{\s*(?:"|\}|$)|\[\s*(?:[\[{"\]]|$"""
    r"|(?:-?[0-9.]+(?:[eE][-+]?[0-9]+)?|-?Infinity|NaN|true|false|null)\s*,?[ ]*$)",
    re.MULTILINE,
)
_BRACKETS: Final = re.compile(r'"(?:[^"\\\n]|\\.)*+"?|[{}\[\]]')
_LONE_NUMBER: Final = re.compile(
    r'"(?:[^"\\\n]|\\.)*+"?|(?<![\w.)])[-+]?(?:(?i:[qs]?nan(?:\([^()"]*\))?|inf(?:inity)?)|1\.\#[A-Z]+[0-9]*)(?![\w"])'
)


def _end(text: str, at: int) -> int | None:
    """Where what a bracket opens is closed again; None where it isn't."""
    depth = 0
    for match in _BRACKETS.finditer(text, at):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match[0], 0)
        if depth == 0:
            return match.end()
    return None


def _line_end(text: str, at: int) -> int:
    found = text.find("\n", at)
    return len(text) if found < 0 else found


def _usual_numbers(text: str) -> str:
    """JSON with NaN and infinities as Python reads them, as any program writes them."""

    def usual(match: re.Match[str]) -> str:
        found = None if match[0].startswith('"') else to_float(match[0])
        return match[0] if found is None else json.dumps(found)

    return _LONE_NUMBER.sub(usual, text)


def loads(text: bytes) -> Value:
    """One JSON document; NaN and infinities, which JSON does not have, are read in any way that programs write them,
    and integers of any size. A number that no float holds is Unrepresentable. Raises ValueError."""
    try:
        # Integers of more digits would become floats, and tiny floats 0.
        if _is_exact(text):
            return orjson.loads(text)  # type: ignore[no-any-return]
    except ValueError:
        pass
    decoded = text.decode("utf-8", "replace")
    try:
        try:
            return _encodable(json.loads(decoded, parse_float=_float))
        except ValueError:
            return _encodable(json.loads(_usual_numbers(decoded), parse_float=_float))
    except RecursionError:
        raise ValueError("nested too deeply") from None


_LONG: Final = re.compile(rb"[0-9]{19}|[eE][-+]?[0-9]{3}")
_DECIMALS: Final = re.compile(rb"\.[0-9]+")
_TINY: Final = b"0" * 200


def _is_exact(text: bytes) -> bool:
    """Return whether the quick reader reads each number right. Most long ones are floats with all their decimals."""
    return not _LONG.search(text) or not (_TINY in text or _LONG.search(_DECIMALS.sub(b"", text)))


def _encodable(value: Any) -> Value:
    """Without halves of characters, which JSON can write and no text can hold."""
    if isinstance(value, str):
        return value if isinstance(value, Unrepresentable) else value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {str(_encodable(name)): _encodable(item) for name, item in value.items()}
    return value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Form:
    """The form of a CSV file; see the keys of a metric."""

    delimiter: str | None = None
    comment: str | None = None
    skip: int = 0


@dataclass(frozen=True)
class Uneven:
    """Stands for a line that has more cells than the header: it is unknown which cell belongs to which column."""

    row: int
    cells: int
    columns: int

    def __str__(self) -> str:
        return f"row {self.row} has {self.cells} cells, the header {self.columns}"


def table(path: TaskFile, form: Form = Form(), torn_end: bool = True) -> tuple[list[str], Iterator[list[str] | Uneven]]:
    """The header of a CSV file, and its lines. Raises OSError, SourceError.

    Of columns with one name the second is `NAME_2`, and so on. Without `torn_end` a last line that has no end yet is
    left out.
    """
    raw = read_whole(path) if not torn_end else b""
    lines = _decoded(path) if torn_end else iter(Text(complete_lines(raw)).lines)
    lines = _meant(lines, form)
    first = next((line for line in lines if line.strip()), "").lstrip("\ufeff").rstrip("\r\n")
    if not first:
        raise SourceError("the file is empty")
    delimiter = form.delimiter or delimiter_of(first)
    names = next(_records(iter([first]), delimiter))
    records = _records(lines, delimiter)
    row = next(records, None)
    if row is not None:
        records = itertools.chain([row], records)
        if names[0].strip() == "#" and len(row) == len(names) - 1:
            del names[0]  # it begins a comment, as in `# time loss`, and is no column
    header = _unique([name.strip().lstrip("#").strip() or name.strip() for name in names])
    return header, _even(records, len(header))


def _meant(lines: Iterator[str], form: Form) -> Iterator[str]:
    """Return the lines without those before the header, and without comments."""
    for line in itertools.islice(lines, form.skip, None):
        if form.comment is None or not line.lstrip("\ufeff \t").startswith(form.comment):
            yield line


def delimiter_of(header: str) -> str:
    """The delimiter that a header has most of, outside quotes."""
    bare = _QUOTED.sub("", header)
    return max(",;\t", key=lambda character: (bare.count(character), character == ","))


_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"')


def _unique(names: list[str]) -> list[str]:
    taken, found = set(names), []
    for name in names:
        free, number = name, 1
        while free in found or (number > 1 and free in taken):
            number += 1
            free = f"{name}_{number}"
        found.append(free)
    return found


def _even(records: Iterator[list[str]], columns: int) -> Iterator[list[str] | Uneven]:
    for number, record in enumerate(records, 1):
        even = len(record) <= columns or not any(cell.strip() for cell in record[columns:])
        yield record if even else Uneven(number, len(record), columns)


def _decoded(path: TaskFile) -> Iterator[str]:
    with open(path.open(), encoding="utf-8", errors="replace", newline="") as file:
        yield from file


def _records(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    if len(delimiter) > 1 or delimiter == " ":
        lines, delimiter = _delimited(lines, delimiter), _UNIT_SEPARATOR
    try:
        for record in csv.reader(lines, delimiter=delimiter):
            if record:
                yield record
    except csv.Error as error:
        raise SourceError(f"no CSV from here on: {error}") from None


_UNIT_SEPARATOR: Final = "\x1f"


def _delimited(lines: Iterator[str], delimiter: str) -> Iterator[str]:
    """Lines with one character in place of the delimiter, where it does not stand in quotes."""
    between = re.compile("[ \t]+" if delimiter == " " else re.escape(delimiter))
    quoted = False
    for line in lines:
        parts = (line.strip(" \t") if delimiter == " " and not quoted else line).split('"')
        for number, part in enumerate(parts):
            if quoted == bool(number % 2):
                end = part.rstrip(" \t\r\n") if delimiter == " " and number == len(parts) - 1 else part
                parts[number] = between.sub(_UNIT_SEPARATOR, end) + part[len(end) :].lstrip(" \t")
        quoted ^= len(parts) % 2 == 0
        yield '"'.join(parts)


def cells(path: TaskFile, name: str, form: Form = Form(), torn_end: bool = True) -> Iterator[str | Uneven]:
    """The cells of one column that are not empty, in order. Raises OSError, SourceError."""
    header, records = table(path, form, torn_end)
    if name not in header:
        listed = ", ".join(header[:8]) + (", ..." if len(header) > 8 else "")
        raise SourceError(f'there is no column "{name}"; {suggest(name, header) or f"it has {listed}"}')
    index = header.index(name)
    for record in records:
        if isinstance(record, Uneven):
            yield record
            continue
        cell = record[index].strip() if index < len(record) else ""
        if cell:
            yield cell
