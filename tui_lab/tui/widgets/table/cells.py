"""Values as cells of a table: safe for a terminal, numbers aligned at their points, long text cut."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import polars as pl
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from tui_lab.experiment.data_types import Row
from tui_lab.results.plain import plain_column, shown
from tui_lab.results.precision import Notation
from tui_lab.results.terminal import guard

Align = Literal["left", "right"]
Drawing = Sequence[tuple[str, str]]
"""Texts behind each other, each with its tone."""
MOST: Final = 400  # characters of a text that are formatted
WIDEST: Final = 40  # cells of a column while there is no room to spare
_POINT: Final = re.compile(r"[.e]")


@dataclass(frozen=True)
class Column:
    """A column as it is shown.

    `align` is right for numbers and left for the rest unless given; `format` makes a text of a value that is
    not null; `width` fixes the width in cells; `style` names a tone for a value: words of `success error
    warning primary accent muted bold`.

    Floats without a `format` are written with equally many decimals (see `precision`), positive ones with a plus if
    `sign`.

    `draw` makes a cell of a row and the width of the column, and `head` its title, both as texts with their tones. With
    `fill` the column takes the room that the others leave, `width` at least.
    """

    name: str
    label: str = ""
    align: Align | None = None
    format: Callable[[Any], str | Text] | None = None
    width: int | None = None
    style: Callable[[Any], str] | None = None
    draw: Callable[[Row, int], Drawing] | None = None
    head: Callable[[int], Drawing] | None = None
    fill: bool = False
    sign: bool = False

    @property
    def title(self) -> str:
        """The heading, safe for a terminal."""
        return visible(self.label or self.name)


@dataclass(frozen=True, slots=True)
class Cell:
    """A text that is ready to be shown, its tone, and how many of its cells stand from the decimal point on."""

    text: str | Text
    width: int
    tail: int = 0
    tone: str = ""


def visible(text: str, most: int = MOST) -> str:
    """Return text from outside as one line; control characters are written out."""
    cut = len(text) > most
    if cut:
        text = text[:most]
    text = guard.visible(text)
    return text + "…" if cut else text


def has_digits(column: Column, dtype: pl.DataType | None) -> bool:
    """Return whether a column has floats that are all written in one notation."""
    number = dtype is not None and (dtype.is_float() or dtype == pl.Duration)
    return number and column.format is None and column.draw is None


def floats(values: pl.Series) -> list[float | None]:
    """Return the values of a column of floats, or seconds; those of 32 bits without digits that they don't have."""
    if values.dtype.is_float() and values.dtype != pl.Float64:
        return values.cast(pl.String).cast(pl.Float64).to_list()
    return plain_column(values).to_list()


def exact(value: Any, cell: Cell, width: int) -> str:
    """Return a value with all its digits, or the whole text, where its cell in so many cells of width shows less; else
    an empty text."""
    if isinstance(value, float) and math.isfinite(value):
        text = repr(value)
        try:
            return "" if float(str(cell.text)) == value else text
        except ValueError:  # with a unit
            return text
    return visible(shown(value)) if cell.width > width and isinstance(cell.text, str) else ""


def is_right(column: Column, dtype: pl.DataType | None) -> bool:
    """Return whether the cells of a column are aligned to the right. dtype: None where the frame lacks the column."""
    return column.align == "right" if column.align is not None else dtype is not None and dtype.is_numeric()


def cells(column: Column, values: pl.Series, null: str, how: Notation) -> list[Cell]:
    """The cells of some rows of a column; `how` floats are written. What `format` can't make a text of is shown as it
    is."""
    if has_digits(column, values.dtype):
        found: list[Any] = floats(values)
    elif column.format is None and values.dtype not in (pl.String, pl.Int64):
        found = plain_column(values).to_list()
    else:
        found = values.to_list()
    aligned = column.format is None and values.dtype.is_numeric() and column.align != "left"
    empty = Cell(null, cell_len(null), 0, "muted")
    return [empty if value is None else _cell(column, value, aligned, how) for value in found]


def _cell(column: Column, value: Any, aligned: bool, how: Notation) -> Cell:
    text: str | Text
    if column.format is not None:
        text = column.format(value)
    elif isinstance(value, float):
        text = how.text(value)
        if column.sign and value > 0:
            text = f"+{text}"
    else:
        text = value if isinstance(value, str) else shown(value)
    tone = column.style(value) if column.style is not None else ""
    if isinstance(text, Text):
        if not text.plain.isprintable():
            text = Text(visible(text.plain), style=text.style)
        return Cell(text, text.cell_len, 0, tone)
    text = visible(text)
    tail = 0
    if aligned:
        point = _POINT.search(text)
        tail = len(text) - point.start() if point is not None and text not in ("nan", "true", "false") else 0
    return Cell(text, cell_len(text), tail, tone)


@dataclass
class Measure:
    """The width of a column so far: it only grows, so that the table does not move."""

    head: int = 0  # cells before the decimal point
    tail: int = 0  # cells from it on

    def take(self, found: Sequence[Cell]) -> bool:
        """Widen the column for these cells; return whether it grew."""
        before = self.head, self.tail
        for cell in found:
            self.head = max(self.head, cell.width - cell.tail)
            self.tail = max(self.tail, cell.tail)
        return before != (self.head, self.tail)

    @property
    def width(self) -> int:
        """The width of the widest cell, its point aligned."""
        return self.head + self.tail


def fitted(text: str | Text, width: int, right: bool, pad: int = 0, ellipsis: str = "…") -> str | Text:
    """A text in exactly `width` cells; `pad` blanks stand behind it where it is aligned right."""
    length = cell_len(text) if isinstance(text, str) else text.cell_len
    if length > width:
        return _cut(text, width, ellipsis)
    behind = min(pad, width - length) if right else width - length
    before = width - length - behind
    if isinstance(text, str):
        return " " * before + text + " " * behind
    padded = text.copy()
    padded.pad_left(before)
    padded.pad_right(behind)
    return padded


def _cut(text: str | Text, width: int, ellipsis: str) -> str | Text:
    if width <= 0:
        return ""
    if isinstance(text, str):
        return set_cell_size(text, width - 1) + ellipsis
    short = text.copy()
    short.truncate(width - 1, overflow="crop", pad=True)
    return short.append(ellipsis)


def widths(
    columns: Sequence[Column], texts: Sequence[str], measures: Sequence[Measure], gap: int, room: int
) -> list[int]:
    """The width of each column in cells, titles (`texts`) included. Long texts are cut where the room does not hold
    them all."""
    titles = [0 if column.head else cell_len(text) for column, text in zip(columns, texts, strict=True)]
    wanted = [
        column.width or max(title, measure.width)
        for column, title, measure in zip(columns, titles, measures, strict=True)
    ]
    given = [
        want if column.width or title >= want else max(title, min(want, WIDEST))
        for column, title, want in zip(columns, titles, wanted, strict=True)
    ]
    spare = room - sum(given) - gap * len(given)
    for place, want in enumerate(wanted):
        if spare > 0 and want > given[place]:
            more = min(spare, want - given[place])
            given[place] += more
            spare -= more
    filling = [place for place, column in enumerate(columns) if column.fill]
    for number, place in enumerate(filling):
        given[place] += max(0, spare) * (number + 1) // len(filling) - max(0, spare) * number // len(filling)
    return given
