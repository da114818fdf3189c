"""Bars: the aggregate of y for each value of x."""

from __future__ import annotations

from typing import Final

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds.grouping import aggregated
from tui_lab.results.charts.model import Chart, ChartError, ChartKind
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.terminal import marks


def make(prepared: Prepared) -> Chart:
    """The aggregate of y for each value of x, a bar for each hue."""
    if "x" in prepared.log:
        raise ChartError("the x axis of categories can't be logarithmic")
    return aggregated(prepared, prepared.category("x"), KIND)


KIND: Final = ChartKind(
    name="categories",
    about=OWN["categories"],
    roles=("x", "y", "hue"),
    make=make,
    draw=marks.categories,
    picture=files.categories,
    column=natural.of_categories,
    hues="text",
    aggregated=True,
    errors=True,
    log=frozenset(("y",)),
    bars=True,
    cut=True,
    filled=True,
    called="bars",
)
