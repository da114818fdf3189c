"""The Experiment pane: the file in an editor, beside it what a run of it would do, below that a metric tried on a
real output, and what tasks have printed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer
from textual.worker import get_current_worker

from tui_lab.client.formatting import plural
from tui_lab.client.shortage import cores
from tui_lab.client.submission import Choice
from tui_lab.experiment import completions
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.store.errors import LabError
from tui_lab.tui.base.empty import Empty
from tui_lab.tui.base.pane import Pane
from tui_lab.tui.base.recent import recent_files
from tui_lab.tui.base.templates import Template
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.experiment.actions import ACTIONS, HELP
from tui_lab.tui.panes.experiment.arrangement import ARRANGEMENTS, NARROW, ROOMS
from tui_lab.tui.panes.experiment.check import Checked, Planned, check, mark_of, plan
from tui_lab.tui.panes.experiment.completion import Known, known
from tui_lab.tui.panes.experiment.editor_side import EditorSide
from tui_lab.tui.panes.experiment.file import EditedFile, FileError, UnsavedText
from tui_lab.tui.panes.experiment.launch import slots_of
from tui_lab.tui.panes.experiment.launcher import Launcher
from tui_lab.tui.panes.experiment.offers import ask_goal, ask_metric
from tui_lab.tui.panes.experiment.outputs_panel import OutputsPanel
from tui_lab.tui.panes.experiment.plan import PlanView
from tui_lab.tui.panes.experiment.saving import edit_outside, may_change_file, no_file, read_metrics, save, take_up
from tui_lab.tui.panes.experiment.tester_panel import TesterPanel
from tui_lab.tui.widgets.open_dialog import NewDialog, OpenDialog
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow

if TYPE_CHECKING:
    from tui_lab.tui.base.snapshot import LabSnapshot

AGAIN: Final = 2.0
"""Seconds between two plans while the lab changes."""


class ExperimentPane(Pane):
    """The pane with the experiment's file, its plan, and a trial of its patterns."""

    NAME = "experiment"
    TITLE = "Experiment"
    ACTIONS = ACTIONS
    HELP = HELP
    DEFAULT_CSS = """
    ExperimentPane {
        & #text { height: 3fr; }
        & #plan-panel, #tester-panel, #outputs-panel { height: 2fr; min-height: 6; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.tester = TesterPanel(self._metric_here, id="tester-panel")
        self.outputs = OutputsPanel(self.tester.outputs, id="outputs-panel")
        self._below = "plan-panel"  # what is below the text in a narrow window
        self._checked: Checked | None = None
        self._planned: Planned | None = None
        self._again: Timer | None = None
        self._planning = False
        self._planned_at = -AGAIN
        self._followed: str | None = None
        self._kept: UnsavedText | None = None  # unsaved text of an earlier session, until it was offered
        self._revision: dict[str, int] = {}
        self._launcher = Launcher()

    def compose(self) -> ComposeResult:
        yield PanelRow(
            EditorSide("text", ascii=self.lab_app.config.ascii),
            Panel(PlanView("plan"), title="Plan", id="plan-panel"),
            self.tester,
            self.outputs,
            rooms=ROOMS,
            arrangements=ARRANGEMENTS,
            chosen=self.lab_app.arrangements(self.NAME),
        )

    def on_mount(self) -> None:
        self.on_resize()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if self.side.file is None:
            self.plan_view.show_words(Empty("What a file would run is shown here", "experiment.open", "opens one"))
            self.tester.say_no_file()
            self.outputs.say_no_file()
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

    def place(self) -> object:
        file = self.side.file
        return None if file is None else (file.path, self.side.editor.cursor_location)

    def go(self, place: object) -> None:
        match place:
            case (Path() as path, (int(line), int(column))):
                if self.side.file is None or self.side.file.path != path:
                    self.open_file(path, (line, column))
                else:
                    self.side.editor.go_to(line, column)

    def on_resize(self) -> None:
        self._turn(self._below)

    # --- Snapshots

    def show(self, snapshot: LabSnapshot) -> None:
        if not self.is_mounted or not self.query(EditorSide):
            return
        engine = snapshot.engine
        nodes = engine.nodes if engine is not None else []
        known = [NodeEntry(slots=one.slots or 0, host=one.host or "") for one in nodes]
        self._launcher.slots = (slots_of(known) if known else None) or cores()
        current = self.lab_app.current
        self._follow(snapshot, current)
        self.offer_kept()
        self.outputs.go_on()
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
                release = self.lab_app.hold_input() if self.side.file is None else None
                self._open_experiment(current, self.side.file, release)
        elif self.side.file is None and current is None and snapshot.taken and here.is_file():
            self.load_file(here)

    @work(thread=True, exclusive=True, group="experiment-find")
    def _open_experiment(self, name: str, before: EditedFile | None, release: Callable[[], None] | None = None) -> None:
        """Open the file that an experiment of the lab came from. before: the file in the editor. release: lets the keys
        act that were typed meanwhile, which are for the file."""
        try:
            self._find_file(name, before)
        finally:
            if release is not None:
                self.app.call_from_thread(release)

    def _find_file(self, name: str, before: EditedFile | None) -> None:
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
            self.outputs.look(file.path, self.side.text)

    @work(thread=True, exclusive=True, group="experiment-check")
    def _check(self, path: Path, text: str, asked: bool = False) -> None:
        worker = get_current_worker()
        checked = check(path, text)
        completions.load()
        deliver(self, self._show_known, known(checked.experiment, path.absolute().parent))
        deliver(self, self._show_checked, checked)
        if checked.problems or worker.is_cancelled:
            return
        self._planning = True
        try:
            planned = plan(self.lab_app.lab, checked, path, self._launcher.slots, asked)
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
        self.side.widenings = checked.widenings
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
        if file is not None:
            self.outputs.look(file.path, self.side.text)

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
        self._once_checked(self.side.correct)

    def action_widen(self) -> None:
        if self.side.file is None:
            self.lab_app.tell(no_file(self.lab_app), "warning")
        else:
            self._once_checked(self.side.widen)

    def action_undo(self) -> None:
        self.side.editor.undo()

    def _once_checked(self, change: Callable[[], None]) -> None:
        """Change the text by what was found in it. Typed keys wait until it is checked."""
        if self._checked is not None and self._checked.text == self.side.text:
            change()
        elif self.side.file is not None:
            self._check_and_change(self.side.file.path, self.side.text, change, self.lab_app.hold_input())

    @work(exclusive=True, group="experiment-ask")
    async def _check_and_change(
        self, path: Path, text: str, change: Callable[[], None], release: Callable[[], None]
    ) -> None:
        try:
            self._show_checked(await asyncio.to_thread(check, path, text))
            change()
        finally:
            release()

    def action_complete(self) -> None:
        if self.side.editor.completer is not None and self.side.editor.has_focus:
            self.side.editor.completer.complete()

    def action_edit(self) -> None:
        self.side.editor.focus()

    # --- The pattern tester

    @on(EditorSide.Moved)
    def _try(self) -> None:
        if self.side.file is not None:
            self.tester.try_at(self.side.file.path, self.side.text, self.side.editor.cursor_location[0])

    def _metric_here(self, there: bool) -> None:
        self._turn("tester-panel" if there else "plan-panel")

    def _turn(self, to: str) -> None:
        """In a narrow window, choose what is below the text."""
        self._below = to
        row, narrow = self.query_one(PanelRow), self.app.size.width < NARROW
        for name in ("plan-panel", "tester-panel"):
            row.set_present(name, not narrow or name == to)

    def action_side(self) -> None:
        self._turn("plan-panel" if self._below == "tester-panel" else "tester-panel")

    def action_older(self) -> None:
        self._choose_output(1)

    def action_newer(self) -> None:
        self._choose_output(-1)

    def _choose_output(self, step: int) -> None:
        self.tester.choose(step)
        self._try()

    # --- Metrics that are offered

    @work(exclusive=True, group="experiment-ask")
    async def action_metrics(self) -> None:
        side = self.side
        if side.file is None:
            self.lab_app.tell(no_file(self.lab_app), "warning")
            return
        await ask_metric(self.lab_app, side, side.file.path, self.tester.outputs)

    @on(OutputsPanel.Taken)
    @work(exclusive=True, group="experiment-ask")
    async def _take_offer(self, message: OutputsPanel.Taken) -> None:
        side = self.side
        if side.file is not None:
            await ask_goal(self.lab_app, side, side.file.path, message.offered, message.offer)

    # --- The launch

    @work(exclusive=True, group="experiment-ask")
    async def action_launch(self) -> None:
        await self._launch(None)

    async def _launch(self, choice: Choice | None) -> None:
        """Ask, and run the experiment, or what is chosen of it."""
        side, app = self.side, self.lab_app
        if side.file is None:
            app.tell(no_file(app), "warning")
            return
        path, text, before = side.file.path, side.text, app.current
        checked, planned = await app.before_question(self._launcher.prepare(app.lab, path, text))
        self._show_checked(checked)
        self._show_planned(planned)
        if planned.forecast is None:
            problems = planned.problems or checked.problems
            app.tell(f"{plural(len(problems), 'problem')}: nothing runs" if problems else planned.trouble, "error")
            if problems:
                self._step(1)
            return
        unsaved = path.name if side.unsaved or not side.file.exists else ""
        launch = await self._launcher.ask(app, path, text, planned.forecast, unsaved, choice)
        if launch is None or (unsaved and not await save(self.lab_app, self.side)):
            return
        name = await self._launcher.submit(app, path, planned.forecast, launch)
        if name is None:
            return
        self.tester.wait_for_output(name, path, text, self._checked.experiment if self._checked is not None else None)
        self._followed = name
        if app.current == before:  # else the user has chosen another one meanwhile, or looks elsewhere
            app.current = name
        if app.pane is self:
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
    async def open_file(self, path: Path, at: tuple[int, int] | None = None) -> None:
        """Edit another file; ask first if the text is not saved. at: line and column of the cursor."""
        if await may_change_file(self.lab_app, self.side):
            self.load_file(path)
            if at is not None:
                self.side.editor.go_to(*at)

    @work(exclusive=True, group="experiment-open")
    async def open_text(self, path: Path, text: str, origin: str, choice: Choice | None = None) -> None:
        """Edit a file with another text, which is not saved. choice: ask whether to run that of it."""
        side = self.side
        if not await may_change_file(self.lab_app, self.side):
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
            self._offer(kept)

    @work(exclusive=True, group="experiment-offer")
    async def _offer(self, kept: UnsavedText) -> None:
        await take_up(self.lab_app, self.side, kept)

    @work(exclusive=True, group="experiment-ask")
    async def action_open(self) -> None:
        recent = await self.lab_app.before_question(asyncio.to_thread(recent_files))
        path = await self.app.push_screen_wait(OpenDialog(self._folder(), recent))
        if path is not None and await may_change_file(self.lab_app, self.side):
            self.load_file(path)

    @work(exclusive=True, group="experiment-ask")
    async def action_new(self) -> None:
        chosen: tuple[Path, Template] | None = await self.app.push_screen_wait(NewDialog(self._folder()))
        if chosen is None or not await may_change_file(self.lab_app, self.side):
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
        if await save(self.lab_app, self.side) and self.side.file is not None:
            file = self.side.file.path
            self.lab_app.tell(f"saved {file.name}")
            await read_metrics(self.lab_app, file)

    @work(exclusive=True, group="experiment-ask")
    async def action_reload(self) -> None:
        if self.side.file is None or not await may_change_file(self.lab_app, self.side):
            return
        try:
            self.side.reload()
        except FileError as error:
            self.lab_app.tell(str(error), "error")

    @on(EditorSide.Changed)
    def _changed_on_disk(self) -> None:
        read, write = (self.lab_app.key(f"experiment.{action}") for action in ("reload", "save"))
        self.lab_app.tell(f"the file was changed on disk, and here: {read} reads it, {write} writes over it", "warning")

    @work(exclusive=True, group="experiment-ask")
    async def action_external(self) -> None:
        await edit_outside(self.lab_app, self.side)
