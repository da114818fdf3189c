"""All kinds of source of rows: who adds one adds its module to this package, and its class here. Other packages bring
theirs as entry points of `tui_lab.row_sources`."""

from __future__ import annotations

from typing import Final

from tui_lab.experiment.registry import Registry, by_kind
from tui_lab.experiment.row_sources.csv import CsvRows
from tui_lab.experiment.row_sources.each import EachRows
from tui_lab.experiment.row_sources.function import FunctionRows
from tui_lab.experiment.row_sources.pattern import PatternRows
from tui_lab.experiment.row_sources.returned import ReturnedRows
from tui_lab.experiment.row_sources.source import RowSource

KINDS: Final[Registry[type[RowSource]]] = Registry(
    "tui_lab.row_sources", RowSource, by_kind((PatternRows, CsvRows, EachRows, FunctionRows, ReturnedRows))
)
"""By the key that stands in the file, in the order of the reference."""
