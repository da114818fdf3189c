"""Which values have a colour in a chart."""

from __future__ import annotations

from typing import Any

from rich.color import Color
from rich.style import Style

from tui_lab.results.charts.columns import coded
from tui_lab.results.charts.model import Source, named
from tui_lab.results.charts.terminal.canvas import rgb
from tui_lab.results.charts.terminal.marks import legend_mark
from tui_lab.results.charts.terminal.style import Look
from tui_lab.tui.base.charted import Charted
from tui_lab.tui.charts.making import MadeChart
from tui_lab.tui.charts.source import TASK


def charted(made: MadeChart, source: Source, look: Look) -> Charted | None:
    """Return what has a colour in a chart; None where that is nothing of an experiment's rows."""
    column = made.request.columns.get("hue")
    if made.chart is None or column is None or not source.name or "style" in made.request.columns:
        return None
    series = {one.name: one for one in named(made.chart)}
    if column == TASK:
        names: dict[Any, str] = {int(name.split()[0]): name for name in series}
        column = "task_id"
    else:
        values = source.frame[column].unique(maintain_order=True)
        if values.dtype.is_nested():
            return None
        words, codes = coded(values)
        names = {value: words[int(code)] for value, code in zip(values, codes, strict=True)}
    marks = {}
    for value, name in names.items():
        if name in series:
            tint = look.tint(series[name].color)
            style = Style() if tint is None else Style(color=Color.from_rgb(*rgb(tint)))
            shown = str(value) if column == "task_id" else name
            marks[value] = legend_mark(made.chart, series[name], look), style, shown
    return Charted(source.name, column, marks) if marks else None
