"""Values as a line of braille dots, one cell high: two values and four levels in each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

# Neither numpy nor Polars: the header shows such lines in the first picture of the screen.
_LEFT: Final = (0x40, 0x04, 0x02, 0x01)  # from the lowest dot up
_RIGHT: Final = (0x80, 0x20, 0x10, 0x08)
_ASCII: Final = " .:-=+*#@"


def braille_line(
    values: Sequence[float | None],
    width: int,
    *,
    low: float | None = None,
    high: float | None = None,
    filled: bool = False,
    ascii: bool = False,
) -> str:
    """All values in `width` cells, from left to right; the newest ends at the right. low, high: the values at the lower
    and upper end, by default the least and the greatest. filled: down to the lower end, as for counts and loads.
    A value that is not known is a gap. Equal values are a line in the middle."""
    shown = _fitted(values, width if ascii else 2 * width)
    known = [value for value in shown if value is not None]
    if not known:
        return " " * width
    least = min(known) if low is None else low
    most = max(known) if high is None else high
    if ascii:
        levels = [None if value is None else _level(value, least, most, 8) for value in shown]
        return "".join(" " if level is None else _ASCII[level + 1] for level in levels).rjust(width)
    found = [None if value is None else _level(value, least, most, 4) for value in shown]
    if len(found) % 2:
        found.insert(0, None)
    dots, before = list[list[bool]](), None
    for level in found:
        dots.append(_column(level, before, filled))
        before = level
    cells = [
        chr(0x2800 + sum(bit for bit, on in zip((*_LEFT, *_RIGHT), (*left, *right), strict=True) if on))
        for left, right in zip(dots[::2], dots[1::2], strict=True)
    ]
    return "".join(cells).replace("\u2800", " ").rjust(width)


def _column(level: int | None, before: int | None, filled: bool) -> list[bool]:
    """Which of the four dots are set; those between it and the one before, too, that steep lines are whole."""
    if level is None:
        return [False] * 4
    if filled:
        return [dot <= level for dot in range(4)]
    near = level if before is None else before + (level > before) - (level < before)
    return [min(level, near) <= dot <= max(level, near) for dot in range(4)]


def _level(value: float, low: float, high: float, count: int) -> int:
    if not high > low:
        return (count - 1) // 2
    # Halves of large numbers: their difference may be no float.
    part = (value / 2 - low / 2) / (high / 2 - low / 2)
    return max(0, min(count - 1, int(part * count)))


def _fitted(values: Sequence[float | None], most: int) -> list[float | None]:
    """At most so many values. Of those that share a place the one is kept that is farthest from the one before, so that
    peaks are seen."""
    finite = [value if value is not None and math.isfinite(value) else None for value in values]
    if len(finite) <= most:
        return finite
    kept, last = list[float | None](), None
    for place in range(most):
        part = finite[place * len(finite) // most : (place + 1) * len(finite) // most]
        known = [value for value in part if value is not None]
        before = last if last is not None else known[0] if known else 0.0
        farthest = sorted((abs(value / 2 - before / 2), value) for value in known)[-1:]
        chosen = farthest[0][1] if farthest else None
        kept.append(chosen)
        last = chosen if chosen is not None else last
    return kept
