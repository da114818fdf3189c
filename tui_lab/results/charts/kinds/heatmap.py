"""Heatmaps: the aggregate of z for each pair of x and y."""

from __future__ import annotations

from typing import Final

import polars as pl

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds.grouping import caption, no_point, renamed, taken
from tui_lab.results.charts.model import Axis, Chart, ChartError, ChartKind, Series
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.statistics import aggregate
from tui_lab.results.charts.terminal import marks


def make(prepared: Prepared) -> Chart:
    """The aggregate of z in a cell for each pair of x and y."""
    request = prepared.request
    if prepared.log:
        raise ChartError("the axes of a heatmap are categories: they can't be logarithmic")
    z = prepared.number("z")
    prepared.require()
    x, y = prepared.category("x"), prepared.category("y")
    found = aggregate(prepared.rows.rename({"y": "row", "z": "y"}), ["row", "x"], request.aggregate, "none")
    found = found.rename({"y": "z", "row": "y"}).sort("y", "x")
    if not found.height:
        raise ChartError(no_point(request.aggregate))
    table = [
        pl.Series("y", taken(y.categories, found["y"])),
        pl.Series("x", taken(x.categories, found["x"])),
        *found.select("z", "n"),
    ]
    label = z.label if request.labels.get("z") or request.aggregate == "mean" else f"{request.aggregate} of {z.label}"
    low, high = z.range or (float(found["z"].min()), float(found["z"].max()))  # type: ignore[arg-type]
    return Chart(
        KIND,
        x,
        y,
        (Series("", found.select("x", "y", "z")),),
        renamed(prepared, table),
        z=Axis(label, z.kind, range=(low, high)),
        title=request.labels.get("title", ""),
        caption=caption(prepared, KIND, found["n"], ""),
        notes=prepared.notes(),
        annotate=request.annotate,
        number_format=request.number_format,
    )


KIND: Final = ChartKind(
    name="heatmap",
    about=OWN["heatmap"],
    roles=("x", "y", "z"),
    make=make,
    draw=marks.heatmap,
    picture=files.heatmap,
    column=natural.of_heatmap,
    aggregated=True,
    log=frozenset(),
    ranges=False,
)
