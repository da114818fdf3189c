"""Answers of DuckDB as frames, with types that every format can hold, and nothing rounded.

integers    of more than 64 bits: as `columns.integers` has them; decimals without a fraction are integers, too.
            Within a list, structure or map: Int64, else UInt64, else decimals without a fraction, else text
intervals   durations; with months, or of centuries, their text in ISO 8601
years       before 1 and after 9999, and infinite dates: the texts of all of a column
others      what Arrow or Polars lacks, or holds in part (TIMETZ, BIT, UNION, ...): DuckDB's text
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import duckdb
import polars as pl
from duckdb.sqltypes import DuckDBPyType

from tui_lab.experiment.duckdb_tables import in_quotes
from tui_lab.results.extraction.columns import integers

_INTEGERS: Final = frozenset(("hugeint", "uhugeint", "bignum", "varint"))
_INTEGERS_WITHIN: Final = ("BIGINT", "UBIGINT", "DECIMAL(38, 0)", "VARCHAR")
"""What integers within another type become: the first of these that holds all of a column."""
_TEXTS: Final = frozenset(("time with time zone", "bit", "union", "variant", "geometry"))
_TEXTS_WITHIN: Final = frozenset(("interval", "timestamp_ns", "time_ns"))
"""Within another type: there Python's values stand for them, which have months and nanoseconds in no form."""
_EPOCH: Final = datetime.date(1970, 1, 1)
_FIRST_DAY: Final = (datetime.date.min - _EPOCH).days
_LAST_DAY: Final = (datetime.date.max - _EPOCH).days
_PER_DAY: Final = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_INTERVAL: Final = (
    "{'months': datepart('year', ?) * 12 + datepart('month', ?), 'days': datepart('day', ?), "
    "'micros': (datepart('hour', ?) * 60 + datepart('minute', ?)) * 60000000 + datepart('microsecond', ?)}"
)
"""An interval as the three numbers that it is made of. Polars has no such type."""
_LONGEST: Final = 2**53
"""Microseconds of a duration that a float of seconds still tells apart."""


def to_frame(relation: duckdb.DuckDBPyRelation) -> pl.DataFrame:
    """Return the answer. Columns of the same name are numbered, as in `lr`, `lr_1`. Raises what DuckDB raises."""
    names = list(_unique(relation.columns))
    kinds = relation.types
    answer = relation.materialize()  # what is wrong with a row is raised here, as DuckDB's own error
    frame = _select(answer, [_expression(answer, n, kind) for n, kind in enumerate(kinds, 1)], names)
    far = [n for n, column in enumerate(frame, 1) if _is_far(column)]
    texts = _select(answer, [f"#{n}::VARCHAR" for n in far], [names[n - 1] for n in far]) if far else pl.DataFrame()
    return pl.DataFrame([_column(column, kind) for column, kind in zip(frame.with_columns(texts), kinds, strict=True)])


def _select(relation: duckdb.DuckDBPyRelation, expressions: Sequence[str], names: Sequence[str]) -> pl.DataFrame:
    columns = ", ".join(f"{one} AS {in_quotes(name)}" for one, name in zip(expressions, names, strict=True))
    return pl.DataFrame(relation.project(columns))


def _expression(answer: duckdb.DuckDBPyRelation, number: int, kind: DuckDBPyType) -> str:
    """Return what is selected of the column of this number, counted from 1."""
    if kind.id in _TEXTS | _INTEGERS or any(map(_needs_text, _children(kind))):
        return f"#{number}::VARCHAR"
    if _has_integers(kind):
        ways = (f"#{number}::{_cast_within(kind, 'VARCHAR')}::{_cast_within(kind, to)}" for to in _INTEGERS_WITHIN)
        return next(way for way in ways if _holds(answer, way))
    if kind.id == "interval":
        return f"CASE WHEN #{number} IS NOT NULL THEN {_INTERVAL.replace('?', f'#{number}')} END"
    return f"#{number}"


def _needs_text(kind: DuckDBPyType) -> bool:
    """Whether a type within another one keeps that from being more than text."""
    return kind.id in _TEXTS | _TEXTS_WITHIN or any(map(_needs_text, _children(kind)))


