"""A picture with a line above it that says whose it is."""

from __future__ import annotations

from typing import Final

from rich.segment import Segment
from textual.strip import Strip
from textual.widget import Widget

from tui_lab.client.formatting import shortened

_NONE: Final[list[Strip]] = []


class Picture(Widget, can_focus=True):
    """Shows pixels, in the middle of its width; or a note in their place."""

    DEFAULT_CSS = "Picture { width: 1fr; height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._title = self._note = ""
        self._lines: list[Strip] = _NONE

    @property
    def pixels(self) -> tuple[int, int]:
        """The pixels for which there is room, from left to right and from top to bottom."""
        return max(0, self.size.width - 1), 2 * max(0, self.size.height - 1)

    @property
    def note(self) -> str:
        """What is shown in the place of a picture."""
        return self._note

    @property
    def is_drawn(self) -> bool:
        """Whether a picture is shown."""
        return bool(self._lines)

    def say(self, title: str, note: str) -> None:
        """Show a note in the place of a picture. title: whose it is; nothing where that need not be said."""
        self._put(title, note, _NONE)

    def draw(self, title: str, lines: list[Strip]) -> None:
        """Show a picture."""
        self._put(title, "", lines)

    def _put(self, title: str, note: str, lines: list[Strip]) -> None:
        if (title, note) != (self._title, self._note) or lines is not self._lines:
            self._title, self._note, self._lines = title, note, lines
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, style = self.size.width, self.rich_style
        if y == 0 or not self._lines:
            text = self._title if y == 0 else self._note if y == 1 else ""
            return Strip([Segment(shortened(text, width), style)]).adjust_cell_length(width, style)
        if y > len(self._lines):
            return Strip.blank(width, style)
        line = self._lines[y - 1]
        left = max(0, (width - line.cell_length) // 2)
        return Strip([Segment(" " * left, style), *line]).adjust_cell_length(width, style)
