"""What the workers of the Chart pane report. Numbers tell what was asked for last from what came too late."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from tui_lab.tui.chart_making import Made
from tui_lab.tui.chart_source import Rows


@dataclass
class RowsRead(Message):
    """The rows, or why there are none."""

    number: int
    rows: Rows | None
    problem: str = ""


@dataclass
class ChartMade(Message):
    number: int
    made: Made


@dataclass
class ChartWritten(Message):
    text: str
    failed: bool = False
