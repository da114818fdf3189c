"""Typed columns of many values, and of values that are found later.

`float, int, str, bool` columns have that type. Values found in JSON without a `type` are integers if all are,
else floats if all are numbers, else booleans, else text; where they are of several kinds, or nested, the
column is JSON text. Cells of CSV files without a `type` are integers if all are, else floats if all are
numbers, else the text of the cells; `007` and `1_000` are no numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from tui_lab.results.values import Nested, Scalar, json_text, to_float, to_int
from tui_lab.spec.column_type import ColumnType

Form = Literal["plain", "json"]

DTYPES: Final[dict[str, pl.DataType]] = {
    "float": pl.Float64(),
    "int": pl.Int64(),
    "str": pl.String(),
    "bool": pl.Boolean(),
}
_NUMBERS: Final = (pl.Int64(), pl.Float64())


@dataclass(frozen=True)
class Column:
    """Values of one metric. In the form `json` each is a JSON text."""

    series: pl.Series
    form: Form = "plain"


def build(name: str, values: Sequence[Scalar | None], wanted: ColumnType) -> Column:
    """The values as a column of the wanted type."""
    if wanted == "json":
        return _json(name, values)
    if wanted == "cells":
        return Column(_cells(name, values))
    return Column(pl.Series(name, values, dtype=DTYPES[wanted]))


def merge(old: Column, new: Column, wanted: ColumnType) -> Column | None:
    """`old` and `new` below each other, as `build` would have made them of all values together.

    None if that cannot be told from the columns: the values are needed.
    """
    first, second = old.series, new.series
    if second.null_count() == len(second):
        return _joined(first, second.cast(first.dtype), old.form)
    if first.null_count() == len(first):
        return _joined(first.cast(second.dtype), second, new.form)
    if first.dtype == second.dtype and old.form == new.form:
        return _joined(first, second, old.form)
    if first.dtype in _NUMBERS and second.dtype in _NUMBERS and wanted in ("json", "cells"):
        return _joined(first.cast(pl.Float64), second.cast(pl.Float64), "plain")
    return None


def _joined(first: pl.Series, second: pl.Series, form: Form) -> Column:
    return Column(pl.concat([first, second.alias(first.name)]), form)


def _json(name: str, values: Sequence[Scalar | None]) -> Column:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int}:
        return Column(pl.Series(name, values, dtype=pl.Int64))
    if kinds <= {int, float}:
        return Column(pl.Series(name, [None if v is None else float(v) for v in values], dtype=pl.Float64))
    if kinds == {bool}:
        return Column(pl.Series(name, values, dtype=pl.Boolean))
    if kinds == {str}:
        return Column(pl.Series(name, values, dtype=pl.String))
    texts = [None if v is None else str(v) if isinstance(v, Nested) else json_text(v) for v in values]
    return Column(pl.Series(name, texts, dtype=pl.String), "json")


def _cells(name: str, values: Sequence[Scalar | None]) -> pl.Series:
    texts = [None if value is None or value == "" else str(value) for value in values]
    found = [text for text in texts if text is not None]
    if all(map(_looks_numeric, found)):
        for dtype, read in ((pl.Int64(), _cell_int), (pl.Float64(), to_float)):
            numbers = [None if text is None else read(text) for text in texts]
            if numbers.count(None) == texts.count(None):
                return pl.Series(name, numbers, dtype=dtype)
    return pl.Series(name, texts, dtype=pl.String)


def _cell_int(text: str) -> int | None:
    return None if any(mark in text for mark in ".eE") else to_int(text)


def _looks_numeric(text: str) -> bool:
    digits = text.strip().lstrip("+-")
    return "_" not in digits and not (len(digits) > 1 and digits[0] == "0" and digits[1].isdigit())
