"""The values of a chart at the place of its crosshair."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import polars as pl
from rich.color import Color
from rich.style import Style
from rich.text import Text

from tui_lab.results.charts.model import Axis, Chart, Series
from tui_lab.results.charts.terminal.canvas import rgb
from tui_lab.results.charts.terminal.marks import Plan, legend_mark, legend_tint
from tui_lab.results.charts.terminal.style import Look
from tui_lab.results.charts.ticks import Scale, texts
from tui_lab.tui.widgets.table.cells import visible

WIDEST: Final = 24
"""Cells of a name."""


@dataclass(frozen=True)
class Readout:
    """What is at a place of a chart."""

    line: Text = field(default_factory=Text)
    """In one line."""
    lines: tuple[Text, ...] = ()
    """Below each other, where it is of several series; the nearest one is marked."""
    nearest: str = ""
    """The name of the series that is nearest; empty where there is one alone."""


def readout(chart: Chart, plan: Plan, x: float, y: float, look: Look) -> Readout:
    """Return what is drawn at a place: of lines each one's value, of points the nearest."""
    if chart.uprights:
        return Readout(_upright(chart.uprights[max(0, min(round(x), len(chart.uprights) - 1))], y))
    if chart.fitted is not None:
        return Readout(_fitted(chart, plan, x, y, look))
    if chart.z is not None:
        return Readout(_cell(chart, x, y))
    first = chart.series[0].points.columns
    if "left" in first:
        rows = [
            (series, series.points.filter((pl.col("left") <= x) & (pl.col("right") >= x))) for series in chart.series
        ]
        counts = [(one, found["left"][0], found["y"][0], found["y"][0]) for one, found in rows if found.height]
        return _values(chart, plan, counts, y, look)
    name = "median" if "median" in first else "y"
    if chart.kind.connected or name == "median" or "n" in first:
        at = [(series, _nearest(chart.x, plan, series.points, x)) for series in _named(chart)]
        upper = "high" if chart.kind.filled and chart.kind.connected else name  # of a band its end
        known = [(one, row["x"], row[name], row[upper]) for one, row in at if row is not None]
        return _values(chart, plan, known, y, look)
    return _point(chart, plan, x, y, look)


def _named(chart: Chart) -> list[Series]:
    """The series, of those with one name the first: a smoothed one stands behind what was measured."""
    return list({series.name: series for series in reversed(chart.series)}.values())[::-1]


def _nearest(axis: Axis, plan: Plan, points: pl.DataFrame, x: float) -> dict[str, float] | None:
    if not points.height:
        return None
    far = plan.x.many(points["x"].to_numpy()) - plan.x(x) if axis.kind != "category" else points["x"].to_numpy() - x
    row = points.row(int(abs(far).argmin()), named=True)
    return row if axis.kind != "category" or row["x"] == round(x) else None


def _values(chart: Chart, plan: Plan, found: list[tuple[Series, float, float, float]], y: float, look: Look) -> Readout:
    """Of each series its place, its value, and where that is drawn."""
    if not found:
        return Readout()
    places = [x for _, x, _, _ in found]
    head = Text(f"{_label(chart.x)} {_text(chart.x, places[0])}", style="bold")
    shown = texts(chart.y, [value for _, _, value, _ in found])
    far = [plan.y(end) - plan.y(y) for *_, end in found]
    if chart.kind.filled and chart.kind.connected:  # the lowest band that ends above
        far = [one if one >= 0 else math.inf for one in far]
    nearest = min(range(len(found)), key=lambda at: abs(far[at]))
    several = len(found) > 1
    line, lines = head.copy(), [head]
    for at, ((series, x, _, _), value) in enumerate(zip(found, shown, strict=True)):
        one = Text()
        if series.name:
            one.append_text(_marked(chart, series, look))
            one.append(f" {visible(series.name, WIDEST)} ", "bold reverse" if several and at == nearest else "")
        else:
            one.append(f"{_label(chart.y)} ")
        one.append(value, "bold")
        if x != places[0]:
            one.append(f" at {_text(chart.x, x)}")
        line.append("  ").append_text(one)
        lines.append(one)
    name = found[nearest][0].name if several and math.isfinite(far[nearest]) else ""
    return Readout(line, tuple(lines), name)


