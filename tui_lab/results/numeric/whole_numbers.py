"""Whole numbers beyond those that floats hold (hashes, nanoseconds since 1970): their exact differences, which floats
do hold. Everything that judges values takes what they have in common off here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from typing import Final

import polars as pl

LARGEST: Final = 2**53
"""Floats hold all whole numbers up to this."""
_FEW_DIGITS: Final = 10**12 - 1
"""Whole numbers up to this have so few digits that none of them is taken for the rounding of a binary number."""
TOO_FAR_APART: Final = (
    "whole numbers more than 2^53 apart are rounded to 16 digits, where different ones may become equal; take what "
    "they have in common off (SQL keeps them: SELECT min(x), max(x) - min(x))"
)
_EXACT: Final = Context(prec=800)


def is_rounded(series: pl.Series) -> bool:
    """Whether there are whole numbers beyond those that floats hold."""
    return _farthest(series) > LARGEST


def is_far(series: pl.Series) -> bool:
    """Whether there are whole numbers of so many digits that their differences are what to judge by."""
    return _farthest(series) > _FEW_DIGITS


def beyond_floats(series: pl.Series) -> bool:
    """Whether there are whole numbers so far apart that even their differences are beyond those that floats hold."""
    if not series.dtype.is_integer():
        return False
    low, high = series.min(), series.max()
    return isinstance(low, int) and isinstance(high, int) and high - low > LARGEST


def as_floats(series: pl.Series) -> tuple[Sequence[float | None], int]:
    """The values as floats, and what was subtracted from all of them, exactly, before they became floats: 0 where they
    are small, or too far apart for that."""
    if is_far(series) and not beyond_floats(series):
        return differences(series.to_list())
    return series.cast(pl.Float64, strict=False).to_list(), 0


def differences(values: Sequence[int | Decimal | None]) -> tuple[list[float | None], int]:
    """The same for numbers that are exact."""
    known = [value for value in values if value is not None]
    low, high = (min(known), max(known)) if known else (0, 0)
    offset = int(known[0]) if max(-low, high) > _FEW_DIGITS and high - low <= LARGEST else 0
    return [None if value is None else _difference(value, offset) for value in values], offset


def _is_whole(series: pl.Series) -> bool:
    if not series.dtype.is_float():
        return series.dtype.is_integer()
    known = series.drop_nulls()
    return bool((known.is_finite() & (known.abs() < 1e37) & (known == known.round())).all())


def _farthest(series: pl.Series) -> int:
    """The distance from 0 of the whole number that is farthest from it; 0 for other numbers."""
    low, high = (series.min(), series.max()) if series.dtype.is_integer() else (None, None)
    return max(-low, high) if isinstance(low, int) and isinstance(high, int) else 0


def _difference(value: int | Decimal, offset: int) -> float:
    return float(value - offset if isinstance(value, int) else _EXACT.subtract(value, Decimal(offset)))


def side_by_side(parts: Sequence[pl.Series]) -> tuple[list[pl.Series], int]:
    """The values of columns as floats, and what was subtracted from all of them, as `as_floats` has it."""
    floats, offset = as_floats(joined(parts))
    found, start = [], 0
    for part in parts:
        found.append(pl.Series(floats[start : start + part.len()], dtype=pl.Float64))
        start += part.len()
    return found, offset


def joined(parts: Iterable[pl.Series]) -> pl.Series:
    """Numbers of several columns below each other, as integers where all are whole and some are far from 0."""
    parts = list(parts)
    whole = any(map(is_far, parts)) and all(map(_is_whole, parts))
    return pl.concat([part.cast(pl.Int128() if whole else pl.Float64()) for part in parts])
