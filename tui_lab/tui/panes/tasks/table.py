"""The table of tasks. It reads tables and metrics in threads, and shows the rows that its model wants."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import polars as pl
from textual import on
from textual.timer import Timer
from textual.worker import Worker, WorkerState

from tui_lab.experiment.facts import FACTS
from tui_lab.store.errors import LabError
from tui_lab.tui.base.empty import Empty, Instead
from tui_lab.tui.base.pane import NO_EXPERIMENT, HeldKeys, host_of
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.tasks import view
from tui_lab.tui.panes.tasks.expansion import labelled
from tui_lab.tui.panes.tasks.model import PACE, MadeTable, TableJob, TaskModel
from tui_lab.tui.panes.tasks.view import View
from tui_lab.tui.tasks.columns import columns
from tui_lab.tui.tasks.frame import TaskSource
from tui_lab.tui.widgets.table.table import FrameTable

UNREAD: Final = "reading the tasks"
NO_TASKS: Final = Empty("No tasks yet", *NO_EXPERIMENT)
NO_MATCH: Final = Empty("No task matches", "tasks.filter", "changes the filter")


class TaskTableView(FrameTable):
    """The rows of a model's view. `y` asks the pane what to copy."""

    class CopyAsked(FrameTable.TableMessage):
        """`y` was pressed."""

    def __init__(self, model: TaskModel, shown: Callable[[], None], failed: Callable[[str], None], *, id: str) -> None:
        """shown: called when the rows of a new table are on the screen. failed: called with why none could be made."""
        super().__init__(id=id, key="task_id", frozen=2)
        self.overlay, self.placeholder = model.overlay, UNREAD
        self._model, self._shown, self._failed = model, shown, failed
        self._keys = HeldKeys(self)  # for the rows
        self._due: Timer | None = None  # when the next table is made

    def action_copy_cell(self) -> None:
        self.post_message(self.CopyAsked(self))

    def copy_cell(self) -> None:
        """Copy the cell under the cursor."""
        super().action_copy_cell()

    def await_rows(self) -> None:
        """Let keys for the table wait until the requested rows are there: they act on the one under the cursor."""
        if self._model.is_waiting:
            self._keys.hold()

    def empty(self, note: Instead) -> None:
        """Show no rows, and a note in their place."""
        self.placeholder = note
        self.set_frame(pl.DataFrame())

    def show_view(self, wanted: View, delay: float = 0.0) -> None:
        """Show other tasks, or in another order. delay: seconds in which the view may change again."""
        self._model.view = wanted
        if delay:
            self._model.tables.wanted = True
            self._start_in(delay)
        else:
            self.want_table(soon=True)
            self.await_rows()

    # --- Tables: made in threads, taken in here

    def want_table(self, soon: bool = False) -> None:
        """Ask for another table: at once, or when it is due."""
        delay = self._model.want_table(soon)
        if delay is not None:
            self._start_in(delay)

    def _start_in(self, delay: float) -> None:
        if self._due is not None:
            self._due.stop()
        self._due = self.set_timer(delay, self._start) if delay else None
        if not delay:
            self._start()

    def _start(self) -> None:
        if (job := self._model.begin_table()) is not None:
            self._make(job)

    @work(thread=True, group="tables")
    def _make(self, job: TableJob) -> None:
        try:
            made = job.run()
        except (LabError, OSError, pl.exceptions.PolarsError) as error:
            deliver(self, self._not_made, job, str(error))
        else:
            deliver(self, self._take, made)

    def _not_made(self, job: TableJob, problem: str) -> None:
        self._model.tables.ended(PACE)
        self._keys.let_go()
        if job.source is self._model.source:
            if self._model.table is None:
                self._say_instead(problem)
            self._failed(problem)

    def _say_instead(self, text: str) -> None:
        self.placeholder = text
        self.refresh()

    def _take(self, made: MadeTable) -> None:
        model = self._model
        staged = model.table is not None and model.table.staged
        if model.take_table(made):
            self._show_rows(made)
        if made.table.staged != staged:
            self.refresh_bindings()  # of the key for stages
        if model.is_behind(made):
            self.want_table(soon=model.is_other(made))
        self.want_metrics()

    def _show_rows(self, made: MadeTable) -> None:
        self._model.show(made)
        self._keys.let_go()
        if not (self._model.problem and self.frame.height):  # what was shown stays while someone is typing
            made_view, table, ascii_only = made.job.view, made.table, host_of(self).config.ascii
            self.placeholder = NO_MATCH if table.frame.height else NO_TASKS
            order = view.columns(table, made_view) or ["task_id", "state"]
            own = {*table.parameters, *table.metrics}
            facts = [name for name in FACTS if name not in own]
            said, metric = view.live_columns(table), made_view.metric or self._model.live_metric
            shown = columns(order, facts, ascii_only, said, metric)
            if (charted := host_of(self).charted) is not None and charted.experiment == host_of(self).current:
                shown = [replace(one, format=charted.marked) if one.name == charted.column else one for one in shown]
            if made.expansion is not None:
                most = max(table.frame["task_id"][-1], *(run.run for run in made.expansion.runs))
                shown = labelled(shown, made.expansion, most, ascii_only)
            rows = made.shown
            self.set_frame(rows.frame, columns=shown, total=rows.total, pinned=rows.pinned)
        self._shown()

    # --- Metrics

    def want_metrics(self) -> None:
        """Read metrics, where that is due."""
        if (source := self._model.begin_metrics()) is not None:
            self._read_metrics(source, self._model.running, self._model.version)

    @work(thread=True, group="metrics")
    def _read_metrics(self, source: TaskSource, running: int, since: int) -> None:
        began = time.monotonic()
        try:
            came = source.read_metrics(running, since)
        except (LabError, OSError, pl.exceptions.PolarsError) as error:
            source.trouble, came = f"metrics can't be read: {error}", False
        deliver(self, self._take_metrics, source, came, time.monotonic() - began)

    def _take_metrics(self, source: TaskSource, came: bool, seconds: float) -> None:
        if self._model.take_metrics(source, came, seconds):
            self.want_table()
        elif source is self._model.source:
            self._shown()

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """Continue after an internal error in a worker, which is reported elsewhere."""
        if event.state == WorkerState.ERROR:
            self._keys.let_go()
            self._model.worker_failed(event.worker.group)
            if self._model.table is None and event.worker.group == "tables":
                self._say_instead(f"{type(event.worker.error).__name__}: {event.worker.error}")
