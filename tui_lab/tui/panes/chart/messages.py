"""What the workers of the Chart pane report. Numbers tell what was asked for last from what came too late."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from tui_lab.results.charts.model import Request
from tui_lab.tui.base.charted import Charted
from tui_lab.tui.charts.making import MadeChart
from tui_lab.tui.charts.source import Rows


@dataclass
class RowsRead(Message):
    """The rows, or why there are none."""

    number: int
    rows: Rows | None
    problem: str = ""
    request: Request | None = None  # what is to be drawn of them, where that was said


@dataclass
class ChartMade(Message):
    """Sent when a chart was computed. number: of the request."""

    number: int
    made: MadeChart
    charted: Charted | None = None


@dataclass
class ChartWritten(Message):
    """Sent when a chart was written to a file, or could not be."""

    text: str
    failed: bool = False
