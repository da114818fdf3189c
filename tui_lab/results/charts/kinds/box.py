"""Boxes: quartiles, whiskers and outliers."""

from __future__ import annotations

from typing import Final

import polars as pl

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds.grouping import Groups, shown
from tui_lab.results.charts.model import Chart, ChartError, ChartKind
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.statistics import boxes
from tui_lab.results.charts.terminal import marks


def make(prepared: Prepared) -> Chart:
    """Quartiles, whiskers and outliers of y for each value of x, a box for each hue."""
    request = prepared.request
    if "x" in prepared.log:
        raise ChartError("the x axis of boxes can't be logarithmic")
    if "x" not in prepared.columns:
        prepared.columns = {**prepared.columns, "x": "all"}
        prepared.rows = prepared.rows.with_columns(pl.lit("all").alias("x"))
    y = prepared.number("y", "y" in prepared.log)
    x = prepared.category("x")
    prepared.require()
    groups = Groups(prepared)
    keys = [*groups.keys, "x"]
    found = boxes(prepared.rows, keys).sort(keys, maintain_order=True)
    numbers = ["x", "low", "q1", "median", "q3", "high", "n"]
    return Chart(
        KIND,
        x,
        y,
        groups.split(found, (*numbers, "outliers")),
        groups.named(
            found.with_columns(pl.col("outliers").list.len(), *(shown(found[name], y) for name in numbers[1:-1])),
            x,
            [*numbers, "outliers"],
        ),
        title=request.labels.get("title", ""),
        legend=groups.legend,
        caption="box: quartiles; whiskers: within 1.5 times the box's height of it",
        notes=prepared.notes(),
    )


KIND: Final = ChartKind(
    name="box",
    about=OWN["box"],
    roles=("x", "y", "hue"),
    make=make,
    draw=marks.box,
    picture=files.box,
    column=natural.of_categories,
    optional=("x",),
    hues="text",
    log=frozenset(("y",)),
    filled=True,
)
