"""Columns of text side by side, as many as fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from tui_lab.results.terminal.guard import replaced

_WIDEST: Final = 24
_IMPORTANT: Final = 5
"""Columns that are kept at the cost of a parameter's full name have this number or more."""


@dataclass(frozen=True)
class Column:
    """`keep` says which columns stay where not all fit: those with the largest number; 0 always stays."""

    title: str
    cells: list[str]
    right: bool = False
    keep: int = 0
    styles: list[str] | None = None
    short: list[str] | None = None
    """Cells for where there is little room."""

    @property
    def width(self) -> int:
        """The width in characters."""
        return max(map(cell_len, [self.title, *self.cells]))


def cut(text: str) -> str:
    """Return a text in at most _WIDEST cells, without what would act on a terminal."""
    text = replaced(text)
    return text if cell_len(text) <= _WIDEST else set_cell_size(text, _WIDEST - 1) + "…"


def table(columns: Sequence[Column], parameters: Sequence[Column], width: int) -> Iterator[Text]:
    """Columns beside each other, as many as fit; parameters that don't fit go on a line of their own
    below."""
    chosen = [column for column in columns if column.keep == 0 or any(cell.strip() for cell in column.cells)]
    fitted = _fitted(chosen, list(parameters), width)
    below: Sequence[Column] = []
    if fitted is None:
        below = parameters
        fitted = _fitted(chosen, [], width) or [column for column in chosen if not column.keep]
    yield _line([(column.title, "bold") for column in fitted], fitted)
    for row in range(len(fitted[0].cells)):
        yield _line([(c.cells[row], c.styles[row] if c.styles else "") for c in fitted], fitted)
        if below:
            yield from wrapped([f"{c.title}={c.cells[row].strip()}" for c in below], width, " " * 7)


def _fitted(columns: list[Column], parameters: list[Column], width: int) -> list[Column] | None:
    """The columns that fit: first the least important go, then titles and cells get shorter, as far as they
    must; None where even that is not enough."""

    def fits(parameters: list[Column]) -> bool:
        return sum(column.width + 2 for column in [*columns, *parameters]) - 2 <= width

    cut = [_cut_title(column) for column in parameters]
    for least in range(1, 11):
        if least > _IMPORTANT and fits(cut):
            for place, column in enumerate(parameters):
                if fits([*cut[:place], column, *cut[place + 1 :]]):
                    cut[place] = column
            return [*columns, *cut]
        if fits(parameters):
            return [*columns, *parameters]
        if least < 10:
            columns = [column for column in columns if column.keep != least]
    columns = [replace(column, cells=column.short) if column.short else column for column in columns]
    return [*columns, *cut] if fits(cut) else None


def _cut_title(column: Column) -> Column:
    width = max(6, *map(cell_len, column.cells))
    title = column.title
    return replace(column, title=title if cell_len(title) <= width else set_cell_size(title, width - 1) + "…")


def _line(cells: Sequence[tuple[str, str]], columns: Sequence[Column]) -> Text:
    line = Text()
    for (text, style), column in zip(cells, columns, strict=True):
        blanks = " " * (column.width - cell_len(text))
        line.append(blanks + text if column.right else text + blanks, style=style)
        line.append("  ")
    line.rstrip()
    return line


def wrapped(words: Sequence[str], width: int, indent: str = "", style: str = "dim") -> Iterator[Text]:
    """Words in lines of that width."""
    line = indent
    for word in words:
        if line.strip() and cell_len(line) + 1 + cell_len(word) > width:
            yield Text(line, style=style)
            line = indent
        line += f" {word}" if line.strip() else word
    yield Text(line, style=style)
