"""The Tasks pane: every task, live, and below them the log of the one under the cursor."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.events import DescendantFocus
from textual.timer import Timer
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from tui_lab.client.errors import UsageError
from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.failures.shared import Shared
from tui_lab.store import mirrors
from tui_lab.store.errors import LabError
from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.pane import Pane, is_text, nothing
from tui_lab.tui.base.workers import deliver, promised, work
from tui_lab.tui.panes.tasks import commands, view
from tui_lab.tui.panes.tasks.choose_columns import ChooseColumns
from tui_lab.tui.panes.tasks.curve import CurvePanel
from tui_lab.tui.panes.tasks.expansion import StageRun, labelled
from tui_lab.tui.panes.tasks.failures import excluding
from tui_lab.tui.panes.tasks.groups import FAILURES, GroupView
from tui_lab.tui.panes.tasks.model import PACE, HeardLive, LiveJob, MadeTable, TableJob, TaskModel
from tui_lab.tui.panes.tasks.pictures import Shown, TaskPictures
from tui_lab.tui.panes.tasks.view import View
from tui_lab.tui.tasks import live
from tui_lab.tui.tasks.columns import columns
from tui_lab.tui.tasks.detail import command_line, read_detail
from tui_lab.tui.tasks.frame import TaskSource
from tui_lab.tui.tasks.live import LiveTasks
from tui_lab.tui.widgets.dialogs import Choose
from tui_lab.tui.widgets.log.choice import TaskDetail
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.log.remote import OtherMachines
from tui_lab.tui.widgets.panels.layout import Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import ALONE, PanelRow
from tui_lab.tui.widgets.table.table import FrameTable, next_order

if TYPE_CHECKING:
    from tui_lab.tui.base.snapshot import LabSnapshot


# --- The actions of the Tasks pane, and its help
HELP: Final = """
Every task of the experiment, live; below, the log of the task under the cursor.

