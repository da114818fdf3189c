"""The Experiment pane: the file in an editor, beside it what a run of it would do, below that a metric tried on a
real output."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Static, TextArea
from textual.worker import Worker, get_current_worker

from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import plural
from tui_lab.client.remote.connection import RemoteLab, host_name, remote_lab
from tui_lab.client.shortage import cores
from tui_lab.client.submission import Choice
from tui_lab.experiment import completions
from tui_lab.experiment.additions import add_metric
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError
from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.config import home_folder
from tui_lab.tui.base.empty import Empty
from tui_lab.tui.base.pane import Pane, host_of
from tui_lab.tui.base.recent import recent_files, remember
from tui_lab.tui.base.templates import Template
from tui_lab.tui.base.workers import deliver, promised, work
from tui_lab.tui.panes.experiment.check import Checked, Planned, check, forecast_of, mark_of, plan
from tui_lab.tui.panes.experiment.completion import Known, complete, files_beside, meaning
from tui_lab.tui.panes.experiment.file import EditedFile, FileError, UnsavedText
from tui_lab.tui.panes.experiment.launch import Launch, LaunchDialog, last_nodes, slots_of, submit_file
from tui_lab.tui.panes.experiment.offers import Chosen, OffersScreen, named, offered
from tui_lab.tui.panes.experiment.plan import PlanView, problem_line
from tui_lab.tui.panes.experiment.tester import PatternTester
from tui_lab.tui.panes.experiment.trial import NO_METRIC, Asked, Outputs, Trial, asked_at, try_out
from tui_lab.tui.widgets.completion.candidates import Completion
from tui_lab.tui.widgets.completion.completer import Completer
from tui_lab.tui.widgets.completion.popup import Popup
from tui_lab.tui.widgets.editor import Editor, Mark
from tui_lab.tui.widgets.open_dialog import NewDialog, OpenDialog
from tui_lab.tui.widgets.panels.layout import Arrangement, Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow

if TYPE_CHECKING:
    from tui_lab.tui.base.snapshot import LabSnapshot


# --- How the Experiment pane looks, and its keys
ACTIONS: Final[tuple[Action, ...]] = (
    Action("experiment.edit", "i,enter", "Edit", "Edit the text."),
    Action("experiment.launch", "ctrl+r,r", "Run", "Run the experiment, after one question."),
    Action("experiment.save", "ctrl+s", "Save", "Save the file."),
    Action("experiment.external", "ctrl+e,e", "$EDITOR", "Edit the file in your own editor."),
    Action("experiment.open", "ctrl+o,o", "Open", "Open an experiment file."),
    Action("experiment.new", "f2,n", "New", "Make a new experiment from a template."),
    Action("experiment.next_problem", "f8,ctrl+n", "Problem", "Go to the next problem in the text."),
    Action("experiment.previous_problem", "shift+f8", "Back", "Go to the previous problem.", shown=False),
    Action("experiment.fix", "f7", "Correct", "Correct a problem as its message suggests.", shown=False),
    Action("experiment.metrics", "m,alt+m", "Metrics", "Make a metric of a number that tasks have written."),
    Action("experiment.complete", "ctrl+space,ctrl+@", "Complete", "In the text: complete the word (also `tab`).",
           shown=False),
    Action("experiment.plan", "f5", "Plan", "Plan again, even if the sweep is large.", shown=False),
    Action("experiment.older", "right_square_bracket,alt+down", "Older output",
           "Try the pattern on the previous task.", shown=False),
    Action("experiment.newer", "left_square_bracket,alt+up", "Newer output",
           "Try the pattern on the next task.", shown=False),
    Action("experiment.side", "f4", "Plan/pattern", "In a narrow window: show the plan, or the pattern.", shown=False),
    Action("experiment.reload", "f9", "Read again", "Read the file from disk again.", shown=False),
)  # fmt: skip
HELP: Final = """
The file of an experiment, checked as you type. Mistakes are marked in the text and listed beside it; enter goes to
one, and f7 corrects it where its message suggests how. Without mistakes, the list shows the plan: what a run would do,
and why, the time that it takes by past durations, and the first commands exactly as they would run.

In the text, keys, words, parameters in braces and files are completed: a list opens behind two letters, or with `tab`.
The border says what the key under the cursor means.

