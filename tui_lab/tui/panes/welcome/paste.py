"""Paste a command, and see beside it the experiment that it becomes."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.panes.welcome.command import experiment_text

SAMPLE = "python train.py --lr 0.1 --layers 3"


class PasteCommand(ModalScreen[str | None]):
    """The dialog that takes a command line, and makes an experiment of it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close")]
    DEFAULT_CSS = """
    PasteCommand {
        align: center middle;
        & > #dialog {
            width: 104; max-width: 96%; height: auto; max-height: 92%; padding: 0 1;
            background: $surface; border: round $primary;
            border-title-color: $text-primary; border-title-style: bold; border-subtitle-color: $text-muted;
        }
        Input { margin: 0 0 1 0; border: none; height: 1; background: $boost; }
        VerticalScroll { height: auto; max-height: 18; scrollbar-size-vertical: 1; }
        #preview { height: auto; width: 1fr; }
        .label { color: $text-muted; }
    }
    """

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Paste a command"
            dialog.border_subtitle = "enter makes the file, esc leaves"
            yield Static("The command that you run now:", classes="label")
            yield Input(placeholder=SAMPLE, compact=True)
            yield Static("The experiment that it becomes:", classes="label")
            with VerticalScroll(can_focus=False):
                yield Static(id="preview")

    def on_mount(self) -> None:
        self._show("")
        self.query_one(Input).focus()

    def _show(self, command: str) -> None:
        self.query_one("#preview", Static).update(coloured(experiment_text(command or SAMPLE), bool(command)))

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._show(event.value.strip())

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        if event.value.strip():
            self.dismiss(experiment_text(event.value.strip()))

    def action_leave(self) -> None:
        self.dismiss(None)


def coloured(text: str, real: bool) -> Content:
    """YAML with its comments dim and its keys highlighted; all dim where it only is a sample."""
    lines = []
    for line in text.splitlines():
        body, mark, comment = line.partition("# ") if line.lstrip().startswith("#") else line.partition("  # ")
        key, colon, value = body.partition(":")
        style = "$text-primary" if real else MUTED
        lines.append(Content.assemble((key + colon, style if colon else ""), value, (mark + comment, MUTED)))
    return Content("\n").join(lines)