def _point(chart: Chart, plan: Plan, x: float, y: float, look: Look) -> Readout:
    best: tuple[float, Series, dict[str, float]] | None = None
    for series in chart.series:
        if not series.points.height:
            continue
        xs, ys = series.points["x"].to_numpy(), series.points["y"].to_numpy()
        across = xs - x if plan.x_slots else plan.x.many(xs) - plan.x(x)
        up = ys - y if plan.y_slots else plan.y.many(ys) - plan.y(y)
        far = across**2 + up**2
        at = int(far.argmin())
        if best is None or far[at] < best[0]:
            best = float(far[at]), series, series.points.row(at, named=True)
    if best is None:
        return Readout()
    _, series, row = best
    line = Text()
    if series.name:
        line.append_text(_marked(chart, series, look))
        line.append(f" {visible(series.name, WIDEST)}  ")
    for axis, value in ((chart.x, row["x"]), (chart.y, row["y"])):
        line.append(f"{_label(axis)} ")
        line.append(f"{_text(axis, value)}  ", "bold")
    return Readout(line, nearest=series.name)


def _upright(axis: Axis, part: float) -> Text:
    line = Text(f"{_label(axis)} ")
    if axis.range is None:
        value = min(int(part * len(axis.categories)), len(axis.categories) - 1)
        return line.append(_text(axis, value), "bold")
    on = Scale(*axis.range, axis.log)
    return line.append(_rounded(axis, on.value(part)), "bold")


def _cell(chart: Chart, x: float, y: float) -> Text:
    assert chart.z is not None
    found = chart.series[0].points.filter((pl.col("x") == round(x)) & (pl.col("y") == round(y)))
    place = f"{_label(chart.x)} {_text(chart.x, round(x))}  {_label(chart.y)} {_text(chart.y, round(y))}  "
    value = found["z"][0] if found.height else None
    line = Text(place)
    return line.append(f"{_label(chart.z)} {_text(chart.z, value) if value is not None else '-'}", "bold")


def _fitted(chart: Chart, plan: Plan, x: float, y: float, look: Look) -> Text:
    """The surface at a place, and the measured point that is nearest."""
    assert chart.fitted is not None and chart.z is not None
    z = float(chart.fitted(x, y))
    line = Text()
    for axis, value in ((chart.x, x), (chart.y, y)):
        line.append(f"{_label(axis)} {_rounded(axis, value)}  ")
    line.append("beyond what was measured" if math.isnan(z) else f"{_label(chart.z)} {_rounded(chart.z, z)}", "bold")
    points = chart.series[0].points
    far = (plan.x.many(points["x"].to_numpy()) - plan.x(x)) ** 2 + (
        plan.y.many(points["y"].to_numpy()) - plan.y(y)
    ) ** 2
    near = points.row(int(far.argmin()), named=True)
    place = ", ".join(_text(axis, near[name]) for axis, name in ((chart.x, "x"), (chart.y, "y")))
    line.append("  nearest ").append_text(_marked(chart, chart.series[0], look))
    return line.append(f" {_text(chart.z, near['z'])} ({place})")


def _rounded(axis: Axis, value: float) -> str:
    return _text(axis, float(f"{value:.4g}") if axis.kind == "number" else value)


def _marked(chart: Chart, series: Series, look: Look) -> Text:
    tint = legend_tint(chart, series, look)
    style = Style(color=Color.from_rgb(*rgb(tint))) if tint is not None else ""
    return Text(look.mark(series.style) if series.faint else legend_mark(chart, series, look), style)


def _label(axis: Axis) -> str:
    return visible(axis.label, WIDEST)


def _text(axis: Axis, value: float) -> str:
    return visible(texts(axis, [value])[0], WIDEST)
