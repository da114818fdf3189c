"""Values in JSON and CSV files.

A JSON path is `$`, then `.name`, `['any name']`, `[index]` (negative from the end) and `[*]` or `.*` (all of
them). Output that is no JSON document as a whole is searched for documents that begin a line: log lines
around a report, or one document a line. A value that is a list counts as its values.

A CSV file has a header line; its delimiter is the one of comma, semicolon and tab that the header has most
of.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import orjson

from tui_lab.results.text import Text, complete_lines, read_whole
from tui_lab.spec.problem import suggest
from tui_lab.spec.values import Value
from tui_lab.store.task_files import TaskFile

EVERY: Final = object()
_STEP: Final = re.compile(
    r"""\.(?P<name>[^.\[\]*]+)|\[(?P<index>-?[0-9]+)\]|\[(?P<quote>['"])(?P<key>.*?)(?P=quote)\]|(?P<every>\.\*|\[\*\])"""
)


class SourceError(Exception):
    """A file that is there and can't be used as it should; the text says why, for a person."""


def parse_path(path: str) -> tuple[Any, ...]:
    """The steps of a JSON path: names, indices, EVERY. Raises ValueError with the offset of what is wrong."""
    if not path.startswith("$"):
        raise ValueError('a path begins with "$"', 0)
    steps: list[Any] = []
    at = 1
    while at < len(path):
        match = _STEP.match(path, at)
        if match is None:
            raise ValueError("a path goes on with .name, [0], ['name'] or [*]", at)
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


def documents(raw: bytes) -> Iterator[Value]:
    """All JSON documents of an output, in order."""
    text = Text(raw).data.removeprefix(b"\xef\xbb\xbf")
    try:
        yield loads(text)
        return
    except ValueError:
        pass
    # The whole is no document: those that begin a line.
    decoder = json.JSONDecoder()
    decoded = text.decode("utf-8", "replace")
    at = 0
    for start in re.finditer(r"^[ \t]*(?=[{\[])", decoded, re.MULTILINE):
        if start.end() < at:
            continue
        try:
            document, at = decoder.raw_decode(decoded, start.end())
        except (ValueError, RecursionError):
            continue
        yield _encodable(document)


def loads(text: bytes) -> Value:
    """One JSON document; NaN and infinities, which JSON does not have, are read, too. Raises ValueError."""
    try:
        return orjson.loads(text)  # type: ignore[no-any-return]
    except ValueError:
        pass
    try:
        return _encodable(json.loads(text.decode("utf-8", "replace")))
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _encodable(value: Any) -> Value:
    """Without halves of characters, which JSON can write and no text can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {str(_encodable(name)): _encodable(item) for name, item in value.items()}
    return value  # type: ignore[no-any-return]


def table(path: TaskFile, torn_end: bool = True) -> tuple[list[str], Iterator[list[str]]]:
    """The header of a CSV file, and its lines. Raises OSError, SourceError.

    Without `torn_end` a last line that has no end yet is left out.
    """
    raw = read_whole(path) if not torn_end else b""
    lines = _decoded(path) if torn_end else iter(Text(complete_lines(raw)).lines)
    first = next((line for line in lines if line.strip()), "").lstrip("\ufeff").rstrip("\r\n")
    if not first:
        raise SourceError("the file is empty")
    delimiter = max(",;\t", key=lambda character: (first.count(character), character == ","))
    names = next(_records(iter([first]), delimiter))
    return [name.strip().lstrip("#").strip() for name in names], _records(lines, delimiter)


def _decoded(path: TaskFile) -> Iterator[str]:
    with open(path.open(), encoding="utf-8", errors="replace", newline="") as file:
        yield from file


def _records(lines: Iterator[str], delimiter: str) -> Iterator[list[str]]:
    try:
        for record in csv.reader(lines, delimiter=delimiter):
            if record:
                yield record
    except csv.Error as error:
        raise SourceError(f"no CSV from here on: {error}") from None


def cells(path: TaskFile, name: str, torn_end: bool = True) -> Iterator[str]:
    """The cells of one column that are not empty, in order. Raises OSError, SourceError."""
    header, records = table(path, torn_end)
    if name not in header:
        listed = ", ".join(header[:8]) + (", ..." if len(header) > 8 else "")
        raise SourceError(f'there is no column "{name}"; {suggest(name, header) or f"it has {listed}"}')
    index = header.index(name)
    for record in records:
        cell = record[index].strip() if index < len(record) else ""
        if cell:
            yield cell
