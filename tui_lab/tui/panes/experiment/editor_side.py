"""The text side of the Experiment pane: one file in the editor, and the messages about it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static, TextArea

from tui_lab.client.formatting import plural
from tui_lab.experiment.widening import Widening
from tui_lab.store import mirrors
from tui_lab.tui.base.config import home_folder
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.base.recent import remember
from tui_lab.tui.panes.experiment.completion import Known, complete, meaning, place_at
from tui_lab.tui.panes.experiment.file import EditedFile, FileError, UnsavedText
from tui_lab.tui.panes.experiment.plan import problem_line
from tui_lab.tui.widgets.completion.candidates import Completion
from tui_lab.tui.widgets.completion.completer import Completer
from tui_lab.tui.widgets.completion.popup import Popup
from tui_lab.tui.widgets.editor import Editor, Mark
from tui_lab.tui.widgets.panels.panel import Panel

PAUSE: Final = 0.3
"""Seconds after the last key until the text is read."""
KEEP: Final = 2.0
"""Seconds after the last key until a copy of an unsaved text is kept."""
_BEGUN: Final = re.compile(r"(?:^|[\s{\[,])[A-Za-z][\w.-]+\Z|(?<!\$)[{\[]\w+\Z")
LOOK: Final = 2.0
"""Seconds between looks at the file on disk."""


class EditorSide(Panel):
    """The editor with its file. It asks no questions: the pane does."""

    DEFAULT_CSS = """
    EditorSide {
        & #said { height: auto; max-height: 4; padding: 0 1; background: $panel; }
        & #said.empty { display: none; }
    }
    """

    class Edited(Message):
        """The text has changed, and no key was pressed for a moment."""

    class Moved(Message):
        """The cursor is in another line."""

    class Changed(Message):
        """The file was written by another program while there are unsaved changes."""

    def __init__(self, id: str | None = None, *, ascii: bool = False) -> None:
        super().__init__(id=id)
        self.file: EditedFile | None = None
        self.conflict = False
        self.known: Known | None = None
        """What completion knows; None until the text was checked for the first time."""
        self.widenings: tuple[Widening, ...] = ()
        """What its parameters could be given besides, as of the last check."""
        self._origin: tuple[str, list[str]] = ("", [])
        self._ascii = ascii
        self._saved: list[str] = [""]
        self._latest: list[str] = [""]
        self._line = -1
        self._pause: Timer | None = None
        self._copying: Timer | None = None

    def compose(self) -> ComposeResult:
        editor, popup = Editor(id="editor", ascii=self._ascii), Popup()
        editor.completer = Completer(editor, popup, self._find, _is_begun)
        yield editor
        yield Static(id="said", classes="empty")
        yield popup

    def _find(self, text: str, index: int) -> Completion:
        return Completion(index, index) if self.known is None else complete(text, index, self.known)

    @on(Popup.Chosen)
    def _chosen(self, event: Popup.Chosen) -> None:
        event.stop()
        if self.editor.completer is not None:
            self.editor.completer.take(event.candidate)
        self.editor.focus()

    def on_mount(self) -> None:
        self.editor.read_only = True  # until there is a file
        self.set_interval(LOOK, self.check_disk)
        self._show_name()

    def on_unmount(self) -> None:
        if self.file is not None and self._latest != self._saved:
            self.file.keep("\n".join(self._latest))

    @property
    def editor(self) -> Editor:
        """The text editor."""
        return self.query_one(Editor)

    @property
    def text(self) -> str:
        """The text, with a newline at the end of each line."""
        return "\n".join(self.editor.document.lines)

    @property
    def unsaved(self) -> bool:
        """Whether the text differs from what was saved."""
        return self.file is not None and self.editor.document.lines != self._saved

    @property
    def origin(self) -> str:
        """Where the text is from, if not from the file."""
        return self._origin[0] if self.unsaved else ""

    # --- Files

    def open(self, file: EditedFile) -> UnsavedText | None:
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
        """Put another text into the editor, not saved; undo brings the old one back. origin: where it is from."""
        before = [*self.editor.document.lines]
        self.editor.replace(text, self.editor.document.start, self.editor.document.end)
        lines = [*self.editor.document.lines]
        self._origin = (origin, lines)
        pairs = enumerate(zip(before, lines, strict=False))
        changed = next((number for number, (old, new) in pairs if old != new), 0) if origin else 0
        self.editor.move_cursor((changed, 0))

    def encoded(self) -> bytes:
        """Return the text as the file has it. Raises UnicodeEncodeError."""
        assert self.file is not None
        return self.file.encoded([*self.editor.document.lines])

    def save(self, written: list[str] | None = None) -> None:
        """Write the file. written: the lines that it has already. Raises FileError."""
        assert self.file is not None
        lines = [*self.editor.document.lines] if written is None else written
        if written is not None:
            self.file.reread()
        else:
            self.file.write(lines)
        self.file.forget()
        remember(self.file.path)
        self._saved = self._latest = lines
        self.conflict = False
        self._show_name()

    def reload(self) -> None:
        """Replace the text by what is on disk; undo brings it back. Raises FileError."""
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
        """Drop unsaved changes."""
        if self.file is not None:
            self.file.forget()
            self._saved = self._latest = [*self.editor.document.lines]

    def keep(self) -> str:
        """Keep a copy of unsaved text, in case the program ends. Return why that can't be done, or an empty text."""
        return self.file.keep(self.text) if self.file is not None and self.unsaved else ""

    def check_disk(self) -> None:
        """Read the file again if it has changed on disk and the text is saved."""
        if self.file is None or self.conflict or not self.file.changed_on_disk():
            return
        if self._is_on_disk():
            self.save(written=[*self.editor.document.lines])
        elif self.unsaved:
            self.conflict = True
            self._show_name()
            self.post_message(self.Changed())
        else:
            try:
                self.reload()
            except FileError as error:
                host_of(self).tell(str(error), "error")
            else:
                host_of(self).tell(f"{self.file.path.name} was changed on disk: read again")

    def _is_on_disk(self) -> bool:
        """Whether the file has the unsaved text: it is being saved on another machine, and has come back from there."""
        assert self.file is not None
        try:
            return self.unsaved and self.file.path.read_bytes() == self.encoded()
        except (OSError, UnicodeEncodeError):
            return False

    def edit_outside(self) -> str:
        """Suspend the screen for $EDITOR; return what went wrong, or an empty text. The text must be saved."""
        assert self.file is not None
        command = editor_command()
        if not command:
            return "there is no editor: set EDITOR, as in EDITOR=vim"
        line = self.editor.cursor_location[0] + 1
        place = [f"+{line}"] if Path(command[0]).name in ("vi", "vim", "nvim", "nano", "emacs", "micro", "kak") else []
        try:
            with host_of(self).terminal.lent():
                code = subprocess.run([*command, *place, str(self.file.path)], check=False).returncode
        except SuspendNotSupported:
            return "this terminal can't be lent to another editor"
        except OSError as error:
            return f"{command[0]}: {error.strerror or error}"
        self.check_disk()
        how = f"by signal {-code}" if code < 0 else f"with status {code}"
        return f"{command[0]} ended {how}" if code else ""

    # --- What is shown

    def show_marks(self, marks: Sequence[Mark]) -> None:
        """Mark mistakes and notices at their lines."""
        self.editor.set_marks(marks)
        self._show_said()
        self._show_name()

    def _show_said(self) -> None:
        line = self.editor.cursor_location[0]
        here = self.editor.marks_at(line)
        wider = next((one for one in self.widenings if one.single and _is_at(one, line)), None)
        said = self.query_one("#said", Static)
        said.set_class(not here and wider is None, "empty")
        if here or wider is None:
            said.update(problem_line(here, self.editor.signs, host_of(self).key("experiment.fix")))
        else:
            key = host_of(self).key("experiment.widen", self.editor.has_focus)
            more = f" makes a sweep of it: {wider.name}: {wider.values}"
            said.update(Content.assemble((key, "bold $text-accent"), (more, MUTED)))

    def _show_meaning(self) -> None:
        """Show in the border what the key under the cursor means."""
        if self.known is not None:
            self.set_subtitle(meaning(self.editor.document.lines, *self.editor.cursor_location))

    def _show_name(self) -> None:
        self.set_title(self._headline())

    def _headline(self) -> Content:
        host = host_of(self)
        if self.file is None:
            open_one, make = host.key("experiment.open"), host.key("experiment.new")
            return Content.styled(
                f"no file: {open_one} opens one, {make} makes one from a template", "$foreground 68% $quiet"
            )
        path = self.file.path
        parts = [
            Content.from_markup(
                "[bold]$name[/] [$foreground 68% $quiet]$folder[/]", name=path.name, folder=_short(path.parent)
            )
        ]
        if self.conflict:
            parts.insert(
                0,
                Content.from_markup(
                    "[$text-error bold]▲ changed on disk ($key reads it)[/]", key=host.key("experiment.reload")
                ),
            )
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

    def correct(self) -> None:
        """Apply the suggestion of the problem in this line, else of the next one that has one."""
        editor = self.editor
        here, lines = editor.cursor_location[0], editor.document.line_count
        fixes = [mark for mark in editor.marks if mark.fix is not None]
        mark = min(fixes, key=lambda mark: (mark.line - here) % lines, default=None)
        if mark is None or mark.fix is None:
            host_of(self).tell("no problem has a suggestion" if editor.marks else "no problems")
        else:
            editor.apply(mark.fix)

    def widen(self) -> None:
        """Give the parameter in this line more values, else the next one that has neighbours and one value."""
        editor, host = self.editor, host_of(self)
        here, lines = editor.cursor_location[0], editor.document.line_count
        path = place_at(editor.document.lines, *editor.cursor_location).path
        found = next((one for one in self.widenings if _is_at(one, here)), None)
        if found is None and path[:1] == ("parameters",) and len(path) > 1 and not editor.marks:
            host.tell("these values have no neighbours that could be guessed: type more of them", "warning")
            return
        singles = (one for one in self.widenings if one.single)
        found = found or min(singles, key=lambda one: (one.lines[0] - here) % lines, default=None)
        if found is None:
            host.tell("nothing is changed before the problems are solved" if editor.marks else "no number to widen")
        else:
            editor.apply(found.edit)
            host.tell(f"{found.name}: {found.values}\n{host.key('experiment.undo', editor.has_focus)} takes it back")

    # --- Keys

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

    def on_descendant_focus(self) -> None:
        self._show_said()

    def on_descendant_blur(self) -> None:
        self._show_said()

    @on(TextArea.SelectionChanged)
    def _moved(self, event: TextArea.SelectionChanged) -> None:
        event.stop()
        self._show_meaning()
        line = self.editor.cursor_location[0]
        if line != self._line:
            self._line = line
            self._show_said()
            self.post_message(self.Moved())

    def _settle(self) -> None:
        self._show_name()
        self.post_message(self.Edited())


def _is_at(widening: Widening, line: int) -> bool:
    return widening.lines[0] <= line <= widening.lines[1]


def _is_begun(before: str) -> bool:
    """Whether completions are shown unasked behind a text."""
    return _BEGUN.search(before) is not None


def editor_command() -> list[str]:
    """The user's editor as words."""
    for name in ("VISUAL", "EDITOR"):
        if os.environ.get(name, "").strip():
            try:
                return shlex.split(os.environ[name])
            except ValueError:
                return [os.environ[name]]
    return next(([name] for name in ("nano", "vim", "vi") if shutil.which(name)), [])


def _short(folder: Path) -> str:
    home = str(home_folder())
    text = str(folder)
    if mirrors.in_mirror(folder):
        return mirrors.as_there(text)
    return "~" + text[len(home) :] if text == home or text.startswith(home + "/") else text
