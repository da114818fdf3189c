"""Typed columns of many values, and of values that are found later.

`float, int, str, bool` columns have that type, and integers are of any size. Values found in JSON without a `type`
are integers if all are, else floats if all are numbers, else booleans, else text; where they are of several kinds, or
nested, the column is JSON text. Cells of CSV files without a `type` are integers if all are, else floats if all are
numbers, else the text of the cells; `007` and `1_000` are no numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from tui_lab.experiment.column_type import ColumnType
from tui_lab.results.extraction.numbers import digits_to_int, int_to_float, to_float
from tui_lab.results.extraction.values import Nested, Scalar, json_text

Form = Literal["plain", "json"]

DTYPES: Final[dict[str, pl.DataType]] = {
    "float": pl.Float64(),
    "int": pl.Int64(),  # or a wider one: see `integers`
    "str": pl.String(),
    "bool": pl.Boolean(),
}
_INTEGERS: Final = (pl.Int64(), pl.UInt64(), pl.Int128())
_NUMBERS: Final = (*_INTEGERS, pl.Float64())
WIDEST: Final = 10**38
"""Integers below this, and above its negative, are numbers in every table, in SQL and Arrow; others are text."""


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
    if wanted == "int":
        return Column(integers(name, values))
    return Column(pl.Series(name, values, dtype=DTYPES[wanted]))


def integers(name: str, values: Sequence[Scalar | None]) -> pl.Series:
    """Integers of any size, exactly: as Int64 where all fit, else as UInt64, else as Int128, else as text."""
    known = [int(value) for value in values if value is not None]
    least, most = min(known, default=0), max(known, default=0)
    if least >= -(2**63) and most < 2**63:
        return pl.Series(name, values, dtype=pl.Int64)
    if least >= 0 and most < 2**64:
        return pl.Series(name, values, dtype=pl.UInt64)
    if least > -WIDEST and most < WIDEST:
        return pl.Series(name, values, dtype=pl.Int128)
    return pl.Series(name, [None if value is None else _digits(value) for value in values], dtype=pl.String)


def _digits(value: Scalar) -> str:
    return json_text(value) if isinstance(value, int) else str(value)


def merge(old: Column, new: Column, wanted: ColumnType) -> Column | None:
    """`old` and `new` below each other, as `build` would have made them of all values together.

    None if that can't be known from the columns: the values are needed.
    """
    first, second = old.series, new.series
    if second.null_count() == len(second):
        return _joined(first, second.cast(first.dtype), old.form)
    if first.null_count() == len(first):
        return _joined(first.cast(second.dtype), second, new.form)
    if first.dtype == second.dtype and old.form == new.form:
        return _joined(first, second, old.form)
    if first.dtype in _INTEGERS and second.dtype in _INTEGERS:
        return Column(integers(first.name, [*first.to_list(), *second.to_list()]))
    if first.dtype in _NUMBERS and second.dtype in _NUMBERS and wanted in ("json", "cells"):
        return _joined(first.cast(pl.Float64), second.cast(pl.Float64), "plain")
    return None


def _joined(first: pl.Series, second: pl.Series, form: Form) -> Column:
    return Column(pl.concat([first, second.alias(first.name)]), form)


def _json(name: str, values: Sequence[Scalar | None]) -> Column:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int}:
        whole = integers(name, values)
        return Column(whole, "json" if whole.dtype == pl.String else "plain")
    if kinds <= {int, float}:
        floats = list(map(_as_float, values))
        if floats.count(None) == list(values).count(None):
            return Column(pl.Series(name, floats, dtype=pl.Float64))
    if kinds == {bool}:
        return Column(pl.Series(name, values, dtype=pl.Boolean))
    if kinds == {str}:
        return Column(pl.Series(name, values, dtype=pl.String))
    texts = [None if v is None else str(v) if isinstance(v, Nested) else json_text(v) for v in values]
    return Column(pl.Series(name, texts, dtype=pl.String), "json")


def _as_float(value: Scalar | None) -> float | None:
    return None if value is None else int_to_float(value) if isinstance(value, int) else float(value)


def _cells(name: str, values: Sequence[Scalar | None]) -> pl.Series:
    texts = [None if value is None or value == "" else str(value) for value in values]
    found = [text for text in texts if text is not None]
    if all(map(_looks_numeric, found)):
        whole = [None if text is None else digits_to_int(text) for text in texts]
        if whole.count(None) == texts.count(None):
            return integers(name, whole)
        floats = [None if text is None else to_float(text) for text in texts]
        if floats.count(None) == texts.count(None):
            return pl.Series(name, floats, dtype=pl.Float64)
    return pl.Series(name, texts, dtype=pl.String)


def _looks_numeric(text: str) -> bool:
    digits = text.strip().lstrip("+-")
    return "_" not in digits and not (len(digits) > 1 and digits[0] == "0" and digits[1].isdigit())
