"""How the columns of the task table look, and the list to choose them from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui_lab.client.formatting import size, span
from tui_lab.tui.base.formatting import mark
from tui_lab.tui.widgets.table.cells import Column

TONES: Final = {
    "done": "success",
    "failed": "error",
    "running": "primary",
    "pending": "muted",
    "stopped": "warning",
    "lost": "accent",
}
_LABELS: Final = {"task_id": "task", "attempts": "attempt", "attempt": "attempt that counts"}


def _moment(value: datetime) -> str:
    local = value.astimezone()
    today = datetime.now().astimezone().date()
    return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%Y-%m-%d %H:%M}"


def columns(names: Sequence[str], facts: Sequence[str], ascii_only: bool) -> list[Column]:
    """The columns of these names. Those in `facts` are looked at as facts, the others may hold anything."""

    def state(value: Any) -> str:
        return f"{mark(value, ascii_only)} {value}"

    formats: dict[str, Callable[[Any], str]] = {
        "state": state,
        "duration": span,
        "mean duration": span,
        "cpu_time": span,
        "peak_rss": size,
        "started_at": _moment,
        "ended_at": _moment,
    }
    found = []
    for name in names:
        if name not in facts:
            found.append(Column(name))
            continue
        tone = TONES.get if name == "state" else (lambda _: "error") if name == "reason" else None
        align = "right" if name in ("duration", "cpu_time", "peak_rss", "mean duration") else None
        found.append(Column(name, _LABELS.get(name, ""), align, formats.get(name), None, tone))  # type: ignore[arg-type]
    return found


class ChooseColumns(ModalScreen[tuple[str, ...] | None]):
    """Which columns are shown. The answer is empty for those that vary, None where nothing is to change."""

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
        return Content(f"[{'x' if name in self.shown else ' '}] {_LABELS.get(name, name)}")

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
