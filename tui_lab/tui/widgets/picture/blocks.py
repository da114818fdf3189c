"""Pixels as half blocks: each cell shows two of them, one above the other, by its two colours."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from tui_lab.results.pictures import Raster

_UPPER: Final = "▀"


def half_blocks(raster: Raster, ascii_only: bool) -> list[Strip]:
    """Return the lines that show some pixels. ascii_only: a cell has one colour, that of both pixels mixed."""
    row = raster.width * 3
    lines: list[Strip] = []
    for top in range(0, raster.height, 2):
        upper = raster.pixels[top * row : (top + 1) * row]
        lower = raster.pixels[(top + 1) * row : (top + 2) * row] or upper
        segments: list[Segment] = []
        before, count = b"", 0
        for at in range(0, row, 3):
            pair = upper[at : at + 3] + lower[at : at + 3]
            if pair != before:
                if count:
                    segments.append(_segment(before, count, ascii_only))
                before, count = pair, 0
            count += 1
        segments.append(_segment(before, count, ascii_only))
        lines.append(Strip(segments, raster.width))
    return lines


def _segment(pair: bytes, count: int, ascii_only: bool) -> Segment:
    if ascii_only:
        return Segment(" " * count, _style(bytes((pair[place] + pair[place + 3]) // 2 for place in range(3)) * 2))
    return Segment(_UPPER * count, _style(pair))


@lru_cache(4096)
def _style(pair: bytes) -> Style:
    return Style(color=Color.from_rgb(*pair[:3]), bgcolor=Color.from_rgb(*pair[3:]))
