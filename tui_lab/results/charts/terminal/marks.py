"""Draws the field of a chart, for each kind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl

from tui_lab.results.charts.model import Axis, Chart, Series, named, stretches
from tui_lab.results.charts.terminal.canvas import EIGHTHS, Canvas, blend
from tui_lab.results.charts.terminal.style import Look, readable
from tui_lab.results.charts.ticks import Scale, scale

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]
Places = np.ndarray[tuple[int, int], np.dtype[np.float64]]
"""A column and a row of each."""


# --- Fewer points that look the same: what a drawing of a given width can show at all
_EXTREMES: Final = 4


def thin_line(points: pl.DataFrame, width: int) -> pl.DataFrame:
    """Points of a line (`x`, `y` and more, ascending in x) of which each of `width` equal parts of x keeps
    its first, last, lowest and highest; errors are widened to those of the points that are left out."""
    if points.height <= _EXTREMES * width or width < 1:
        return points
    part = _parts(points["x"], width)
    rows = points.with_columns(part.alias("\0part")).with_row_index("\0row")
    y = pl.col("y")
    kept = rows.filter(
        (pl.col("\0row") == pl.col("\0row").min().over("\0part"))
        | (pl.col("\0row") == pl.col("\0row").max().over("\0part"))
        | (pl.col("\0row") == pl.col("\0row").get(y.arg_min()).over("\0part"))
        | (pl.col("\0row") == pl.col("\0row").get(y.arg_max()).over("\0part"))
    )
    if "low" in points.columns:
        wide = rows.group_by("\0part").agg(pl.col("low").min(), pl.col("high").max())
        kept = kept.drop("low", "high").join(wide, on="\0part", how="left", maintain_order="left")
    return kept.select(points.columns)


def _parts(x: pl.Series, width: int) -> pl.Series:
    low, high = float(x.min()), float(x.max())  # type: ignore[arg-type]
    return ((x - low) / (high - low) * width).floor().clip(0, width - 1).cast(pl.Int32)


def distinct_places(places: Places, columns: int, rows: int) -> Places:
    """Of the places in cells one for each of `columns` x `rows` parts of a cell."""
    if not len(places):
        return places
    _, first = np.unique(np.floor(places * np.array([columns, rows])), axis=0, return_index=True)
    return places[np.sort(first)]


_OUTSIDE: Final = 50.0
"""Lengths of an axis beyond which a place outside of it is not looked for."""
_SOME, _MANY = 40, 800
"""Points of a scatter from which on they are four dots, and one dot, of braille."""
_BLOCK: Final = ((-0.25, -0.125), (-0.25, 0.125), (0.25, -0.125), (0.25, 0.125))
_APART: Final = 6
"""Columns between the points of a line where each has its mark; nearer ones are a line alone, if it has a colour."""
_FAINT: Final = 0.4
"""How much of its colour a line has that stands behind another one."""


@dataclass(frozen=True)
class Plan:
    """Where the values of both axes are, as parts of the field."""

    x: Scale
    y: Scale
    x_slots: int = 0
    """Categories side by side; 0 for an axis of numbers."""
    y_slots: int = 0

    def x_place(self, value: float) -> float:
        """Return where a value stands on the x axis, from 0 to 1."""
        return (value + 0.5) / self.x_slots if self.x_slots else self.x(value)

    def y_place(self, value: float) -> float:
        """Categories are listed from the top."""
        return 1 - (value + 0.5) / self.y_slots if self.y_slots else self.y(value)


class Field:
    """A chart, and the canvas that it is drawn on."""

    def __init__(self, chart: Chart, canvas: Canvas, plan: Plan, look: Look) -> None:
        self.chart, self.canvas, self.plan, self.look = chart, canvas, plan, look

    def x(self, value: float) -> float:
        """Return the column of a value, in characters."""
        return float(_inside(np.asarray(self.plan.x_place(value)), self.canvas.width))

    def y(self, value: float) -> float:
        """A row; what lies above or below the field is outside of it."""
        return float(_inside(np.asarray(self.plan.y_place(value)), self.canvas.height))

    def xs(self, values: pl.Series) -> Numbers:
        """Return the columns of values; NaN for null."""
        slots = self.plan.x_slots
        numbers = values.cast(pl.Float64).to_numpy()
        return _inside((numbers + 0.5) / slots if slots else self.plan.x.many(numbers), self.canvas.width)

    def ys(self, values: pl.Series) -> Numbers:
        """Return the rows of values; NaN for null."""
        slots = self.plan.y_slots
        numbers = values.cast(pl.Float64).to_numpy()
        return _inside(1 - (numbers + 0.5) / slots if slots else self.plan.y.many(numbers), self.canvas.height)

    def places(self, xs: pl.Series, ys: pl.Series) -> Places:
        """Return the columns and rows of points, in characters."""
        return np.stack([self.xs(xs), self.ys(ys)], axis=1)


def _inside(parts: Any, cells: int) -> Numbers:
    """Places in cells; what is at the very end is in the last cell, and what is far outside is no farther than
    lines need to run there as they should."""
    places = np.clip(parts, -_OUTSIDE, _OUTSIDE) * cells
    return np.where((places > cells - 0.01) & (places <= cells + 0.01), cells - 0.01, places)


def plan(chart: Chart, height: int) -> Plan:
    """The scales of a chart. height: lines of the field."""
    x_slots, y_slots = len(chart.x.categories), len(chart.y.categories)
    return Plan(_x_scale(chart), _y_scale(chart, height), x_slots, y_slots)


def _x_scale(chart: Chart) -> Scale:
    if chart.x.range is not None:
        return scale(*chart.x.range, chart.x.log)
    binned = "left" in chart.series[0].points.columns
    columns = ("left", "right") if binned else ("x",)
    low, high = _extent(chart, columns)
    room = 0.0 if binned or chart.kind.connected or chart.fitted is not None else 0.02
    return scale(low, high, chart.x.log, room)


def _y_scale(chart: Chart, height: int) -> Scale:
    if chart.y.range is not None:
        return scale(*chart.y.range, chart.y.log)
    if "outliers" in chart.series[0].points.columns:
        low, high = _extent(chart, ("low", "high"))
        beyond = [v for s in chart.series for v in s.points["outliers"].explode().drop_nulls()]
        return scale(min([low, *beyond]), max([high, *beyond]), chart.y.log, 0.04)
    low, high = _extent(chart, ("y", "low", "high") if "low" in chart.series[0].points.columns else ("y",), chart.y.log)
    if chart.kind.bars:
        if chart.y.log:
            return scale(low / 2, high * 1.1, True)
        top = scale(min(low, 0.0), max(high, 0.0))
        room = (top.high - top.low) * 0.5 / height
        if not math.isfinite(top.high - top.low + 2 * room):
            return top
        return Scale(top.low - (room if low < 0 else 0), top.high + (room if high > 0 else 0))
    return scale(low, high, chart.y.log, 0.0 if chart.fitted is not None else 0.04)


def _extent(chart: Chart, columns: Iterable[str], log: bool = False) -> tuple[float, float]:
    values = [series.points[column].drop_nulls() for series in chart.series for column in columns]
    values = [v.filter(v.is_finite() & (v > 0)) if log else v.filter(v.is_finite()) for v in values]
    lows = [float(v.min()) for v in values if v.len()]  # type: ignore[arg-type]
    highs = [float(v.max()) for v in values if v.len()]  # type: ignore[arg-type]
    return (min(lows), max(highs)) if lows else (1.0, 1.0)


def is_broken(chart: Chart, plan: Plan) -> bool:
    """Return whether bars begin elsewhere than at 0, so that their lengths don't compare."""
    return chart.kind.bars and not chart.y.log and not plan.y.low <= 0 <= plan.y.high


