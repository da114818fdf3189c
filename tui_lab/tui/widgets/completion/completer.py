"""Completion of the word at the cursor of a text area, by a list that takes some of its keys."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from textual import events
from textual.widgets import TextArea

from tui_lab.tui.widgets.completion.candidates import Candidate, Completion
from tui_lab.tui.widgets.completion.popup import Popup

_LOOK_BACK: Final = 80
"""Characters before the cursor that say whether a word has begun."""


class Completer:
    """The text area calls `typed` after each change, `key` for each key, and closes `popup` when it loses the focus.

    find: the completions at an index of a text. is_begun: whether they are shown unasked behind a text.
    """

    def __init__(
        self,
        area: TextArea,
        popup: Popup,
        find: Callable[[str, int], Completion],
        is_begun: Callable[[str], bool],
    ) -> None:
        self.area = area
        self.popup = popup
        self._find = find
        self._is_begun = is_begun

    @property
    def index(self) -> int:
        """Characters before the cursor."""
        row, column = self.area.cursor_location
        lines = self.area.document.lines
        return sum(len(lines[line]) + 1 for line in range(row)) + column

    def typed(self) -> None:
        """Look again for what is asked for: the text has changed."""
        if self.popup.is_open and self.popup.touched:
            self.show(True)

    def show(self, asked: bool) -> None:
        """Open the list of completions at the cursor. asked: a key asked for it."""
        index = self.index
        found = self._find(self.area.text, index)
        if not found.candidates or (not asked and not self.area.selection.is_empty):
            self.popup.close()
            return
        self.popup.open(found, self.area.cursor_screen_offset - (index - found.start, 0), asked)

    def complete(self) -> None:
        """Show the completions; take the only one at once."""
        self.show(True)
        if self.popup.candidate is not None and len(self.popup.completion.candidates) == 1:
            self.take(self.popup.candidate)

    def take(self, candidate: Candidate) -> None:
        """Write a candidate in place of the word that it completes."""
        found = self.popup.completion
        self.popup.close()
        text, after = candidate.text, self.area.text[found.end : found.end + 1]
        if text.endswith("(") and after == "(":
            text = text[:-1]
        self.area.replace(text, self._location(found.start), self._location(found.end), maintain_selection_offset=False)

    def key(self, event: events.Key) -> bool:
        """Return whether the list, or completion, takes a key; it is stopped then."""
        popup = self.popup
        taken = popup.is_open and self._in_popup(event)
        if not taken and event.key == "tab" and self._after_word():
            self.complete()
            taken = True
        if taken:
            event.stop()
            event.prevent_default()
        elif event.is_printable or event.key == "backspace":
            if event.is_printable or popup.is_open:
                self.area.call_later(self._offer)  # before the next key: it may be meant for the list
        else:
            popup.close()
        return taken

    def _offer(self) -> None:
        """Show completions unasked, where a word has begun."""
        row, column = self.area.cursor_location
        before = self.area.document.get_line(row)[max(column - _LOOK_BACK, 0) : column]
        if self._is_begun(before):
            self.show(False)
        else:
            self.popup.close()

    def _in_popup(self, event: events.Key) -> bool:
        popup = self.popup
        if event.key in ("up", "down"):
            popup.move(-1 if event.key == "up" else 1)
        elif event.key in ("pageup", "pagedown"):
            popup.move(-5 if event.key == "pageup" else 5)
        elif event.key == "escape":
            popup.close()
        elif popup.candidate is not None and (event.key == "tab" or (event.key == "enter" and popup.touched)):
            self.take(popup.candidate)
        else:
            return False
        return True

    def _after_word(self) -> bool:
        row, column = self.area.cursor_location
        before = self.area.document.get_line(row)[:column]
        return self.area.selection.is_empty and before[-1:] != "" and (before[-1] in '_."' or before[-1].isalnum())

    def _location(self, index: int) -> tuple[int, int]:
        before = self.area.text[:index]
        return before.count("\n"), index - (before.rfind("\n") + 1)
