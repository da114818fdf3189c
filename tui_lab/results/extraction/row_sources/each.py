"""A row for each piece of an output; its columns are the metrics that are patterns over the same output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import pairwise

from tui_lab.experiment.metric import Rows
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.patterns.pattern import compile_pattern
from tui_lab.experiment.row_sources.each import EachRows
from tui_lab.results.extraction.readers import TOO_SLOW, NoValue, TextReader
from tui_lab.results.extraction.records import REFUSED, Record
from tui_lab.results.extraction.rows import TextRowsReader
from tui_lab.results.extraction.search import lines_with_match
from tui_lab.results.extraction.text import Text


class EachRowsReader(TextRowsReader):
    """Cuts text before the lines that a pattern matches; what stands before the first of them is no row."""

    def __init__(self, experiment: Experiment, rows: Rows, bases: Mapping[str, str]) -> None:
        super().__init__(experiment, rows, bases)
        assert isinstance(rows.source, EachRows)
        self.pattern = compile_pattern(rows.source.each)
        metrics = experiment.metrics
        self._readers = [
            TextReader(name, replace(metric, unit=metric.unit or bases.get(name)))
            for name, metric in metrics.items()
            if metric.source.search is not None and metric.source.file == self.file
        ]
        self.types = {reader.name: reader.type for reader in self._readers}
        self.patterns = {reader.name: (reader.pattern, self.file) for reader in self._readers}
        self.units = {reader.name: reader.units for reader in self._readers if metrics[reader.name].unit is None}

    def find(self, text: Text) -> Iterator[Record]:
        readers = self._readers
        empty = {reader.name: 0 if reader.take == "count" else None for reader in readers}
        cuts = lines_with_match(self.pattern, text)
        for start, end in pairwise([*cuts, len(text.lines)]):  # without a cut there is no pair, and no row
            piece = Text("\n".join(text.lines[start:end]).encode())
            found = {reader.name: reader.value(piece) for reader in readers}
            if TOO_SLOW in found.values():
                self.slow = True
            record: Record = {n: empty[n] if isinstance(value, NoValue) else value for n, value in found.items()}
            if refused := {r.name: r.refused for r in readers if found[r.name] is None and r.refused}:
                record[REFUSED] = refused
            yield record
