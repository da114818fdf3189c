"""The editor of queries: SQL in colour, completion, and an error marked at its place."""

from __future__ import annotations

import re
from functools import partial
from typing import ClassVar, Final

from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from tui_lab.tui.base import themes
from tui_lab.tui.panes.query.completion import Catalog
from tui_lab.tui.panes.query.completion import complete as completions
from tui_lab.tui.widgets.completion.candidates import Completion
from tui_lab.tui.widgets.completion.completer import Completer
from tui_lab.tui.widgets.completion.popup import Popup
from tui_lab.tui.widgets.edit_area import EditArea
from tui_lab.tui.widgets.panels.panel import Panel

# Keys that the text area would take for itself, and that the pane or the app have a use for.
_PASSED_ON: Final = "ctrl+e,ctrl+o,ctrl+r,ctrl+s,f5,f6,f7,f8"
_BEGUN: Final = re.compile(r"[A-Za-z0-9_]{2}\Z|[^\W\d]\.\Z")
"""Where completions are shown unasked: a word has begun, or a point stands behind a table."""


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
        self.completer = Completer(self, popup, self._find, _is_begun)
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
        self.completer.typed()

    def _find(self, text: str, index: int) -> Completion:
        return completions(text, index, self.catalog)

    def on_key(self, event: events.Key) -> None:
        self.completer.key(event)

    def on_blur(self) -> None:
        self.completer.popup.close()

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
        super().__init__(title="SQL", id="query-text")
        self.popup = Popup()
        self.editor = SqlEditor(self.popup, id="sql")

    def compose(self) -> ComposeResult:
        yield self.editor
        yield self.popup

    @on(Popup.Chosen)
    def _chosen(self, event: Popup.Chosen) -> None:
        event.stop()
        self.editor.completer.take(event.candidate)
        self.editor.focus()


def _is_begun(before: str) -> bool:
    return _BEGUN.search(before) is not None


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