def _has_integers(kind: DuckDBPyType) -> bool:
    """Return whether a type is, or has within, integers of more than 64 bits."""
    return kind.id in _INTEGERS or any(map(_has_integers, _children(kind)))


def _cast_within(kind: DuckDBPyType, to: str) -> DuckDBPyType:
    """Return a type with another one for its integers of more than 64 bits."""
    if kind.id in _INTEGERS:
        return duckdb.sqltype(to)
    inner = [_cast_within(child, to) for child in _children(kind)]
    match kind.id:
        case "list":
            return duckdb.list_type(inner[0])
        case "array":
            return duckdb.array_type(inner[0], cast(int, dict(kind.children)["size"]))
        case "map":
            return duckdb.map_type(*inner)
        case "struct" | "tuple":
            names = [name or f"element{n}" for n, (name, _) in enumerate(kind.children, 1)]
            return duckdb.struct_type(dict(zip(names, inner, strict=True)))
        case _:
            return kind


def _holds(answer: duckdb.DuckDBPyRelation, conversion: str) -> bool:
    """Return whether all values can be converted."""
    try:
        answer.project(conversion).materialize()
        return True
    except duckdb.DataError:
        return False


def _children(kind: DuckDBPyType) -> list[DuckDBPyType]:
    if kind.id not in ("list", "array", "struct", "tuple", "map"):
        return []
    return [child for _, child in kind.children if isinstance(child, DuckDBPyType)]


def _is_far(column: pl.Series) -> bool:
    """Return whether there are dates or times in a column that Python's calendar does not have."""
    dtype = column.dtype
    if isinstance(dtype, pl.Map):
        return _is_far(column.map.keys()) or _is_far(column.map.values())
    if isinstance(dtype, (pl.List, pl.Array)):
        return _is_far(column.explode(empty_as_null=False))
    if isinstance(dtype, pl.Struct):
        return any(_is_far(column.struct.field(field.name)) for field in dtype.fields)
    if not isinstance(dtype, (pl.Date, pl.Datetime)) or column.null_count() == len(column):
        return False
    per_day = _PER_DAY[dtype.time_unit] if isinstance(dtype, pl.Datetime) else 1
    values = column.to_physical()
    least, most = cast(int, values.min()), cast(int, values.max())
    return least < _FIRST_DAY * per_day or most >= (_LAST_DAY + 1) * per_day


def _column(column: pl.Series, kind: DuckDBPyType) -> pl.Series:
    dtype = column.dtype
    if kind.id in _INTEGERS or (isinstance(dtype, pl.Decimal) and dtype.scale == 0):
        return _whole(column.name, column.to_list())
    return _intervals(column) if kind.id == "interval" else column


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


def _intervals(parts: pl.Series) -> pl.Series:
    values = parts.to_list()
    micros = [None if v is None else v["days"] * 86_400_000_000 + v["micros"] for v in values]
    if all(
        v is None or (v["months"] == 0 and abs(micro or 0) < _LONGEST) for v, micro in zip(values, micros, strict=True)
    ):
        return pl.Series(parts.name, micros, dtype=pl.Int64).cast(pl.Duration("us"))
    return pl.Series(parts.name, [None if v is None else _iso(**v) for v in values], dtype=pl.String)


def _iso(months: int, days: int, micros: int) -> str:
    """An interval in ISO 8601, as `P1Y2M3DT4.5S`; each part has its own sign."""
    sign = -1 if months < 0 else 1
    years, months = sign * (abs(months) // 12), sign * (abs(months) % 12)
    parts = "".join(f"{part}{letter}" for part, letter in ((years, "Y"), (months, "M"), (days, "D")) if part)
    minus, rest = "-" if micros < 0 else "", abs(micros)
    hours, minutes = rest // 3_600_000_000, rest // 60_000_000 % 60
    seconds = f"{rest // 1_000_000 % 60}.{rest % 1_000_000:06}".rstrip("0").rstrip(".")
    clock = "".join(f"{minus}{part}{letter}" for part, letter in ((hours, "H"), (minutes, "M")) if part)
    clock += f"{minus}{seconds}S" if seconds != "0" else ""
    return f"P{parts}{'T' + clock if clock else ''}" if parts or clock else "PT0S"
