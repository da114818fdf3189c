"""A field of braille dots, two across and four down in each cell: fine lines, points and areas.

Places are in cells from the lower left corner. What is outside is not drawn. A cell has one colour, that of what was
drawn into it last.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

Numbers = np.ndarray[tuple[int], np.dtype[np.float64]]
Cells = tuple[np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.int64]]]
"""Rows (0 is the uppermost) and columns."""

ACROSS: Final = 2
DOWN: Final = 4
FIRST: Final = 0x2800
"""The braille character without a dot; those with dots follow, a bit for each."""
_WEIGHTS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]], dtype=np.int64)


class Bits:
    """Dots, and which cells have some."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._dots = np.zeros((height * DOWN, width * ACROSS), dtype=np.bool_)

    def points(self, xs: Any, ys: Any) -> Cells:
        """Set a dot at each place, and return the cells in which they are."""
        x, y = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
        inside = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        return self._set(np.floor(x[inside] * ACROSS), np.floor(y[inside] * DOWN))

    def line(self, xs: Any, ys: Any, dashes: tuple[int, int] | None = None) -> Cells:
        """Draw a line through all places, and return the cells that it crosses. dashes: dots that are set, and dots
        that are not."""
        x, y = np.asarray(xs, dtype=np.float64) * ACROSS, np.asarray(ys, dtype=np.float64) * DOWN
        if len(x) < 2:
            return self.points(x / ACROSS, y / DOWN)
        begin, end = _clipped(x, y, self.width * ACROSS, self.height * DOWN)
        steps = np.ceil(np.abs(end - begin).max(axis=0)).astype(np.int64) + 1
        first = np.repeat(np.cumsum(steps) - steps, steps)
        part = (np.arange(len(first)) - first) / np.repeat(np.maximum(steps - 1, 1), steps)
        places = np.repeat(begin, steps, axis=1) + part * np.repeat(end - begin, steps, axis=1)
        # What is at the very end belongs to the last dot.
        across = np.minimum(np.floor(places[0]), self.width * ACROSS - 1)
        up = np.minimum(np.floor(places[1]), self.height * DOWN - 1)
        if dashes is not None:
            drawn = np.arange(len(across)) % sum(dashes) < dashes[0]
            across, up = across[drawn], up[drawn]
        return self._set(across, up)

    def fill(self, lows: Any, highs: Any) -> Cells:
        """Fill from a low to a high place in each column of dots; a column whose low is NaN stays empty. There are two
        of each in a cell."""
        low, high = np.asarray(lows, dtype=np.float64) * DOWN, np.asarray(highs, dtype=np.float64) * DOWN
        rows = np.arange(self.height * DOWN)[::-1, None] + 0.5
        with np.errstate(invalid="ignore"):
            new = (rows >= low) & (rows <= high)
        self._dots |= new
        down, across = np.nonzero(new)
        return down // DOWN, across // ACROSS

    def clear(self, cells: Cells) -> None:
        """Remove the dots of cells."""
        rows, columns = cells
        self._cells()[rows, :, columns, :] = False

    def codes(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """Return the bits of each cell: 0 without a dot, else added to `FIRST` its character."""
        found: np.ndarray[tuple[int, int], np.dtype[np.int64]] = np.einsum("rdca,da->rc", self._cells(), _WEIGHTS)
        return found

    def _cells(self) -> np.ndarray[tuple[int, int, int, int], np.dtype[np.bool_]]:
        return self._dots.reshape(self.height, DOWN, self.width, ACROSS)

    def _set(self, across: Numbers, up: Numbers) -> Cells:
        columns, rows = across.astype(np.int64), self.height * DOWN - 1 - up.astype(np.int64)
        self._dots[rows, columns] = True
        return rows // DOWN, columns // ACROSS


def _clipped(x: Numbers, y: Numbers, width: int, height: int) -> tuple[Any, Any]:
    """The begin and the end (x and y below each other) of the parts of a line that are inside (Liang and Barsky)."""
    begin, end = np.stack([x[:-1], y[:-1]]), np.stack([x[1:], y[1:]])
    known = np.isfinite(begin).all(axis=0) & np.isfinite(end).all(axis=0)
    begin, end = begin[:, known], end[:, known]
    step = end - begin
    limit = np.array([[width], [height]], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = -begin / step, (limit - begin) / step
    still = step == 0
    outside = still & ((begin < 0) | (begin > limit))
    enter = np.where(still, 0.0, np.minimum(one, other)).max(axis=0).clip(0.0)
    leave = np.where(still, 1.0, np.maximum(one, other)).min(axis=0).clip(None, 1.0)
    kept = (enter <= leave) & ~outside.any(axis=0)
    begin, step, enter, leave = begin[:, kept], step[:, kept], enter[kept], leave[kept]
    return (begin + enter * step).clip(0.0, limit), (begin + leave * step).clip(0.0, limit)


def plain(bits: int) -> str:
    """Return an ASCII character that is as high or as low in its cell as the dots."""
    top, middle, low = bits & 0x09, bits & 0x36, bits & 0xC0
    if top and low:
        return "|"
    return "-" if middle else "'" if top else "." if low else " "
