"""The list of what could be meant, at the cursor of a text area."""

from __future__ import annotations

from typing import ClassVar, Final

from rich.text import Text
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui_lab.tui.widgets.completion.candidates import Candidate, Completion, Kind

ROWS: Final = 8
WIDEST: Final = 56
SIGNS: Final[dict[Kind, str]] = {
    "column": "c",
    "table": "t",
    "macro": "m",
    "function": "f",
    "keyword": "k",
    "key": "k",
    "value": "v",
    "parameter": "p",
    "file": "f",
}
_NAMES: Final[tuple[Kind, ...]] = ("column", "table", "key", "parameter")
"""Kinds whose names stand out."""


class Popup(OptionList, can_focus=False):
    """Shows a Completion; the editor keeps the focus and hands it keys."""

    DEFAULT_CSS = """
    Popup {
        overlay: screen;
        constrain: inside inflect;
        position: absolute;
        display: none;
        width: auto;
        min-width: 16;
        height: auto;
        max-height: 8;
        border: none;
        padding: 0;
        background: $panel;
        color: $foreground;
        scrollbar-size-vertical: 1;
        & > .option-list--option-highlighted { background: $primary; color: $text; text-style: none; }
    }
    """

    class Chosen(Message):
        """A candidate was clicked."""

        def __init__(self, candidate: Candidate) -> None:
            super().__init__()
            self.candidate = candidate

    BINDINGS: ClassVar = []

    def __init__(self) -> None:
        super().__init__(compact=True)
        self.completion = Completion(0, 0)
        self.touched = False
        """Whether the user moved in the list, so that enter means a candidate and not a new line."""

    @property
    def is_open(self) -> bool:
        """Whether the list is shown."""
        return self.display

    @property
    def candidate(self) -> Candidate | None:
        """The candidate under the cursor; None while the list is closed."""
        if not self.is_open or self.highlighted is None:
            return None
        return self.completion.candidates[self.highlighted]

    def open(self, completion: Completion, place: Offset, asked: bool) -> None:
        """Show completions; `place` is the cell of the screen below which the list is."""
        self.completion = completion
        self.touched = asked
        shown = completion.candidates
        widest = max((len(candidate.label) for candidate in shown), default=0)
        self.clear_options()
        self.add_options(Option(_line(candidate, min(widest, WIDEST // 2))) for candidate in shown)
        self.highlighted = 0 if shown else None
        self.absolute_offset = place + Offset(-2, 1)
        self.display = bool(shown)

    def close(self) -> None:
        """Hide the list."""
        self.display = False

    def move(self, step: int) -> None:
        """Move the cursor; behind the last candidate comes the first."""
        self.touched = True
        if self.highlighted is not None and self.option_count:
            self.highlighted = (self.highlighted + step) % self.option_count

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Chosen(self.completion.candidates[event.option_index]))


def _line(candidate: Candidate, widest: int) -> Text:
    text = Text(f"{SIGNS[candidate.kind]} ", style="dim", no_wrap=True, overflow="ellipsis", end="")
    name = candidate.label if len(candidate.label) <= widest else candidate.label[: widest - 1] + "…"
    text.append(name.ljust(widest), style="bold" if candidate.kind in _NAMES else "not dim")
    if candidate.detail:
        text.append(f"  {candidate.detail}"[: WIDEST - widest - 2])
    return text
