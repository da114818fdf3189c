"""The text side of the Experiment pane: one file in the editor, and what is said of it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static, TextArea

from tui_lab.cli.text import plural
from tui_lab.tui.config import home_folder
from tui_lab.tui.editor import Editor, Mark
from tui_lab.tui.editor_file import EditedFile, FileError, Kept, remember
from tui_lab.tui.experiment_plan import problem_line

if TYPE_CHECKING:
    from tui_lab.tui.app import LabApp

PAUSE: Final = 0.3
"""Seconds after the last key until the text is read."""
KEEP: Final = 2.0
"""Seconds after the last key until a copy of an unsaved text is kept."""
LOOK: Final = 2.0
"""Seconds between looks at the file on disk."""


class TextSide(Vertical):
    """Holds a file. Asks nothing: the pane does."""

    DEFAULT_CSS = """
    TextSide {
        & #file {
            height: 1; padding: 0 1; background: $panel; color: $foreground;
            text-wrap: nowrap; text-overflow: ellipsis;
        }
        & #said { height: auto; max-height: 4; padding: 0 1; background: $panel; }
        & #said.empty { display: none; }
    }
    """

    class Edited(Message):
        """The text is another one, and no key was pressed for a moment."""

    class Moved(Message):
        """The cursor is in another line."""

    class Changed(Message):
        """Someone else wrote the file while there are unsaved changes here."""

    def __init__(self, id: str | None = None, *, ascii: bool = False) -> None:
        super().__init__(id=id)
        self.file: EditedFile | None = None
        self.conflict = False
        self._origin: tuple[str, list[str]] = ("", [])
        self._ascii = ascii
        self._saved: list[str] = [""]
        self._latest: list[str] = [""]
        self._line = -1
        self._pause: Timer | None = None
        self._copying: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="file")
        yield Editor(id="editor", ascii=self._ascii)
        yield Static(id="said", classes="empty")

    def on_mount(self) -> None:
        self.editor.read_only = True  # until there is a file
        self.set_interval(LOOK, self.look)
        self._show_name()

    def on_unmount(self) -> None:
        if self.file is not None and self._latest != self._saved:
            self.file.keep("\n".join(self._latest))

    @property
    def editor(self) -> Editor:
        return self.query_one(Editor)

    @property
    def text(self) -> str:
        """The text as it is read: lines that end in a newline."""
        return "\n".join(self.editor.document.lines)

    @property
    def unsaved(self) -> bool:
        return self.file is not None and self.editor.document.lines != self._saved

    @property
    def origin(self) -> str:
        """Where the text is from, if that is another place than the file."""
        return self._origin[0] if self.unsaved else ""

    # Files.

    def open(self, file: EditedFile) -> Kept | None:
        """Edit a file. Returns what an earlier session left unsaved of it."""
        self.file, self.conflict = file, False
        if file.exists:
            remember(file.path)
        self._load(file.text)
        self.editor.read_only = False
        return file.kept()

    def _load(self, text: str) -> None:
        self._origin = ("", [])
        self.editor.load_text(text)
        self._saved = self._latest = [*self.editor.document.lines]
        self._line = -1
        self._settle()

    def replace_text(self, text: str, origin: str = "") -> None:
        """Another text in the editor, which can be undone; it is not saved. origin: where it is from."""
        self.editor.replace(text, self.editor.document.start, self.editor.document.end)
        self._origin = (origin, [*self.editor.document.lines])
        self.editor.move_cursor((0, 0))

    def save(self) -> None:
        """Raises FileError."""
        assert self.file is not None
        lines = [*self.editor.document.lines]
        self.file.write(lines)
        self.file.forget()
        remember(self.file.path)
        self._saved = self._latest = lines
        self.conflict = False
        self._show_name()

    def reload(self) -> None:
        """What is on disk, in place of the text; undo brings that back. Raises FileError."""
        assert self.file is not None
        here = self.editor.cursor_location
        self.file.reread()
        self.file.forget()
        self.replace_text(self.file.text)
        self._saved = self._latest = [*self.editor.document.lines]
        self.conflict = False
        self.editor.move_cursor((min(here[0], self.editor.document.line_count - 1), here[1]))
        self._settle()

    def give_up(self) -> None:
        """Unsaved changes are not wanted any more."""
        if self.file is not None:
            self.file.forget()
            self._saved = self._latest = [*self.editor.document.lines]

    def keep(self) -> str:
        """Make a copy of what is unsaved, should this program or its machine die. Why that can't be done, or empty."""
        return self.file.keep(self.text) if self.file is not None and self.unsaved else ""

    def look(self) -> None:
        """Whether the file on disk is another one by now."""
        if self.file is None or self.conflict or not self.file.changed_on_disk():
            return
        if self.unsaved:
            self.conflict = True
            self._show_name()
            self.post_message(self.Changed())
            return
        try:
            self.reload()
        except FileError as error:
            cast("LabApp", self.app).tell(str(error), "error")
        else:
            cast("LabApp", self.app).tell(f"{self.file.path.name} was changed on disk: read again")

    def edit_outside(self) -> str:
        """Suspend the screen for $EDITOR; what went wrong, or an empty text. The text must be saved."""
        assert self.file is not None
        command = editor_command()
        if not command:
            return "there is no editor: set EDITOR, as in EDITOR=vim"
        line = self.editor.cursor_location[0] + 1
        place = [f"+{line}"] if Path(command[0]).name in ("vi", "vim", "nvim", "nano", "emacs", "micro", "kak") else []
        try:
            with cast("LabApp", self.app).foreground():
                code = subprocess.run([*command, *place, str(self.file.path)], check=False).returncode
        except SuspendNotSupported:
            return "this terminal can't be lent to another editor"
        except OSError as error:
            return f"{command[0]}: {error.strerror or error}"
        self.look()
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        return f"{command[0]} ended {how}" if code else ""

    # What is shown.

    def show_marks(self, marks: Sequence[Mark]) -> None:
        self.editor.set_marks(marks)
        self._show_said()
        self._show_name()

    def _show_said(self) -> None:
        here = self.editor.marks_at(self.editor.cursor_location[0])
        said = self.query_one("#said", Static)
        said.set_class(not here, "empty")
        said.update(problem_line(here, self.editor.signs))

    def _show_name(self) -> None:
        self.query_one("#file", Static).update(self._headline())

    def _headline(self) -> Content:
        if self.file is None:
            return Content.from_markup("[$foreground 60%]no file: o opens one, n makes one from a template[/]")
        path = self.file.path
        parts = [
            Content.from_markup(
                "[bold]$name[/] [$foreground 60%]$folder[/]", name=path.name, folder=_short(path.parent)
            )
        ]
        if self.conflict:
            parts.insert(0, Content.from_markup("[$text-error bold]▲ changed on disk (F9 reads it)[/]"))
        elif self.unsaved:
            words = [self.origin] if self.origin else []
            words.append("edited" if words and self.editor.document.lines != self._origin[1] else "unsaved")
            parts.insert(0, Content.from_markup("[$text-warning bold]● $it[/]", it=", ".join(words)))
        elif not self.file.exists:
            parts.insert(0, Content.from_markup("[$text-warning]new[/]"))
        errors = sum(mark.level == "error" for mark in self.editor.marks)
        if errors:
            sign = self.editor.signs["error"]
            parts.insert(0, Content.from_markup("[$text-error]$it[/]", it=f"{sign} {plural(errors, 'problem')}"))
        return Content("  ").join(parts)

    # Keys.

    @on(TextArea.Changed)
    def _changed(self, event: TextArea.Changed) -> None:
        event.stop()
        self._latest = [*self.editor.document.lines]
        for timer in (self._pause, self._copying):
            if timer is not None:
                timer.stop()
        self._pause = self.set_timer(PAUSE, self._settle)
        self._copying = self.set_timer(KEEP, self.keep)
        self._show_name()

    @on(TextArea.SelectionChanged)
    def _moved(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        line = self.editor.cursor_location[0]
        if line != self._line:
            self._line = line
            self._show_said()
            self.post_message(self.Moved())

    def _settle(self) -> None:
        self._show_name()
        self.post_message(self.Edited())


def editor_command() -> list[str]:
    """The person's editor as words."""
    for name in ("VISUAL", "EDITOR"):
        if os.environ.get(name, "").strip():
            try:
                return shlex.split(os.environ[name])
            except ValueError:
                return [os.environ[name]]
    return next(([name] for name in ("nano", "vim", "vi") if shutil.which(name)), [])


def when(at: float) -> str:
    """A moment for people: `today at 14:03`, `on 3 May at 14:03`."""
    moment, now = datetime.fromtimestamp(at), datetime.now()
    if moment.date() == now.date():
        return f"at {moment:%H:%M}"
    return f"on {moment.day} {moment:%B} at {moment:%H:%M}"


def _short(folder: Path) -> str:
    home = str(home_folder())
    text = str(folder)
    return "~" + text[len(home) :] if text == home or text.startswith(home + "/") else text
