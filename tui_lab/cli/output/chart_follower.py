"""A chart that is drawn anew while its run goes on: `draw --follow`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final

from tui_lab.engine.lock import EngineFacts
from tui_lab.results.charts.model import Chart, NothingToDraw
from tui_lab.results.terminal.guard import own
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab

EVERY: Final = 1.0  # seconds between two drawings, at least
SHARE: Final = 0.2  # of the time that may be spent on drawing


def follow(lab: Lab, folder: ExperimentFolder, make: Callable[[], Chart], put: Callable[[Chart], None]) -> None:
    """Make and put the chart again and again until the run is over, and then once more. On a terminal each takes the
    place of the one before; elsewhere `put` is called where something has changed. Raises ChartError."""
    shown: Chart | None = None
    while True:
        over = _over(lab, folder)
        began = time.monotonic()
        try:
            chart = make()
        except NothingToDraw:
            if over:
                raise
        else:
            if shown is None or not chart.table.equals(shown.table):
                put(chart)
                shown = chart
        if over:
            return
        pause = max(EVERY, (time.monotonic() - began) / SHARE)
        until = time.monotonic() + pause
        while time.monotonic() < until and not _over(lab, folder):
            time.sleep(min(0.2, pause))


def _over(lab: Lab, folder: ExperimentFolder) -> bool:
    """The newest run has ended, or no engine is left that could go on with it."""
    if folder.state().ended is not None:
        return True
    facts = EngineFacts.read(lab)
    return facts is None or (facts.here and not facts.alive)


class Place:
    """A place on the terminal where each text takes the place of the one before."""

    def __init__(self) -> None:
        self._lines = 0

    def put(self, text: str) -> None:
        """Print a chart in the place of the one before."""
        back = f"\x1b[{self._lines}F\x1b[J" if self._lines else ""
        own(sys.stdout).write(back + text)
        sys.stdout.flush()
        self._lines = text.count("\n")
