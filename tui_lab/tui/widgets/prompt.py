"""A dialog for one line of text, which shows while it is typed what it will do."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from tui_lab.tui.base.verdict import Check


class PromptScreen(ModalScreen[str | None]):
    """The text that was typed; None for none."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", show=False)]
    DEFAULT_CSS = """
    PromptScreen {
        align: center middle;
        & > Vertical {
            width: 72;
            max-width: 90%;
            height: auto;
            border: round $primary;
            border-title-color: $text-primary;
            border-title-style: bold;
            border-subtitle-color: $text-muted;
            background: $surface;
            padding: 0 1;
        }
        & Input { margin: 1 0; border: none; height: 1; padding: 0; }
        & Label { width: 1fr; color: $text-muted; }
        & Label.bad { color: $text-error; }
    }
    """

    def __init__(self, title: str, value: str, check: Check, about: str = "") -> None:
        super().__init__()
        self.heading = title
        self.value = value
        self.check = check
        self.about = about

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content(self.heading)
            box.border_subtitle = "enter confirms, esc leaves"
            if self.about:
                yield Label(self.about, markup=False)
            yield Input(self.value, compact=True)
            yield Label("", id="verdict", markup=False)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._judge(event.value)

    def _judge(self, text: str) -> bool:
        verdict = self.check(text)
        label = self.query_one("#verdict", Label)
        label.update(verdict.text)
        label.set_class(not verdict.good, "bad")
        return verdict.good

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if self._judge(event.value):
            self.dismiss(event.value)

    def action_leave(self) -> None:
        self.dismiss(None)
