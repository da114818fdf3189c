"""Values in JSON that a program prints, and in the JSON and CSV files that it writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.sources.csv import CsvSource
from tui_lab.experiment.sources.json import JsonSource
from tui_lab.results.extraction.numbers import number
from tui_lab.results.extraction.structured import Broken, SourceError, documents, table
from tui_lab.results.extraction.text import read_up_to
from tui_lab.results.offers.offer import Candidate, slug
from tui_lab.store.task_files import TaskFile, listed

LARGEST: Final = 1 << 20
"""Bytes of the largest file that is read for offers."""
_FILES: Final = 20
"""Most files of a task that are read."""
_MOST: Final = 60
"""Most values of a file."""
_DEEP: Final = 4
_MANY: Final = 3
_OWN: Final = re.compile(r"(?:stdout|stderr|metrics|params|returned|collected)\b")
_JSON: Final = (".json", ".jsonl", ".ndjson")
_CSV: Final = (".csv", ".tsv")
_NAME: Final = re.compile(r"[^.\[\]*'\s]+")


def of_json(raw: bytes, file: str) -> Iterator[Candidate]:
    """Yield the numbers in the JSON of a file or output."""
    found: dict[str, tuple[str, float, int]] = {}
    for document in documents(raw):
        if isinstance(document, Broken):
            continue
        for path, name, value in _leaves(document, "$", (), 0):
            count = found[path][2] + 1 if path in found else 1
            found[path] = (name, value, count)
            if len(found) >= _MOST:
                break
    for path, (name, value, count) in found.items():
        definition: dict[str, Any] = {JsonSource.kind: file, "path": path}
        if count >= _MANY:
            definition["take"] = "all"
        yield Candidate((JsonSource.kind, file, path), name, (definition,), value, f"{file}: {path}", 0, count=count)


def _leaves(value: Value, path: str, names: tuple[str, ...], depth: int) -> Iterator[tuple[str, str, float]]:
    if isinstance(value, dict):
        for key, inner in value.items() if depth < _DEEP else ():
            step = f".{key}" if _NAME.fullmatch(key) else f'["{key}"]' if '"' not in key else ""
            if step:
                yield from _leaves(inner, path + step, (*names, key), depth + 1)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        name = slug(" ".join(names[-2:]))
        if name:
            yield path, name, float(value)


def of_csv(file: TaskFile) -> Iterator[Candidate]:
    """Yield the numeric columns of a CSV file: their last values. Raises OSError, SourceError."""
    header, rows = table(file)
    last: list[str] = []
    count = 0
    for row in rows:
        if isinstance(row, list):
            last, count = row, count + 1
    for title, cell in list(zip(header, last, strict=False))[:_MOST]:
        value = number(cell.strip())
        if value is not None and slug(title):
            definition: dict[str, Any] = {CsvSource.kind: file.name, "column": title}
            if count >= _MANY:
                definition["take"] = "all"
            key = (CsvSource.kind, file.name, title)
            yield Candidate(key, slug(title), (definition,), float(value), f"{file.name}: {title}", 0, count=count)


def in_files(folder: Path) -> Iterator[Candidate]:
    """Yield the values in the JSON and CSV files in a task's folder."""
    names = [name for name, facts in listed(folder, deep=True) if facts.st_size <= LARGEST and not _OWN.match(name)]
    wanted = [name for name in sorted(names) if name.endswith((*_JSON, *_CSV))]
    for name in wanted[:_FILES]:
        file = TaskFile(str(folder), name)
        with suppress(OSError, SourceError):
            if name.endswith(_CSV):
                yield from of_csv(file)
            elif (raw := read_up_to(file, LARGEST + 1)) is not None:
                yield from of_json(raw, name)