`m` offers the numbers that the last tasks have printed, or written to JSON and CSV files, as metrics: enter takes one,
and asks which of its values are better. No pattern has to be typed. ctrl+z takes it back.

With the cursor on a metric or on `rows`, its pattern is tried on a real output; `]` and `[` choose the output of
another task.

Saving keeps comments, layout, line ends and the file's mode. An unsaved text is kept every few seconds, and offered
again after a crash. A run asks one question first, and goes on when you leave.
"""
CSS: Final = """
ExperimentPane {
    & #text { height: 3fr; }
    & #plan-panel { height: 2fr; min-height: 6; }
    & #tester-panel { height: 2fr; min-height: 6; }
}
"""


# --- The text side of the Experiment pane: one file in the editor, and the messages about it
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
        here = self.editor.marks_at(self.editor.cursor_location[0])
        said = self.query_one("#said", Static)
        said.set_class(not here, "empty")
        said.update(problem_line(here, self.editor.signs))

    def _show_meaning(self) -> None:
        """Show in the border what the key under the cursor means."""
        if self.known is not None:
            self.set_subtitle(meaning(self.editor.document.lines, *self.editor.cursor_location))

    def _show_name(self) -> None:
        self.set_title(self._headline())

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


def _is_begun(before: str) -> bool:
    """Whether completions are shown unasked behind a text."""
    return _BEGUN.search(before) is not None


def known(checked: Checked, folder: Path) -> Known:
    """Return what the text of an experiment and its folder have to be completed. For a thread worker."""
    experiment = checked.experiment
    names: tuple[str, ...] = ()
    if experiment is not None:
        swept = [name for sweep in experiment.parameters for name in sweep]
        names = tuple(dict.fromkeys((*swept, *experiment.defaults, *experiment.derive)))
    return Known(names, files_beside(folder))


def editor_command() -> list[str]:
    """The user's editor as words."""
    for name in ("VISUAL", "EDITOR"):
        if os.environ.get(name, "").strip():
            try:
                return shlex.split(os.environ[name])
            except ValueError:
                return [os.environ[name]]
    return next(([name] for name in ("nano", "vim", "vi") if shutil.which(name)), [])


def when(at: float) -> str:
    """A moment as text: `today at 14:03`, `on 3 May at 14:03`."""
    moment, now = datetime.fromtimestamp(at), datetime.now()
    if moment.date() == now.date():
        return f"at {moment:%H:%M}"
    return f"on {moment.day} {moment:%B} at {moment:%H:%M}"


def _write_there(remote: RemoteLab, file: Path, data: bytes) -> None:
    """Write a file of a lab on another machine. Blocks. Raises LabError."""
    with promised():
        remote.write(file, data)


def _short(folder: Path) -> str:
    home = str(home_folder())
    text = str(folder)
    if mirrors.in_mirror(folder):
        return mirrors.as_there(text)
    return "~" + text[len(home) :] if text == home or text.startswith(home + "/") else text


AGAIN: Final = 2.0
"""Seconds between two plans of the same text while the lab changes."""
ROOMS: Final = {"text": Room(50, 11), "plan-panel": Room(40, 9), "tester-panel": Room(50, 9)}
ARRANGEMENTS: Final[tuple[Arrangement, ...]] = (
    (("text", "plan-panel", "tester-panel"),),
    (("text",), ("plan-panel", "tester-panel")),
    (("text",), ("plan-panel",), ("tester-panel",)),
)
NARROW: Final = 100
"""Cells of width below which plan and pattern stand under the text, one at a time."""


