"""The Tasks pane: every task, live, and below them the log of the one under the cursor."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Input, Static
from textual.worker import Worker, WorkerState

from tui_lab.engine.client import EngineClient
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import FACTS
from tui_lab.tui import task_view
from tui_lab.tui.log_choice import TaskDetail
from tui_lab.tui.log_panel import LogPanel
from tui_lab.tui.log_remote import Ask
from tui_lab.tui.pane import Pane, is_text
from tui_lab.tui.table import FrameTable, next_order
from tui_lab.tui.task_columns import ChooseColumns, columns
from tui_lab.tui.task_commands import TaskCommands
from tui_lab.tui.task_detail import read_detail
from tui_lab.tui.task_frame import TaskSource, TaskTable, overlaid
from tui_lab.tui.task_keys import ACTIONS, HELP
from tui_lab.tui.task_table import GroupTable, TaskTableView
from tui_lab.tui.task_view import View
from tui_lab.tui.task_worker import METRICS_PACE, METRICS_SHARE, PACE, SHARE, Made, Pace, make, settle

if TYPE_CHECKING:
    from tui_lab.tui.snapshot import LabSnapshot

REST: Final = 0.06  # seconds that the cursor rests on a task before its log is opened
TYPING: Final = 0.12


class TasksPane(TaskCommands, Pane):
    NAME = "tasks"
    TITLE = "Tasks"
    ACTIONS = ACTIONS
    HELP = HELP
    DEFAULT_CSS = """
    TasksPane {
        & > #task-bar { height: 1; background: $panel; }
        #task-filter { width: 1fr; height: 1; border: none; padding: 0 1; background: $boost; }
        #task-count { width: auto; max-width: 60%; height: 1; padding: 0 1; color: $text-muted; }
        #task-count.-wrong { color: $text-error; }
        & > #tasks { height: 1fr; }
        & > #task-groups { height: 1fr; display: none; }
        & > #task-log { height: 1fr; }
        &.-grouped > #tasks { display: none; }
        &.-grouped > #task-groups { display: block; }
        &.-zoomed > #tasks, &.-zoomed > #task-groups, &.-zoomed > #task-bar { display: none; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.source: TaskSource | None = None
        self.made: TaskTable | None = None
        self.view = View()
        self.detail: TaskDetail | None = None
        self._views: dict[tuple[str, str], View] = {}
        self._about: tuple[str, str] | None = None  # lab and experiment
        self._revision = -1
        self._going = 0  # tasks that run
        self._wrong = ""  # what is wrong with the filter
        self._tables = Pace(PACE, SHARE)
        self._metrics = Pace(METRICS_PACE, METRICS_SHARE)
        self._stale = False  # the journal has more than the table
        self._timer: Timer | None = None
        self._live_busy = False
        self._live: dict[int, dict[str, Any]] = {}
        self._wanted_task: int | None = None
        self._resting: Timer | None = None
        self._at: int | None = None  # the task whose log is wanted

    def compose(self) -> ComposeResult:
        with Horizontal(id="task-bar"):
            yield Input(id="task-filter", placeholder="/ filter: words, or SQL as in loss < 0.3", compact=True)
            yield Static(id="task-count")
        yield TaskTableView(id="tasks", key="task_id", frozen=2)
        yield GroupTable(id="task-groups", key="group")
        yield LogPanel(id="task-log", connect=self._connect)

    def on_mount(self) -> None:
        self.table.overlay = self._overlay
        self.table.placeholder = "reading the tasks"
        self.set_interval(1.0, self._second)

    @property
    def table(self) -> TaskTableView:
        return self.query_one(TaskTableView)

    @property
    def groups(self) -> GroupTable:
        return self.query_one(GroupTable)

    @property
    def log_panel(self) -> LogPanel:
        return self.query_one(LogPanel)

    @property
    def filter(self) -> Input:
        return self.query_one("#task-filter", Input)

    def focus_first(self) -> None:
        self.call_after_refresh((self.groups if self.has_class("-grouped") else self.table).focus)

    def leave_text(self) -> None:
        focused = self.screen.focused
        if focused is not None and focused.id == "log-search":
            self.log_panel.action_leave_search()
        else:
            self.focus_first()

    # Which experiment.

    def show(self, snapshot: LabSnapshot) -> None:
        name, lab = self.lab_app.current, snapshot.lab
        found = snapshot.experiment(name)
        if lab is None or name is None or found is None:
            self._leave(snapshot.problem or ("there are no experiments yet" if lab is not None else "no lab yet"))
            return
        about = (lab.identity + str(lab.path), name)
        if about != self._about:
            self._open(about, snapshot)
        if found.revision != self._revision:
            self._revision = found.revision
            self._going = found.counts.get("running", 0)
            self._stale = True
            self._want()
            self._look_live()

    def _leave(self, note: str) -> None:
        if self._about is not None or self.table.placeholder != note:
            self._about, self.source, self.made, self.detail = None, None, None, None
            self.table.placeholder = note
            self.table.set_frame(pl.DataFrame())
            self.log_panel.clear("no task")
            self._say("")

    def _open(self, about: tuple[str, str], snapshot: LabSnapshot) -> None:
        assert snapshot.lab is not None
        if self._about is not None:
            self._views[self._about] = self.view
        self._about, self._revision, self.made, self.detail, self._live = about, -1, None, None, {}
        self.leave_groups()
        self.view = self._views.get(about, View())
        self.table.marked.clear()
        self.table.sort_by = self.view.order
        with self.prevent(Input.Changed):
            self.filter.value = self.view.text
        self._tables, self._metrics = Pace(PACE, SHARE), Pace(METRICS_PACE, METRICS_SHARE)
        try:
            self.source = TaskSource(snapshot.lab, about[1])
        except LabError as error:
            self._leave(str(error))
            return
        self.table.placeholder = "reading the tasks"
        self.table.set_frame(pl.DataFrame())
        self.log_panel.clear("")

    def _connect(self) -> Ask | None:
        """The engine's `request`, where an engine runs. In a thread."""
        lab = self.lab_app.lab
        client = EngineClient.connect(lab) if lab is not None else None
        return client.request if client is not None else None

    # Tables.

    def _want(self, soon: bool = False) -> None:
        """Ask for another table: at once, or when it is time for it."""
        self._tables.wanted = True
        if self._tables.busy or self.source is None:
            return
        delay = 0.0 if soon or self.made is None else self._tables.delay()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(delay, self._start) if delay else None
        if not delay:
            self._start()

    def _start(self) -> None:
        if self._tables.busy or self.source is None or not self._tables.wanted:
            return
        self._tables.began()
        fresh = self.made is None or (self._stale and not self._tables.delay())
        if fresh:
            self._stale = False
        self._make(self.source, self.view, None if fresh else self.made)

    @work(thread=True, exit_on_error=False, group="tables")
    def _make(self, source: TaskSource, view: View, table: TaskTable | None) -> None:
        try:
            made = make(source, view, table)
        except (LabError, OSError, pl.exceptions.PolarsError) as error:
            self.app.call_from_thread(self._failed, source, str(error))
        else:
            self.app.call_from_thread(self._made, made, table is None)

    def _failed(self, source: TaskSource, problem: str) -> None:
        self._tables.ended(PACE)
        if source is self.source:
            self._say(problem, wrong=True)

    def _made(self, made: Made, fresh: bool) -> None:
        if made.source is not self.source:
            self._tables.ended(0)
            self._want(soon=True)
            return
        if fresh:
            self._tables.ended(made.seconds)
        else:
            self._tables.busy = False
        if self.made is None:
            settle()
        self.made = made.table
        if made.view == self.view:
            self._show_made(made)
        if self._tables.wanted or made.view != self.view or self._stale:
            self._want(soon=made.view != self.view)
        self._want_metrics()

    def _show_made(self, made: Made) -> None:
        table, shown = self.table, made.shown
        self._wrong = shown.problem
        if shown.problem and table.frame.height:  # what was shown stays while someone is typing
            self.say_count()
            return
        facts = [*FACTS]
        ascii_only = self.lab_app.config.ascii
        table.placeholder = "no task is like that" if made.table.frame.height else "there are no tasks yet"
        order = task_view.columns(made.table, made.view) or ["task_id", "state"]
        parameters = {*made.table.parameters, *made.table.metrics}
        table.set_frame(
            shown.frame,
            columns=columns(order, [name for name in facts if name not in parameters], ascii_only),
            total=shown.total,
        )
        if self._wanted_task is not None:
            self._go_to_wanted()
        self.say_count()
        self.regroup()

    def say_count(self) -> None:
        table = self.table
        if self.made is None:
            self._say("")
            return
        if self.has_class("-grouped"):
            self._say(f"{self.group_words()} · esc goes back")
            return
        few = table.frame.height != table.total
        if self._wrong:
            self._say(self._wrong.partition("\n")[0], wrong=True)
            return
        words = [f"{table.frame.height:,} of {table.total:,}" if few else f"{table.total:,} tasks"]
        if self.view.only is not None:
            words.insert(0, self.view.only[0])
        if table.marked:
            words.append(f"{len(table.marked):,} marked")
        if self.source is not None and self.source.trouble:
            words.append(self.source.trouble)
        self._say(" · ".join(words))

    def _say(self, text: str, wrong: bool = False) -> None:
        widget = self.query_one("#task-count", Static)
        widget.update(Content(text))
        widget.set_class(wrong, "-wrong")

    # Metrics.

    def _want_metrics(self) -> None:
        if self.source is None or self.made is None or not self.made.metrics or self._metrics.busy:
            return
        if not self._metrics.delay():
            self._metrics.began()
            self._read_metrics(self.source, self._going)

    @work(thread=True, exit_on_error=False, group="metrics")
    def _read_metrics(self, source: TaskSource, running: int) -> None:
        began = time.monotonic()
        try:
            came = source.read_metrics(running)
        except (LabError, OSError, pl.exceptions.PolarsError) as error:
            source.trouble, came = f"metrics can't be read: {error}", False
        self.app.call_from_thread(self._metrics_read, source, came, time.monotonic() - began)

    def _metrics_read(self, source: TaskSource, came: bool, seconds: float) -> None:
        self._metrics.ended(seconds)
        if source is self.source and came:
            self._stale = True
            self._want()

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """A worker that failed in a way that nobody thought of: say so, and go on."""
        if event.state == WorkerState.ERROR:
            event.stop()
            self._tables.busy = self._tables.busy and event.worker.group != "tables"
            self._metrics.busy = self._metrics.busy and event.worker.group != "metrics"
            self._live_busy = self._live_busy and event.worker.group != "live"
            self.lab_app.tell(f"{event.worker.group}: {event.worker.error}", "error")

    # What is in sight, several times a second.

    def _second(self) -> None:
        if self._going and self.is_on_screen:
            self._look_live()
            self._want_metrics()

    def _look_live(self) -> None:
        if self._live_busy or self.source is None or self.made is None:
            return
        ids = self.table.keys_in_sight()
        if self.detail is not None:
            ids.append(self.detail.task)
        self._live_busy = True
        self._read_live(self.source, ids)

    @work(thread=True, exit_on_error=False, group="live")
    def _read_live(self, source: TaskSource, ids: list[int]) -> None:
        try:
            found: dict[int, dict[str, Any]] | None = source.live(ids)
        except (LabError, OSError):
            found = None
        self.app.call_from_thread(self._live_read, source, found)

    def _live_read(self, source: TaskSource, found: dict[int, dict[str, Any]] | None) -> None:
        self._live_busy = False
        if source is not self.source or found is None:
            return
        self._live = found
        self.table.refresh_rows()
        detail = self.detail
        now = found.get(detail.task) if detail is not None else None
        if (
            detail is not None
            and now is not None
            and (now["state"], now["attempts"]) != (detail.state, detail.attempts)
        ):
            self._read_detail(source, detail.task)

    def _overlay(self, rows: pl.DataFrame) -> pl.DataFrame:
        return overlaid(rows, self._live) if self._live and "task_id" in rows.columns else rows

    # The log.

    @on(FrameTable.RowHighlighted, "#tasks")
    def _highlighted(self, event: FrameTable.RowHighlighted) -> None:
        event.stop()
        if event.row is not None and not self.has_class("-grouped"):
            self.rest_on(event.row["task_id"])

    def rest_on(self, task: int) -> None:
        """Open the log of a task, unless the cursor goes on at once."""
        self._at = task
        if self._resting is not None:
            self._resting.stop()
            self._resting = None
        if self.detail is None or self.detail.task != task:
            self._resting = self.set_timer(REST, self._rested)

    def _rested(self) -> None:
        if self.source is not None and self._at is not None:
            self._read_detail(self.source, self._at)

    @work(thread=True, exclusive=True, exit_on_error=False, group="detail")
    def _read_detail(self, source: TaskSource, task: int) -> None:
        try:
            found = read_detail(source, task)
        except (LabError, LookupError, OSError):
            found = None
        self.app.call_from_thread(self._detail_read, source, task, found)

    def _detail_read(self, source: TaskSource, task: int, found: TaskDetail | None) -> None:
        if source is self.source and task == self._at:
            self.detail = found
            if found is not None:
                self.log_panel.open(found)
            else:
                self.log_panel.clear("nothing is known of this task")

    # Filter, order, columns.

    @on(Input.Changed, "#task-filter")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.set_view(replace(self.view, text=event.value), TYPING)

    @on(Input.Submitted, "#task-filter")
    def _entered(self, event: Input.Submitted) -> None:
        event.stop()
        self.table.focus()

    def set_view(self, view: View, delay: float = 0.0) -> None:
        """Show other tasks, or in another order."""
        self.view = view
        self._tables.wanted = True
        if self._timer is not None:
            self._timer.stop()
        if delay:
            self._timer = self.set_timer(delay, self._start)
        else:
            self._want(soon=True)

    def set_text(self, text: str) -> None:
        with self.prevent(Input.Changed):
            self.filter.value = text
        self.set_view(replace(self.view, text=text, only=None))

    @on(FrameTable.HeaderSelected, "#tasks")
    def _header(self, event: FrameTable.HeaderSelected) -> None:
        event.stop()
        self.table.sort_by = next_order(self.view.order, event.column)
        self.set_view(replace(self.view, order=self.table.sort_by))

    @work(exclusive=True, group="dialog")
    async def action_columns(self) -> None:
        if self.made is None:
            return
        answer = await self.app.push_screen_wait(
            ChooseColumns(self.made.columns, task_view.columns(self.made, self.view))
        )
        if answer is not None:
            self.set_view(replace(self.view, columns=answer or None))

    def action_filter(self) -> None:
        self.remove_class("-zoomed")
        self.filter.focus()

    def action_back(self) -> None:
        """`escape`: out of the field, the log, the groups, and at last of the filter."""
        if is_text(self.screen.focused):
            self.leave_text()
        elif self.has_class("-zoomed"):
            self.remove_class("-zoomed")
            self.focus_first()
        elif self.log_panel.has_pseudo_class("focus-within"):
            self.focus_first()
        elif self.has_class("-grouped"):
            self.leave_groups()
            self.focus_first()
        elif self.view.only is not None:
            self.set_view(replace(self.view, only=None))
        elif self.view.text:
            self.set_text("")
        elif self.table.marked:
            self.table.marked.clear()
            self.table.refresh()
            self.say_count()

    # What other panes ask for.

    def open_task(self, experiment: str, task_id: int) -> None:
        """Put the cursor on a task, and open its log."""
        self._wanted_task = task_id
        self.leave_groups()
        self.show(self.lab_app.snapshot)
        if self.made is not None:
            self._go_to_wanted()
        self.focus_first()

    def _go_to_wanted(self) -> None:
        task, table = self._wanted_task, self.table
        if task is None or self.made is None:
            return
        if table.go_to(task):
            self._wanted_task = None
            self.rest_on(task)
        elif self.view.text or self.view.only is not None:
            self.set_text("")
        else:
            self._wanted_task = None
            self.lab_app.tell(f"there is no task {task}", "warning")

    def show_tasks(self, experiment: str, where: str) -> None:
        """Show the tasks for which a SQL condition holds."""
        self.show(self.lab_app.snapshot)
        self.leave_groups()
        self.set_text(where)
        self.focus_first()

    def ids_shown(self) -> list[Any]:
        """All tasks that are shown."""
        frame = self.table.frame
        return frame["task_id"].to_list() if "task_id" in frame.columns else []
