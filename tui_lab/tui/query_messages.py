"""What the workers of the Query pane report."""

from __future__ import annotations

from dataclasses import dataclass

from textual.message import Message

from tui_lab.tui.query_run import Answer, Problem, Run


@dataclass
class Answered(Message):
    run: Run
    answer: Answer


@dataclass
class Failed(Message):
    run: Run
    problem: Problem


@dataclass
class Counted(Message):
    """All rows of an answer of which only some are shown; None where they can't be counted."""

    run: Run
    total: int | None


@dataclass
class Exported(Message):
    text: str
    failed: bool = False
