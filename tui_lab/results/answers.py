"""Answers of DuckDB as frames."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pyarrow as pa


def to_frame(table: pa.Table) -> pl.DataFrame:
    """An answer with types that every format can hold: decimals become floats (integers where they have no
    fraction and fit), intervals durations. Columns of the same name are numbered, as in `lr`, `lr_1`."""
    columns = []
    for name, column in zip(_unique(table.column_names), table.columns, strict=True):
        if _holds_interval(column.type):
            columns.append(_intervals(name, column))
            continue
        series = pl.Series(name, column)
        if isinstance(series.dtype, pl.Decimal):
            series = _decimal(series)
        columns.append(series)
    return pl.DataFrame(columns)


def _unique(names: list[str]) -> Iterator[str]:
    taken: set[str] = set()
    for name in names:
        free, number = name, 0
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        yield free


def _decimal(series: pl.Series) -> pl.Series:
    if isinstance(series.dtype, pl.Decimal) and series.dtype.scale == 0:
        integers = series.cast(pl.Int64, strict=False)
        if integers.null_count() == series.null_count():
            return integers
    return series.cast(pl.Float64)


def _holds_interval(kind: pa.DataType) -> bool:
    return "interval" in str(kind)


def _intervals(name: str, column: pa.ChunkedArray) -> pl.Series:
    values = column.to_pylist()
    if str(column.type) == "month_day_nano_interval" and all(value is None or value[0] == 0 for value in values):
        micros = [None if v is None else v[1] * 86_400_000_000 + v[2] // 1000 for v in values]
        return pl.Series(name, micros, dtype=pl.Int64).cast(pl.Duration("us"))
    return pl.Series(name, [None if value is None else str(value) for value in values], dtype=pl.String)
