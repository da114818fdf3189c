"""Which rows of a table stand on which lines: the first ones may stay above while the others scroll."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOW: Final = 10
"""Lines below which those that stay take a third of them at most, else half."""


@dataclass(frozen=True)
class Sight:
    """lines: below the header, numbered from 0. held: rows that stay; a rule is below them."""

    rows: int = 0
    lines: int = 0
    held: int = 0

    @classmethod
    def of(cls, rows: int, pinned: int, lines: int) -> Sight:
        """pinned: rows at the beginning that are to stay, as far as there is room."""
        lines = max(0, lines)
        most = lines // 3 if lines < LOW else lines // 2
        return cls(rows, lines, min(pinned, most) if pinned < rows else 0)

    @property
    def rule(self) -> int:
        """Lines of the rule."""
        return 1 if self.held else 0

    @property
    def body(self) -> int:
        """Lines for the rows that scroll."""
        return max(0, self.lines - self.held - self.rule)

    @property
    def height(self) -> int:
        """Lines of all rows, and the rule."""
        return self.rows + self.rule

    def row_at(self, line: int, scroll: int) -> int | None:
        """Return the row on a line; None for the rule, and below the last row."""
        if line < self.held:
            return line
        row = line - self.rule + scroll
        return row if self.held <= row < self.rows and not (self.held and line == self.held) else None

    def line_of(self, row: int, scroll: int) -> int:
        """Return the line of a row; one that is out of sight has none of those that there are."""
        if row < self.held:
            return row
        line = row + self.rule - scroll
        return line if line >= self.held + self.rule else -1

    def shows(self, row: int, scroll: int) -> bool:
        """Whether a row is in sight."""
        return 0 <= self.line_of(row, scroll) < self.lines

    def moving(self, scroll: int) -> tuple[int, int]:
        """Return the first row in sight that scrolls, and the one behind the last, with one to come."""
        start = min(self.held + scroll, max(self.held, self.rows - 1))
        return start, min(start + max(self.body, 1) + 1, self.rows)

    def scroll_to(self, row: int, scroll: int) -> int:
        """Return the scroll at which a row is in sight, moved as little as possible."""
        place = row - self.held
        if row < self.held or not self.body:
            return scroll
        return max(min(scroll, place), place - self.body + 1)

    def scroll_for(self, row: int, line: int) -> int:
        """Return the scroll at which a row stands on a line."""
        return row + self.rule - line if row >= self.held else 0
