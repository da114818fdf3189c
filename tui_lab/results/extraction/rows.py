"""Rows: what a pattern with named groups, the pieces of an output, or a CSV file say often for one task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from tui_lab.experiment.column_type import ColumnType
from tui_lab.experiment.metric import Rows
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.patterns.pattern import compile_pattern
from tui_lab.results.extraction.extract import read_all
from tui_lab.results.extraction.files import locate, stream_names, task_files
from tui_lab.results.extraction.numbers import as_usual
from tui_lab.results.extraction.readers import TOO_SLOW, Nothing, TextReader, csv_form, notation
from tui_lab.results.extraction.records import INDEX, REFUSED, Reader, Record
from tui_lab.results.extraction.search import all_matches, lines_with_match
from tui_lab.results.extraction.structured import SourceError, Uneven, table
from tui_lab.results.extraction.text import Text
from tui_lab.results.extraction.units import count_unit
from tui_lab.results.extraction.values import Scalar, converter
from tui_lab.store.task_files import TaskFile

Find = Callable[[Text], Iterator[Record]]


class RowsReader(Reader):
    """Reads what `rows` asks for; an output that is missing or unreadable has no rows.

    `records` raises TooSlowError where a pattern takes too long. `bases`: the unit that the quantities of a column are
    read in, where it names none."""

    def __init__(self, spec: Experiment, bases: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self._rows = spec.rows
        self._bases = bases or {}
        if spec.rows is None:
            return
        self._names = stream_names(spec.rows.source, tuple(step.name for step in spec.steps))
        self.find: Find | None = None
        """The rows of a text, in order; None for a CSV file."""
        if spec.rows.pattern is not None:
            self.find = self._by_pattern(spec.rows)
        elif spec.rows.each is not None:
            self.find = self._by_pieces(spec.rows.each, spec)

    def records(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        """Yield the rows of an attempt. live: the task still runs, so the last line may be incomplete."""
        self.absent = self.slow = False
        self.trouble = ""
        if self._rows is None:
            return
        try:
            if self.find is None:
                yield from self._cells(locate(folder, self._rows.csv or ""), self._rows, live)
                return
            paths = task_files(folder, self._rows.source, self._names, attempt)
            text = read_all(paths, live)
        except FileNotFoundError:
            self.absent = True
            return
        except OSError as error:
            self.trouble = f"{self._rows.csv or self._rows.source} {error.strerror or error}"
            return
        except SourceError as error:
            self.trouble = f"{self._rows.csv or self._rows.source}: {error}"
            return
        for index, record in enumerate(self.find(text)):
            yield {INDEX: index, **record}

    def _by_pattern(self, rows: Rows) -> Find:
        """A row for each match; its columns are the named groups."""
        pattern = compile_pattern(rows.pattern or "", rows.thousands == " ")
        marks = notation(rows)
        groups: dict[str, tuple[int, Callable[[str], Scalar | None]]] = {}
        for name in pattern.groups:
            number = pattern.regex.groupindex[name]
            kind = pattern.kinds.get(number, "text")
            wanted: ColumnType = "float" if kind in ("float", "quantity") else "int" if kind == "int" else "str"
            self.types[name] = wanted
            groups[name] = number, converter(wanted, kind, self._bases.get(name), marks)
            self.patterns[name] = pattern, rows.source
            if kind == "quantity":
                self.units[name] = Counter()

        def find(text: Text) -> Iterator[Record]:
            for match in all_matches(pattern, text):
                found = {name: match[number] for name, (number, _) in groups.items()}
                record: Record = {n: None if value is None else groups[n][1](value) for n, value in found.items()}
                for name, counted in self.units.items():
                    if record[name] is not None:
                        count_unit(counted, record[name], found[name], None, marks)
                if refused := {n: value for n, value in found.items() if value is not None and record[n] is None}:
                    record[REFUSED] = refused
                yield record

        return find

    def _by_pieces(self, each: str, spec: Experiment) -> Find:
        """A row for each piece of the output, cut before the lines that `each` matches; what stands before
        the first of them is no row. Columns are the metrics that are patterns over the same output."""
        pattern = compile_pattern(each)
        source = spec.rows.source if spec.rows else ""
        metrics = [
            TextReader(name, replace(metric, unit=metric.unit or self._bases.get(name)))
            for name, metric in spec.metrics.items()
            if metric.source.search is not None and metric.source.file == source
        ]
        self.types.update({reader.name: reader.type for reader in metrics})
        self.patterns.update({reader.name: (reader.pattern, source) for reader in metrics})
        self.units.update({reader.name: reader.units for reader in metrics if spec.metrics[reader.name].unit is None})
        empty = {reader.name: 0 if reader.take == "count" else None for reader in metrics}

        def find(text: Text) -> Iterator[Record]:
            cuts = lines_with_match(pattern, text)
            for start, end in pairwise([*cuts, len(text.lines)]):  # without a cut there is no pair, and no row
                piece = Text("\n".join(text.lines[start:end]).encode())
                found = {reader.name: reader.value(piece) for reader in metrics}
                if TOO_SLOW in found.values():
                    self.slow = True
                record: Record = {n: empty[n] if isinstance(value, Nothing) else value for n, value in found.items()}
                if refused := {r.name: r.refused for r in metrics if found[r.name] is None and r.refused}:
                    record[REFUSED] = refused
                yield record

        return find

    def _cells(self, path: TaskFile, rows: Rows, live: bool) -> Iterator[Record]:
        """A row for each line of a CSV file; its columns are the header's."""
        marks = notation(rows)
        header, lines = table(path, csv_form(rows), torn_end=not live)
        names = [name or f"column{number + 1}" for number, name in enumerate(header)]
        for name in names:
            self.types.setdefault(name, "cells")
        for index, line in enumerate(lines):
            if isinstance(line, Uneven):
                self.trouble = self.trouble or f"{rows.csv}: {line}"
                yield {INDEX: index}
                continue
            yield {
                INDEX: index,
                **{name: as_usual(cell.strip(), marks) or None for name, cell in zip(names, line, strict=False)},
            }
