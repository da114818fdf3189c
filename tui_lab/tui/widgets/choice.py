"""Pick one of several: type to narrow the list, enter takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option


@dataclass(frozen=True)
class Item:
    """`value` is what is handed back, `label` what is shown, and `detail` what else there is to know."""

    value: str
    label: str
    detail: str = ""


class _Items(OptionList, can_focus=False):
    """The text field keeps the focus and hands it keys."""


class ChoiceScreen(ModalScreen[str | None]):
    """The value of the item that was taken; None for none. `current` is where the cursor begins."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("up,ctrl+p", "move(-1)", show=False, priority=True),
        Binding("down,ctrl+n", "move(1)", show=False, priority=True),
        Binding("pageup", "move(-8)", show=False, priority=True),
        Binding("pagedown", "move(8)", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    ChoiceScreen {
        align: center middle;
        & > Vertical {
            width: 70;
            max-width: 90%;
            height: auto;
            max-height: 80%;
            border: round $primary;
            border-title-color: $text-primary;
            border-title-style: bold;
            border-subtitle-color: $text-muted;
            background: $surface;
            padding: 0 1;
        }
        & Input { border: none; height: 1; padding: 0; background: $surface; }
        & OptionList { border: none; height: auto; max-height: 16; padding: 0; background: $surface; }
    }
    """

    def __init__(self, title: str, items: Sequence[Item], current: str | None = None, empty: str = "") -> None:
        super().__init__()
        self.heading = title
        self.items = items
        self.current = current
        self.empty = empty
        self._shown: list[Item] = []

    def compose(self) -> ComposeResult:
        with Vertical() as box:
            box.border_title = Content(self.heading)
            box.border_subtitle = "enter takes it, esc leaves"
            yield Input(placeholder="type to narrow", compact=True)
            yield _Items(compact=True)

    def on_mount(self) -> None:
        self._fill("")
        values = [item.value for item in self._shown]
        options = self.query_one(OptionList)
        if self.current in values:
            options.highlighted = values.index(self.current)

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, typed: str) -> None:
        words = typed.lower().split()
        self._shown = [i for i in self.items if all(word in f"{i.label} {i.detail}".lower() for word in words)]
        options = self.query_one(OptionList)
        options.clear_options()
        widest = min(40, max((len(item.label) for item in self._shown), default=0))
        options.add_options(Option(_line(item, widest)) for item in self._shown)
        if not self._shown:
            options.add_option(Option(Text(self.empty if not self.items else "no match", "dim"), disabled=True))
        options.highlighted = 0 if self._shown else None

    def action_move(self, by: int) -> None:
        options = self.query_one(OptionList)
        if self._shown and options.highlighted is not None:
            options.highlighted = min(max(options.highlighted + by, 0), len(self._shown) - 1)

    @on(Input.Submitted)
    def _submitted(self) -> None:
        place = self.query_one(OptionList).highlighted
        if self._shown and place is not None:
            self.dismiss(self._shown[place].value)

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._shown[event.option_index].value)

    def action_leave(self) -> None:
        self.dismiss(None)


def _line(item: Item, widest: int) -> Text:
    text = Text(item.label.ljust(widest), no_wrap=True, overflow="ellipsis", end="")
    if item.detail:
        text.append(f"  {item.detail}", style="dim")
    return text
