"""The Tasks pane: every task, live, and below them the log of the one under the cursor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from textual import on
from textual.app import ComposeResult
from textual.events import DescendantFocus
from textual.widgets import Input
from textual.worker import Worker, WorkerState

from tui_lab.client.errors import UsageError
from tui_lab.store.errors import LabError
from tui_lab.tui.base.empty import Empty, Instead
from tui_lab.tui.base.pane import NO_EXPERIMENT, Pane, is_text, nothing
from tui_lab.tui.base.workers import deliver, promised, work
from tui_lab.tui.comparing.model import FEWEST, MOST
from tui_lab.tui.comparing.screen import Comparing
from tui_lab.tui.panes.tasks import commands, view
from tui_lab.tui.panes.tasks.actions import ACTIONS, HELP
from tui_lab.tui.panes.tasks.choose_columns import ChooseColumns
from tui_lab.tui.panes.tasks.compared import ComparedTasks
from tui_lab.tui.panes.tasks.copying import ask_copy
from tui_lab.tui.panes.tasks.curve import CurvePanel
from tui_lab.tui.panes.tasks.groups import FAILURES, GroupView
from tui_lab.tui.panes.tasks.list import TaskList
from tui_lab.tui.panes.tasks.log import TaskLog
from tui_lab.tui.panes.tasks.model import HeardLive, LiveJob, TaskModel
from tui_lab.tui.panes.tasks.table import NO_TASKS, TaskTableView
from tui_lab.tui.panes.tasks.view import View
from tui_lab.tui.tasks.frame import source_of
from tui_lab.tui.tasks.live import LiveTasks
from tui_lab.tui.tasks.pictures import Shown, TaskPictures
from tui_lab.tui.widgets.dialogs import Choose
from tui_lab.tui.widgets.panels.layout import Room
from tui_lab.tui.widgets.panels.row import ALONE, PanelRow
from tui_lab.tui.widgets.table.table import FrameTable

if TYPE_CHECKING:
    from tui_lab.tui.base.charted import Charted
    from tui_lab.tui.base.snapshot import LabSnapshot


ROOMS: Final = {
    "task-list": Room(60, 4),
    "task-said": Room(44, 2),
    "task-shared": Room(44, 2),
    "task-log": Room(50, 2),
    "task-pictures": Room(50, 2),
    "task-curve": Room(40, 2),
}
ARRANGEMENTS: Final = (
    (("task-list", "task-curve"),),
    (("task-list", "task-log", "task-pictures"),),
    (("task-list",), ("task-log", "task-pictures")),
    (("task-list",), ("task-log", "task-pictures", "task-curve")),
    (("task-list",), ("task-log", "task-pictures"), ("task-curve",)),
)
"""Tasks, the log of one of them or the pictures in its place, and its curves, which are not there where nothing has
steps."""
WHY: Final = (
    (("task-list", "task-said", "task-shared"),),
    (("task-list", "task-said", "task-shared", "task-log", "task-pictures"),),
    (("task-list", "task-log", "task-pictures"), ("task-said", "task-shared")),
    (("task-list", "task-log", "task-pictures"), ("task-said",), ("task-shared",)),
)
"""Kinds of failures, what the tasks of one said and share, and the log of the first."""


class TasksPane(Pane):
    """A model of the tasks, the list of its rows, and beside it the log, or the pictures, and the curves of the task
    under the cursor, put together."""

    NAME = "tasks"
    TITLE = "Tasks"
    ACTIONS = ACTIONS
    HELP = HELP

    def __init__(self) -> None:
        super().__init__()
        self.model = TaskModel()
        self.log_panel = TaskLog(self.model, self._log_read, id="task-log")
        self.tasks = TaskList(self.model, self.log_panel.rest_on, self._counted, self._arrange_failures, id="task-list")
        self.pictures, self.curve = TaskPictures(id="task-pictures"), CurvePanel(id="task-curve")
        self._views: dict[tuple[str, str], View] = {}
        self._about: tuple[str, str] | None = None  # lab and experiment
        self._revision = -1
        self._charted: Charted | None = None  # as the rows have their marks
        self._arrived: View | None = None  # what was shown when another pane led here
        self._live_metric: str | None = None
        self._marked = False  # whether a task is, as the keys are shown
        self.are_pictures_shown = False  # in the place of the log

    def compose(self) -> ComposeResult:
        chosen, absent = self.lab_app.arrangements(self.NAME), ("task-curve", "task-pictures")
        why = self.tasks.why
        panels = (self.tasks, why.said, why.shared, self.log_panel, self.pictures, self.curve)
        yield PanelRow(*panels, rooms=ROOMS, arrangements=ARRANGEMENTS, chosen=chosen, absent=absent)

    def on_mount(self) -> None:
        self.set_interval(1.0, self._second)

    def on_unmount(self) -> None:
        self.model.close()

    @property
    def table(self) -> TaskTableView:
        """The table of tasks."""
        return self.tasks.table

    @property
    def row(self) -> PanelRow:
        """The panels."""
        return self.query_one(PanelRow)

    @property
    def is_zoomed(self) -> bool:
        """Whether the log, or what is in its place, has the whole pane."""
        return self.row.alone in ("task-log", "task-pictures")

    @property
    def _focus_is_beside(self) -> bool:
        return any(one.has_pseudo_class("focus-within") for one in (self.log_panel, self.pictures))

    def focus_first(self) -> None:
        self.table.await_rows()
        self.call_after_refresh(self.tasks.rows.focus)

    def leave_text(self) -> None:
        focused = self.screen.focused
        if focused is not None and focused.id == "log-search":
            self.log_panel.action_leave_search()
        else:
            self.focus_first()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the stages only where there are any, to leave something out only among failures, another picture only
        where pictures are shown, and to compare only where tasks are marked."""
        if action in ("picture", "load_picture"):
            return self.are_pictures_shown
        if action == "exclude":
            return self.tasks.shows_failures
        if action == "compare":
            return bool(self.table.marked) and not self.tasks.is_grouped
        staged = self.model.table is not None and self.model.table.staged
        return action != "expand" or (staged and not self.tasks.shows_failures)

    # --- Which experiment

    def show(self, snapshot: LabSnapshot) -> None:
        name, lab = self.lab_app.current, snapshot.lab
        found = snapshot.experiment(name)
        if lab is None or name is None or found is None:
            self._leave(nothing(snapshot, NO_TASKS))
            return
        about = (lab.identity + str(lab.path), name)
        if about != self._about:
            self._open(about, snapshot)
        if self.lab_app.charted is not self._charted:
            self._charted = self.lab_app.charted
            self.table.want_table(soon=True)
        if found.revision != self._revision:
            self._revision = found.revision
            runs = sum(counts.get("running", 0) for counts in found.stages.values())
            self.model.journal_grew(found.counts.get("running", 0), runs)
            self.table.want_table()
            self._read_live_soon()

    def _leave(self, note: Instead) -> None:
        if self._about is not None or self.table.placeholder != note:
            self._about = None
            self.model.close()
            self.tasks.close(note)
            self.log_panel.leave(Empty("What the task under the cursor prints is shown here", *NO_EXPERIMENT))
            self._show_curve()

    def _open(self, about: tuple[str, str], snapshot: LabSnapshot) -> None:
        assert snapshot.lab is not None
        if self._about is not None:
            self._views[self._about] = self.model.view
        self._about, self._revision = about, -1
        self.row.set_present("task-curve", False)
        kept = self._views.get(about, View())
        self.model.close()
        self.tasks.open(kept)
        try:
            source = source_of(self.lab_app.task_sources, snapshot.lab, about[1])
            self.model.open(source, kept, LiveTasks(snapshot.lab, source, self.lab_app.config.ascii))
        except LabError as error:
            self._leave(str(error))
            return
        self.tasks.await_tasks()
        self.log_panel.leave("")

    # --- The log, the curves and the pictures of the task under the cursor

    @on(FrameTable.RowHighlighted, "#tasks")
    def _highlighted(self, event: FrameTable.RowHighlighted) -> None:
        event.stop()
        if event.row is not None and not self.tasks.is_grouped and not self.in_log:
            self.log_panel.rest_on(event.row["task_id"])

    @property
    def in_log(self) -> bool:
        """Whether the log is being read: then it stays with its task, even if that leaves the rows."""
        log = self.log_panel
        return log.detail is not None and (self.is_zoomed or log.has_pseudo_class("focus-within"))

    @on(DescendantFocus, "#tasks")
    def _back_in_rows(self) -> None:
        """Show the log of the task under the cursor again."""
        if (task := self.tasks.here) is not None:
            self.log_panel.rest_on(task)

    def _log_read(self) -> None:
        self._show_curve()
        self._show_pictures()

    def _show_curve(self) -> None:
        listener = self.model.listener
        self.curve.follow(self.model.source, self.log_panel.detail, listener.ask if listener else None)

    @on(CurvePanel.Found)
    def _curve_found(self) -> None:
        self.row.set_present("task-curve", True)

    def action_pictures(self) -> None:
        """Show the pictures in the place of the log, or the log again."""
        shown = self.are_pictures_shown = not self.are_pictures_shown
        was_in_it = self.is_zoomed or self._focus_is_beside
        degree = ALONE if self.is_zoomed else 0
        self.row.set_present("task-pictures", shown)
        self.row.set_present("task-log", not shown)
        self.row.enlarge("task-pictures" if shown else "task-log", degree)
        self._show_pictures()
        if was_in_it:
            self._focus_beside()
        self.refresh_bindings()

    def action_picture(self, by: int) -> None:
        """Show the next picture, or one before."""
        self.pictures.step(by)

    def action_load_picture(self) -> None:
        """Load the picture that is shown, where it is on another machine."""
        self.pictures.load()

    def _focus_beside(self) -> None:
        (self.pictures.focus_first if self.are_pictures_shown else self.log_panel.view.focus)()

    def _show_pictures(self) -> None:
        """Show those of the marked tasks, else of the one under the cursor."""
        source, detail = self.model.source, self.log_panel.detail
        if source is None or not self.are_pictures_shown:
            return
        if self.table.marked and not self.tasks.is_grouped:
            name, chosen = source.folder.name, self.tasks.chosen_tasks()
            self.pictures.open([Shown(f"{name}/{one}", source.folder.task_folder(one)) for one in chosen])
        elif detail is not None:
            node = detail.node if detail.node != "localhost" else None
            self.pictures.open([Shown(detail.address, detail.folder, node)])

    def _counted(self) -> None:
        if (marked := bool(self.table.marked)) is not self._marked:
            self._marked = marked
            self.refresh_bindings()  # of the key to compare
        self._show_pictures()

    def action_compare(self) -> None:
        """Show the marked tasks side by side; one that is marked alone, with the one under the cursor."""
        source, lab, here = self.model.source, self.lab_app.lab, self.tasks.here
        marked = sorted(self.table.marked)
        if len(marked) == 1 and here is not None and here not in marked and self.model.stage_run(here) is None:
            marked.append(here)
        if not FEWEST <= len(marked) <= MOST:
            said = f"marks {FEWEST} to {MOST} tasks to compare: {len(marked)} are marked"
            self.lab_app.tell(f"{self.lab_app.key('tasks.mark')} {said}")
        elif source is not None and lab is not None:
            self.app.push_screen(Comparing(lab, ComparedTasks(source, tuple(marked))))

    def action_zoom(self) -> None:
        self.row.enlarge(
            "task-pictures" if self.are_pictures_shown else "task-log", -ALONE if self.is_zoomed else ALONE
        )
        if self.is_zoomed:
            if not self.are_pictures_shown:
                self.log_panel.await_task()
            self._focus_beside()
        else:
            self.focus_first()

    @on(FrameTable.RowSelected, "#tasks")
    def _selected(self, event: FrameTable.RowSelected) -> None:
        event.stop()
        self.action_zoom()

    # --- Live facts, of the rows in sight and of the task of the log

    def _second(self) -> None:
        if not self.is_on_screen:
            return
        if self.model.moves:
            self._read_live_soon()
        if self.model.running or self.model.metrics.wanted:
            self.table.want_metrics()

    def _read_live_soon(self) -> None:
        ids = self.table.keys_in_sight()
        if self.log_panel.detail is not None:
            ids.append(self.log_panel.detail.task)
        if (job := self.model.begin_live(ids)) is not None:
            self._read_live(job)

    @work(thread=True, group="live")
    def _read_live(self, job: LiveJob) -> None:
        try:
            found: HeardLive | None = job.run()
        except (LabError, OSError):
            found = None
        deliver(self, self._take_live, job, found)

    def _take_live(self, job: LiveJob, found: HeardLive | None) -> None:
        if not self.model.take_live(job, found):
            return
        if self.model.live_metric != self._live_metric:  # the heading names it
            self._live_metric = self.model.live_metric
            self.table.want_table(soon=True)
        self.table.refresh_rows()
        detail = self.log_panel.detail
        now = self.model.live.get(detail.task) if detail is not None else None
        if detail is None or now is None:
            return
        if (now["state"], now["attempts"]) != (detail.state, detail.attempts):
            self.log_panel.read_wanted()
        else:
            self.log_panel.tick(now["duration"])
            self._show_curve()

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """Continue after an internal error in a worker, which is reported elsewhere."""
        if event.state == WorkerState.ERROR:
            self.model.worker_failed(event.worker.group)

    def action_metric(self) -> None:
        metric = self.model.next_metric()
        if metric is None:
            running = self.model.running
            self.lab_app.tell("there is no other metric" if running else "nothing runs now", "information")
        else:
            self.table.show_view(replace(self.model.view, metric=metric))
            self._read_live_soon()

    # --- Where the user comes from, and goes back to

    def action_back(self) -> None:
        """Leave the field, what is loading, the log, the groups, and at last the filter: `escape`."""
        if is_text(self.screen.focused):
            self.leave_text()
        elif self.are_pictures_shown and self.pictures.give_up():
            pass
        elif self.is_zoomed:
            self.row.reveal("task-list")
            self.focus_first()
        elif self._focus_is_beside:
            self.focus_first()
        elif self.tasks.is_grouped:
            self.tasks.leave_groups()
            self.focus_first()
        elif self.model.expansion is not None:
            self.tasks.collapse()
        elif self._arrived == self.model.view and self.lab_app.back():
            self._arrived = None
        elif self.model.view.only is not None:
            self.table.show_view(replace(self.model.view, only=None))
        elif self.model.view.text:
            self.tasks.set_text("")
        elif self.table.marked:
            self.tasks.unmark()
            self.tasks.say_count()
        else:
            self.lab_app.back()

    def place(self) -> object:
        tasks = self.tasks
        return self.model.view, tasks.here, tasks.groups.by if tasks.is_grouped else None

    def go(self, place: object) -> None:
        match place:
            case (View() as view, task, by):
                self.show(self.lab_app.snapshot)
                self.tasks.leave_groups()
                self.tasks.set_text(view.text)
                self.table.sort_by = view.order
                self.table.show_view(view)
                self._arrived = None
                self.tasks.wanted = None  # the filter comes back, even if the task has left its rows
                self.table.go_to(task)
                if isinstance(by, str):
                    self.tasks.group_by(by)

    def open_task(self, experiment: str, task_id: int) -> None:
        """Put the cursor on a task, and open its log."""
        self.tasks.wanted = task_id
        self.tasks.leave_groups()
        self.show(self.lab_app.snapshot)
        self.tasks.go_to_wanted()
        self._arrived = self.model.view
        self.focus_first()

    def show_tasks(self, experiment: str, where: str) -> None:
        """Show the tasks for which a SQL condition holds."""
        self.show(self.lab_app.snapshot)
        self.tasks.leave_groups()
        self.tasks.set_text(where)
        self._arrived = self.model.view
        self.focus_first()

    # --- Which tasks are shown

    def action_filter(self) -> None:
        self.row.reveal("task-list")
        self.tasks.filter.focus()

    @on(Input.Submitted, "#task-filter")
    def _filtered(self, event: Input.Submitted) -> None:
        event.stop()
        self.focus_first()

    @work(exclusive=True, group="dialog")
    async def action_columns(self) -> None:
        table = self.model.table
        if table is None:
            return
        answer = await self.app.push_screen_wait(
            ChooseColumns([*table.columns, *view.live_columns(table)], view.columns(table, self.model.view))
        )
        if answer is not None:
            self.table.show_view(replace(self.model.view, columns=answer or None))

    def action_expand(self) -> None:
        self.tasks.toggle_stages()

    def action_mark(self) -> None:
        self.tasks.mark()

    def action_mark_all(self) -> None:
        self.tasks.mark_all()

    def action_next_failed(self) -> None:
        """Go to the next failed task, and to what it said."""
        task = self.tasks.next_failed()
        if task is not None:
            self.log_panel.choice = replace(self.log_panel.choice, streams=None, attempt=None, step=None)
            self.log_panel.rest_on(task)
            self.focus_first()

    # --- Groups

    @work(exclusive=True, group="dialog")
    async def action_group(self) -> None:
        if self.model.table is None:
            return
        by = self.tasks.groups.by
        choices = [("", "one by one"), (FAILURES, FAILURES)]
        choices += [(name, f"by {name}") for name in view.groupable(self.model.table)]
        answer = await self.app.push_screen_wait(Choose("Tasks", choices, by or "state"))
        if answer == "":
            self.tasks.leave_groups()
            self.focus_first()
        elif answer is not None:
            self._group_by(answer)

    def action_failures(self) -> None:
        self._group_by(FAILURES)

    def _group_by(self, by: str) -> None:
        self.row.reveal("task-list")
        self.tasks.group_by(by)
        self.focus_first()

    def _arrange_failures(self, shown: bool) -> None:
        """Make room for what failures said and share, or take it away."""
        arrangements, name = (WHY, f"{self.NAME}-failures") if shown else (ARRANGEMENTS, self.NAME)
        self.row.offer(arrangements, self.lab_app.arrangements(name))

    @on(GroupView.Picked)
    def _group_picked(self, event: GroupView.Picked) -> None:
        event.stop()
        self.tasks.show_group(event.where, event.only)
        self.focus_first()

    def action_exclude(self) -> None:
        self.tasks.groups.exclude()

    # --- What is done to tasks

    @work(exclusive=True, group="retry")
    async def action_retry(self) -> None:
        await self._retry("")

    @work(exclusive=True, group="dialog")
    async def action_retry_changed(self) -> None:
        words = await self.app.push_screen_wait(commands.changes_dialog())
        if words is not None:
            await self._retry(words)

    async def _retry(self, words: str) -> None:
        source = self.model.source
        if source is not None:
            act = await commands.ask_retry(self.lab_app, source, self.tasks.chosen(), words)
            if act is not None:
                self._do(act)

    @work(exclusive=True, group="stop")
    async def action_stop(self) -> None:
        source, lab = self.model.source, self.lab_app.lab
        if source is not None and lab is not None:
            act = await commands.ask_stop(self.lab_app, lab, source, self.tasks.chosen())
            if act is not None:
                self._do(act)

    @work(thread=True, group="do")
    def _do(self, act: commands.Work) -> None:
        self.lab_app.tell_away()
        try:
            with promised():
                did = act()
        except (LabError, UsageError, OSError) as error:
            self.lab_app.tell(str(error), "error")
        else:
            deliver(self, self._done, did)

    def _done(self, did: str) -> None:
        self.tasks.unmark()
        self.lab_app.tell(did)

    @work(exclusive=True, group="dialog")
    async def action_try_one(self) -> None:
        source, lab, task = self.model.source, self.lab_app.lab, self.tasks.here
        if source is not None and task is not None and lab is not None and not self.tasks.is_grouped:
            run = self.model.stage_run(task)
            await commands.ask_try(self.lab_app, lab, source, task if run is None else run.task)

    @on(TaskTableView.CopyAsked)
    def _copy_asked(self) -> None:
        self.action_copy()

    @work(exclusive=True, group="dialog")
    async def action_copy(self) -> None:
        source, task = self.model.source, self.tasks.here
        if source is not None and task is not None and not self.tasks.is_grouped:
            run = self.model.stage_run(task)
            await ask_copy(self.lab_app, source, self.table, task, run, self.log_panel.view.text)
