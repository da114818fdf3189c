"""Default columns of an experiment for the roles of a chart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from tui_lab.results.charts.model import Role

FEW: Final = 8
"""Values of a column up to which each has a colour that can be told from the others."""
UNSURE: Final = 0.01
"""A share of the variance by which another column has to explain more."""
_VALUE: Final = "the value of the metric"


def is_number(series: pl.Series) -> bool:
    """Return whether a column can be an axis of numbers."""
    return series.dtype.is_numeric() or series.dtype == pl.Duration


def is_axis(series: pl.Series) -> bool:
    """Return whether values have distances between them."""
    return is_number(series) or series.dtype.is_temporal()


def is_category(series: pl.Series) -> bool:
    """Return whether the values of a column have no distances between them."""
    return not is_axis(series)


def is_geometric(series: pl.Series, spread: float) -> bool:
    """Return whether numbers are above 0, and the greatest at least `spread` times the least."""
    if not series.dtype.is_numeric() or series.null_count() == len(series):
        return False
    values = series.drop_nulls().cast(pl.Float64).unique()
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    return low > 0 and spread * low <= high < float("inf") and len(values) > 2


def fewest(frame: pl.DataFrame, names: Sequence[str], fits: Callable[[pl.Series], bool] = lambda _: True) -> str | None:
    """Return the column with the fewest values, but more than one."""
    counts = {name: frame[name].n_unique() for name in names if fits(frame[name])}
    counts = {name: count for name, count in counts.items() if count > 1}
    return min(counts, key=lambda name: counts[name]) if counts else None


def telling(frame: pl.DataFrame, names: Sequence[str], metric: str | None) -> str | None:
    """Return the column that explains most of a metric's variance, of those with few values but more than one. Of equal
    ones that with the fewest. None where there is none, or nothing is explained."""
    counts = {name: frame[name].n_unique() for name in names}
    names = sorted((name for name in names if 1 < counts[name] <= FEW), key=lambda name: counts[name])
    if len(names) < 2 or metric is None or not frame[metric].dtype.is_numeric():
        return names[0] if names and metric is not None else None
    value = frame[metric].cast(pl.Float64, strict=False)
    rows = frame.select(names).with_columns((value / value.abs().max()).alias(_VALUE)).filter(value.is_finite())
    best, least = None, UNSURE
    for name in names:
        left = rows.select((pl.col(_VALUE) - pl.col(_VALUE).mean().over(name)).pow(2).sum()).item()
        whole = rows.select((pl.col(_VALUE) - pl.col(_VALUE).mean()).pow(2).sum()).item()
        free = rows.height - counts[name]
        share = 1 - (left / free) / (whole / (rows.height - 1)) if free > 0 and whole > 0 else 0.0
        if share > least:
            best, least = name, share + UNSURE
    return best


def most(frame: pl.DataFrame, names: Sequence[str], fits: Callable[[pl.Series], bool]) -> str | None:
    """Return the column with the most values."""
    counts = {name: frame[name].n_unique() for name in names if fits(frame[name])}
    return max(counts, key=lambda name: counts[name]) if counts else None


def first_free(names: Sequence[str], chosen: dict[Role, str]) -> str | None:
    """Return the first column that has no role yet."""
    return next((name for name in names if name not in chosen.values()), None)


def of_lines(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    """Return the first metric for y, and the parameter with most values along x."""
    if role == "y":
        return first_free(metrics, chosen)
    free = [p for p in parameters if p not in chosen.values()]
    return most(frame, free, is_axis) or most(frame, free, lambda _: True)


def of_steps(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    """Return the steps along x; else as for lines."""
    if role == "x" and "step" in frame.columns:
        return "step"
    return of_lines(role, chosen, frame, parameters, metrics)


def of_categories(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    """Return the first metric for y, and a parameter of texts along x."""
    if role == "y":
        return first_free(metrics, chosen)
    free = [p for p in parameters if p not in chosen.values()]
    return most(frame, free, is_category) or fewest(frame, free) or most(frame, free, lambda _: True)


def of_heatmap(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    """Return the first metric for z, and two parameters for x and y."""
    if role == "z":
        return first_free(metrics, chosen)
    free = [p for p in parameters if p not in chosen.values()]
    if role == "x":
        return most(frame, free, is_axis) or most(frame, free, lambda _: True)
    return most(frame, free, is_category) or most(frame, free, lambda _: True)


def of_surface(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    """Return the first metric for z, and the two parameters with most numbers for x and y."""
    if role == "z":
        return first_free(metrics, chosen)
    return most(frame, [p for p in parameters if p not in chosen.values()], is_number)


def of_metrics(
    role: Role, chosen: dict[Role, str], frame: pl.DataFrame, parameters: list[str], metrics: list[str]
) -> str | None:
    """Return the first metric that has no role yet."""
    return first_free(metrics, chosen)
