"""Learning curves: lines over steps."""

from __future__ import annotations

from typing import Final

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds import lines
from tui_lab.results.charts.kinds.grouping import aggregated
from tui_lab.results.charts.model import Chart, ChartKind
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.terminal import marks


def make(prepared: Prepared) -> Chart:
    """The aggregate of y over x, a line for each hue and style."""
    return aggregated(prepared, prepared.place("x", "x" in prepared.log), KIND)


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
