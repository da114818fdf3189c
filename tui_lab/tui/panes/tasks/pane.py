"""The Tasks pane: every task, live, and below them the log of the one under the cursor."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.events import DescendantFocus
from textual.timer import Timer
from textual.widgets import Input, Static

from tui_lab.engine.client import EngineClient
from tui_lab.store.errors import LabError
from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.pane import Pane, is_text, nothing
from tui_lab.tui.base.workers import work
from tui_lab.tui.panes.tasks import view
from tui_lab.tui.panes.tasks.columns import ChooseColumns
from tui_lab.tui.panes.tasks.commands import TaskCommands
from tui_lab.tui.panes.tasks.detail import read_detail
from tui_lab.tui.panes.tasks.feed import TaskFeed
from tui_lab.tui.panes.tasks.frame import TaskSource
from tui_lab.tui.panes.tasks.table import GroupTable, TaskTableView
from tui_lab.tui.panes.tasks.view import View
from tui_lab.tui.panes.tasks.worker import METRICS_PACE, METRICS_SHARE, PACE, SHARE, Pace
from tui_lab.tui.widgets.log.choice import TaskDetail
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.log.remote import Ask
from tui_lab.tui.widgets.table.table import FrameTable, next_order

if TYPE_CHECKING:
    from tui_lab.tui.base.snapshot import LabSnapshot


# --- The actions of the Tasks pane, and its help
HELP: Final = """
Every task of the experiment, live; below, the log of the task under the cursor.

