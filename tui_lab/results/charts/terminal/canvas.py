"""A field of character cells to draw on: characters, and behind them dots of braille and coloured grounds.

Places are in cells from the lower left corner: the cell at the column c and row r has its middle at
(c + 0.5, r + 0.5). What is outside is not drawn. What is drawn later covers what was before, but dots and grounds of
several lines and areas are seen together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from rich.color import Color as RichColor

from tui_lab.results.charts.terminal.braille import ACROSS, FIRST, Bits, Cells, plain

Places = Sequence[tuple[float, float]] | np.ndarray[Any, np.dtype[np.float64]]
Rgb = tuple[int, int, int]
Color = int | tuple[int, int] | None
"""A number of the 256 colours of terminals, or of `mixed`; of a pair the second is that of the ground."""

NONE: Final = -1
_MIXED: Final = 1 << 24
_BLANK: Final = ord(" ")
EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
"""Cells that are filled from below, by eighths."""
SHADE: Final = 0.25
"""How much of its colour an area has, where the ground is known."""
_PLAIN: Final = np.array([ord(plain(code)) for code in range(256)], dtype=np.int64)


@dataclass(frozen=True)
class Run:
    """Characters that look alike."""

    text: str
    color: int | None = None
    ground: int | None = None
    series: str = ""
    """Of which it is the name."""

    def escaped(self) -> str:
        """Return it as a terminal shows it."""
        codes = [*_codes(38, self.color), *_codes(48, self.ground)]
        return f"\x1b[{';'.join(map(str, codes))}m{self.text}\x1b[0m" if codes else self.text


def _codes(layer: int, color: int | None) -> list[int]:
    if color is None:
        return []
    return [layer, 5, color] if color < _MIXED else [layer, 2, *rgb(color)]


def mixed(red: int, green: int, blue: int) -> int:
    """Return the number of a colour that is none of the 256."""
    return _MIXED | red << 16 | green << 8 | blue


def rgb(color: int) -> Rgb:
    """Return the parts of a colour."""
    if color < _MIXED:
        red, green, blue = RichColor.from_ansi(color).get_truecolor()
        return red, green, blue
    return color >> 16 & 0xFF, color >> 8 & 0xFF, color & 0xFF


def blend(color: int, ground: int, part: float) -> int:
    """Return `part` of a colour on a ground."""
    red, green, blue = (round(g + (c - g) * part) for c, g in zip(rgb(color), rgb(ground), strict=True))
    return mixed(red, green, blue)


class Canvas:
    """A grid of characters. ground: what is behind it, where that is known."""

    def __init__(self, width: int, height: int, ascii: bool = False, ground: int | None = None) -> None:
        self.width, self.height, self.ascii, self.ground = width, height, ascii, ground
        self._bits = Bits(width, height)
        self._characters = np.full((height, width), _BLANK, dtype=np.int64)
        self._colors = np.full((height, width), NONE, dtype=np.int64)
        self._grounds = np.full((height, width), NONE, dtype=np.int64)
        self._faint = np.zeros((height, width), dtype=np.bool_)

    def points(self, places: Places, mark: str, color: Color = None) -> None:
        """Put a mark at each place."""
        if len(places):
            x, y = np.floor(np.array(places, dtype=np.float64).T)
            inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
            rows = self.height - 1 - y[inside].astype(np.int64)
            self._put((rows, x[inside].astype(np.int64)), ord(mark), color)

    def dots(self, xs: Any, ys: Any, color: int | None = None) -> None:
        """Put a small dot at each place."""
        self._touch(self._bits.points(xs, ys), color)

    def line(
        self, xs: Any, ys: Any, color: int | None = None, dashes: tuple[int, int] | None = None, faint: bool = False
    ) -> None:
        """Draw a line through all places. dashes: dots that are drawn, and dots that are not. faint: behind lines that
        come later, whose cells have no dots of it."""
        if not faint and self._faint.any():
            rows, columns = Bits(self.width, self.height).line(xs, ys, dashes)
            behind = self._faint[rows, columns]
            self._bits.clear((rows[behind], columns[behind]))
            self._faint[rows, columns] = False
        cells = self._bits.line(xs, ys, dashes)
        self._faint[cells] |= faint
        self._touch(cells, color)

    def text(self, column: int, row: int, text: str, color: Color = None) -> None:
        """Put characters of one cell each, from a cell on to the right."""
        for offset, character in enumerate(text):
            self.points([(column + offset + 0.5, row + 0.5)], character, color)

    def paint(self, places: Places, color: int) -> None:
        """Give cells a ground of one colour."""
        x, y = np.floor(np.array(places, dtype=np.float64).reshape(-1, 2).T).astype(np.int64)
        self._grounds[self.height - 1 - y, x] = color

    def shade(self, lows: Any, highs: Any, color: int | None, mark: str) -> None:
        """Fill from a low to a high place in each column of dots (two in a cell) lightly: where the ground is known by
        a part of the colour, to an eighth of a cell, else by a mark. NaN leaves a column empty."""
        low, high = (np.asarray(ends, dtype=np.float64).reshape(-1, ACROSS).mean(axis=1) for ends in (lows, highs))
        known = np.flatnonzero(np.isfinite(low) & np.isfinite(high))
        for column in known.tolist():
            self._shade_column(column, float(low[column]), float(high[column]), color, mark)

    def _shade_column(self, column: int, low: float, high: float, color: int | None, mark: str) -> None:
        low, high = max(low, 0.0), min(high, float(self.height))
        for up in range(int(low), min(math.ceil(high), self.height)):
            begin, end = max(low - up, 0.0), min(high - up, 1.0)
            row = self.height - 1 - up
            if color is None or self.ground is None:
                if end - begin >= 0.5:
                    self._put((np.array([row]), np.array([column])), ord(mark), color)
                continue
            behind = self._grounds[row, column]
            behind = self.ground if behind == NONE else int(behind)
            tint = blend(color, behind, SHADE)
            if self._characters[row, column] != _BLANK:
                part = 8 if end - begin >= 0.5 else 0  # one more edge has no room in the cell
            else:
                part = round((end - begin) * 8)
            if part == 8 or (begin > 0 and end < 1 and part >= 3):
                self._grounds[row, column] = tint
            elif part and begin <= 0:
                self._characters[row, column], self._colors[row, column] = ord(EIGHTHS[part]), tint
            elif part and end >= 1:
                self._characters[row, column], self._colors[row, column] = ord(EIGHTHS[8 - part]), behind
                self._grounds[row, column] = tint

    def _touch(self, cells: Cells, color: int | None) -> None:
        self._characters[cells] = _BLANK
        self._colors[cells] = NONE if color is None else color

    def _put(self, cells: Cells, character: int, color: Color) -> None:
        self._bits.clear(cells)
        self._characters[cells] = character
        if isinstance(color, tuple):
            color, self._grounds[cells] = color
        self._colors[cells] = NONE if color is None else color

    def rows(self) -> list[list[Run]]:
        """Return the lines of the field, the uppermost first, each of its full width."""
        dots = self._bits.codes()
        braille = _PLAIN[dots] if self.ascii else dots + FIRST
        characters = np.where((self._characters == _BLANK) & (dots > 0), braille, self._characters)
        colors = np.where(characters == _BLANK, NONE, self._colors)
        looks = colors * (2 * _MIXED) + self._grounds
        rows = []
        for row in range(self.height):
            text = characters[row].astype("<u4").tobytes().decode("utf-32-le")
            ends = [*(np.flatnonzero(np.diff(looks[row])) + 1).tolist(), self.width]
            rows.append(
                [
                    Run(text[begin:end], _known(colors[row, begin]), _known(self._grounds[row, begin]))
                    for begin, end in zip([0, *ends[:-1]], ends, strict=True)
                ]
            )
        return rows


def _known(color: Any) -> int | None:
    return None if color == NONE else int(color)
