"""When the task table is made anew: at once for a person, else once a second at most, and rarer where it takes long."""

from __future__ import annotations

import atexit
import gc
import time
from dataclasses import dataclass
from functools import cache
from typing import Final

from tui_lab.tui.panes.tasks.frame import TaskSource, TaskTable
from tui_lab.tui.panes.tasks.view import Shown, View, shown

PACE: Final = 1.0  # seconds between two tables
SHARE: Final = 5  # the time between two is so many times what one takes
METRICS_PACE: Final = 3.0
METRICS_SHARE: Final = 12


@dataclass(frozen=True)
class Made:
    """What a worker made: the table, what a view shows of it, and how long it took, in seconds."""

    source: TaskSource
    view: View
    table: TaskTable
    shown: Shown
    seconds: float


def make(source: TaskSource, view: View, table: TaskTable | None) -> Made:
    """The view of a table, by default of one that is read now. Raises LabError."""
    began = time.monotonic()
    table = table or source.read()
    return Made(source, view, table, shown(table, view), time.monotonic() - began)


class Pace:
    """Says when something may be done again that is wanted more often than it should happen."""

    def __init__(self, least: float, share: float) -> None:
        self.least, self.share = least, share
        self.wanted = False
        self.busy = False
        self._next = 0.0

    def delay(self) -> float:
        """Seconds until it may happen."""
        return max(0.0, self._next - time.monotonic())

    def began(self) -> None:
        self.busy, self.wanted = True, False

    def ended(self, seconds: float) -> None:
        self.busy = False
        self._next = time.monotonic() + max(self.least - seconds, self.share * seconds)


@cache
def settle() -> None:
    """What is in memory by now stays: the collector need not go through it again and again, which makes keys wait
    for a fifth of a second."""
    gc.freeze()
    atexit.register(gc.unfreeze)
