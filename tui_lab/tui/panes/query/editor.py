"""The editor of queries: SQL in colour, completion, and an error marked at its place."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Final

from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.message import Message
from textual.widgets import OptionList, TextArea
from textual.widgets.option_list import Option
from textual.widgets.text_area import TextAreaTheme

from tui_lab.tui.base import themes
from tui_lab.tui.panes.query.completion import Candidate, Catalog, Completion, Kind
from tui_lab.tui.panes.query.completion import complete as completions
from tui_lab.tui.widgets.edit_area import EditArea
from tui_lab.tui.widgets.panels.panel import Panel

# --- The list of what could be meant, at the cursor of the query
ROWS: Final = 8
WIDEST: Final = 56
SIGNS: Final[dict[Kind, str]] = {"column": "c", "table": "t", "macro": "m", "function": "f", "keyword": "k"}


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
    text.append(name.ljust(widest), style="bold" if candidate.kind in ("column", "table") else "not dim")
    if candidate.detail:
        text.append(f"  {candidate.detail}"[: WIDEST - widest - 2])
    return text


# Keys that the text area would take for itself, and that the pane or the app have a use for.
_PASSED_ON: Final = "ctrl+e,ctrl+o,ctrl+r,ctrl+s,f5,f6,f7,f8"
_BY_ITSELF: Final = 2
"""Letters of a word from which on completions are shown unasked."""


class SqlEditor(EditArea):
    """`catalog` is what completion knows; the pane sets it whenever it knows more."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(_PASSED_ON, "pass_on", show=False),
        Binding("ctrl+c,super+c", "copy", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"sql-editor--error"}
    DEFAULT_CSS = """
    SqlEditor {
        border: none;
        padding: 0;
        height: 1fr;
        &:focus { border: none; }
        & .sql-editor--error { color: $text-error; background: $error-muted; }
    }
    """

    def __init__(self, popup: Popup, *, id: str | None = None) -> None:
        self.popup = popup
        self.catalog = Catalog()
        self.error: tuple[int, int] | None = None
        """Line and column, from 0, where the query is wrong."""
        super().__init__("", soft_wrap=True, show_line_numbers=False, tab_behavior="focus", id=id)
        self.indent_width = 2

    def on_mount(self) -> None:
        self.language = "sql"  # given before, its grammar would be compiled twice, on the screen's thread
        self._follow_theme()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._follow_theme())

    def _follow_theme(self) -> None:
        self.register_theme(TextAreaTheme("app", syntax_styles=_syntax_styles(self.app.theme_variables)))
        self.theme = "app"

    # --- The text

    def set_text(self, sql: str) -> None:
        """Replace the query; undo brings the old one back."""
        if sql != self.text:
            self.replace(sql, (0, 0), self.document.end, maintain_selection_offset=False)
        self.move_cursor(self.document.end)

    def insert_name(self, name: str) -> None:
        """Write a name at the cursor, apart from the word before it."""
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        blank = " " if before and (before[-1].isalnum() or before[-1] in "_,\"'") else ""
        self.replace(blank + name, *self.selection, maintain_selection_offset=False)

    @property
    def cursor_index(self) -> int:
        """Characters before the cursor."""
        row, column = self.cursor_location
        return sum(len(self.document.get_line(line)) + 1 for line in range(row)) + column

    def _location(self, index: int) -> tuple[int, int]:
        before = self.text[:index]
        return before.count("\n"), index - (before.rfind("\n") + 1)

    # --- The error

    def mark_error(self, line: int, column: int) -> None:
        """Mark the word at a place (from 0) and put the cursor there."""
        line = min(max(line, 0), self.document.line_count - 1)
        self.error = (line, min(max(column, 0), len(self.document.get_line(line))))
        self.move_cursor(self.error)
        self._redraw()

    def clear_error(self) -> None:
        """Remove the mark of an error."""
        if self.error is not None:
            self.error = None
            self._redraw()

    def _redraw(self) -> None:
        self.notify_style_update()  # forgets the lines that were drawn before
        self.refresh()

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        if self.error is not None and self.error[0] == line_index:
            start = self.error[1]
            if start >= len(line.plain):
                start = max(0, len(line.plain.rstrip()) - 1)
            look = self.get_component_rich_style("sql-editor--error")
            line.stylize(look + Style(underline=True, bold=True), start, _word_end(line.plain, start))
        return line

    # --- Completion

    @on(TextArea.Changed)
    def _typed(self) -> None:
        self.clear_error()
        if self.popup.is_open and self.popup.touched:
            self.show_completions(True)

    def show_completions(self, asked: bool) -> None:
        """Open the list of completions at the cursor. asked: a key asked for it."""
        found = completions(self.text, self.cursor_index, self.catalog)
        if not found.candidates or (not asked and not self.selection.is_empty):
            self.popup.close()
            return
        back = self.cursor_index - found.start
        self.popup.open(found, self.cursor_screen_offset - (back, 0), asked)

    def _offer(self) -> None:
        """Show completions unasked: where a word has begun, or after the point behind a table."""
        before = self.text[: self.cursor_index]
        begun = len(before) - len(before.rstrip(_WORD_CHARACTERS))
        after_point = before.endswith(".") and before[-2:-1].isidentifier()
        if begun >= _BY_ITSELF or after_point:
            self.show_completions(False)
        else:
            self.popup.close()

    def take(self, candidate: Candidate) -> None:
        """Write a candidate in place of the word that it completes."""
        found = self.popup.completion
        self.popup.close()
        text = candidate.text
        if text.endswith("(") and self.text[found.end : found.end + 1] == "(":
            text = text[:-1]
        start, end = self._location(found.start), self._location(found.end)
        self.replace(text, start, end, maintain_selection_offset=False)

    def complete(self) -> None:
        """Show the completions; take the only one at once."""
        self.show_completions(True)
        if len(self.popup.completion.candidates) == 1 and self.popup.candidate is not None:
            self.take(self.popup.candidate)

    # --- Keys

    def on_key(self, event: events.Key) -> None:
        popup = self.popup
        if popup.is_open and self._in_popup(event):
            event.stop()
            event.prevent_default()
            return
        if event.key == "tab" and self._after_word():
            event.stop()
            event.prevent_default()
            self.complete()
            return
        if event.is_printable or event.key == "backspace":
            if event.is_printable or popup.is_open:
                self.call_later(self._offer)  # before the next key: it may be meant for the list
        else:
            popup.close()

    def _in_popup(self, event: events.Key) -> bool:
        """Return whether the list of completions takes a key."""
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
        row, column = self.cursor_location
        before = self.document.get_line(row)[:column]
        return self.selection.is_empty and before[-1:] != "" and (before[-1] in '_."' or before[-1].isalnum())

    def on_blur(self) -> None:
        self.popup.close()

    def action_pass_on(self) -> None:
        raise SkipAction

    def action_copy(self) -> None:
        if self.selection.is_empty:
            raise SkipAction
        super().action_copy()


