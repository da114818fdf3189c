"""Values in the forms that all output formats share."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import orjson
import polars as pl


def plain(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with only integers, floats, booleans and text."""
    return frame.with_columns(plain_column(frame[name]) for name in frame.columns)


def plain_column(series: pl.Series) -> pl.Series:
    """Return a column whose values are numbers, booleans or text, exactly as they were."""
    dtype = series.dtype
    if isinstance(dtype, pl.Datetime):
        zone = "Z" if dtype.time_zone in ("UTC", "Etc/UTC") else "%:z" if dtype.time_zone else ""
        return series.dt.strftime(f"%Y-%m-%dT%H:%M:%S%.f{zone}")
    if dtype == pl.Date:
        return series.cast(pl.String)
    if dtype == pl.Time:
        return series.dt.to_string("%H:%M:%S%.f")
    if dtype == pl.Duration:
        return series.dt.total_microseconds() / 1e6
    if dtype == pl.Binary:
        return series.bin.encode("hex")
    if dtype == pl.Null or dtype in (pl.Categorical, pl.Enum):
        return series.cast(pl.String)
    if isinstance(dtype, pl.Decimal):
        return series.cast(pl.String)
    if dtype.is_nested() or dtype == pl.Object:
        texts = [None if value is None else to_json(value).decode() for value in series.to_list()]
        return pl.Series(series.name, texts, dtype=pl.String)
    return series


def rounded(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with floats rounded for reading: those with more than ten digits, as computed values have, to
    six, but with all those before the point."""
    return frame.with_columns(
        pl.Series(
            name, [None if value is None else rounded_value(value) for value in frame[name].to_list()], pl.Float64
        )
        for name, dtype in frame.schema.items()
        if dtype.is_float()
    )


def rounded_value(value: float) -> float:
    """Return a float rounded in the same way."""
    return value if not math.isfinite(value) or digits(value) <= 10 else to_digits(value, 6)


def digits(value: float) -> int:
    """Return the number of digits by which a float is written."""
    return sum(map(str.isdigit, repr(value).partition("e")[0].lstrip("-0.")))


def to_digits(value: float, count: int) -> float:
    """Return a float rounded to so many digits, but with all those before the point."""
    whole = len(str(int(abs(value)))) if 1 <= abs(value) < 1e15 else 0
    return float(f"{value:.{max(whole, count)}g}")


def read(value: Any) -> str:
    """Return a value as it is read in a sentence: long floats are rounded."""
    return shown(rounded_value(value) if isinstance(value, float) else value)


def to_json(value: Any) -> bytes:
    """Return a value as JSON, with integers of any size, and keys of any type."""
    options = orjson.OPT_NON_STR_KEYS | orjson.OPT_UTC_Z
    try:
        return orjson.dumps(value, default=_unknown, option=options)
    except TypeError:  # integers beyond 64 bits, or such keys as decimals
        return orjson.dumps(_exact_within(value), default=_unknown, option=options)


def _exact_within(value: Any) -> Any:
    """Return a value with the numbers and keys within it as `orjson` takes them."""
    if isinstance(value, dict):
        return {_key(key): _exact_within(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_exact_within(inner) for inner in value]
    return exact(value) if isinstance(value, int) else value


def _key(value: Any) -> str:
    """Return a key of a mapping as text."""
    if isinstance(value, str):
        return value
    text = f"{value:f}" if isinstance(value, Decimal) else to_json(value).decode()
    return text.strip('"')


def exact(value: Any) -> Any:
    """A number for JSON with all its digits, also where it has more than 64 bits."""
    if isinstance(value, Decimal) or (isinstance(value, int) and not -(2**63) <= value < 2**64):
        return orjson.Fragment(f"{value:f}" if isinstance(value, Decimal) else str(value))
    return value


def _unknown(value: Any) -> Any:
    """Return the JSON form of a value for which JSON has none."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal) and value.as_tuple().exponent == 0:
        return exact(value)  # an integer, as a whole column of such is
    return value.total_seconds() if hasattr(value, "total_seconds") else str(value)


def shown(value: Any) -> str:
    """A plain value as text; null is not one."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
