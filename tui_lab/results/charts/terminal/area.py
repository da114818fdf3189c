"""Stacked areas in a terminal."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tui_lab.results.charts.model import Series
from tui_lab.results.charts.terminal.canvas import EIGHTHS, Color, blend
from tui_lab.results.charts.terminal.marks import Field

_STRENGTH: Final = 0.65
_WHOLE: Final = len(EIGHTHS) - 1


def draw(field: Field) -> None:
    """Fill each band in its colour, to an eighth of a cell, or with its own character."""
    for series in reversed(field.chart.series):  # each covers the lower part of the one above
        _fill(field, series)


def _fill(field: Field, series: Series) -> None:
    canvas, look = field.canvas, field.look
    tint, fill = _tint(field, series), look.fill(series.color)
    low, high = (_at_columns(field, series, end) for end in ("low", "high"))
    by_look = dict[tuple[str, Color], list[tuple[float, float]]]()
    above = _above(field, series)
    for column in np.flatnonzero(np.isfinite(high) & (high > low)).tolist():
        first, last = max(0, int(low[column])), min(canvas.height - 1, int(high[column]))
        for row in range(first, last + 1):
            part = min(high[column] - row, 1.0)
            mark = fill
            color: Color = tint
            if fill == EIGHTHS[-1]:
                eighth = round(part * _WHOLE)
                if not eighth:
                    continue
                mark = EIGHTHS[eighth]
                if eighth < _WHOLE and tint is not None and above is not None and above[1][column] > row + part:
                    color = (tint, above[0])
            elif (min(high[column], row + 1) + max(low[column], row)) / 2 < row + 0.5 and part < 0.5:
                continue
            by_look.setdefault((mark, color), []).append((column + 0.5, row + 0.5))
    for (mark, color), places in by_look.items():
        canvas.points(places, mark, color)


def _above(field: Field, series: Series) -> tuple[int, Any] | None:
    """The colour of the next band, and where it ends."""
    following = field.chart.series[field.chart.series.index(series) + 1 :]
    tint = _tint(field, following[0]) if following else None
    return (tint, _at_columns(field, following[0], "high")) if tint is not None else None


def _tint(field: Field, series: Series) -> int | None:
    """The colour of a band: on a known ground a part of it, for it covers much."""
    tint, ground = field.look.tint(series.color), field.look.ground
    return tint if tint is None or ground is None else blend(tint, ground, _STRENGTH)


def _at_columns(field: Field, series: Series, end: str) -> Any:
    """Where a band ends in the middle of each column; NaN where there is none."""
    xs, ys = field.xs(series.points["x"]), field.ys(series.points[end])
    middles = np.arange(field.canvas.width) + 0.5
    if len(xs) == 1:
        return np.where(np.abs(middles - xs[0]) <= 0.5, ys[0], np.nan)
    return np.interp(middles, xs, ys, np.nan, np.nan)
