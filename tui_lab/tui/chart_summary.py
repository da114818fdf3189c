"""A chart in sentences: what a person would read off it, for those who can't see it or want the numbers."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from tui_lab.results.charts import Axis, Chart, Series
from tui_lab.results.plots.ticks import number
from tui_lab.tui.table_cells import visible

MOST: Final = 12
"""Series that get a sentence."""
WIDEST: Final = 40
"""Characters of a category's name."""


def summary(chart: Chart) -> list[str]:
    kinds = {"hist": "histogram", "categories": "bars", "steps": "lines"}
    axes = (
        f"{chart.z.label} by {chart.x.label} and {chart.y.label}"
        if chart.z
        else f"{chart.y.label} over {chart.x.label}"
    )
    lines = [f"{kinds.get(chart.kind, chart.kind)}: {axes}" + (f", {chart.caption}" if chart.caption else "")]
    for series in chart.series[:MOST]:
        sentence = _sentence(chart, series)
        lines.append(f"{series.name}: {sentence}" if series.name else sentence)
    if len(chart.series) > MOST:
        lines.append(f"and {len(chart.series) - MOST} more")
    return [*lines, *chart.notes]


def _sentence(chart: Chart, series: Series) -> str:
    points = series.points
    if not points.height:
        return "nothing"
    if chart.kind == "heatmap":
        known = points.drop_nulls("z")
        if not known.height:
            return "nothing"
        low, high = (known.row(_place(known["z"], which), named=True) for which in ("min", "max"))
        return (
            f"{known.height:,} cells; least {_number(low['z'])} at {_at(chart.x, low['x'])}, {_at(chart.y, low['y'])}; "
            f"greatest {_number(high['z'])} at {_at(chart.x, high['x'])}, {_at(chart.y, high['y'])}"
        )
    if chart.kind == "hist":
        most = points.row(_place(points["y"], "max"), named=True)
        between = f"{_number(most['left'])} to {_number(most['right'])}"
        ends = f"{_number(points['left'].min())} to {_number(points['right'].max())}"
        return f"{int(points['y'].sum()):,} values from {ends}, most ({int(most['y']):,}) in {between}"
    if chart.kind == "box":
        texts = [f"{_at(chart.x, row['x'])} {_number(row['median'])}" for row in points.head(MOST).rows(named=True)]
        return f"medians {', '.join(texts)}" + (", ..." if points.height > MOST else "")
    return _curve(chart, points)


def _curve(chart: Chart, points: pl.DataFrame) -> str:
    rows = points.rows(named=True)
    if len(rows) == 1:
        return f"{_number(rows[0]['y'])} at {_at(chart.x, rows[0]['x'])}"
    low, high = rows[_place(points["y"], "min")], rows[_place(points["y"], "max")]
    text = f"{len(rows):,} points; least {_number(low['y'])} at {_at(chart.x, low['x'])}, "
    text += f"greatest {_number(high['y'])} at {_at(chart.x, high['x'])}"
    if chart.kind in ("lines", "steps") and chart.x.kind != "category":
        text += f"; first {_number(rows[0]['y'])}, last {_number(rows[-1]['y'])}"
    return text


def _place(values: pl.Series, which: str) -> int:
    found = values.arg_min() if which == "min" else values.arg_max()
    return 0 if found is None else found


def _number(value: Any) -> str:
    return number(float(value))


def _at(axis: Axis, value: float) -> str:
    if axis.kind == "category":
        place = int(value)
        return visible(axis.categories[place], WIDEST) if 0 <= place < len(axis.categories) else _number(value)
    if axis.kind == "time":
        return str(pl.Series([value * 1e6]).cast(pl.Int64).cast(pl.Datetime("us")).dt.strftime("%Y-%m-%d %H:%M:%S")[0])
    return _number(value)