def legend_mark(chart: Chart, series: Series, look: Look) -> str:
    """Return the mark of a series in the legend."""
    if chart.kind.filled:
        return look.fill(series.color)
    if series.faint:
        return look("·", ".")
    return look.mark(series.style)


def legend_tint(chart: Chart, series: Series, look: Look) -> int | None:
    """Return the colour of a series in the legend: none where it is that of each point's value."""
    return look.tint(series.color) if chart.fitted is None else None


# --- Lines


def lines(field: Field) -> None:
    """Draw lines with their errors."""
    look, canvas = field.look, field.canvas
    seen = [(series, _seen(series.points, field.chart.x.range)) for series in field.chart.series]
    thinned = [(series, thin_line(points, 2 * canvas.width)) for series, points in seen]
    for series, points in thinned:
        if field.chart.error_style == "band":
            _band(field, points, look.tint(series.color), alone=len(named(field.chart)) == 1)
        else:
            _error_bars(field, points, look.tint(series.color))
    for series, points in sorted(thinned, key=lambda one: not one[0].faint):
        tint = look.tint(series.color)
        if series.faint and tint is not None and look.ground is not None:
            tint = blend(tint, look.ground, _FAINT)
        dashes = (1, 3) if series.faint and look.ground is None else look.dashes(series.color)
        for part in stretches(points, field.chart.gap):
            canvas.line(field.xs(part["x"]), field.ys(part["y"]), tint, dashes, series.faint)
    for number, (series, points) in enumerate(thinned):
        if series.faint or (look.color and points.height > 1 and points.height * _APART > canvas.width):
            continue
        places = field.places(points["x"], points["y"])
        every = max(1, -(-4 * len(places) // canvas.width))
        # Each series begins elsewhere, so that marks of lines that lie on one another are all seen.
        canvas.points(
            places[(number % every if every > 1 else 0) :: every],
            look.mark(series.style),
            look.tint(series.color),
        )


def _seen(points: pl.DataFrame, range: tuple[float, float] | None) -> pl.DataFrame:
    """The points of a line in a range of x, and those beside it, to which lines lead."""
    if range is None or points.height < 2 or not points["x"].is_sorted():
        return points
    first, last = points["x"].search_sorted(range[0], "left"), points["x"].search_sorted(range[1], "right")
    return points[max(0, first - 1) : last + 1]


def _band(field: Field, points: pl.DataFrame, color: int | None, alone: bool) -> None:
    known = points.filter(pl.col("low").is_not_null())
    if not known.height:
        return
    if known.height == 1:
        _error_bars(field, known, color)
        return
    xs = field.xs(known["x"])
    columns = (np.arange(2 * field.canvas.width) + 0.5) / 2
    low, high = (np.interp(columns, xs, field.ys(known[end]), np.nan, np.nan) for end in ("low", "high"))
    if alone or color is not None:
        field.canvas.shade(low, high, color, field.look("░", ":"))
        return
    for end in (low, high):
        places = np.stack([columns, end], axis=1)[::2]
        field.canvas.points(places[np.isfinite(end[::2])], field.look("·", "'"))


def _error_bars(field: Field, points: pl.DataFrame, color: int | None, shift: float = 0.0) -> None:
    known = points.filter(pl.col("low").is_not_null())
    for x, low, high in known.select("x", "low", "high").iter_rows():
        column = int(field.x(x) + shift) + 0.5
        _upright(field, column, field.y(low), field.y(high), color)


def _upright(field: Field, column: float, low: float, high: float, color: int | None) -> None:
    first, last = int(max(low, 0)), math.floor(min(high, field.canvas.height - 1))
    field.canvas.points([(column, row + 0.5) for row in range(first, last + 1)], field.look("│", "|"), color)
    if last > first:
        ends = [row + 0.5 for row, end in ((first, low), (last, high)) if 0 <= end <= field.canvas.height]
        for row in ends:
            mark = field.look("┬" if row > first + 0.5 else "┴", "-")
            field.canvas.points([(column, row)], mark, color)


# --- Bars and boxes


def _bars(field: Field) -> Iterator[tuple[Series, pl.DataFrame, Callable[[float], tuple[int, int]]]]:
    """Each series with its points, and the first and last column of its bar at a category."""
    slots, count = max(1, field.plan.x_slots), len(field.chart.series)
    slot = field.canvas.width / slots
    gap = 1 if slot >= count + 1 else 0
    wide = max(1, min(int((slot - gap) // count), 12))
    order = {color: number for number, color in enumerate(sorted({series.color for series in field.chart.series}))}
    for series in field.chart.series:
        offset = (slot - wide * count) / 2 + wide * order[series.color] if wide * count <= slot else (slot - 1) / 2

        def columns(x: float, offset: float = offset) -> tuple[int, int]:
            first = int(x * slot + max(0.0, offset))
            return first, min(first + wide, field.canvas.width) - 1

        yield series, series.points, columns


def categories(field: Field) -> None:
    """Draw a bar for each category, with its error."""
    look, canvas = field.look, field.canvas
    base = field.y(field.plan.y.low if field.chart.y.log else 0.0)
    crowded = canvas.width / max(1, field.plan.x_slots) < len(field.chart.series)
    for series, points, columns in _bars(field):
        tint, fill = look.tint(series.color), look.fill(series.color)
        if crowded:
            # Bars would cover one another: points do so less.
            canvas.points(field.places(points["x"], points["y"]), look.mark(series.style), tint)
            continue
        x_to_y = dict(points.select("x", "y").iter_rows())
        for x, y in x_to_y.items():
            first, last = columns(x)
            for column in range(first, last + 1):
                _upright_fill(field, column + 0.5, base, field.y(y), fill, tint)
        for x, low, high in points.filter(pl.col("low").is_not_null()).select("x", "low", "high").iter_rows():
            first, last = columns(x)
            middle = (first + last) // 2 + 0.5
            _upright(field, middle, field.y(low), field.y(high), None)
            if tint is not None and fill == "█":
                inside = range(int(max(field.y(low), base, 0)), int(field.y(x_to_y[x])))
                canvas.points([(middle, row + 0.5) for row in inside], "│", (231, tint))


def _upright_fill(field: Field, column: float, base: float, end: float, fill: str, color: int | None) -> None:
    low, high = (base, end) if end >= base else (end, base)
    low, high = max(low, 0.0), min(high, float(field.canvas.height))
    top = int(high)
    whole = range(int(low + 0.5), top)
    field.canvas.points([(column, row + 0.5) for row in whole], fill, color)
    part = high - top
    if end >= base and top < field.canvas.height:
        if fill == "█":
            eighth = EIGHTHS[round(part * 8)]
            if eighth != " ":
                field.canvas.points([(column, top + 0.5)], eighth, color)
        elif part >= 0.5:
            field.canvas.points([(column, top + 0.5)], fill, color)


def box(field: Field) -> None:
    """Draw box plots: quartiles, whiskers and outliers."""
    look, canvas = field.look, field.canvas
    for series, points, columns in _bars(field):
        tint, fill = look.tint(series.color), look.fill(series.color)
        for row in points.iter_rows(named=True):
            first, last = columns(row["x"])
            middle = (first + last) // 2 + 0.5
            _upright(field, middle, field.y(row["low"]), field.y(row["high"]), tint)
            _body(field, (first, last), field.y(row["q1"]), field.y(row["q3"]), tint, fill)
            median = math.floor(field.y(row["median"])) + 0.5
            canvas.points([(c + 0.5, median) for c in range(first, last + 1)], look("━", "-"), None)
            canvas.points([(middle, math.floor(field.y(v)) + 0.5) for v in row["outliers"]], look("∘", "o"), tint)


def _body(field: Field, columns: tuple[int, int], low: float, high: float, color: int | None, fill: str) -> None:
    """Fill from a low to a high place in some columns."""
    canvas, look = field.canvas, field.look
    if color is not None and look.ground is not None:
        inside = np.repeat((np.arange(canvas.width) >= columns[0]) & (np.arange(canvas.width) <= columns[1]), 2)
        canvas.shade(np.where(inside, low, np.nan), np.where(inside, high, np.nan), color, fill)
        return
    rows = range(int(max(low, 0)), math.floor(min(high, canvas.height - 1)) + 1)
    places = [(column + 0.5, row + 0.5) for row in rows for column in range(columns[0], columns[1] + 1)]
    canvas.points(places, look("▒", fill) if look.color else fill, color)


def hist(field: Field) -> None:
    """Draw histograms."""
    look, canvas = field.look, field.canvas
    base = field.y(field.plan.y.low if field.chart.y.log else 0.0)
    alone = len(field.chart.series) == 1
    for series in field.chart.series:
        tint = look.tint(series.color)
        lefts, counts = series.points["left"].to_list(), series.points["y"].to_list()
        starts = [field.x(left) for left in lefts]
        heights = []
        for column in range(canvas.width):
            at = max(0, int(np.searchsorted(starts, column + 0.5, "right")) - 1)
            # A column that covers several bins shows the highest.
            until = max(at + 1, int(np.searchsorted(starts, column + 1.0, "left")))
            heights.append(max(counts[at:until]))
        if alone:
            for column, count in enumerate(heights):
                if count:
                    _upright_fill(field, column + 0.5, base, field.y(count), look.fill(0), tint)
            continue
        tops = np.array([field.y(count) if count else base for count in heights])
        if tint is not None and look.ground is not None:
            canvas.shade(np.full(2 * canvas.width, base), np.repeat(tops, 2), tint, "")
        canvas.line(np.arange(canvas.width) + 0.5, tops, tint, look.dashes(series.color))
        if tint is None:
            known = series.points.filter(pl.col("y") > 0).with_columns(x=pl.mean_horizontal("left", "right"))
            canvas.points(field.places(known["x"], known["y"]), look.mark(series.style))


# --- Points


def scatter(field: Field) -> None:
    """Draw points."""
    look, canvas = field.look, field.canvas
    count = sum(series.points.height for series in field.chart.series)
    fine = not look.ascii and count > _SOME and (look.color or len(field.chart.series) == 1)
    for series in field.chart.series:
        places = field.places(series.points["x"], series.points["y"])
        tint = look.tint(series.color)
        if not fine:
            canvas.points(distinct_places(places, 1, 1), look.mark(series.style), tint)
            continue
        xs, ys = places.T
        for right, up in ((0.0, 0.0),) if count > _MANY else _BLOCK:
            canvas.dots(xs + right, ys + up, tint)


def pareto(field: Field) -> None:
    """Draw points and the line of the Pareto front."""
    look = field.look
    for series in reversed(field.chart.series):
        places = field.places(series.points["x"], series.points["y"])
        if series.name == "front":
            field.canvas.line(places[:, 0], places[:, 1], look.tint(series.color))
        else:
            places = distinct_places(places, 1, 1)
        field.canvas.points(places, legend_mark(field.chart, series, look), look.tint(series.color))


# --- Heatmap


def heatmap(field: Field) -> None:
    """Draw cells that are shaded by their value."""
    chart, canvas, look = field.chart, field.canvas, field.look
    assert chart.z is not None and chart.z.range is not None
    cells = {(int(x), int(y)): z for x, y, z in chart.series[0].points.iter_rows()}
    across, down = len(chart.x.categories), len(chart.y.categories)
    ramp = look.ramp()
    by_shade: dict[int, list[tuple[float, float]]] = {}
    for row in range(canvas.height):
        for column in range(canvas.width):
            z = cells.get((column * across // canvas.width, (canvas.height - 1 - row) * down // canvas.height))
            if z is not None:
                by_shade.setdefault(shade(z, chart.z, len(ramp)), []).append((column + 0.5, row + 0.5))
    for number, places in by_shade.items():
        color = ramp[number]
        if isinstance(color, int):
            canvas.paint(places, color)
        else:
            canvas.points(places, color)
    if (chart.annotate or chart.annotate is None or not look.color) and numbers_fit(chart, canvas.width, canvas.height):
        _numbers(field, cells)


def shade(z: float, axis: Axis, count: int) -> int:
    """Return which of some colours a value has."""
    assert axis.range is not None
    low, high = axis.range
    part = (z / 2 - low / 2) / (high / 2 - low / 2) if high > low else 0.5
    if not math.isfinite(part):  # the mean of values near the largest float
        part = 1.0 if z > 0 else 0.0
    return min(count - 1, max(0, int(part * count)))


def numbers_fit(chart: Chart, width: int, height: int) -> bool:
    """Whether every cell of a heatmap has room for its value, and for a blank between two of them."""
    longest = max(map(len, chart.cell_texts()), default=0)
    return height >= len(chart.y.categories) and longest < width // len(chart.x.categories)


def _numbers(field: Field, cells: dict[tuple[int, int], float]) -> None:
    """The values in the middle of their cells."""
    chart, canvas, ramp = field.chart, field.canvas, field.look.ramp()
    assert chart.z is not None
    for ((x, y), z), text in zip(cells.items(), chart.cell_texts(), strict=True):
        left, right = (-(-at * canvas.width // len(chart.x.categories)) for at in (x, x + 1))
        top, bottom = (-(-at * canvas.height // len(chart.y.categories)) for at in (y, y + 1))
        tint = ramp[shade(z, chart.z, len(ramp))]
        color = (readable(tint), tint) if isinstance(tint, int) else None
        canvas.text(left + (right - left - len(text)) // 2, canvas.height - 1 - (top + bottom - 1) // 2, text, color)
