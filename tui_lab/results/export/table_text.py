"""Tables to read: aligned text, on a terminal cut to what it can show."""

from __future__ import annotations

import shutil
from typing import Any, Final, TextIO

import polars as pl
from rich.cells import cell_len, set_cell_size
from rich.text import Text

from tui_lab.results.plain import plain, shown
from tui_lab.results.precision import exactly
from tui_lab.results.statistics.text import aligned
from tui_lab.results.terminal.guard import console as new_console
from tui_lab.results.terminal.guard import neutral

TABLE_ROWS: Final = 1000
"""Rows of a table on a terminal."""
WIDEST: Final = 60
"""Cells of a table on a terminal are cut to this width."""

Cell = tuple[str, str]
"""Text of the width of its column, and the style on a terminal."""


def print_table(frame: pl.DataFrame, stream: TextIO, terminal: bool) -> str:
    """Print a table; return a note where rows or columns were left out. terminal: fit it to the width."""
    if not terminal:
        encoding = getattr(stream, "encoding", None) or "utf-8"
        for cells in table_lines(frame, None)[0]:
            line = "  ".join(text for text, _ in cells).rstrip() + "\n"
            stream.write(line.encode(encoding, "replace").decode(encoding))
        stream.flush()
        return ""
    console = new_console(stream, highlight=False, soft_wrap=True)
    width = console.width or shutil.get_terminal_size().columns
    lines, left_out = table_lines(frame.head(TABLE_ROWS), width)
    for cells in lines:
        text = Text("  ").join(Text(text, style=style) for text, style in cells)
        text.rstrip()
        console.print(text, no_wrap=True, crop=False)
    notes = []
    if left_out:
        few = ", ".join(left_out[:5]) + (", ..." if len(left_out) > 5 else "")
        what = "1 column doesn't" if len(left_out) == 1 else f"{len(left_out)} columns don't"
        notes.append(f"{what} fit here ({few})")
    if frame.height > TABLE_ROWS:
        notes.append(f"{frame.height - TABLE_ROWS:,} more rows")
    return "; ".join(notes) + (": --format csv shows everything" if notes else "")


def table_lines(frame: pl.DataFrame, width: int | None) -> tuple[list[list[Cell]], list[str]]:
    """The lines of a table, and the columns that don't fit the width."""
    columns = plain(frame)
    fitting: list[list[Cell]] = []
    left_out: list[str] = []
    used = 0
    for name, dtype in zip(columns.columns, columns.dtypes, strict=True):
        cells = [_cell(value) for value in columns[name]]
        if dtype.is_float():
            powers = any("e" in text for text in cells)
            if powers and (how := exactly(columns[name].drop_nulls().to_list())) is not None:
                cells = ["null" if value is None else how.text(value) for value in columns[name]]
            cells = aligned(cells)
        texts = [_visible(name), *cells]
        if width is not None:
            texts = [_cut(text, WIDEST) for text in texts]
        widest = max(map(cell_len, texts))
        if width is not None and used + widest > width:
            if used or left_out:
                left_out.append(name)
                continue
            texts, widest = [_cut(text, width) for text in texts], width
        used += widest + 2
        right = dtype.is_numeric()
        column: list[Cell] = [(_aligned(texts[0], widest, right), "bold"), ("─" * widest, "dim")]
        for text, value in zip(texts[1:], columns[name], strict=True):
            column.append((_aligned(text, widest, right), "dim" if value is None else ""))
        fitting.append(column)
    return [list(line) for line in zip(*fitting, strict=True)], left_out


def _cell(value: Any) -> str:
    return "null" if value is None else _visible(shown(value))


def _visible(text: str) -> str:
    """Without characters that would do something to a terminal or to the table."""
    return neutral(text).replace("\n", "\\n").replace("\t", "\\t")


def _cut(text: str, width: int) -> str:
    return text if cell_len(text) <= width else set_cell_size(text, max(width - 1, 0)) + "…"


def _aligned(text: str, width: int, right: bool) -> str:
    blanks = " " * (width - cell_len(text))
    return blanks + text if right else text + blanks
