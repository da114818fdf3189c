"""A chart in sentences, for those who can't see it or want the numbers."""

from __future__ import annotations

from typing import Final

import polars as pl

from tui_lab.client.formatting import plural
from tui_lab.results.charts.model import Axis, Chart, Series
from tui_lab.results.charts.ticks import texts
from tui_lab.tui.widgets.table.cells import visible

MOST: Final = 12
"""Series that get a sentence."""
WIDEST: Final = 40
"""Characters of a category's name."""


def summary(chart: Chart) -> list[str]:
    """Return lines that describe a chart in words."""
    axes = (
        f"{chart.z.label} by {chart.x.label} and {chart.y.label}"
        if chart.z and not chart.uprights
        else f"{chart.y.label} over {chart.x.label}"
        if not chart.uprights
        else chart.uprights[-1].label
    )
    lines = [f"{chart.kind.called or chart.kind.name}: {axes}" + (f", {chart.caption}" if chart.caption else "")]
    measured = list({series.name: series for series in reversed(chart.series)}.values())[::-1]
    for series in measured[:MOST]:
        sentence = _sentence(chart, series)
        lines.append(": ".join(filter(None, (series.name, sentence))))
    if len(measured) > MOST:
        lines.append(f"and {len(measured) - MOST} more")
    return [*lines, *chart.notes]


def _sentence(chart: Chart, series: Series) -> str:
    points = series.points
    if not points.height:
        return "nothing"
    if chart.uprights:
        names = ", ".join(visible(axis.label, WIDEST) for axis in chart.uprights[:-1])
        return f"{plural(points['row'].n_unique(), 'setting')}{' outside of the brush' * series.faint} over {names}"
    if chart.fitted is not None and chart.z is not None:
        if points.height == 1:
            return ""
        low, high = (points.row(_place(points["z"], which), named=True) for which in ("min", "max"))
        least, greatest = texts(chart.z, [low["z"], high["z"]])
        return f"{points.height:,} points, from {least} to {greatest}"
    if chart.z is not None:
        known = points.drop_nulls("z")
        if not known.height:
            return "nothing"
        low, high = (known.row(_place(known["z"], which), named=True) for which in ("min", "max"))
        least, greatest = texts(chart.z, [low["z"], high["z"]])
        return (
            f"{known.height:,} cells; least {least} at {_at(chart.x, low['x'])}, {_at(chart.y, low['y'])}; "
            f"greatest {greatest} at {_at(chart.x, high['x'])}, {_at(chart.y, high['y'])}"
        )
    if "left" in points.columns:
        most = points.row(_place(points["y"], "max"), named=True)
        ends = [points["left"].min(), points["right"].max(), most["left"], most["right"]]
        first, last, left, right = texts(chart.x, [float(end) for end in ends])
        return (
            f"{int(points['y'].sum()):,} values from {first} to {last}, most ({int(most['y']):,}) in {left} to {right}"
        )
    if "median" in points.columns:
        rows = points.head(MOST)
        medians = texts(chart.y, rows["median"].to_list())
        named = [f"{_at(chart.x, x)} {median}" for x, median in zip(rows["x"], medians, strict=True)]
        return f"medians {', '.join(named)}" + (", ..." if points.height > MOST else "")
    return _curve(chart, points)


def _curve(chart: Chart, points: pl.DataFrame) -> str:
    rows = points.rows(named=True)
    if len(rows) == 1:
        return f"{texts(chart.y, [rows[0]['y']])[0]} at {_at(chart.x, rows[0]['x'])}"
    low, high = rows[_place(points["y"], "min")], rows[_place(points["y"], "max")]
    least, greatest, first, last = texts(chart.y, [row["y"] for row in (low, high, rows[0], rows[-1])])
    where, there = (_at(chart.x, row["x"]) for row in (low, high))
    text = f"{len(rows):,} points; least {least} at {where}, greatest {greatest} at {there}"
    if chart.kind.connected and chart.x.kind != "category":
        text += f"; first {first}, last {last}"
    return text


def _place(values: pl.Series, which: str) -> int:
    found = values.arg_min() if which == "min" else values.arg_max()
    return 0 if found is None else found


def _at(axis: Axis, value: float) -> str:
    return visible(texts(axis, [value])[0], WIDEST)
