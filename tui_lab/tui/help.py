"""`?` and F1: what the pane with the focus is for, and every key that acts in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Markdown, Static

Row = tuple[str, str]


class Help(ModalScreen[None]):
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
        .row { height: auto; padding: 0 1; }
        .what { width: 1fr; }
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
            with VerticalScroll():
                if self.text:
                    yield Markdown(self.text)
                for name, rows in self.groups:
                    yield Static(Content(name), classes="title")
                    for key, what in rows:
                        with Horizontal(classes="row"):  # a long text is folded under itself
                            yield Static(Content.styled(key, "bold $text-accent"), classes="key")
                            yield Static(Content(what), classes="what")

    def on_mount(self) -> None:
        self.query(".key").set_styles(width=2 + max(len(key) for _, rows in self.groups for key, _ in rows))
        self.query_one(VerticalScroll).focus()

    def action_leave(self) -> None:
        self.dismiss(None)

    def action_scroll_down(self) -> None:
        self.query_one(VerticalScroll).scroll_down(animate=False)

    def action_scroll_up(self) -> None:
        self.query_one(VerticalScroll).scroll_up(animate=False)
