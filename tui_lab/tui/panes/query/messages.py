"""What the workers of the Query pane report."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from tui_lab.tui.base.problem import Problem
from tui_lab.tui.panes.query.run import Answer, Run


@dataclass
class Answered(Message):
    """Sent when a query was answered."""

    run: Run
    answer: Answer


@dataclass
class Failed(Message):
    """Sent when a query has failed."""

    run: Run
    problem: Problem


@dataclass
class Counted(Message):
    """The number of all rows of an answer; None where they can't be counted."""

    run: Run
    total: int | None


@dataclass
class Exported(Message):
    """Sent when an answer was written to a file, or could not be."""

    text: str
    failed: bool = False
