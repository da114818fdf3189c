"""Learning curves: lines over steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds import lines
from tui_lab.results.charts.kinds.grouping import aggregated
from tui_lab.results.charts.model import Chart, ChartKind
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.terminal import marks


def make(prepared: Prepared) -> Chart:
    """The aggregate of y over x, a line for each hue and style."""
    chart = aggregated(prepared, prepared.place("x", "x" in prepared.log), KIND)
    weight = prepared.request.smooth
    return smoothed(chart, weight) if weight else chart


def smoothed(chart: Chart, weight: float) -> Chart:
    """Return the curves with their exponential means before them. Their bands stay those of what was measured."""
    raw = [replace(series, faint=True) for series in chart.series]
    mean = pl.col("y").ewm_mean(alpha=1 - weight)
    nothing = pl.lit(None, pl.Float64)
    smooth = [replace(one, points=one.points.with_columns(mean, low=nothing, high=nothing)) for one in chart.series]
    said = f"smoothed by an exponential mean of weight {weight:g}, the values faint"
    return replace(chart, series=(*raw, *smooth), caption="; ".join(filter(None, (chart.caption, said))))


KIND: Final = ChartKind(
    name="steps",
    about=OWN["steps"],
    roles=("x", "y", "hue", "style"),
    make=make,
    draw=marks.lines,
    picture=files.lines,
    column=natural.of_steps,
    hues="any",
    of_steps=True,
    missing={
        "y": "there are no values by step: a metric with `take: all` makes them, and so do "
        'lines such as {"step": 3, "loss": 0.2} in $TUI_LAB_METRICS'
    },
    aggregated=True,
    errors=True,
    connected=True,
    called=lines.KIND.name,
)