**Filter** (`/`): words that must all occur in a row (`failed relu`), or SQL: `loss < 0.3 and state = 'failed'`.
**Why did it fail?** `f` goes to the next failed task and shows the end of its standard error; `F` groups all failures
by their last line. `enter` opens the log as large as the pane, `esc` goes back.
**Marks**: `space` marks a task, `*` all that are shown; `r`, `x` act on what is marked, else on the task under the
cursor. Columns that have one value everywhere are hidden: `c` shows them.
"""


def _action(name: str, keys: str, label: str, help: str, shown: bool = False) -> Action:
    return Action(f"tasks.{name}", keys, label, help, shown=shown)


ACTIONS: Final = (
    _action("filter", "slash", "Filter", "Show the tasks with some words, or that meet a SQL condition.", True),
    _action("next_failed", "f", "Next failed", "Go to the next failed task and the end of its standard error.", True),
    _action("failures", "F", "Failures", "Group the failures by their last line.", True),
    _action("mark", "space", "Mark", "Mark the task, or take its mark away.", True),
    _action("mark_all", "asterisk", "Mark all", "Mark all tasks that are shown, or none."),
    _action("retry", "r", "Retry", "Run the marked tasks again, or the one under the cursor.", True),
    _action("retry_changed", "R", "Retry with changes", "Run them again with more time or memory."),
    _action("stop", "x,delete", "Stop", "Stop the marked tasks, or the one under the cursor.", True),
    _action(
        "try_one",
        "t",
        "Try",
        "Run the task here, after a question, and see its output; nothing of it is kept.",
    ),
    _action("copy", "y", "Copy", "Copy the command that repeats the task, a cell, the row, or the log.", True),
    _action("columns", "c", "Columns", "Choose the columns.", True),
    _action("group", "v", "Group", "Group the tasks by state, by a parameter, or see them one by one.", True),
    _action("zoom", "z", "Zoom", "The log as large as the pane, or back."),
    _action("back", "escape", "Back", "Leave the field, the log, the groups, the filter, the marks: one at a time."),
)


REST: Final = 0.06  # seconds that the cursor rests on a task before its log is opened
TYPING: Final = 0.12
PATIENCE: Final = 5.0  # seconds that the engine may take to answer


class TasksPane(TaskFeed, TaskCommands, Pane):
    NAME = "tasks"
    TITLE = "Tasks"
    ACTIONS = ACTIONS
    HELP = HELP
    DEFAULT_CSS = """
    TasksPane {
        & > #task-bar { height: 1; background: $panel; }
        #task-filter { width: 1fr; height: 1; border: none; padding: 0 1; background: $boost; }
        #task-count { width: auto; max-width: 60%; height: 1; padding: 0 1; color: $text-muted; }
        #task-count, #task-count.-wrong { text-wrap: nowrap; text-overflow: ellipsis; }
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
        self.detail: TaskDetail | None = None
        self._views: dict[tuple[str, str], View] = {}
        self._about: tuple[str, str] | None = None  # lab and experiment
        self._revision = -1
        self._wanted_task: int | None = None
        self._resting: Timer | None = None
        self._engine: EngineClient | None = None  # for the logs of other machines
        self._at: int | None = None  # the task whose log is wanted

    def compose(self) -> ComposeResult:
        with Horizontal(id="task-bar"):
            yield Input(id="task-filter", placeholder="/ filter: words, or SQL as in loss < 0.3", compact=True)
            yield Static(id="task-count")
        yield TaskTableView(id="tasks", key="task_id", frozen=2)
        yield GroupTable(id="task-groups", key="group")
        yield LogPanel(id="task-log", connect=self._connect, searching=self._log_is_searched)

    def _log_is_searched(self, going: bool) -> None:
        (self.hold_keys if going else self.let_keys_go)()

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
        self.await_rows()
        self.call_after_refresh((self.groups if self.has_class("-grouped") else self.table).focus)

    def await_rows(self) -> None:
        """Keys for the table wait until the rows are there that were asked for: they act on the one under the
        cursor."""
        if self.source is not None and self.shown_view != self.view:
            self.hold_keys()

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
            self._leave(nothing(snapshot, "there are no experiments yet"))
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
            self.leave_groups()
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
        self.view, self.shown_view = self._views.get(about, View()), None
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
        self.await_rows()

    def _connect(self) -> Ask | None:
        """The engine's `request`, where an engine runs. In a thread, one at a time."""
        lab = self.lab_app.lab
        if self._engine is None and lab is not None:
            self._engine = EngineClient.connect(lab)
        return None if self._engine is None else self._ask_engine

    def _ask_engine(self, command: str, **about: Any) -> dict[str, Any]:
        assert self._engine is not None
        try:
            return self._engine.request(command, patience=PATIENCE, **about)
        except LabError:
            self._engine.close()
            self._engine = None
            raise

    def on_unmount(self) -> None:
        if self._engine is not None:
            self._engine.close()

    # The log.

    @on(FrameTable.RowHighlighted, "#tasks")
    def _highlighted(self, event: FrameTable.RowHighlighted) -> None:
        event.stop()
        if event.row is not None and not self.has_class("-grouped") and not self.in_log:
            self.rest_on(event.row["task_id"])

    @property
    def in_log(self) -> bool:
        """Whether a person reads the log: then it stays with its task, also where that leaves the rows."""
        return self.detail is not None and (
            self.has_class("-zoomed") or self.log_panel.has_pseudo_class("focus-within")
        )

    @on(DescendantFocus, "#tasks")
    def _back_in_rows(self) -> None:
        """The log is that of the task under the cursor again."""
        task = self.table.key_at(self.table.cursor_row)
        if task is not None:
            self.rest_on(task)

    def rest_on(self, task: int) -> None:
        """Open the log of a task, unless the cursor goes on at once."""
        self._at = task
        if self._resting is not None:
            self._resting.stop()
            self._resting = None
        if self.detail is None or self.detail.task != task:
            self._resting = self.set_timer(REST, self.read_wanted)

    def read_wanted(self) -> None:
        """Read about the task whose log is wanted, which may not be the one that is shown yet."""
        if self.source is not None and self._at is not None:
            self._read_detail(self.source, self._at)

    @work(thread=True, exclusive=True, group="detail")
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
        self.focus_first()

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
            self.await_rows()

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
        answer = await self.app.push_screen_wait(ChooseColumns(self.made.columns, view.columns(self.made, self.view)))
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
