"""Where the columns of a table stand: the first ones frozen, the others scrolled sideways."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

GAP: Final = 2  # cells between columns
GUTTER: Final = 2  # cells for the mark of a row
LEAST: Final = 12  # cells that frozen columns leave to the others; where they can't, nothing is frozen


@dataclass(frozen=True)
class Layout:
    """Columns side by side in cells. `offsets` has one more entry than `widths`: the end of the last one."""

    widths: tuple[int, ...]
    offsets: tuple[int, ...]
    frozen: int

    @classmethod
    def of(cls, widths: Sequence[int], frozen: int, room: int) -> Layout:
        """Place columns of these widths. room: cells; where it is too narrow, no column is frozen."""
        offsets = tuple(accumulate((width + GAP for width in widths), initial=GUTTER))
        frozen = min(frozen, len(widths))
        if offsets[frozen] > room - LEAST:
            frozen = 0
        return cls(tuple(widths), offsets, frozen)

    @property
    def width(self) -> int:
        """The cells that all columns take."""
        return max(GUTTER, self.offsets[-1] - GAP)

    @property
    def still(self) -> int:
        """Cells that never move: the gutter and the frozen columns."""
        return self.offsets[self.frozen]

    def moving(self, scroll: int, room: int) -> range:
        """The columns that are not frozen and in sight."""
        start, stop = self.still + scroll, scroll + room
        first = max(self.frozen, bisect_right(self.offsets, start) - 1)
        last = bisect_right(self.offsets, max(start, stop - 1)) - 1
        return range(first, min(last + 1, len(self.widths)))

    def at(self, x: int, scroll: int) -> int | None:
        """The column at a cell of the screen."""
        if x >= self.still:
            x += scroll
        place = bisect_right(self.offsets, x) - 1
        return place if 0 <= place < len(self.widths) else None

    def scroll_to(self, place: int, scroll: int, room: int) -> int:
        """The scroll at which a column is in sight, moved as little as possible."""
        if place < self.frozen:
            return scroll
        start, end = self.offsets[place], self.offsets[place] + self.widths[place]
        if end - scroll > room:
            scroll = end - room
        if start - scroll < self.still:
            scroll = start - self.still
        return max(0, scroll)
