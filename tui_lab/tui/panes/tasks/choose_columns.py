"""The list to choose the columns of the task table from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui_lab.tui.tasks.columns import title


class ChooseColumns(ModalScreen[tuple[str, ...] | None]):
    """Chooses the columns to show. Returns an empty list for those that vary, None for no change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Close"),
        Binding("space", "turn", "Choose"),
        Binding("d", "usual", "Those that vary"),
        Binding("a", "all", "All"),
        Binding("j", "move(1)", show=False),
        Binding("k", "move(-1)", show=False),
    ]
    DEFAULT_CSS = """
    ChooseColumns {
        align: center middle;
        & > #dialog {
            width: 52; max-width: 90%; height: auto; max-height: 90%; background: $surface;
            border: round $primary; border-title-color: $text-primary; border-title-style: bold;
            border-subtitle-color: $text-muted; padding: 0 1;
        }
        OptionList { height: auto; max-height: 100%; border: none; background: transparent; padding: 0; }
    }
    """

    def __init__(self, names: Sequence[str], shown: Sequence[str]) -> None:
        super().__init__()
        self.names = [*dict.fromkeys([*shown, *names])]
        self.shown = set(shown)

    def compose(self) -> ComposeResult:
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Columns"
            dialog.border_subtitle = "space, enter · a all · d what varies"
            yield OptionList(*[Option(self._line(name)) for name in self.names], compact=True)

    def on_mount(self) -> None:
        self._list.highlighted = 0 if self.names else None
        self._list.focus()

    @property
    def _list(self) -> OptionList:
        return self.query_one(OptionList)

    def _line(self, name: str) -> Content:
        return Content(f"[{'x' if name in self.shown else ' '}] {title(name) or name}")

    @on(OptionList.OptionSelected)
    def _taken(self) -> None:
        self.dismiss(tuple(name for name in self.names if name in self.shown))

    def action_turn(self) -> None:
        place = self._list.highlighted
        if place is not None:
            self.shown ^= {self.names[place]}
            self._list.replace_option_prompt_at_index(place, self._line(self.names[place]))

    def action_usual(self) -> None:
        self.dismiss(())

    def action_all(self) -> None:
        self.shown = set(self.names)
        for place, name in enumerate(self.names):
            self._list.replace_option_prompt_at_index(place, self._line(name))

    def action_move(self, by: int) -> None:
        if by > 0:
            self._list.action_cursor_down()
        else:
            self._list.action_cursor_up()

    def action_leave(self) -> None:
        self.dismiss(None)
