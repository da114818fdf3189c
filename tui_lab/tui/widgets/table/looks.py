"""How a table looks, and its keys."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

TONES: Final = ("success", "error", "warning", "primary", "accent", "muted", "bold")
CLASSES: Final = {f"table--{name}" for name in ("header", "cursor", "column", "mark", *TONES)}
CSS: Final = """
FrameTable {
    background: $surface; color: $foreground; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1;
    & > .table--header { background: $panel; color: $foreground; text-style: bold; }
    & > .table--column { color: $text-accent; text-style: bold underline; }
    & > .table--cursor {
        background: $block-cursor-blurred-background; color: $block-cursor-blurred-foreground;
    }
    &:focus > .table--cursor {
        background: $block-cursor-background; color: $block-cursor-foreground;
        text-style: $block-cursor-text-style;
    }
    & > .table--mark { color: $text-warning; text-style: bold; }
    & > .table--success { color: $text-success; }
    & > .table--error { color: $text-error; text-style: bold; }
    & > .table--warning { color: $text-warning; }
    & > .table--primary { color: $text-primary; }
    & > .table--accent { color: $text-accent; }
    & > .table--muted { color: $foreground 68%; }
    & > .table--bold { text-style: bold; }
}
"""
KEYS: Final[list[BindingType]] = [
    Binding("down,j", "cursor(1)", "Down", id="table.down", show=False),
    Binding("up,k", "cursor(-1)", "Up", id="table.up", show=False),
    Binding("pagedown", "page(1)", "Page down", id="table.pagedown", show=False),
    Binding("pageup", "page(-1)", "Page up", id="table.pageup", show=False),
    Binding("ctrl+d", "page(0.5)", "Half a page down", id="table.halfdown", show=False),
    Binding("ctrl+u", "page(-0.5)", "Half a page up", id="table.halfup", show=False),
    Binding("g,home", "row(0)", "First row", id="table.first", show=False),
    Binding("G,end", "row(-1)", "Last row", id="table.last", show=False),
    Binding("left,h", "column(-1)", "Column to the left", id="table.left", show=False),
    Binding("right,l", "column(1)", "Column to the right", id="table.right", show=False),
    Binding("s", "sort", "Sort by this column", id="table.sort", show=False),
    Binding("enter", "select", "Open", id="table.select", show=False),
    Binding("y", "copy_cell", "Copy this cell", id="table.copy_cell", show=False),
    Binding("Y", "copy_row", "Copy this row", id="table.copy_row", show=False),
]
