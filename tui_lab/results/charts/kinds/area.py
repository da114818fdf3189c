"""Stacked areas: the aggregate of y over x, a band for each hue upon those before."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds.grouping import aggregated
from tui_lab.results.charts.model import Chart, ChartError, ChartKind, Series
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.terminal import area


def make(prepared: Prepared) -> Chart:
    """The bands, the first one lowest. Where one has no value, it counts as 0."""
    if "y" in prepared.log:
        raise ChartError("the y axis of an area can't be logarithmic: its bands are stacked")
    prepared.request = replace(prepared.request, error="none")
    chart = aggregated(prepared, prepared.number("x", "x" in prepared.log), KIND)
    if chart.y.kind not in ("number", "duration"):
        raise ChartError(f"bands can't be stacked: {prepared.columns['y']} holds times")
    if any((series.points["y"] < 0).any() for series in chart.series):
        raise ChartError(f"bands can't be stacked: {prepared.columns['y']} has values below 0")
    xs = pl.concat(series.points["x"] for series in chart.series).unique().sort()
    base = pl.repeat(0.0, xs.len(), eager=True)
    bands, without = list[Series](), 0
    for series in chart.series:
        points = pl.DataFrame({"x": xs}).join(series.points, on="x", how="left", maintain_order="left")
        without += points["y"].null_count()
        points = points.with_columns(pl.col("y", "n").fill_null(0.0))
        top = base + points["y"]
        bands.append(replace(series, points=points.with_columns(base.alias("low"), top.alias("high"))))
        base = top
    if not base.is_finite().all():
        raise ChartError("the sums are too large for floats")
    said = "1 place where a band has no value counts" if without == 1 else f"{without:,} places without a value count"
    notes = (f"{said} as 0",) if without else ()
    columns = [name for name in chart.table.columns if not chart.table[name].is_null().all() or name == "y"]
    return replace(chart, series=tuple(bands), table=chart.table.select(columns), notes=(*chart.notes, *notes))


KIND: Final = ChartKind(
    name="area",
    about=OWN["area"],
    roles=("x", "y", "hue"),
    make=make,
    draw=area.draw,
    picture=files.area,
    column=natural.of_steps,
    hues="any",
    aggregated=True,
    log=frozenset(("x",)),
    connected=True,
    bars=True,
    filled=True,
)
