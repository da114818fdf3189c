"""Scrollbars as thin lines: they say where one is, and nothing else."""

from __future__ import annotations

from math import ceil
from typing import Final

from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style
from textual.scrollbar import ScrollBar, ScrollBarRender

LINES: Final = {False: ("┃", "━"), True: ("|", "=")}
"""The signs of a bar, vertical and horizontal, by whether the terminal has ASCII only."""


class ThinBar(ScrollBarRender):
    """A line in the middle of its cells, instead of all of them."""

    SIGNS = LINES[False]

    @classmethod
    def render_bar(
        cls,
        size: int = 25,
        virtual_size: float = 50,
        window_size: float = 20,
        position: float = 0,
        thickness: int = 1,
        vertical: bool = True,
        back_color: Color | None = None,
        bar_color: Color | None = None,
    ) -> Segments:
        """Return the cells of a bar; clicks before and behind it scroll by a page."""
        across = thickness if vertical else 1
        blank, ground = " " * across, Style(bgcolor=back_color)
        cells = [Segment(blank, ground)] * size
        if window_size and size and virtual_size and size != virtual_size:
            length = max(1, ceil(size * window_size / virtual_size))
            share = position / (virtual_size - window_size) if virtual_size != window_size else 0.0
            start = max(0, min(size - length, round((size - length) * share)))
            end = start + length
            line = cls.SIGNS[not vertical].rjust(across)
            before, behind = ({"@mouse.down": name} for name in ("scroll_up", "scroll_down"))
            bar = Style(color=bar_color, bgcolor=back_color, meta={"@mouse.down": "grab"})
            cells = [Segment(blank, ground + Style(meta=before))] * start
            cells += [Segment(line, bar)] * (min(size, end) - start)
            cells += [Segment(blank, ground + Style(meta=behind))] * (size - end)
        if vertical:
            return Segments(cells, new_lines=True)
        return Segments([*cells, Segment.line()] * thickness, new_lines=False)


def use_thin_bars(ascii: bool) -> None:
    """Draw all scrollbars as thin lines."""
    ThinBar.SIGNS = LINES[ascii]
    ScrollBar.renderer = ThinBar
