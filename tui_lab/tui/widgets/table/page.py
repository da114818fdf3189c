"""What a table shows right now: the cells of the rows in sight, made once for each place and column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import polars as pl

from tui_lab.experiment.data_types import Row
from tui_lab.results.precision import Digits, Notation
from tui_lab.tui.widgets.table.cells import Cell, Column, Measure, cells, floats

Overlay = Callable[[pl.DataFrame], pl.DataFrame]
"""Returns newer values for rows."""
EXACTLY: Final = Notation()
"""Of columns that have no floats."""


class Page:
    """Rows `start` to `stop` of a frame, as cells; a column is formatted when it is first asked for."""

    def __init__(
        self,
        frame: pl.DataFrame,
        columns: Sequence[Column],
        start: int,
        stop: int,
        overlay: Overlay | None,
        null: str,
        digits: Mapping[int, Digits],
    ) -> None:
        """digits: of the columns of floats, by place."""
        self.start = start
        self.rows = frame[start:stop]
        if overlay is not None and self.rows.height:
            self.rows = overlay(self.rows)
        self.stop = start + self.rows.height
        self._columns, self._null, self._digits = columns, null, digits
        self._cells: dict[int, list[Cell]] = {}
        self._named: list[Row] | None = None

    def row(self, row: int) -> Row:
        """Return the values of a row. row: in the whole table."""
        if self._named is None:
            self._named = self.rows.to_dicts()
        return self._named[row - self.start]

    def holds(self, start: int, stop: int) -> bool:
        """Whether these rows are on the page."""
        return self.start <= start and stop <= self.stop

    def column(self, place: int) -> list[Cell]:
        """Return the cells of a column, formatted once."""
        found = self._cells.get(place)
        if found is None:
            column = self._columns[place]
            if column.draw is not None:  # its row and its width are not known here
                found = self._cells[place] = [Cell("", 0)] * self.rows.height
            else:
                how = self._digits[place].notation if place in self._digits else EXACTLY
                found = self._cells[place] = cells(column, self.rows[column.name], self._null, how)
        return found

    def take_digits(self, place: int) -> bool:
        """Judge a column of floats by these rows, too; return whether its notation is another one."""
        return self._digits[place].take(floats(self.rows[self._columns[place].name]))

    def forget(self, place: int) -> None:
        """Format a column once more: its notation is another one."""
        self._cells.pop(place, None)

    def cell(self, place: int, row: int) -> Cell:
        """Return a cell. row: in the whole table."""
        return self.column(place)[row - self.start]

    def measure(self, places: Sequence[int], measures: Sequence[Measure]) -> bool:
        """Widen the measures for the rows in sight; return whether one grew."""
        grown = [measures[place].take(self.column(place)) for place in places]
        return any(grown)
