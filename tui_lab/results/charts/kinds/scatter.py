"""Every row as a point."""

from __future__ import annotations

from typing import Final

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds.grouping import Groups, shown, shown_x, slopes
from tui_lab.results.charts.model import Chart, ChartKind
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.terminal import marks


def make(prepared: Prepared) -> Chart:
    """Every row as a point."""
    request = prepared.request
    x = prepared.place("x", "x" in prepared.log)
    y = prepared.place("y", "y" in prepared.log)
    prepared.require()
    groups = Groups(prepared)
    table = groups.named(prepared.rows.with_columns(shown(prepared.rows["y"], y)), x, ["x", "y"])
    if y.kind == "category":
        name = table.columns[-1]
        table = table.with_columns(shown_x(prepared.rows["y"], y).alias(name))
    series = groups.split(prepared.rows, ("x", "y"))
    return Chart(
        KIND,
        x,
        y,
        series,
        table,
        title=request.labels.get("title", ""),
        legend=groups.legend,
        notes=(*prepared.notes(), *slopes(x, y, series)),
    )


KIND: Final = ChartKind(
    name="scatter",
    about=OWN["scatter"],
    roles=("x", "y", "hue", "style"),
    make=make,
    draw=marks.scatter,
    picture=files.scatter,
    column=natural.of_lines,
)
