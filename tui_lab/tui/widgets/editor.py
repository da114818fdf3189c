"""The text editor of experiment files: YAML in colour, and each mistake at its line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Final, Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.actions import SkipAction
from textual.binding import Binding, BindingType
from textual.geometry import Offset
from textual.strip import Strip
from textual.widgets.text_area import TextAreaTheme

from tui_lab.experiment.yaml.edit import Edit
from tui_lab.tui.base import themes
from tui_lab.tui.widgets.completion.completer import Completer
from tui_lab.tui.widgets.edit_area import EditArea

Level = Literal["error", "notice"]
_ROOM: Final = 16
"""Cells that a message beside its line needs; where there are fewer it shows below the editor only."""
# Keys that the text area would take for itself, and that mean something else in this tool.
_PASSED_ON: Final = "ctrl+e,ctrl+n,ctrl+r,ctrl+o,ctrl+s,f7,f8,shift+f8"


@dataclass(frozen=True)
class Mark:
    """Something to say about a place in the text; line and column count from 0."""

    line: int
    column: int
    text: str
    level: Level = "error"
    fix: Edit | None = None
    """The change of the text that takes it away."""


class Editor(EditArea):
    """Marks show in the gutter, below the letters that they mean, and behind the line."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(_PASSED_ON, "pass_on", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"editor--error", "editor--notice"}
    DEFAULT_CSS = """
    Editor {
        border: none;
        padding: 0;
        scrollbar-size-vertical: 1;
        scrollbar-size-horizontal: 1;
        & .editor--error { color: $text-error; }
        & .editor--notice { color: $text-warning; }
        &:focus { border: none; }
    }
    """

    completer: Completer | None = None
    """Completes words, where its owner has set it."""

    def __init__(self, text: str = "", *, id: str | None = None, ascii: bool = False) -> None:
        self.marks: tuple[Mark, ...] = ()
        self._by_line: dict[int, list[Mark]] = {}
        self.signs: dict[str, str] = {"error": "!", "notice": "?"} if ascii else {"error": "✗", "notice": "▲"}
        super().__init__(text, language="yaml", soft_wrap=False, show_line_numbers=True, id=id)
        self.indent_width = 2

    def on_mount(self) -> None:
        self._follow_theme()
        self.app.theme_changed_signal.subscribe(self, lambda _: self._follow_theme())

    def _follow_theme(self) -> None:
        """Colours of words from those of the app, so that light, dark and terminal themes fit."""
        self.register_theme(TextAreaTheme("app", syntax_styles=_syntax_styles(self.app.theme_variables)))
        self.theme = "app"

    # --- Marks

    def set_marks(self, marks: Sequence[Mark]) -> None:
        """Show these marks in place of the earlier ones."""
        self.marks = tuple(sorted(marks, key=lambda mark: (mark.line, mark.column, mark.level)))
        self._by_line = {}
        for mark in self.marks:
            self._by_line.setdefault(mark.line, []).append(mark)
        self.notify_style_update()  # forgets the lines that were drawn before
        self.refresh()

    def marks_at(self, line: int) -> list[Mark]:
        """Return the marks at a line, counted from 0."""
        return self._by_line.get(line, [])

    def go_to(self, line: int, column: int) -> None:
        """Put the cursor there, with some lines around it in sight."""
        line = min(max(line, 0), self.document.line_count - 1)
        self.move_cursor((line, min(max(column, 0), len(self.document.get_line(line)))), center=True)

    def go_to_mark(self, step: int) -> Mark | None:
        """The next (1) or previous (-1) mark from the cursor on, round about."""
        here = self.cursor_location
        places = [(mark.line, mark.column) for mark in self.marks]
        if not places:
            return None
        if step > 0:
            index = next((i for i, place in enumerate(places) if place > here), 0)
        else:
            index = next((i for i in range(len(places) - 1, -1, -1) if places[i] < here), len(places) - 1)
        self.go_to(*places[index])
        return self.marks[index]

    def apply(self, edit: Edit) -> None:
        """Change a part of the text, in one step of undo, and put the cursor at the end of it, on its last line."""
        start, end = self._location(edit.start), self._location(edit.end)
        self.replace(edit.text, start, end, maintain_selection_offset=False)
        if edit.text.endswith(("\n", "\r")):
            line = max(0, self.cursor_location[0] - 1)
            self.move_cursor((line, len(self.document.get_line(line))))
        self.scroll_cursor_visible()

    def _location(self, index: int) -> tuple[int, int]:
        before = self.text[:index]
        return before.count("\n"), index - (before.rfind("\n") + 1)

    # --- Drawing

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        for mark in self.marks_at(line_index):
            plain = line.plain
            start = min(mark.column, max(len(plain) - 1, 0))
            line.stylize(self._style(mark.level) + Style(underline=True), start, _word_end(plain, start))
        return line

    def render_line(self, y: int) -> Strip:
        strip = super().render_line(y)
        row = y + self.scroll_offset.y
        if not self._by_line or row >= self.wrapped_document.height:
            return strip
        line, column = self.wrapped_document.offset_to_location(Offset(0, row))
        marks = self.marks_at(line)
        if not marks or column:
            return strip
        mark = next((mark for mark in marks if mark.level == "error"), marks[0])
        style = self._style(mark.level)
        gutter = self.gutter_width
        before = strip.crop(0, gutter - 2)
        sign = Strip([Segment(self.signs[mark.level] + " ", _background(before) + style + Style(bold=True))], 2)
        strip = Strip.join([before, sign, strip.crop(gutter, strip.cell_length)])
        return self._with_message(strip, line, f"{self.signs[mark.level]} {mark.text}", style)

    def _with_message(self, strip: Strip, line: int, message: str, style: Style) -> Strip:
        """The message behind the line's end, as far as there is room."""
        end = self.gutter_width + cell_len(self.document.get_line(line).expandtabs(self.indent_width))
        start = end - self.scroll_offset.x + 3
        room = self.scrollable_content_region.width - start
        if room < _ROOM or self.scroll_offset.x or line == self.cursor_location[0]:
            return strip
        text = message if cell_len(message) <= room else set_cell_size(message, room - 1) + "…"
        shown = Segment(text, _background(strip) + style + Style(italic=True))
        width = cell_len(text)
        return Strip.join([strip.crop(0, start), Strip([shown], width), strip.crop(start + width, strip.cell_length)])

    def _style(self, level: Level) -> Style:
        style = self.get_component_rich_style(f"editor--{level}")
        return Style(color=style.color)

    # --- Keys

    def on_key(self, event: events.Key) -> None:
        """A new line begins where the one above does, or further in behind a `:`."""
        if self.read_only or (self.completer is not None and self.completer.key(event)) or event.key != "enter":
            return
        event.stop()
        event.prevent_default()
        row, column = self.selection.start if self.selection.start < self.selection.end else self.selection.end
        before = self.document.get_line(row)[:column]
        indent = before[: len(before) - len(before.lstrip(" "))]
        if before.rstrip().endswith((":", ": |", ": >")) and not before.lstrip().startswith("#"):
            indent += " " * self.indent_width
        self.replace("\n" + indent, *self.selection, maintain_selection_offset=False)

    @on(EditArea.Changed)
    def _typed(self) -> None:
        if self.completer is not None:
            self.completer.typed()

    def on_blur(self) -> None:
        if self.completer is not None:
            self.completer.popup.close()

    def action_pass_on(self) -> None:
        raise SkipAction


def _background(strip: Strip) -> Style:
    """What stands behind the end of a strip."""
    found = (segment.style.bgcolor for segment in reversed(list(strip)) if segment.style and segment.style.bgcolor)
    return Style(bgcolor=next(found, None))


def _word_end(text: str, start: int) -> int:
    """Where the word that begins at `start` ends; at least one character further."""
    end = start
    while end < len(text) and (text[end].isalnum() or text[end] in "_-.@"):
        end += 1
    return max(end, start + 1)


def _syntax_styles(variables: dict[str, str]) -> dict[str, Style]:
    color = partial(themes.style, variables)
    return {
        "yaml.field": color("text-primary", bold=True),
        "string": color("text-success"),
        "string.escape": color("text-accent"),
        "number": color("text-warning"),
        "boolean": color("text-warning", italic=True),
        "constant.builtin": color("text-warning", italic=True),
        "comment": Style(dim=True, italic=True),
        "type": color("text-accent"),
        "punctuation.special": color("text-accent"),
    }
