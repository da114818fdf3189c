"""The point and the error of many values: what seaborn's estimators compute, by Polars.

sd   the standard deviation (n - 1) on both sides of the point        needs two values
se   sd / sqrt(n), the standard error of the mean                     needs two values
pi   from the 2.5th to the 97.5th percentile of the values (linear interpolation)
ci   95 % confidence: of a mean or sum Student's t (seaborn resamples there); of any other point the
     percentiles of 1000 resamples, the same ones every time          needs two values
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
import polars as pl

from tui_lab.results.charts.model import Aggregate, Error
from tui_lab.results.statistics.intervals import t_quantile

LEVEL: Final = 0.95
RESAMPLES: Final = 1000

_Y: Final = pl.col("y")
_SIZE: Final = _Y.abs().max()
_SCALE: Final = pl.when((_SIZE > 1e100) | ((_SIZE < 1e-100) & (_SIZE > 0))).then(_SIZE).otherwise(1.0)
"""What values are divided by before they are added up, or squared: extreme ones would overflow."""
_POINTS: Final[dict[Aggregate, pl.Expr]] = {
    "mean": (_Y / _SCALE).mean() * _SCALE,
    "median": _Y.median(),
    "sum": _Y.sum(),
    "std": (_Y / _SCALE).std(ddof=1) * _SCALE,
    "product": _Y.product(),
    "min": _Y.min(),
    "max": _Y.max(),
    "count": pl.len().cast(pl.Float64),
}


def aggregate(rows: pl.DataFrame, keys: list[str], point: Aggregate, error: Error) -> pl.DataFrame:
    """A row for each distinct `keys`, in the order of their first row: keys, `y` (the point), `low` and
    `high` (null where there is no error), `n`.

    rows: the keys and `y`, finite. A point that is null or not finite (the `std` of one value) is left out.
    """
    found = rows.group_by(keys, maintain_order=True).agg(
        _POINTS[point].alias("point"),
        _POINTS["std"].alias("sd"),
        _Y.quantile((1 - LEVEL) / 2, "linear").alias("lower"),
        _Y.quantile((1 + LEVEL) / 2, "linear").alias("upper"),
        pl.len().cast(pl.Float64).alias("n"),
        *([_Y.alias("values")] if _resampled(point, error) else []),
    )
    low, high = _limits(found, point, error)
    found = found.select(*keys, pl.col("point").alias("y"), low.alias("low"), high.alias("high"), "n")
    finite = pl.all_horizontal(pl.col("low", "high").is_finite())
    found = found.with_columns(pl.when(finite).then(pl.col("low", "high")).otherwise(None))
    return found.filter(pl.col("y").is_finite())


def describe(point: Aggregate, error: Error) -> str:
    """The error in words; empty for none."""
    if error == "none" or point == "count":
        return ""
    if error == "ci":
        how = "Student's t" if point in ("mean", "sum") else f"{RESAMPLES} resamples"
        return f"95 % interval of the {point} ({how})"
    return {"sd": "standard deviation", "se": "standard error", "pi": "95 % of the values"}[error]


def _resampled(point: Aggregate, error: Error) -> bool:
    return error == "ci" and point not in ("mean", "sum", "count")


def _limits(found: pl.DataFrame, point: Aggregate, error: Error) -> tuple[pl.Series, pl.Series]:
    y, n = found["point"], found["n"]
    if error == "none" or point == "count":
        nothing = pl.Series([None] * found.height, dtype=pl.Float64)
        return nothing, nothing
    if error == "pi":
        return found["lower"], found["upper"]
    if _resampled(point, error):
        return _bootstrap(found["values"], point)
    half = found["sd"]
    if error != "sd":
        half = half / n.sqrt()
    if error == "ci":
        half = half * _student(n) * (n if point == "sum" else 1)
    return y - half, y + half


def _student(n: pl.Series) -> pl.Series:
    """The quantile of Student's t with n - 1 degrees of freedom; NaN for n = 1."""
    from scipy import stats

    return pl.Series(np.asarray(stats.t.ppf((1 + LEVEL) / 2, n.to_numpy() - 1)))


_RESAMPLED: Final[dict[Aggregate, Callable[[Any], Any]]] = {
    "median": lambda values: np.median(values, axis=1),
    "std": lambda values: np.std(values, axis=1, ddof=1),
    "product": lambda values: np.prod(values, axis=1),
    "min": lambda values: np.min(values, axis=1),
    "max": lambda values: np.max(values, axis=1),
}


def _bootstrap(groups: pl.Series, point: Aggregate) -> tuple[pl.Series, pl.Series]:
    low: list[float | None] = []
    high: list[float | None] = []
    for group in groups:
        values = group.to_numpy()
        if len(values) < 2:
            low.append(None)
            high.append(None)
            continue
        draws = np.random.default_rng(0).integers(0, len(values), (RESAMPLES, len(values)))
        limits = np.quantile(_RESAMPLED[point](values[draws]), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        low.append(float(limits[0]))
        high.append(float(limits[1]))
    return pl.Series(low, dtype=pl.Float64), pl.Series(high, dtype=pl.Float64)


def slope(x: pl.Series, y: pl.Series) -> tuple[float, float | None] | None:
    """The power of x that y grows by: the slope of the straight line (least squares) through the logarithms, and half
    of its 95 % interval, by Student's t with n - 2 degrees of freedom. No half where the points lie on a line, or are
    two; None where all have one x. x, y: above 0."""
    from scipy import stats

    if x.n_unique() < 2:
        return None
    places, values = np.log10(x.to_numpy()), np.log10(y.to_numpy())
    fit = stats.linregress(places, values)
    off_line = np.abs(values - (fit.intercept + fit.slope * places)).max()
    if len(places) < 3 or off_line <= 1e-12 * max(1.0, np.abs(values).max()):
        return float(fit.slope), None
    return float(fit.slope), float(fit.stderr * t_quantile((1 + LEVEL) / 2, len(places) - 2))


def boxes(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """A row for each distinct `keys`: quartiles (linear interpolation) `q1`, `median`, `q3`; the whiskers
    `low` and `high`, the outermost values within 1.5 times q3 - q1 of the box; `n`; `outliers`, the values
    beyond."""
    quartiles = rows.group_by(keys, maintain_order=True).agg(
        _Y.quantile(0.25, "linear").alias("q1"),
        _Y.median().alias("median"),
        _Y.quantile(0.75, "linear").alias("q3"),
        pl.len().cast(pl.Float64).alias("n"),
    )
    reach = 1.5 * (pl.col("q3") - pl.col("q1"))
    inside = (pl.col("q1") - reach <= _Y) & (pl.col("q3") + reach >= _Y)
    within = rows.join(quartiles, on=keys, maintain_order="left", nulls_equal=True).with_columns(inside=inside)
    whiskers = within.group_by(keys, maintain_order=True).agg(
        _Y.filter("inside").min().alias("low"),
        _Y.filter("inside").max().alias("high"),
        _Y.filter(~pl.col("inside")).alias("outliers"),
    )
    joined = quartiles.join(whiskers, on=keys, maintain_order="left", nulls_equal=True)
    return joined.select(*keys, "low", "q1", "median", "q3", "high", "n", "outliers")
