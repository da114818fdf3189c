"""The type of a metric's column, as far as the experiment's file decides it."""

from __future__ import annotations

from typing import Final, Literal

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.patterns.pattern import Pattern

ColumnType = Literal["float", "int", "str", "bool", "json", "cells"]
"""`json` and `cells` (of a CSV file) are typed by all their values."""

FRACTIONS: Final = frozenset(("mean", "median", "sd"))
"""What gives a float, of whole numbers as well."""
NUMERIC: Final = FRACTIONS | {"sum", "min", "max"}


def column_type(metric: Metric, pattern: Pattern | None) -> ColumnType:
    """The type of a metric's column; `json` and `cells` where only the values can tell."""
    if metric.take == "count":
        return "int"
    if metric.take in FRACTIONS:
        return "float"
    if metric.type is not None:
        return metric.type
    if pattern is None:
        return metric.source.column_type
    if pattern.kind in ("float", "quantity") or (metric.unit and pattern.unit is not None):
        return "float"
    if pattern.kind == "int":
        return "int"
    return "float" if metric.take in NUMERIC else "str"
