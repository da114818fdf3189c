"""The Experiment pane: the file in an editor, beside it what a run of it would do, below that a metric tried on a
real output."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static
from textual.worker import get_current_worker

from tui_lab.cli.errors import UsageError
from tui_lab.cli.nodes import Node
from tui_lab.cli.shortage import cores
from tui_lab.cli.text import plural
from tui_lab.spec.problem import SpecError
from tui_lab.store.errors import LabError
from tui_lab.tui import experiment_look as look
from tui_lab.tui.background import work
from tui_lab.tui.experiment_check import Checked, Planned, check, forecast_of, mark_of, plan
from tui_lab.tui.experiment_file_pane import FilePane
from tui_lab.tui.experiment_launch import Launch, LaunchDialog, last_nodes, slots_of, submit_file
from tui_lab.tui.experiment_plan import PlanView
from tui_lab.tui.experiment_tester import PatternTester
from tui_lab.tui.experiment_text import TextSide
from tui_lab.tui.experiment_trial import Asked, Outputs, Trial, asked_at, try_out

if TYPE_CHECKING:
    from tui_lab.tui.snapshot import LabSnapshot

AGAIN: Final = 2.0
"""Seconds between two plans of the same text while the lab changes."""
NARROW: Final = 100
"""Cells of width below which plan and pattern stand under the text, one at a time."""


class ExperimentPane(FilePane):
    NAME = "experiment"
    TITLE = "Experiment"
    ACTIONS = look.ACTIONS
    HELP = look.HELP
    DEFAULT_CSS = look.CSS

    def __init__(self) -> None:
        super().__init__(classes="on-plan")
        self._checked: Checked | None = None
        self._planned: Planned | None = None
        self._asked: Asked | None = None
        self._again: Timer | None = None
        self._planning = False
        self._planned_at = -AGAIN
        self._about = ""  # the metric under the cursor
        self._which = 0
        self._outputs = Outputs()
        self._followed: str | None = None
        self._revision: dict[str, int] = {}
        self._slots = cores()
        self._nodes_used: dict[str, list[Node]] = {}

    def compose(self) -> ComposeResult:
        with Horizontal(id="body"):
            yield TextSide("text", ascii=self.lab_app.config.ascii)
            with Vertical(id="side"):
                yield Static("Plan", id="plan-title", classes="title")
                yield PlanView("plan")
                yield Static("Pattern", id="tester-title", classes="title")
                yield PatternTester("tester")

    def on_mount(self) -> None:
        self.on_resize()
        self.call_after_refresh(lambda: self.show(self.lab_app.snapshot))

    def file_changed(self) -> None:
        self._checked = self._planned = None

    @property
    def plan_view(self) -> PlanView:
        return self.query_one(PlanView)

    def focus_first(self) -> None:
        self.focus()

    def leave_text(self) -> None:
        self.focus()

    def on_resize(self) -> None:
        self.set_class(self.app.size.width < NARROW, "narrow")

    # Snapshots.

    def show(self, snapshot: LabSnapshot) -> None:
        if not self.is_mounted or not self.query(TextSide):
            return
        engine = snapshot.engine
        self._slots = (slots_of(engine.nodes) if engine is not None and engine.nodes else None) or cores()
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
        """The file that was named, or that of the experiment that is looked at, or experiment.yaml of this folder."""
        named, here = self.lab_app.file, Path("experiment.yaml")
        before = self._followed
        self._followed = current or before
        if self.side.file is None and named is not None:
            self.load_file(named)
        elif current is not None and current != before:
            if not self.side.unsaved and (before is not None or self.side.file is None):
                self._open_experiment(current)
        elif self.side.file is None and current is None and snapshot.taken and here.is_file():
            self.load_file(here)

    @work(thread=True, exclusive=True, group="experiment-find")
    def _open_experiment(self, name: str) -> None:
        """The file that an experiment of the lab came from."""
        lab = self.lab_app.lab
        try:
            assert lab is not None
            path = lab.experiment(name).file()
        except (LabError, OSError, KeyError, AssertionError):
            return
        if path.is_file():
            self.app.call_from_thread(self.load_file, path)
        else:
            self.lab_app.tell(f"the file of {name} is not there any more: {path}", "warning")

    # Reading the text.

    @on(TextSide.Edited)
    def _edited(self) -> None:
        file = self.side.file
        if file is not None:
            self._check(file.path, self.side.text)
            self._try()

    @work(thread=True, exclusive=True, group="experiment-check")
    def _check(self, path: Path, text: str, asked: bool = False) -> None:
        worker, app = get_current_worker(), self.app
        checked = check(path, text)
        if worker.is_cancelled:
            return
        app.call_from_thread(self._show_checked, checked)
        if checked.problems or worker.is_cancelled:
            return
        self._planning = True
        try:
            planned = plan(self.lab_app.lab, checked, path, self._slots, asked)
        finally:
            self._planning = False
        if not worker.is_cancelled:
            app.call_from_thread(self._show_planned, planned)

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
        """The problems, or the plan."""
        errors = [mark for mark in self.side.editor.marks if mark.level == "error"]
        title = self.query_one("#plan-title", Static)
        if errors:
            self.plan_view.show_problems(self.side.editor.marks, self.side.editor.signs)
            title.update(f"{plural(len(errors), 'problem')}: nothing runs")
        elif self._planned is not None:
            self.plan_view.show_plan(self._planned)
            title.update("Plan")
        else:
            self.plan_view.show_words("planning …")
            title.update("Plan")

    def _lab_changed(self) -> None:
        """The same text may mean another plan by now, and there may be other outputs."""
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

    def action_edit(self) -> None:
        self.side.editor.focus()

    # The pattern tester.

    @on(TextSide.Moved)
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
            self._turn("tester" if about else "plan")
        if isinstance(asked, str):
            self._asked = None
            tester.show_words(asked)
            self.query_one("#tester-title", Static).update("Pattern")
        else:
            self._asked = asked
            self._try_out(asked)

    def _turn(self, to: str) -> None:
        """In a narrow window: what is under the text."""
        self.set_class(to == "plan", "on-plan")
        self.set_class(to == "tester", "on-tester")

    def action_side(self) -> None:
        self._turn("plan" if self.has_class("on-tester") else "tester")

    @work(thread=True, exclusive=True, group="experiment-try")
    def _try_out(self, asked: Asked) -> None:
        worker = get_current_worker()
        trial = try_out(self.lab_app.lab, asked, self._outputs)
        if not worker.is_cancelled:
            self.app.call_from_thread(self._show_trial, trial)

    def _show_trial(self, trial: Trial) -> None:
        if trial.asked != self._asked:
            return
        self.query_one(PatternTester).show_trial(trial)
        title = Content("Pattern")
        if trial.outputs:
            place = f"output {trial.asked.which % trial.outputs + 1} of {trial.outputs:,}, esc, then ] or [ for others"
            title += Content.from_markup("[not bold $foreground 60%]  $place[/]", place=place)
        self.query_one("#tester-title", Static).update(title)

    def action_older(self) -> None:
        self._choose_output(1)

    def action_newer(self) -> None:
        self._choose_output(-1)

    def _choose_output(self, step: int) -> None:
        self._which = max(0, self._which + step)
        self._try()

    # The launch.

    async def _prepare(self, path: Path, text: str) -> tuple[Checked, Planned, list[Node]]:
        """What a text would run, and the nodes that its experiment ran on before."""
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
        dialog = LaunchDialog(planned.forecast, known, unsaved, replan)
        launch: Launch | None = await app.push_screen_wait(dialog)
        if launch is None or (unsaved and not await self._save()):
            return
        self._nodes_used[folder.name] = list(launch.nodes)
        app.tell(f"{planned.forecast.prepared.experiment.name}: submitting; the engine starts where none runs")
        submit = partial(submit_file, app.lab_path, path, launch, app.command_environment())
        try:
            name, count = await asyncio.to_thread(submit)
        except (SpecError, LabError, UsageError) as error:
            app.tell(str(error), "error")
            return
        app.tell(
            f"{name}: {plural(count, 'task')} to run" if count else f"{name}: nothing to run; the plan is taken over"
        )
        app.current = self._followed = name
        app.show_pane("tasks")
