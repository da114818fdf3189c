"""Logs that scroll together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.log.view import LogView


class LinkedLogs:
    """Shows in all logs what is in one: the same line where all have equally many, else as much of each above it."""

    def __init__(self, panels: Callable[[], Sequence[LogPanel]]) -> None:
        """panels: gives those that are on the screen and show a task."""
        self._panels = panels
        self.on = True

    @property
    def by_line(self) -> bool:
        """Whether all have equally many lines."""
        counts = [panel.line_counts for panel in self._panels()]
        return bool(counts) and None not in counts and len(set(counts)) == 1

    def follow(self, view: LogView) -> None:
        """Bring the others to where one is, unless each scrolls for itself."""
        panels = self._panels()
        leader = next((panel for panel in panels if panel.view is view), None)
        if not self.on or leader is None:
            return
        line, share = leader.line if self.by_line else None, view.progress
        for panel in panels:
            if panel is leader:
                continue
            if line is not None:
                panel.show_line(*line, view.sideways)
            else:
                panel.view.go_to_share(share, view.sideways)
