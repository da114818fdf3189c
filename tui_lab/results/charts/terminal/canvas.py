"""A field of character cells to draw on, by plotext.

plotext has one figure for the whole process, so a Canvas remembers what to draw and uses the figure only
while it is read. Places are in cells from the lower left corner: the cell at the column c and row r has its
middle at (c + 0.5, r + 0.5). What is outside is not drawn. What is drawn later covers what was before.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final

_LOCK: Final = threading.Lock()

Places = Sequence[tuple[float, float]]
Color = int | tuple[int, int] | None
"""A number of the 256 colours of terminals; of a pair the second is that of the background."""


class Canvas:
    """A grid of characters. Places are in characters from the lower left corner."""

    def __init__(self, width: int, height: int, color: bool) -> None:
        self.width, self.height, self.color = width, height, color
        self._drawn: list[tuple[list[float], list[float], str, Color, bool]] = []

    def points(self, places: Places, mark: str, color: Color = None) -> None:
        """A mark at each place."""
        self._add(places, mark, color, False)

    def line(self, places: Places, mark: str, color: Color = None) -> None:
        """A line through all places. mark: a character, or `braille` for a fine line."""
        self._add(places, mark, color, len(places) > 1)

    def text(self, column: int, row: int, text: str, color: Color = None) -> None:
        """Characters of one cell each, from a cell on to the right."""
        for offset, character in enumerate(text):
            self.points([(column + offset + 0.5, row + 0.5)], character, color)

    def _add(self, places: Places, mark: str, color: Color, connected: bool) -> None:
        if places:
            xs, ys = zip(*places, strict=True)
            self._drawn.append(([float(x) for x in xs], [float(y) for y in ys], mark, color, connected))

    def rows(self) -> list[str]:
        """The lines of the field, top first, each of its full width; with escape sequences where there is
        colour."""
        with _LOCK:
            return self._rows()

    def _rows(self) -> list[str]:
        import plotext

        figure: Any = plotext.figure
        figure.clear()
        plotext.terminal.limit(False, False)
        try:
            figure.plot_size(self.width, self.height)
            figure.theme("colorless")
            figure.canvas("default")
            figure.axes(False)
            for axis, side, length in (("x", "lower", self.width), ("y", "left", self.height)):
                figure.ruler(axis, side).lim(0, length).frequency(0).alignment(lim="edge")
            for xs, ys, mark, color, connected in self._drawn:
                signal = figure.signal(xs, ys, marker=plotext.marker(mark, pixel=color))
                figure.draw(signal.lines(True) if connected else signal)
            drawn: str = figure.build().string(colorless=not self.color)
        finally:
            figure.clear()
            plotext.terminal.limit()
        rows = drawn.split("\n")[: self.height]
        return [_trimmed(row) for row in rows] if self.color else rows


def _trimmed(row: str) -> str:
    """Without the resets that change nothing."""
    return row.removeprefix("\x1b[0m").replace("\x1b[0m\x1b[0m", "\x1b[0m")
