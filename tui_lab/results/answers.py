"""Answers of DuckDB as frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa

from tui_lab.results.columns import integers


def to_frame(table: pa.Table) -> pl.DataFrame:
    """An answer with types that every format can hold: decimals without a fraction become integers, intervals durations
    (or, with months, their text in ISO 8601). Columns of the same name are numbered, as in `lr`, `lr_1`."""
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
        return integers(series.name, [None if value is None else int(value) for value in series.to_list()])
    return series


def _holds_interval(kind: pa.DataType) -> bool:
    return "interval" in str(kind)


def _intervals(name: str, column: pa.ChunkedArray) -> pl.Series:
    values = column.to_pylist()
    if str(column.type) == "month_day_nano_interval" and all(value is None or value[0] == 0 for value in values):
        micros = [None if v is None else v[1] * 86_400_000_000 + v[2] // 1000 for v in values]
        return pl.Series(name, micros, dtype=pl.Int64).cast(pl.Duration("us"))
    return pl.Series(name, list(map(_interval_text, values)), dtype=pl.String)


def _interval_text(value: Any) -> str | None:
    if isinstance(value, list):
        return f"[{', '.join(_interval_text(item) or 'null' for item in value)}]"
    return _iso(*value) if isinstance(value, tuple) else None if value is None else str(value)


def _iso(months: int, days: int, nanoseconds: int) -> str:
    """An interval in ISO 8601, as `P1Y2M3DT4.5S`; each part has its own sign."""
    sign = -1 if months < 0 else 1
    years, months = sign * (abs(months) // 12), sign * (abs(months) % 12)
    parts = "".join(f"{part}{letter}" for part, letter in ((years, "Y"), (months, "M"), (days, "D")) if part)
    minus, rest = "-" if nanoseconds < 0 else "", abs(nanoseconds)
    hours, minutes = rest // 3_600_000_000_000, rest // 60_000_000_000 % 60
    seconds = f"{rest // 1_000_000_000 % 60}.{rest % 1_000_000_000:09}".rstrip("0").rstrip(".")
    clock = "".join(f"{minus}{part}{letter}" for part, letter in ((hours, "H"), (minutes, "M")) if part)
    clock += f"{minus}{seconds}S" if seconds != "0" else ""
    return f"P{parts}{'T' + clock if clock else ''}" if parts or clock else "PT0S"
