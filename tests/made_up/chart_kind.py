"""A kind of chart that another package could bring: `rugs`, a tick for each value of x."""

from __future__ import annotations

from typing import Final

import polars as pl
from matplotlib.axes import Axes

from tui_lab.results.charts import natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.model import Axis, Chart, ChartKind, Series
from tui_lab.results.charts.terminal import marks


def make(prepared: Prepared) -> Chart:
    x = prepared.number("x", "x" in prepared.log)
    prepared.require()
    points = prepared.rows.select("x", pl.lit(1.0).alias("y"))
    table = points.select(pl.col("x").alias(prepared.columns["x"]))
    return Chart(KIND, x, Axis("", range=(0.0, 1.0)), (Series("", points),), table)


def picture(chart: Chart, axes: Axes) -> None:
    axes.vlines(chart.series[0].points["x"].to_list(), 0, 1)


KIND: Final = ChartKind(
    name="rugs",
    about="a tick for each value of x",
    roles=("x",),
    make=make,
    draw=marks.scatter,
    picture=picture,
    column=natural.of_metrics,
)