**Filter** (`/`): words that must all occur in a row (`failed relu`), or SQL: `loss < 0.3 and state = 'failed'`.
**Why did it fail?** `f` goes to the next failed task and shows the end of its standard error; `F` groups all failures
by what they said, and says what those of a kind share: `enter` filters, `r` and `R` retry, `e` leaves these
combinations out of the file (`where`, not saved yet). Elsewhere `enter` opens the log as large as the pane, `esc` goes
back.
**Stages**: `e` shows the runs of stages behind a task, below it: `train ×12` is one that 12 tasks share. Log, retry,
stop and copy then act on the run under the cursor, whose name is that of the task and the stage, as `grid/17:train`.
**What runs** stands on top, unless an order was chosen. It says its newest value of a metric with its curve, how far it
is, and what is left: by its steps where done tasks ended at the same one, else by how long others took. `m` shows
another metric.
**Marks**: `space` marks a task, `*` all that are shown; `r`, `x` act on what is marked, else on the task under the
cursor. Columns that have one value everywhere are hidden: `c` shows them.
**Pictures** (`i`) that the task has written into its folder (PNG, JPEG, GIF, WebP, SVG, a PDF's first page) take the
place of the log; of marked tasks they stand side by side, and `[` and `]` show those of the next name.
"""


def _action(name: str, keys: str, label: str, help: str, shown: bool = False) -> Action:
    return Action(f"tasks.{name}", keys, label, help, shown=shown)


ACTIONS: Final = (
    _action("filter", "slash", "Filter", "Show the tasks with some words, or that meet a SQL condition.", True),
    _action("next_failed", "f", "Next failed", "Go to the next failed task and the end of its standard error.", True),
    _action("failures", "F", "Failures", "Group the failures by what they said and share.", True),
    _action("exclude", "e", "Leave out", "Leave the combinations out of the file that such failures share.", True),
    _action("expand", "e", "Stages", "Show the runs of stages behind the task below it, or hide them.", True),
    _action("mark", "space", "Mark", "Mark or unmark the task.", True),
    _action("mark_all", "asterisk", "Mark all", "Mark all tasks that are shown, or none."),
    _action("retry", "r", "Retry", "Run the marked tasks again, or the one under the cursor.", True),
    _action("retry_changed", "R", "Retry with changes", "Run them again with more time or memory."),
    _action("stop", "x,delete", "Stop", "Stop the marked tasks, or the one under the cursor.", True),
    _action(
        "try_one",
        "t",
        "Try",
        "Run the task here, after a question, and show its output; its results are not kept.",
    ),
    _action("copy", "y", "Copy", "Copy the command that repeats the task, a cell, the row, or the log.", True),
    _action("columns", "c", "Columns", "Choose the columns.", True),
    _action("group", "v", "Group", "Group the tasks by state, by a parameter, or see them one by one.", True),
    _action("pictures", "i", "Pictures", "Show the pictures that the task has written, or its log again."),
    Action(
        "tasks.picture_before",
        "left_square_bracket",
        "Picture before",
        "Show the picture before.",
        shown=False,
        call="picture(-1)",
    ),
    Action(
        "tasks.next_picture",
        "right_square_bracket",
        "Next picture",
        "Show the next picture.",
        shown=False,
        call="picture(1)",
    ),
    _action("metric", "m", "Metric", "Show the live values of another metric of the tasks that run."),
    _action("zoom", "z", "Zoom", "Enlarge the log, or shrink it again."),
    _action(
        "back",
        "escape",
        "Back",
        "Leave the field, the log, the groups, the stages, the filter, the marks: one at a time.",
    ),
)


ROOMS: Final = {
    "task-list": Room(60, 3),
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
REST: Final = 0.06
"""Seconds that the cursor rests on a task before its log is opened."""
TYPING: Final = 0.12
"""Seconds after a letter before the filter acts."""
FAILED: Final = ("failed", "lost")


class TaskTableView(FrameTable):
    """The table of tasks. `y` asks the pane what to copy."""

    class CopyAsked(FrameTable.TableMessage):
        """`y` was pressed."""

    def action_copy_cell(self) -> None:
        self.post_message(self.CopyAsked(self))

    def copy_cell(self) -> None:
        """Copy the cell under the cursor."""
        super().action_copy_cell()


class TasksPane(Pane):
    """A model of the tasks, the table of its rows, the view of groups, and the log, put together."""

    NAME = "tasks"
    TITLE = "Tasks"
    ACTIONS = ACTIONS
    HELP = HELP
    DEFAULT_CSS = """
    TasksPane {
        & #task-filter { height: 1; border: none; padding: 0 1; background: $boost; }
        & #tasks, & #task-groups { height: 1fr; }
        &.-grouped #tasks, & #task-groups { display: none; }
        &.-grouped #task-groups { display: block; }
        & #task-why { display: none; height: auto; max-height: 5; padding: 0 1; }
        &.-failures #task-why { display: block; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.model = TaskModel()
        self.detail: TaskDetail | None = None
        self._views: dict[tuple[str, str], View] = {}
        self._about: tuple[str, str] | None = None  # lab and experiment
        self._revision = -1
        self._wanted_task: int | None = None
        self._arrived: View | None = None  # what was shown when another pane led here
        self._resting: Timer | None = None
        self._log_is_awaited = False
        self._others = OtherMachines(lambda: self.lab_app.lab)
        self._live_metric: str | None = None
        self._at: int | None = None  # the task whose log is wanted
        self._timer: Timer | None = None  # for the next table
        self.are_pictures_shown = False  # in the place of the log

    def compose(self) -> ComposeResult:
        table = TaskTableView(id="tasks", key="task_id", frozen=2)
        table.overlay, table.placeholder = self.model.overlay, "reading the tasks"
        tasks = Panel(
            Input(id="task-filter", placeholder="/ filter: words, or SQL as in loss < 0.3", compact=True),
            table,
            GroupView(self.model, id="task-groups"),
            Static(id="task-why"),
            id="task-list",
        )
        log = LogPanel(id="task-log", connect=self._others.connect, searching=self._log_is_searched)
        pictures, curve = TaskPictures(id="task-pictures"), CurvePanel(id="task-curve")
        chosen, absent = self.lab_app.arrangements(self.NAME), ("task-curve", "task-pictures")
        yield PanelRow(
            tasks, log, pictures, curve, rooms=ROOMS, arrangements=ARRANGEMENTS, chosen=chosen, absent=absent
        )

    def _log_is_searched(self, going: bool) -> None:
        (self.hold_keys if going else self.let_keys_go)()

    def on_mount(self) -> None:
        self.set_interval(1.0, self._second)

    @property
    def table(self) -> TaskTableView:
        """The table of tasks."""
        return self.query_one(TaskTableView)

    @property
    def groups(self) -> GroupView:
        """The view of groups."""
        return self.query_one(GroupView)

    @property
    def log_panel(self) -> LogPanel:
        """The log below the table."""
        return self.query_one(LogPanel)

    @property
    def row(self) -> PanelRow:
        """The panels."""
        return self.query_one(PanelRow)

    def _show_curve(self) -> None:
        listener = self.model.listener
        self.query_one(CurvePanel).follow(self.model.source, self.detail, listener.ask if listener else None)

    @on(CurvePanel.Found)
    def _curve_found(self) -> None:
        self.row.set_present("task-curve", True)

    @property
    def pictures(self) -> TaskPictures:
        """The pictures that tasks have written, in the place of the log."""
        return self.query_one(TaskPictures)

    @property
    def is_zoomed(self) -> bool:
        """Whether the log, or what is in its place, has the whole pane."""
        return self.row.alone in ("task-log", "task-pictures")

    @property
    def is_grouped(self) -> bool:
        """Whether groups are shown in the place of tasks."""
        return self.has_class("-grouped")

    @property
    def filter(self) -> Input:
        """The field in which the filter is typed."""
        return self.query_one("#task-filter", Input)

    def focus_first(self) -> None:
        self.await_rows()
        self.call_after_refresh((self.groups if self.is_grouped else self.table).focus)

    def await_rows(self) -> None:
        """Let keys for the table wait until the requested rows are there: they act on the one under the cursor."""
        if self.model.is_waiting:
            self.hold_keys()

    def leave_text(self) -> None:
        focused = self.screen.focused
        if focused is not None and focused.id == "log-search":
            self.log_panel.action_leave_search()
        else:
            self.focus_first()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer the stages only where there are any, to leave something out only among failures, and another picture
        only where pictures are shown."""
        if action == "picture":
            return self.are_pictures_shown
        if action == "exclude":
            return self.has_class("-failures")
        staged = self.model.table is not None and self.model.table.staged
        return action != "expand" or (staged and not self.has_class("-failures"))

    # --- Which experiment

    def show(self, snapshot: LabSnapshot) -> None:
        name, lab = self.lab_app.current, snapshot.lab
        found = snapshot.experiment(name)
        if lab is None or name is None or found is None:
            self._leave(nothing(snapshot, "there are no experiments yet"))
            return
        about = (lab.identity + str(lab.path), name)
        if about != self._about:
            self._open(about, snapshot)
        if found.revision != self._revision:
            self._revision = found.revision
            runs = sum(counts.get("running", 0) for counts in found.stages.values())
            self.model.journal_grew(found.counts.get("running", 0), runs)
            self._want_table()
            self._read_live_soon()

    def _leave(self, note: str) -> None:
        if self._about is not None or self.table.placeholder != note:
            self._about, self.detail = None, None
            self.model.close()
            self.leave_groups()
            self.table.placeholder = note
            self.table.set_frame(pl.DataFrame())
            self.log_panel.clear("no task")
            self._show_curve()
            self._say("")

    def _open(self, about: tuple[str, str], snapshot: LabSnapshot) -> None:
        assert snapshot.lab is not None
        if self._about is not None:
            self._views[self._about] = self.model.view
        self._about, self._revision, self.detail = about, -1, None
        self.row.set_present("task-curve", False)
        kept = self._views.get(about, View())
        self.model.close()
        self.leave_groups()
        self.table.marked.clear()
        self.table.sort_by = kept.order
        with self.prevent(Input.Changed):
            self.filter.value = kept.text
        try:
            source = TaskSource(snapshot.lab, about[1])
            self.model.open(source, kept, LiveTasks(snapshot.lab, source, self.lab_app.config.ascii))
        except LabError as error:
            self._leave(str(error))
            return
        self.table.placeholder = "reading the tasks"
        self.table.set_frame(pl.DataFrame())
        self.log_panel.clear("")
        self.await_rows()

    def on_unmount(self) -> None:
        self.model.close()
        self._others.close()

    # --- The log

    @on(FrameTable.RowHighlighted, "#tasks")
    def _highlighted(self, event: FrameTable.RowHighlighted) -> None:
        event.stop()
        if event.row is not None and not self.is_grouped and not self.in_log:
            self.rest_on(event.row["task_id"])

    @property
    def in_log(self) -> bool:
        """Whether the log is being read: then it stays with its task, even if that leaves the rows."""
        return self.detail is not None and (self.is_zoomed or self.log_panel.has_pseudo_class("focus-within"))

    @on(DescendantFocus, "#tasks")
    def _back_in_rows(self) -> None:
        """Show the log of the task under the cursor again."""
        task = self.table.key_at(self.table.cursor_row)
        if task is not None:
            self.rest_on(task)

    def rest_on(self, task: int) -> None:
        """Open the log of a task, unless the cursor moves on at once."""
        self._at = task
        if self._resting is not None:
            self._resting.stop()
            self._resting = None
        if self.detail is None or self.detail.task != task:
            self._resting = self.set_timer(REST, self.read_wanted)

    def read_wanted(self) -> None:
        """Read about the task whose log is to be shown next."""
        if self.model.source is not None and self._at is not None:
            run = self.model.stage_run(self._at)
            self._read_detail(self.model.source, self._at, None if run is None else run.task)

    @work(thread=True, exclusive=True, group="detail")
    def _read_detail(self, source: TaskSource, task: int, behind: int | None) -> None:
        try:
            found = read_detail(source, task, behind)
        except (LabError, LookupError, OSError):
            found = None
        deliver(self, self._detail_read, source, task, found)

    def _detail_read(self, source: TaskSource, task: int, found: TaskDetail | None) -> None:
        if source is self.model.source and task == self._at:
            if self._log_is_awaited:
                self._log_is_awaited = False
                self.let_keys_go()
            self.detail = found
            if found is not None:
                self.log_panel.open(found)
            else:
                self.log_panel.clear("this task is unknown")
            self._show_curve()
            self._show_pictures()

    # --- Tables, metrics and live facts: made in threads, taken in here

    def _want_table(self, soon: bool = False) -> None:
        """Ask for another table: at once, or when it is due."""
        delay = self.model.want_table(soon)
        if delay is not None:
            self._start_table_in(delay)

    def _start_table_in(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(delay, self._start_table) if delay else None
        if not delay:
            self._start_table()

    def _start_table(self) -> None:
        if (job := self.model.begin_table()) is not None:
            self._make_table(job)

    @work(thread=True, group="tables")
    def _make_table(self, job: TableJob) -> None:
        try:
            made = job.run()
        except (LabError, OSError, pl.exceptions.PolarsError) as error:
            self.app.call_from_thread(self._table_failed, job, str(error))
        else:
            self.app.call_from_thread(self._take_table, made)

    def _table_failed(self, job: TableJob, problem: str) -> None:
        self.model.tables.ended(PACE)
        self.let_keys_go()
        if job.source is self.model.source:
            if self.model.table is None:
                self._show_placeholder(problem)
            self._say(problem, wrong=True)

    def _show_placeholder(self, text: str) -> None:
        self.table.placeholder = text
        self.table.refresh()

    def _take_table(self, made: MadeTable) -> None:
        staged = self.model.table is not None and self.model.table.staged
        if self.model.take_table(made):
            self._show_rows(made)
        if made.table.staged != staged:
            self.refresh_bindings()  # of the key for stages
        if self.model.is_behind(made):
            self._want_table(soon=self.model.is_other(made))
        self._want_metrics()

    def _show_rows(self, made: MadeTable) -> None:
        self.model.show(made)
        self.let_keys_go()
        if self.model.problem and self.table.frame.height:  # what was shown stays while someone is typing
            self.say_count()
            return
        made_view, table = made.job.view, made.table
        self.table.placeholder = "no task matches" if table.frame.height else "there are no tasks yet"
        order = view.columns(table, made_view) or ["task_id", "state"]
        own = {*table.parameters, *table.metrics}
        facts = [name for name in FACTS if name not in own]
        said, metric = view.live_columns(table), made_view.metric or self.model.live_metric
        shown = columns(order, facts, self.lab_app.config.ascii, said, metric)
        if made.expansion is not None:
            most = max(table.frame["task_id"][-1], *(run.run for run in made.expansion.runs))
            shown = labelled(shown, made.expansion, most, self.lab_app.config.ascii)
        rows = made.shown
        self.table.set_frame(rows.frame, columns=shown, total=rows.total, pinned=rows.pinned)
        if self._wanted_task is not None:
            self._go_to_wanted()
        self.say_count()
        self.groups.update_groups()

    def say_count(self) -> None:
        """Show how many tasks are shown, and tell the other panes which."""
        model, table = self.model, self.table
        self.lab_app.chosen = model.chosen(table.frame, table.total, table.marked)
        self._show_pictures()  # of those that are marked now
        if model.table is None:
            self._say("")
        elif self.is_grouped:
            self._say(f"{self.groups.words()} · esc goes back")
        elif model.problem:
            self._say(model.problem.partition("\n")[0], wrong=True)
        else:
            self._say(model.count(table.frame, table.total, table.marked))

    def _say(self, text: str, wrong: bool = False) -> None:
        count = Content.styled(text, "$text-error") if wrong else Content(text)
        self.query_one("#task-list", Panel).set_title(Content.assemble("Tasks", "  " if text else "", count))

    def _want_metrics(self) -> None:
        if (source := self.model.begin_metrics()) is not None:
            self._read_metrics(source, self.model.running)

    @work(thread=True, group="metrics")
    def _read_metrics(self, source: TaskSource, running: int) -> None:
        began = time.monotonic()
        try:
            came = source.read_metrics(running)
        except (LabError, OSError, pl.exceptions.PolarsError) as error:
            source.trouble, came = f"metrics can't be read: {error}", False
        self.app.call_from_thread(self._take_metrics, source, came, time.monotonic() - began)

    def _take_metrics(self, source: TaskSource, came: bool, seconds: float) -> None:
        if self.model.take_metrics(source, came, seconds):
            self._want_table()

    # --- Pictures

    def action_pictures(self) -> None:
        """Show the pictures in the place of the log, or the log again."""
        shown = self.are_pictures_shown = not self.are_pictures_shown
        was_in_it = self.is_zoomed or self.log_panel.has_pseudo_class("focus-within")
        was_in_it = was_in_it or self.pictures.has_pseudo_class("focus-within")
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

    def _focus_beside(self) -> None:
        (self.pictures.focus_first if self.are_pictures_shown else self.log_panel.view.focus)()

    def _show_pictures(self) -> None:
        source = self.model.source
        if source is None or not self.are_pictures_shown:
            return
        if self.table.marked and not self.is_grouped:
            name = source.folder.name
            self.pictures.open([Shown(f"{name}/{one}", source.folder.task_folder(one)) for one in self.chosen_tasks()])
        elif self.detail is not None:
            node = self.detail.node if self.detail.node != "localhost" else None
            self.pictures.open([Shown(self.detail.address, self.detail.folder, node)])

    def _second(self) -> None:
        if not self.is_on_screen:
            return
        if self.model.moves:
            self._read_live_soon()
        if self.model.running or self.model.metrics.wanted:
            self._want_metrics()

    def _read_live_soon(self) -> None:
        ids = self.table.keys_in_sight()
        if self.detail is not None:
            ids.append(self.detail.task)
        if (job := self.model.begin_live(ids)) is not None:
            self._read_live(job)

    @work(thread=True, group="live")
    def _read_live(self, job: LiveJob) -> None:
        try:
            found: HeardLive | None = job.run()
        except (LabError, OSError):
            found = None
        self.app.call_from_thread(self._take_live, job, found)

    def _take_live(self, job: LiveJob, found: HeardLive | None) -> None:
        if not self.model.take_live(job, found):
            return
        if self.model.live_metric != self._live_metric:  # the heading names it
            self._live_metric = self.model.live_metric
            self._want_table(soon=True)
        self.table.refresh_rows()
        detail = self.detail
        now = self.model.live.get(detail.task) if detail is not None else None
        if detail is None or now is None:
            return
        if (now["state"], now["attempts"]) != (detail.state, detail.attempts):
            self.read_wanted()
        else:
            self.log_panel.tick(now["duration"])
            self._show_curve()

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """Continue after an internal error in a worker, which is reported elsewhere."""
        if event.state == WorkerState.ERROR:
            event.stop()
            self.let_keys_go()
            self.model.worker_failed(event.worker.group)
            if self.model.table is None and event.worker.group == "tables":
                self._show_placeholder(f"{type(event.worker.error).__name__}: {event.worker.error}")

    # --- Filter, order, columns

    @on(Input.Changed, "#task-filter")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.set_view(replace(self.model.view, text=event.value), TYPING)

    @on(Input.Submitted, "#task-filter")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.focus_first()

    def set_view(self, view: View, delay: float = 0.0) -> None:
        """Show other tasks, or in another order."""
        self.model.view = view
        if delay:
            self.model.tables.wanted = True
            self._start_table_in(delay)
        else:
            self._want_table(soon=True)
            self.await_rows()

    def set_text(self, text: str) -> None:
        """Filter the tasks by words or a SQL condition."""
        with self.prevent(Input.Changed):
            self.filter.value = text
        self.set_view(replace(self.model.view, text=text, only=None))

    @on(FrameTable.HeaderSelected, "#tasks")
    def _header(self, event: FrameTable.HeaderSelected) -> None:
        event.stop()
        if event.column in live.SCHEMA:
            return  # what is read for the rows in sight gives no order
        self.table.sort_by = next_order(self.model.view.order, event.column)
        self.set_view(replace(self.model.view, order=self.table.sort_by))

    @work(exclusive=True, group="dialog")
    async def action_columns(self) -> None:
        table = self.model.table
        if table is None:
            return
        answer = await self.app.push_screen_wait(
            ChooseColumns([*table.columns, *view.live_columns(table)], view.columns(table, self.model.view))
        )
        if answer is not None:
            self.set_view(replace(self.model.view, columns=answer or None))

    def action_filter(self) -> None:
        self.row.reveal("task-list")
        self.filter.focus()

    def action_back(self) -> None:
        """Leave the field, the log, the groups, and at last the filter: `escape`."""
        if is_text(self.screen.focused):
            self.leave_text()
        elif self.is_zoomed:
            self.row.reveal("task-list")
            self.focus_first()
        elif self.log_panel.has_pseudo_class("focus-within") or self.pictures.has_pseudo_class("focus-within"):
            self.focus_first()
        elif self.is_grouped:
            self.leave_groups()
            self.focus_first()
        elif self.model.expansion is not None:
            self._collapse()
        elif self._arrived == self.model.view and self.lab_app.back():
            self._arrived = None
        elif self.model.view.only is not None:
            self.set_view(replace(self.model.view, only=None))
        elif self.model.view.text:
            self.set_text("")
        elif self.table.marked:
            self.table.marked.clear()
            self.table.refresh()
            self.say_count()
        else:
            self.lab_app.back()

    def place(self) -> object:
        return self.model.view, self.table.key_at(self.table.cursor_row)

    def go(self, place: object) -> None:
        match place:
            case (View() as view, task):
                self.show(self.lab_app.snapshot)
                self.leave_groups()
                self.set_text(view.text)
                self.set_view(view)
                self._arrived = None
                self._wanted_task = task if isinstance(task, int) else None

    # --- What other panes ask for

    def open_task(self, experiment: str, task_id: int) -> None:
        """Put the cursor on a task, and open its log."""
        self._wanted_task = task_id
        self.leave_groups()
        self.show(self.lab_app.snapshot)
        if self.model.table is not None:
            self._go_to_wanted()
        self._arrived = self.model.view
        self.focus_first()

    def _go_to_wanted(self) -> None:
        task, table = self._wanted_task, self.table
        if task is None or self.model.table is None:
            return
        if table.go_to(task):
            self._wanted_task = None
            self.rest_on(task)
        elif self.model.view.text or self.model.view.only is not None:
            self.set_text("")
        else:
            self._wanted_task = None
            self.lab_app.tell(f"there is no task {task}", "warning")

    def show_tasks(self, experiment: str, where: str) -> None:
        """Show the tasks for which a SQL condition holds."""
        self.show(self.lab_app.snapshot)
        self.leave_groups()
        self.set_text(where)
        self._arrived = self.model.view
        self.focus_first()

    def ids_shown(self) -> list[Any]:
        """Return all tasks that are shown."""
        frame = self.model.tasks_of(self.table.frame)
        return frame["task_id"].to_list() if "task_id" in frame.columns else []

    # --- Runs of stages

    def action_expand(self) -> None:
        """Show the runs of stages behind the task under the cursor, or hide them."""
        task = self.table.key_at(self.table.cursor_row)
        if task is None or self.is_grouped:
            return
        if self.model.stage_run(task) is not None or task == self.model.view.expanded:
            self._collapse()
        else:
            self.set_view(replace(self.model.view, expanded=task))

    def _collapse(self) -> None:
        run = self.model.stage_run(self.table.key_at(self.table.cursor_row))
        if run is not None:
            self.table.go_to(run.task)
        self.set_view(replace(self.model.view, expanded=None))

    # --- Groups

    @work(exclusive=True, group="dialog")
    async def action_group(self) -> None:
        if self.model.table is None:
            return
        by = self.groups.by
        choices = [("", "one by one"), (FAILURES, FAILURES)]
        choices += [(name, f"by {name}") for name in view.groupable(self.model.table)]
        answer = await self.app.push_screen_wait(Choose("Tasks", choices, by or "state"))
        if answer == "":
            self.leave_groups()
            self.focus_first()
        elif answer is not None:
            self._group_by(answer)

    def action_failures(self) -> None:
        self._group_by(FAILURES)

    def _group_by(self, by: str) -> None:
        self.add_class("-grouped")
        self.set_class(by == FAILURES, "-failures")
        self.row.reveal("task-list")
        self.groups.open(by, unread=self.table.placeholder)
        self.focus_first()

    def action_exclude(self) -> None:
        """Open the file with a condition in `where` that leaves out what the failures under the cursor share."""
        source, found = self.model.source, self.groups.shared_here()
        if source is not None and found:
            self._exclude(source, found)
        else:
            self.lab_app.tell("these failures share nothing that could be left out", "information")

    @work(thread=True, exclusive=True, group="exclude")
    def _exclude(self, source: TaskSource, found: Sequence[Shared]) -> None:
        try:
            path, text, condition = excluding(source, found)
        except (LabError, SpecError, OSError, UnicodeDecodeError) as error:
            self.lab_app.tell(str(error), "error")
        else:
            self.app.call_from_thread(self.lab_app.open_text, path, text, f"with {condition}")

    def leave_groups(self) -> None:
        """Show tasks one by one again."""
        self.groups.close()
        self.remove_class("-grouped", "-failures")
        self.say_count()

    @on(GroupView.Regrouped)
    def _regrouped(self, event: GroupView.Regrouped) -> None:
        event.stop()
        self.say_count()

    @on(GroupView.Picked)
    def _group_picked(self, event: GroupView.Picked) -> None:
        """Show the tasks of a group."""
        event.stop()
        self.leave_groups()
        if event.where:
            self.set_text(event.where)
        elif event.only is not None:
            self.set_view(replace(self.model.view, only=event.only))
        self.focus_first()

    @on(FrameTable.RowHighlighted, "#task-groups")
    def _group_highlighted(self, event: FrameTable.RowHighlighted) -> None:
        """Show the log of the first task of a group, and why such tasks failed."""
        event.stop()
        if self.has_class("-failures"):
            self.query_one("#task-why", Static).update(self.groups.explained())
        if event.row is not None and self.is_grouped and (tasks := self.groups.tasks_of(event.row["group"])):
            self.rest_on(tasks[0])

    # --- Marks

    def action_mark(self) -> None:
        if self.is_grouped:
            return
        if self.model.stage_run(self.table.key_at(self.table.cursor_row)) is not None:
            self.lab_app.tell("only tasks can be marked", "information")
            return
        self.table.toggle_mark()
        self.say_count()

    def action_mark_all(self) -> None:
        ids = set(self.ids_shown())
        if ids <= self.table.marked:
            self.table.marked -= ids
        else:
            self.table.marked |= ids
        self.table.refresh()
        self.say_count()

    def chosen_tasks(self) -> list[int]:
        """Return the tasks that a key acts on: those of the group, the marked ones, or the one under the cursor."""
        if self.is_grouped:
            return self.groups.tasks()
        if self.table.marked:
            return sorted(self.table.marked)
        task = self.table.key_at(self.table.cursor_row)
        return [] if task is None else [task]

    def _chosen_run(self) -> StageRun | None:
        """Return the run of a stage that a key acts on; None where it acts on tasks."""
        if self.is_grouped or self.table.marked:
            return None
        return self.model.stage_run(self.table.key_at(self.table.cursor_row))

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
            run = self._chosen_run()
            if run is not None:
                act = await commands.ask_retry_stage(self.lab_app, source, run, words)
            else:
                act = await commands.ask_retry(self.lab_app, source, self.chosen_tasks(), words)
            if act is not None:
                self._do(act)

    @work(exclusive=True, group="stop")
    async def action_stop(self) -> None:
        source, lab = self.model.source, self.lab_app.lab
        if source is not None and lab is not None:
            run = self._chosen_run()
            if run is not None:
                act = await commands.ask_stop_stage(self.lab_app, lab, source, run)
            else:
                act = await commands.ask_stop(self.lab_app, lab, source, self.chosen_tasks())
            if act is not None:
                self._do(act)

    @work(thread=True, group="do")
    def _do(self, act: commands.Work) -> None:
        try:
            with promised():
                did = act()
        except (LabError, UsageError, OSError) as error:
            self.app.call_from_thread(self.lab_app.tell, str(error), "error")
        else:
            self.app.call_from_thread(self._done, did)

    def _done(self, did: str) -> None:
        self.table.marked.clear()
        self.table.refresh()
        self.lab_app.tell(did)

    @work(exclusive=True, group="dialog")
    async def action_try_one(self) -> None:
        source, lab = self.model.source, self.lab_app.lab
        task = self.table.key_at(self.table.cursor_row)
        if source is None or task is None or lab is None or self.is_grouped:
            return
        if mirrors.other_side(lab.path) is not None:
            self.lab_app.tell(
                "a task of a lab on another machine can't be tried here; r runs it again there", "warning"
            )
            return
        run = self.model.stage_run(task)
        task = task if run is None else run.task  # with all its stages
        name = f"{source.folder.name}/{task}"
        body = "It runs on this machine, besides other tasks; its results are not kept."
        if await self.lab_app.confirm(f"Try {name}?", body, "Try"):
            module = ("tui_lab.client.foreground", str(lab.path), source.folder.name, str(task))
            self.lab_app.stream(f"Try {name}", module, tied=True)

    # --- Copying

    @on(TaskTableView.CopyAsked)
    def _copy_asked(self) -> None:
        self.action_copy()

    @work(exclusive=True, group="dialog")
    async def action_copy(self) -> None:
        table, source, host = self.table, self.model.source, self.lab_app
        task = table.key_at(table.cursor_row)
        if source is None or task is None or self.is_grouped:
            return
        run = self.model.stage_run(task)
        address = f"{source.folder.name}/{task}" if run is None else f"{source.folder.name}/{run.task}:{run.stage}"
        name = table.columns[table.cursor_column].name
        choices = [
            ("command", "the command that repeats it"),
            ("address", f"its name: {address}"),
            ("folder", "the path of its folder"),
            ("cell", f"the cell: {name}"),
            ("row", "the row"),
            ("log", "the log in sight"),
        ]
        match await self.app.push_screen_wait(Choose(f"Copy of {address}", choices)):
            case "cell":
                table.copy_cell()
            case "row":
                table.action_copy_row()
            case "address":
                host.copy(address, "the name")
            case "folder":
                host.copy(str(source.folder.task_folder(task)), "the path")
            case "log":
                host.copy(self.log_panel.view.text, "the log in sight")
            case "command":
                await self._copy_command(source, task)

    async def _copy_command(self, source: TaskSource, task: int) -> None:
        try:
            line = await asyncio.to_thread(command_line, source, task)
        except (LabError, UsageError, ValueError, OSError) as error:
            self.lab_app.tell(str(error), "error")
        else:
            self.lab_app.copy(line, "the command")

    # --- Why it failed

    def action_next_failed(self) -> None:
        """Go to the next failed task of those that are shown, round the end."""
        if self.is_grouped:
            self.leave_groups()
        table, known = self.table, self.model.table
        if "state" not in table.frame.columns:
            return
        failed = table.frame["state"].is_in(FAILED).arg_true()
        if not failed.len():
            hidden = known is not None and bool(known.frame["state"].is_in(FAILED).any())
            self.lab_app.tell("none of the tasks shown failed" if hidden else "no task failed", "information")
            return
        behind = failed.filter(failed > table.cursor_row)
        row = int(behind[0] if behind.len() else failed[0])
        self.log_panel.choice = replace(self.log_panel.choice, streams=None, attempt=None, step=None)
        table.go_to(table.key_at(row))
        self.rest_on(table.key_at(row))
        self.focus_first()

    def action_metric(self) -> None:
        metric = self.model.next_metric()
        if metric is None:
            running = self.model.running
            self.lab_app.tell("there is no other metric" if running else "nothing runs now", "information")
        else:
            self.set_view(replace(self.model.view, metric=metric))
            self._read_live_soon()

    def action_zoom(self) -> None:
        self.row.enlarge(
            "task-pictures" if self.are_pictures_shown else "task-log", -ALONE if self.is_zoomed else ALONE
        )
        if self.is_zoomed:
            if not self.are_pictures_shown:
                self._await_log()
            self._focus_beside()
        else:
            self.focus_first()

    def _await_log(self) -> None:
        """Let keys for the log wait until it is that of the task under the cursor: one that came later would end a
        search."""
        if self._at is not None and (self.detail is None or self.detail.task != self._at):
            if self._resting is not None:
                self._resting.stop()
                self._resting = None
            self._log_is_awaited = True
            self.hold_keys()
            self.read_wanted()

    @on(FrameTable.RowSelected, "#tasks")
    def _selected(self, event: FrameTable.RowSelected) -> None:
        event.stop()
        self.action_zoom()
