"""A column of a CSV file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tui_lab.experiment.column_type import NUMERIC
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.patterns.shorthands import Kind
from tui_lab.experiment.row_sources.csv import CsvRows
from tui_lab.experiment.sources.csv import CsvSource
from tui_lab.results.extraction.extractor import Reading
from tui_lab.results.extraction.files import locate
from tui_lab.results.extraction.numbers import as_usual, number
from tui_lab.results.extraction.readers import FileReader, notation
from tui_lab.results.extraction.structured import Form, Uneven, cells
from tui_lab.results.extraction.units import count_unit, quantity
from tui_lab.results.extraction.values import Scalar, converter
from tui_lab.store.task_files import TaskFile

MISSING: Final = frozenset(("na", "n/a", "null", "none", "-", "--"))
"""Words in CSV files for a number that is not there; an empty cell is one, too."""


class CsvExtractor(Reading):
    """Reads CSV files."""

    def reader(self, name: str, metric: Metric) -> CsvReader:
        return CsvReader(name, metric, source(metric))

    def not_found(self, metric: Metric) -> str:
        return f'column "{source(metric).column}" is empty in {source(metric).csv}'


def source(metric: Metric) -> CsvSource:
    """Return the source of a metric of this kind."""
    assert isinstance(metric.source, CsvSource)
    return metric.source


def csv_form(what: CsvSource | CsvRows) -> Form:
    """How the CSV file is laid out that a metric, or `rows`, is read from."""
    return Form(what.delimiter, what.comment, what.skip or 0)


class CsvReader(FileReader):
    """A column of a CSV file."""

    def __init__(self, name: str, metric: Metric, source: CsvSource) -> None:
        super().__init__(name, metric)
        self.source = source
        self.marks = notation(metric)
        self.measures = metric.unit is not None and self.type in ("float", "cells")
        kind: Kind = "quantity" if self.measures else "text"
        self.numeric = self.type in ("float", "int") or (
            self.type == "cells" and (metric.take in NUMERIC or metric.unit is not None)
        )
        self.convert = converter(self.type, kind, metric.unit, self.marks)

    def values(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Iterator[Scalar | None]:
        """Yield the cells of the metric's column."""
        path = locate(folder, self.source.csv)
        self.refused = ""
        for cell in cells(path, self.source.column, csv_form(self.source), torn_end=not live):
            if isinstance(cell, Uneven):
                self.trouble = self.trouble or str(cell)
                yield None
                continue
            if self.numeric and cell.lower() in MISSING:
                continue
            value = self._cell(cell) if self.type == "cells" else self.convert(cell)
            if value is None:
                self.refused = cell
            elif self.measures:
                count_unit(self.units, value, cell, None, self.marks)
            yield value

    def _cell(self, cell: str) -> Scalar | None:
        """A cell of a column whose type its values decide: as it is, or as the usual way to write its number."""
        if not self.numeric:
            return as_usual(cell, self.marks)
        found = number(cell, self.marks)
        unit = self.metric.unit
        return found if found is not None or unit is None else quantity(cell, None, unit, self.marks)
