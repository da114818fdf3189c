"""Rows: what a pattern with named groups, or a CSV file, says many times for one task."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tui_lab.results.extract import read_text
from tui_lab.results.records import INDEX, Reader, Record
from tui_lab.results.search import all_matches
from tui_lab.results.sources import locate, stream_names
from tui_lab.results.structured import SourceError, table
from tui_lab.results.text import Text, read_whole
from tui_lab.results.values import ColumnType, Scalar, converter
from tui_lab.spec.model import Experiment
from tui_lab.spec.pattern import Pattern, compile_pattern


class RowsReader(Reader):
    def __init__(self, spec: Experiment) -> None:
        super().__init__()
        self._rows = spec.rows
        self._pattern: Pattern | None = None
        if spec.rows is None:
            return
        self._names = stream_names(spec.rows.source, tuple(step.name for step in spec.steps))
        if spec.rows.pattern is not None:
            self._pattern = compile_pattern(spec.rows.pattern)
            self._groups: dict[str, tuple[int, Callable[[str], Scalar | None]]] = {}
            for name in self._pattern.groups:
                number = self._pattern.regex.groupindex[name]
                kind = self._pattern.kinds.get(number, "text")
                wanted: ColumnType = (
                    "float" if kind in ("float", "quantity") else "int" if kind == "int" else "str"
                )
                self.types[name] = wanted
                self._groups[name] = number, converter(wanted, kind)

    def records(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        if self._rows is None:
            return
        try:
            if self._pattern is None:
                yield from self._cells(locate(folder, self._rows.csv or ""), live)
                return
            source = self._rows.source
            paths = (
                [locate(folder, source)]
                if self._names is None
                else [f"{folder}/{n}" for n in self._names(attempt)]
            )
            text = read_text(paths, live) or Text(b"\n".join(read_whole(path) for path in paths))
        except (OSError, SourceError):
            return
        for index, match in enumerate(all_matches(self._pattern, text)):
            record: Record = {INDEX: index}
            for name, (number, convert) in self._groups.items():
                found = match[number]
                record[name] = None if found is None else convert(found)
            yield record

    def _cells(self, path: str, live: bool) -> Iterator[Record]:
        header, lines = table(path, torn_end=not live)
        names = [name or f"column{number + 1}" for number, name in enumerate(header)]
        for name in names:
            self.types.setdefault(name, "cells")
        for index, line in enumerate(lines):
            yield {
                INDEX: index,
                **{name: cell.strip() or None for name, cell in zip(names, line, strict=False)},
            }
