"""The chart of the Chart pane: on parallel axes a part of one is brushed, which is a filter of the tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from textual.message import Message

from tui_lab.results.charts.model import Chart
from tui_lab.tui.base.actions import Action, bindings
from tui_lab.tui.widgets.plot.plot import Plot

Brush = Mapping[str, tuple[float, float]]


def brushed(chart: Chart, name: str, begin: float, end: float, cell: float) -> Brush:
    """Return the brush with a part of an axis, to the borders of both cells; without it where both are in one cell.
    cell: the part of an axis that a cell covers."""
    others = {axis: ends for axis, ends in chart.brush.items() if axis != name}
    low, high = sorted((begin, end))
    return others if high - low < cell / 2 else {**others, name: (low - cell / 2, high + cell / 2)}


class ChartPlot(Plot):
    """A plot, on which `space` begins and ends a brush, and `enter` shows the tasks in it."""

    ACTIONS: ClassVar[tuple[Action, ...]] = (
        Action("plot.brush", "space", "Brush", "Begin or end the brush of an axis.", shown=False, listed=False),
        Action("plot.tasks", "enter", "Tasks", "Show the tasks in the brush.", shown=False, listed=False),
    )
    BINDINGS = bindings(ACTIONS)

    @dataclass
    class Brushed(Message):
        """Another part of the axes is brushed."""

        brush: Brush

    @dataclass
    class Chosen(Message):
        """The tasks are wanted for which a SQL condition holds."""

        condition: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._begun: tuple[str, float] | None = None  # the axis of a brush, and where it began

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("brush", "tasks"):
            return self.chart is not None and bool(self.chart.uprights)
        return super().check_action(action, parameters)

    def action_brush(self) -> None:
        """Begin a brush at the crosshair, or end it there."""
        if self.cross is None:
            self.action_move(0, 0)
        if self.chart is None or self.cross is None:
            return
        name, part = self.chart.uprights[round(self.cross[0])].label, self.cross[1]
        if self._begun is None or self._begun[0] != name:
            self._begun = name, part
            return
        begin, self._begun = self._begun[1], None
        self.post_message(self.Brushed(brushed(self.chart, name, begin, part, self.cell_part)))

    def action_tasks(self) -> None:
        """Show the tasks in the brush."""
        from tui_lab.results.charts.brush import condition

        if self.chart is not None:
            self.post_message(self.Chosen(condition(self.chart)))
