"""Scrollbars below what is wide are as thin as those beside what is long: a cell is twice as high as it is wide."""

from __future__ import annotations

from typing import Final

from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style
from textual.scrollbar import ScrollBarRender

_BAR: Final = "▄"
_BACK: Final = Color.parse("#555555")
_FRONT: Final = Color.parse("bright_magenta")


class ThinScrollbars(ScrollBarRender):
    """Draws vertical ones as Textual does, horizontal ones in half a row."""

    @classmethod
    def render_bar(
        cls,
        size: int = 25,
        virtual_size: float = 50,
        window_size: float = 20,
        position: float = 0,
        thickness: int = 1,
        vertical: bool = True,
        back_color: Color = _BACK,
        bar_color: Color = _FRONT,
    ) -> Segments:
        if vertical:
            return super().render_bar(
                size, virtual_size, window_size, position, thickness, vertical, back_color, bar_color
            )
        start, length = thumb(size, virtual_size, window_size, position)
        parts = (("scroll_up", " ", start), ("grab", _BAR, length), ("scroll_down", " ", size - start - length))
        row = [
            Segment(sign * cells, Style(color=bar_color, bgcolor=back_color, meta={"@mouse.down": action}))
            for action, sign, cells in parts
            if cells > 0
        ]
        return Segments([*row, Segment.line()] * thickness)


def thumb(size: int, virtual_size: float, window_size: float, position: float) -> tuple[int, int]:
    """Return the first cell of the bar, and its cells; 0 where everything is seen. It touches an end of its room only
    where there is nothing more on that side."""
    hidden = virtual_size - window_size
    if not window_size or not size or hidden <= 0:
        return 0, 0
    length = min(size, max(1, round(size * window_size / virtual_size)))
    room = size - length
    start = round(room * position / hidden)
    if room > 1:
        start = max(start, 1) if position > 0 else 0
        start = min(start, room - 1) if position < hidden else room
    return start, length
