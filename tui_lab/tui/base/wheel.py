"""The wheel: on a busy machine, hundreds of its turns may wait. They are one move then."""

from __future__ import annotations

from collections.abc import Callable

from textual.widget import Widget


class Wheel:
    """Counts the turns over a widget. move: called with those that came in one go, downwards where positive."""

    def __init__(self, widget: Widget, move: Callable[[int], object]) -> None:
        self._widget, self._move = widget, move
        self._turns = 0
        self._waits = False

    def turn(self, by: int) -> None:
        """Count one, or one back, and move after what waits in the widget's queue."""
        self._turns += by
        if not self._waits:
            self._waits = self._widget.call_later(self._act)

    def _act(self) -> None:
        turns, self._turns, self._waits = self._turns, 0, False
        if turns:
            self._move(turns)
