"""`?` and F1: what the pane with the focus is for, and every key that acts in it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Markdown, Static

Row = tuple[str, str]


def paragraphs(text: str) -> str:
    """Return a text in which each sentence that begins with bold words begins a paragraph."""
    return re.sub(r"(?<=[.!?])\s+(?=\*\*)", "\n\n", text)


class KeyRows(Widget):
    """Keys and what they do, in two columns; a long text is folded under itself. One widget for all: to lay out one for
    each cell takes a third of a second."""

    def __init__(self, rows: Sequence[Row], width: int) -> None:
        super().__init__()
        self._rows = rows
        self._width = width  # of the keys' column, in cells

    def _lines(self, width: int) -> Iterator[tuple[str, str]]:
        for key, what in self._rows:
            for number, line in enumerate(textwrap.wrap(what, max(10, width - self._width)) or [""]):
                yield "" if number else key, line

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return sum(1 for _ in self._lines(width))

    def render(self) -> Content:
        lines = self._lines(self.content_size.width)
        return Content("\n").join(
            Content.assemble((key.ljust(self._width), "bold $text-accent"), line) for key, line in lines
        )


class Help(ModalScreen[None]):
    """The page with all keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,question_mark,f1", "leave", "Close"),
        Binding("j", "scroll_down", show=False),
        Binding("k", "scroll_up", show=False),
    ]
    DEFAULT_CSS = """
    Help {
        align: center middle;
        & > #dialog {
            width: 84; max-width: 96%; height: auto; max-height: 92%; padding: 0 1;
            background: $surface; border: round $primary;
            border-title-color: $text-primary; border-title-style: bold; border-subtitle-color: $text-muted;
        }
        VerticalScroll { height: auto; max-height: 100%; scrollbar-size-vertical: 1; }
        Markdown { padding: 0 1; background: transparent; }
        .title { text-style: bold; color: $text-primary; padding: 1 1 0 1; }
        KeyRows { height: auto; padding: 0 1; }
    }
    """

    def __init__(self, title: str, text: str, groups: Iterable[tuple[str, list[Row]]]) -> None:
        super().__init__()
        self.heading = title
        self.text = text.strip()
        self.groups = [(name, rows) for name, rows in groups if rows]

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = Content(self.heading)
            dialog.border_subtitle = "esc closes"
            width = 2 + max(len(key) for _, rows in self.groups for key, _ in rows)
            with VerticalScroll():
                if self.text:
                    yield Markdown(paragraphs(self.text))
                for name, rows in self.groups:
                    yield Static(Content(name), classes="title")
                    yield KeyRows(rows, width)

    def on_mount(self) -> None:
        for part in self.query(VerticalScroll):  # none, if the screen is just being taken down
            part.focus()

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_scroll_down(self) -> None:
        self.query_one(VerticalScroll).scroll_down(animate=False)

    def action_scroll_up(self) -> None:
        self.query_one(VerticalScroll).scroll_up(animate=False)