class EditorBox(Panel):
    """The editor, and its list of completions above everything else."""

    DEFAULT_CSS = """
    EditorBox { height: 1fr; }
    """

    def __init__(self) -> None:
        super().__init__(title="SQL")
        self.popup = Popup()
        self.editor = SqlEditor(self.popup, id="sql")

    def compose(self) -> ComposeResult:
        yield self.editor
        yield self.popup

    @on(Popup.Chosen)
    def _chosen(self, event: Popup.Chosen) -> None:
        event.stop()
        self.editor.take(event.candidate)
        self.editor.focus()


_WORD_CHARACTERS: Final = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789"


def _word_end(text: str, start: int) -> int:
    end = start
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return max(end, start + 1)


def _syntax_styles(variables: dict[str, str]) -> dict[str, Style]:
    color = partial(themes.style, variables)
    return {
        "keyword": color("text-primary", bold=True),
        "keyword.operator": color("text-primary", bold=True),
        "attribute": color("text-primary", bold=True),
        "conditional": color("text-primary", bold=True),
        "type.qualifier": color("text-primary", bold=True),
        "storageclass": color("text-primary", bold=True),
        "function.call": color("text-accent"),
        "type": color("text-accent"),
        "type.builtin": color("text-accent"),
        "string": color("text-success"),
        "number": color("text-warning"),
        "float": color("text-warning"),
        "boolean": color("text-warning", italic=True),
        "comment": Style(dim=True, italic=True),
    }
