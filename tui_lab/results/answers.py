"""Answers of DuckDB as frames, with types that every format can hold, and nothing rounded.

integers    of more than 64 bits: as `columns.integers` has them; decimals without a fraction are integers, too
intervals   durations; with months, or of centuries, their text in ISO 8601
years       before 1 and after 9999, and infinite dates: the texts of all of a column
others      what Arrow or Polars lacks, or holds in part (TIMETZ, BIT, UNION, HUGEINT in a list, ...): DuckDB's text
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, Final

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from duckdb.sqltypes import DuckDBPyType

from tui_lab.results.columns import integers
from tui_lab.results.sql_text import in_quotes

_INTEGERS: Final = frozenset(("hugeint", "uhugeint", "bignum", "varint"))
_TEXTS: Final = _INTEGERS | {"time with time zone", "bit", "union", "variant", "geometry"}
_TEXTS_WITHIN: Final = frozenset(("interval", "timestamp_ns", "time_ns"))
"""Within another type: there Python's values stand for them, which have months and nanoseconds in no form."""
_EPOCH: Final = datetime.date(1970, 1, 1)
_FIRST_DAY: Final = (datetime.date.min - _EPOCH).days
_LAST_DAY: Final = (datetime.date.max - _EPOCH).days
_PER_DAY: Final = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_LONGEST: Final = 2**53
"""Microseconds of a duration that a float of seconds still tells apart."""


def to_frame(relation: duckdb.DuckDBPyRelation, connection: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """The answer. Columns of the same name are numbered, as in `lr`, `lr_1`. Raises what DuckDB raises."""
    names = list(_unique(relation.columns))
    kinds = relation.types
    texts = [kind.id in _TEXTS or any(map(_needs_text, _children(kind))) for kind in kinds]
    if any(texts):
        relation = relation.project(_columns(names, texts))
    table = relation.to_arrow_table().rename_columns(names)
    far = [any(map(_is_far, column.chunks)) for column in table.columns]
    if any(far):
        table = connection.from_arrow(table).project(_columns(names, far)).to_arrow_table()
    return pl.DataFrame(
        [
            _whole(name, column.to_pylist()) if kind.id in _INTEGERS else _column(name, column)
            for name, column, kind in zip(names, table.columns, kinds, strict=True)
        ]
    )


def _columns(names: Sequence[str], texts: Sequence[bool]) -> str:
    """A projection to columns of these names, some of them as text."""
    columns = zip(names, texts, strict=True)
    return ", ".join(f"#{n}{'::VARCHAR' * text} AS {in_quotes(name)}" for n, (name, text) in enumerate(columns, 1))


def _needs_text(kind: DuckDBPyType) -> bool:
    """Whether a type within another one keeps that from being more than text."""
    return kind.id in _TEXTS | _TEXTS_WITHIN or any(map(_needs_text, _children(kind)))


def _children(kind: DuckDBPyType) -> list[DuckDBPyType]:
    if kind.id not in ("list", "array", "struct", "map"):
        return []
    return [child for _, child in kind.children if isinstance(child, DuckDBPyType)]


def _is_far(column: pa.Array) -> bool:
    """Whether there are dates or times in it that Python's calendar does not have."""
    kind = column.type
    if pa.types.is_nested(kind):
        if pa.types.is_map(kind):
            parts = [column.keys, column.items]
        elif pa.types.is_struct(kind):
            parts = [column.field(n) for n in range(kind.num_fields)]
        else:
            parts = [column.flatten()]
        return any(map(_is_far, parts))
    if not (pa.types.is_date32(kind) or pa.types.is_timestamp(kind)) or column.null_count == len(column):
        return False
    per_day = 1 if pa.types.is_date32(kind) else _PER_DAY[kind.unit]
    bounds = pc.min_max(column.view(pa.int32() if pa.types.is_date32(kind) else pa.int64())).as_py()
    return bool(bounds["min"] < _FIRST_DAY * per_day or bounds["max"] >= (_LAST_DAY + 1) * per_day)


def _column(name: str, column: pa.ChunkedArray) -> pl.Series:
    if column.type == pa.month_day_nano_interval():
        return _intervals(name, column.to_pylist())
    series = pl.Series(name, column)
    if isinstance(series.dtype, pl.Decimal) and series.dtype.scale == 0:
        return _whole(name, series.to_list())
    return series


def _whole(name: str, values: Sequence[Any]) -> pl.Series:
    return integers(name, [None if value is None else int(value) for value in values])


def _unique(names: list[str]) -> Iterator[str]:
    taken: set[str] = set()
    for name in names:
        free, number = name, 0
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free)
        yield free


def _intervals(name: str, values: Sequence[Any]) -> pl.Series:
    micros = [None if v is None else v[1] * 86_400_000_000 + v[2] // 1000 for v in values]
    if all(v is None or (v[0] == 0 and abs(micro or 0) < _LONGEST) for v, micro in zip(values, micros, strict=True)):
        return pl.Series(name, micros, dtype=pl.Int64).cast(pl.Duration("us"))
    return pl.Series(name, [None if value is None else _iso(*value) for value in values], dtype=pl.String)


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