class ExperimentPane(Pane):
    """The pane with the experiment's file, its plan, and a trial of its patterns."""

    NAME = "experiment"
    TITLE = "Experiment"
    ACTIONS = ACTIONS
    HELP = HELP
    DEFAULT_CSS = CSS

    def __init__(self) -> None:
        super().__init__()
        self._below = "plan-panel"  # what is below the text in a narrow window
        self._checked: Checked | None = None
        self._planned: Planned | None = None
        self._asked: Asked | None = None
        self._trial: Worker[Any] | None = None
        self._again: Timer | None = None
        self._planning = False
        self._planned_at = -AGAIN
        self._about = ""  # the metric under the cursor
        self._which = 0
        self._outputs = Outputs()
        self._followed: str | None = None
        self._kept: UnsavedText | None = None  # unsaved text of an earlier session, until it was offered
        self._revision: dict[str, int] = {}
        self._waiting: Timer | None = None
        self._slots = cores()
        self._nodes_used: dict[str, list[NodeEntry]] = {}

    def compose(self) -> ComposeResult:
        yield PanelRow(
            EditorSide("text", ascii=self.lab_app.config.ascii),
            Panel(PlanView("plan"), title="Plan", id="plan-panel"),
            Panel(PatternTester("tester"), title="Pattern", id="tester-panel"),
            rooms=ROOMS,
            arrangements=ARRANGEMENTS,
            chosen=self.lab_app.arrangements(self.NAME),
        )

    def on_mount(self) -> None:
        self.on_resize()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if self.side.file is None:
            self.plan_view.show_words(Empty("What a file would run is shown here", "o", "opens one"))
            said = Empty("What its metrics find in an output is shown here", "n", "makes a file from a template")
            self.query_one(PatternTester).show_words(said)
        self.show(self.lab_app.snapshot)

    def file_changed(self) -> None:
        """Check the text again, and plan it again."""
        self._checked = self._planned = None

    @property
    def plan_view(self) -> PlanView:
        """The view of what a run would do."""
        return self.query_one(PlanView)

    def focus_first(self) -> None:
        self.focus()

    def leave_text(self) -> None:
        self.focus()

    def on_resize(self) -> None:
        self._turn(self._below)

    # --- Snapshots

    def show(self, snapshot: LabSnapshot) -> None:
        if not self.is_mounted or not self.query(EditorSide):
            return
        engine = snapshot.engine
        nodes = engine.nodes if engine is not None else []
        known = [NodeEntry(slots=one.slots or 0, host=one.host or "") for one in nodes]
        self._slots = (slots_of(known) if known else None) or cores()
        current = self.lab_app.current
        self._follow(snapshot, current)
        self.offer_kept()
        revision = {one.name: one.revision for one in snapshot.experiments}
        if revision != self._revision:
            self._revision = revision
            if self._again is None:
                # After a while in another pane, what is shown is old: then at once.
                wait = max(0.01, self._planned_at + AGAIN - time.monotonic())
                self._again = self.set_timer(wait, self._lab_changed)

    def _follow(self, snapshot: LabSnapshot, current: str | None) -> None:
        """Open the file that was named, or that of the current experiment, or experiment.yaml of this folder."""
        named, here = self.lab_app.file, Path("experiment.yaml")
        before = self._followed
        self._followed = current or before
        if self.side.file is None and named is not None:
            self.load_file(named)
            if (place := self.lab_app.place_in_file) is not None:
                self.side.editor.go_to(place[0] - 1, place[1] - 1)
        elif current is not None and current != before:
            if not self.side.unsaved and (before is not None or self.side.file is None):
                self._open_experiment(current, self.side.file)
        elif self.side.file is None and current is None and snapshot.taken and here.is_file():
            self.load_file(here)

    @work(thread=True, exclusive=True, group="experiment-find")
    def _open_experiment(self, name: str, before: EditedFile | None) -> None:
        """Open the file that an experiment of the lab came from. before: the file in the editor."""
        lab = self.lab_app.lab
        try:
            assert lab is not None
            path = lab.experiment(name).file()
        except (LabError, OSError, KeyError, AssertionError):
            return
        if path.is_file():
            deliver(self, self._load_unless_edited, name, path, before)
        else:
            self.lab_app.tell(f"the file of {name} no longer exists: {path}", "warning")

    def _load_unless_edited(self, name: str, path: Path, before: EditedFile | None) -> None:
        """Read the file of an experiment into the editor, unless its text was changed or another file was opened
        meanwhile."""
        if self.side.file is not before:
            return
        if self.unsaved and before is not None and path.absolute() != before.path:
            self.lab_app.tell(f"{self.unsaved} is not saved: the file of {name} was not opened", "warning")
            return
        self.load_file(path)

    # --- Reading the text

    @on(EditorSide.Edited)
    def _edited(self) -> None:
        file = self.side.file
        if file is not None:
            self._check(file.path, self.side.text)
            self._try()

    @work(thread=True, exclusive=True, group="experiment-check")
    def _check(self, path: Path, text: str, asked: bool = False) -> None:
        worker = get_current_worker()
        checked = check(path, text)
        completions.load()
        deliver(self, self._show_known, known(checked, path.absolute().parent))
        deliver(self, self._show_checked, checked)
        if checked.problems or worker.is_cancelled:
            return
        self._planning = True
        try:
            planned = plan(self.lab_app.lab, checked, path, self._slots, asked)
        finally:
            self._planning = False
        deliver(self, self._show_planned, planned)

    def _show_known(self, found: Known) -> None:
        """Let completion know the parameters and files. While the text has mistakes, the parameters of before count."""
        before = self.side.known
        self.side.known = replace(found, parameters=found.parameters or (before.parameters if before else ()))

    def _show_checked(self, checked: Checked) -> None:
        if checked.text != self.side.text:
            return
        self._checked = checked
        if checked.problems:
            self._planned = None
        self.side.show_marks(checked.marks)
        self._show_side()

    def _show_planned(self, planned: Planned) -> None:
        if planned.text != self.side.text or self._checked is None:
            return
        self._planned, self._planned_at = planned, time.monotonic()
        marks = list(map(mark_of, planned.problems)) if planned.problems else []
        self.side.show_marks([*self._checked.marks, *marks])
        self._show_side()

    def _show_side(self) -> None:
        """Show the problems, or the plan."""
        errors = [mark for mark in self.side.editor.marks if mark.level == "error"]
        panel = self.query_one("#plan-panel", Panel)
        if errors:
            self.plan_view.show_problems(self.side.editor.marks, self.side.editor.signs)
            panel.set_title(Content.styled(f"{plural(len(errors), 'problem')}: nothing runs", "$text-error"))
        elif self._planned is not None:
            self.plan_view.show_plan(self._planned)
            panel.set_title("Plan")
        else:
            self.plan_view.show_words("planning …")
            panel.set_title("Plan")

    def _lab_changed(self) -> None:
        """Plan again, and try the pattern again: the lab has changed."""
        self._again = self.set_timer(AGAIN, self._lab_changed) if self._planning else None
        file = self.side.file
        if file is not None and self._checked is not None and not self._checked.problems and not self._planning:
            self._check(file.path, self.side.text)
        self._try()

    def action_plan(self) -> None:
        file = self.side.file
        if file is not None:
            self._check(file.path, self.side.text, asked=True)

    @on(PlanView.Chosen)
    def _go_to(self, message: PlanView.Chosen) -> None:
        self.side.editor.go_to(message.mark.line, message.mark.column)
        self.side.editor.focus()

    def action_next_problem(self) -> None:
        self._step(1)

    def action_previous_problem(self) -> None:
        self._step(-1)

    def _step(self, step: int) -> None:
        if self.side.editor.go_to_mark(step) is None:
            self.lab_app.tell("no problems")
        else:
            self.side.editor.focus()

    def action_fix(self) -> None:
        if self.side.file is None:
            return
        if self._checked is not None and self._checked.text == self.side.text:
            self._correct()
        else:
            self._check_and_correct(self.side.file.path, self.side.text, self.lab_app.hold_input())

    @work(exclusive=True, group="experiment-ask")
    async def _check_and_correct(self, path: Path, text: str, release: Callable[[], None]) -> None:
        try:
            self._show_checked(await asyncio.to_thread(check, path, text))
            self._correct()
        finally:
            release()

    def _correct(self) -> None:
        """Apply the suggestion of the problem in this line, else of the next one that has one."""
        editor = self.side.editor
        here, lines = editor.cursor_location[0], editor.document.line_count
        fixes = [mark for mark in editor.marks if mark.fix is not None]
        mark = min(fixes, key=lambda mark: (mark.line - here) % lines, default=None)
        if mark is None or mark.fix is None:
            self.lab_app.tell("no problem has a suggestion" if editor.marks else "no problems")
        else:
            editor.apply(mark.fix)

    def action_complete(self) -> None:
        if self.side.editor.completer is not None and self.side.editor.has_focus:
            self.side.editor.completer.complete()

    def action_edit(self) -> None:
        self.side.editor.focus()

    # --- The pattern tester

    @on(EditorSide.Moved)
    def _try(self) -> None:
        file = self.side.file
        if file is None:
            return
        line = self.side.editor.cursor_location[0]
        asked = asked_at(file.path, self.side.text, line, self._which)
        tester = self.query_one(PatternTester)
        about = "" if isinstance(asked, str) else asked.name
        if about != self._about:
            self._about = about
            self._turn("tester-panel" if about else "plan-panel")
        if isinstance(asked, str):
            self._asked = None
            tester.show_words(Empty(asked, "m", "offers what tasks have printed") if asked == NO_METRIC else asked)
            self.query_one("#tester-panel", Panel).set_title("Pattern")
        elif asked != self._asked or self._trial is None or self._trial.is_finished:
            self._asked = asked
            self._trial = self._try_out(asked)

    def _turn(self, to: str) -> None:
        """In a narrow window, choose what is below the text."""
        self._below = to
        row, narrow = self.query_one(PanelRow), self.app.size.width < NARROW
        for name in ("plan-panel", "tester-panel"):
            row.set_present(name, not narrow or name == to)

    def action_side(self) -> None:
        self._turn("plan-panel" if self._below == "tester-panel" else "tester-panel")

    @work(thread=True, exclusive=True, group="experiment-try")
    def _try_out(self, asked: Asked) -> None:
        deliver(self, self._show_trial, try_out(self.lab_app.lab, asked, self._outputs))

    def _show_trial(self, trial: Trial) -> None:
        if trial.asked != self._asked:
            return
        self.query_one(PatternTester).show_trial(trial)
        title = Content("Pattern")
        if trial.outputs:
            place = f"output {trial.asked.which % trial.outputs + 1} of {trial.outputs:,}, esc, then ] or [ for others"
            title += Content.from_markup("[not bold $foreground 60%]  $place[/]", place=place)
        self.query_one("#tester-panel", Panel).set_title(title)

    def action_older(self) -> None:
        self._choose_output(1)

    def action_newer(self) -> None:
        self._choose_output(-1)

    def _choose_output(self, step: int) -> None:
        self._which = max(0, self._which + step)
        self._try()

    # --- Metrics that are offered

    @work(exclusive=True, group="experiment-ask")
    async def action_metrics(self) -> None:
        side = self.side
        if side.file is None:
            self.lab_app.tell("there is no file: o opens one, n makes one", "warning")
            return
        path, text = side.file.path, side.text
        found = await self.lab_app.before_question(
            asyncio.to_thread(offered, self.lab_app.lab, path, text, self._outputs)
        )
        if not found.offers:
            self.lab_app.tell(found.message, "warning")
            return
        chosen: Chosen | None = await self.app.push_screen_wait(OffersScreen(found))
        if chosen is None or side.file is None or side.file.path != path:
            return
        name = chosen.offer.name
        try:
            edit = add_metric(side.text, path.name, name, chosen.offer.with_goal(chosen.goal))
        except SpecError as error:
            self.lab_app.tell(str(error), "error")
            return
        side.editor.apply(edit)
        self.lab_app.tell(f"{name} is a metric now: ctrl+s saves the file, ctrl+z takes it back")

    def _wait_for_output(self, name: str, path: Path, text: str) -> None:
        """Offer metrics once a task has ended, to a user who has launched a file that has none."""
        if self._waiting is not None:
            self._waiting.stop()
        experiment = self._checked.experiment if self._checked is not None else None
        if experiment is not None and not experiment.metrics and experiment.rows is None:
            self._waiting = self.set_interval(LOOK, partial(self._look_for_output, name, path, text))

    def _look_for_output(self, name: str, path: Path, text: str) -> None:
        one = next((one for one in self.lab_app.snapshot.experiments if one.name == name), None)
        if one is None or self._waiting is None or not (one.counts.get("done") or one.ended):
            return
        self._waiting.stop()
        self._waiting = None
        if one.counts.get("done"):
            self._say_offers(name, path, text)

    @work(thread=True, exclusive=True, group="experiment-offers")
    def _say_offers(self, name: str, path: Path, text: str) -> None:
        found = offered(self.lab_app.lab, path, text, self._outputs)
        if found.offers:
            names = named(found.offers)
            self.lab_app.tell(f"tasks of {name} print {names}: m in the Experiment pane makes metrics of them")

    # --- The launch

    async def _prepare(self, path: Path, text: str) -> tuple[Checked, Planned, list[NodeEntry]]:
        """Return what a text would run, and the nodes that its experiment ran on before."""
        checked = await asyncio.to_thread(check, path, text)
        planned = Planned(text, problems=checked.problems)
        if not checked.problems:
            planned = await asyncio.to_thread(plan, self.lab_app.lab, checked, path, self._slots, True)
        if planned.forecast is None:
            return checked, planned, []
        folder = planned.forecast.prepared.folder
        if folder.name not in self._nodes_used:
            self._nodes_used[folder.name] = await asyncio.to_thread(last_nodes, folder)
        return checked, planned, self._nodes_used[folder.name]

    @work(exclusive=True, group="experiment-ask")
    async def action_launch(self) -> None:
        await self._launch(None)

    async def _launch(self, choice: Choice | None) -> None:
        """Ask, and run the experiment, or what is chosen of it."""
        side, app = self.side, self.lab_app
        if side.file is None:
            app.tell("there is no file: o opens one, n makes one", "warning")
            return
        path, text = side.file.path, side.text
        checked, planned, known = await app.before_question(self._prepare(path, text))
        self._show_checked(checked)
        if planned.forecast is None:
            self._show_planned(planned)
            problems = planned.problems or checked.problems
            app.tell(f"{plural(len(problems), 'problem')}: nothing runs" if problems else planned.trouble, "error")
            if problems:
                self._step(1)
            return
        self._show_planned(planned)
        folder = planned.forecast.prepared.folder
        unsaved = path.name if side.unsaved or not side.file.exists else ""
        replan = partial(forecast_of, app.lab, path, text, self._slots, planned.forecast.replaces)
        forecast = planned.forecast
        if choice is not None:
            try:
                forecast = await app.before_question(asyncio.to_thread(replan, choice))
            except (SpecError, LabError, UsageError) as error:
                app.tell(str(error), "error")
                return
        dialog = LaunchDialog(forecast, known, unsaved, replan, host_name(app.lab_path), choice)
        launch: Launch | None = await self.app.push_screen_wait(dialog)
        if launch is None or (unsaved and not await self._save()):
            return
        self._nodes_used[folder.name] = list(launch.nodes)
        app.tell(f"{planned.forecast.prepared.experiment.name}: submitting; the engine starts where none runs")
        app.tell_away()
        app.launching(folder.name)
        submit = partial(submit_file, app.lab_path, path, launch, app.command_environment())
        try:
            name, count = await asyncio.to_thread(submit)
        except (SpecError, LabError, UsageError) as error:
            app.tell(str(error), "error")
            return
        app.tell(
            f"{name}: {plural(count, 'task')} to run" if count else f"{name}: nothing to run; the plan is recorded"
        )
        self._wait_for_output(name, path, text)
        app.current = self._followed = name
        app.show_pane("tasks")

    @property
    def side(self) -> EditorSide:
        """The editor with the name of its file."""
        return self.query_one(EditorSide)

    @property
    def unsaved(self) -> str:
        """The name of the file with unsaved changes; empty where there are none."""
        found = self.query(EditorSide)
        side = found.first() if found else None
        return side.file.path.name if side is not None and side.unsaved and side.file is not None else ""

    def keep_unsaved(self) -> str:
        found = self.query(EditorSide)
        return found.first().keep() if found else ""

    # --- The file: nothing of it is lost without a question

    @work(exclusive=True, group="experiment-open")
    async def open_file(self, path: Path) -> None:
        """Edit another file; ask first if the text is not saved."""
        if await self._may_change_file():
            self.load_file(path)

    @work(exclusive=True, group="experiment-open")
    async def open_text(self, path: Path, text: str, origin: str, choice: Choice | None = None) -> None:
        """Edit a file with another text, which is not saved. choice: ask whether to run that of it."""
        side = self.side
        if not await self._may_change_file():
            return
        if side.file is not None and path.absolute() == side.file.path:
            try:
                side.reload()
            except FileError as error:
                self.lab_app.tell(str(error), "error")
                return
        else:
            self.load_file(path)
        if side.file is None or side.file.path != path.absolute():
            return  # it could not be read
        if side.file.exists and text.splitlines() == side.file.text.splitlines():
            if choice is None:
                self.lab_app.tell(f"{path.name} is still {origin}")
        else:
            side.replace_text(text, origin if choice is None else "")  # the launch asks whether to save it
        if choice is not None:
            self._ask_launch(choice)

    @work(exclusive=True, group="experiment-ask")
    async def _ask_launch(self, choice: Choice) -> None:
        await self._launch(choice)

    def load_file(self, path: Path) -> None:
        """Read a file into the editor. An error is shown as a message."""
        if self.side.file is not None and path.absolute() == self.side.file.path:
            return
        try:
            file = EditedFile.read(path)
        except FileError as error:
            self.lab_app.tell(str(error), "error")
            return
        self.file_changed()
        self._kept = self.side.open(file)
        self.offer_kept()

    def offer_kept(self) -> None:
        """Offer the unsaved text of an earlier session, once, when this pane is shown."""
        if self._kept is not None and self.lab_app.pane is self:
            kept, self._kept = self._kept, None
            self._offer(kept.text, when(kept.at))

    @work(exclusive=True, group="experiment-offer")
    async def _offer(self, text: str, moment: str) -> None:
        body = f"Changes made {moment} were never saved. They go into the editor; ctrl+z undoes that."
        file = self.side.file
        if await self.lab_app.confirm("Restore unsaved changes?", body, "Take up") and self.side.file is file:
            self.side.replace_text(text)

    async def _may_change_file(self) -> bool:
        """Return whether another file may be opened; ask first if the text is not saved."""
        if not self.side.unsaved:
            return True
        body = f"{self.unsaved} has changes that were not saved."
        if await self.lab_app.confirm("Discard the changes?", body, "Give up"):
            self.side.give_up()
            return True
        return False

    @work(exclusive=True, group="experiment-ask")
    async def action_open(self) -> None:
        recent = await self.lab_app.before_question(asyncio.to_thread(recent_files))
        path = await self.app.push_screen_wait(OpenDialog(self._folder(), recent))
        if path is not None and await self._may_change_file():
            self.load_file(path)

    @work(exclusive=True, group="experiment-ask")
    async def action_new(self) -> None:
        chosen: tuple[Path, Template] | None = await self.app.push_screen_wait(NewDialog(self._folder()))
        if chosen is None or not await self._may_change_file():
            return
        path, template = chosen
        self.load_file(path)
        if self.side.file is None or self.side.file.path != path.absolute():
            return  # it could not be read
        self.side.replace_text(template.text)
        self.side.editor.focus()

    def _folder(self) -> Path:
        return self.side.file.path.parent if self.side.file is not None else Path.cwd()

    @work(exclusive=True, group="experiment-ask")
    async def action_save(self) -> None:
        if await self._save():
            self.lab_app.tell(f"saved {self.side.file.path.name}" if self.side.file else "")

    async def _save(self) -> bool:
        side = self.side
        if side.file is None:
            self.lab_app.tell("there is no file: o opens one, n makes one", "warning")
            return False
        body = ""
        if side.file.changed_on_disk():
            body = f"{side.file.path.name} was changed on disk since it was read here."
        elif side.origin and side.file.exists:
            body = f"{side.file.path.name} has changed; the text here is {side.origin}."
        if body and not await self.lab_app.confirm("Write over the file?", body, "Write over"):
            return False
        remote = remote_lab(self.lab_app.lab_path) if mirrors.in_mirror(side.file.path) else None
        try:
            lines = [*side.editor.document.lines]
            if remote is not None:
                self.lab_app.tell_away()
                file = side.file.path
                await asyncio.to_thread(_write_there, remote, file, side.encoded())
                if side.file.path != file:
                    return True  # another one was opened meanwhile
            side.save(written=lines if remote is not None else None)
        except (FileError, LabError, UnicodeEncodeError) as error:
            self.lab_app.tell(str(error), "error")
            return False
        return True

    @work(exclusive=True, group="experiment-ask")
    async def action_reload(self) -> None:
        if self.side.file is None or not await self._may_change_file():
            return
        try:
            self.side.reload()
        except FileError as error:
            self.lab_app.tell(str(error), "error")

    @on(EditorSide.Changed)
    def _changed_on_disk(self) -> None:
        self.lab_app.tell("the file was changed on disk, and here: F9 reads it, ctrl+s writes over it", "warning")

    @work(exclusive=True, group="experiment-ask")
    async def action_external(self) -> None:
        side = self.side
        if side.file is None:
            self.lab_app.tell("there is no file: o opens one, n makes one", "warning")
            return
        if side.unsaved or not side.file.exists:
            question = f"{side.file.path.name} is saved before your editor opens it."
            if not await self.lab_app.confirm("Save first?", question, "Save") or not await self._save():
                return
        wrong = side.edit_outside()
        if wrong:
            self.lab_app.tell(wrong, "warning")
