"""Dialogs of the Results pane: which parameters, which metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

_CSS = """
    NAME {
        align: center middle;
        & > Vertical {
            width: 60; max-width: 96%; height: auto; max-height: 80%;
            background: $surface; border: round $primary; padding: 0 1;
            border-title-color: $text-primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & .label { color: $text-muted; }
        & OptionList { border: none; height: auto; max-height: 16; background: transparent; padding: 0; }
        & OptionList:focus { border: none; }
    }
"""


class ParametersDialog(ModalScreen[tuple[str, ...] | None]):
    """Chooses the parameters that make a setting; the others are averaged over."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "no", "No", show=False),
        Binding("space", "choose", "Choose", show=False),
        Binding("enter", "yes", "Take", show=False, priority=True),
    ]
    DEFAULT_CSS = _CSS.replace("NAME", "ParametersDialog")

    def __init__(self, names: Sequence[str], chosen: Sequence[str]) -> None:
        super().__init__()
        self._names = names
        self._chosen = set(chosen)

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = "Parameters that make a setting"
            box.border_subtitle = "space chooses, enter takes them, esc leaves"
            yield OptionList(compact=True)
            yield Static("Results are averaged over the others.", classes="label")

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.add_options(Option(self._prompt(name)) for name in self._names)
        options.highlighted = 0
        options.focus()

    def _prompt(self, name: str) -> Content:
        return Content(f"[{'x' if name in self._chosen else ' '}] {name}")

    @on(OptionList.OptionSelected)
    def _clicked(self) -> None:
        self.action_choose()

    def action_choose(self) -> None:
        options = self.query_one(OptionList)
        if options.highlighted is not None:
            name = self._names[options.highlighted]
            self._chosen ^= {name}
            options.replace_option_prompt_at_index(options.highlighted, self._prompt(name))

    def action_yes(self) -> None:
        self.dismiss(tuple(name for name in self._names if name in self._chosen))

    def action_no(self) -> None:
        self.dismiss(None)


class MetricDialog(ModalScreen[str | None]):
    """Chooses one of several metrics."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "no", "No", show=False)]
    DEFAULT_CSS = _CSS.replace("NAME", "MetricDialog")

    def __init__(self, question: str, names: Sequence[str]) -> None:
        super().__init__()
        self._question = question
        self._names = names

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content(self._question)
            box.border_subtitle = "enter takes it, esc leaves"
            yield OptionList(*(Option(Content(name)) for name in self._names), compact=True)

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    @on(OptionList.OptionSelected)
    def _take(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._names[event.option_index])

    def action_no(self) -> None:
        self.dismiss(None)
