"""The log of the task under the cursor: read once the cursor rests on it, also from another machine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from textual import on
from textual.timer import Timer
from textual.worker import Worker, WorkerState

from tui_lab.store.errors import LabError
from tui_lab.tui.base.empty import Instead
from tui_lab.tui.base.pane import HeldKeys, host_of
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.tasks.model import TaskModel
from tui_lab.tui.tasks.detail import read_detail
from tui_lab.tui.tasks.frame import TaskSource
from tui_lab.tui.widgets.log.choice import TaskDetail
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.log.remote import OtherMachines

REST: Final = 0.06
"""Seconds that the cursor rests on a task before its log is opened."""


class TaskLog(LogPanel):
    """The log of the task of a model that the cursor rests on."""

    def __init__(self, model: TaskModel, read: Callable[[], None], *, id: str) -> None:
        """read: called when another task, or news of the same, are shown."""
        self._others = OtherMachines(lambda: host_of(self).lab)
        super().__init__(id=id, connect=self._others.connect, searching=self._search_goes_on)
        self._model, self._was_read = model, read
        self._hit_keys, self._task_keys = HeldKeys(self), HeldKeys(self)
        self._at: int | None = None  # the task whose log is wanted
        self._resting: Timer | None = None

    def on_unmount(self) -> None:
        self._others.close()

    def _search_goes_on(self, going: bool) -> None:
        (self._hit_keys.hold if going else self._hit_keys.let_go)()

    def rest_on(self, task: int) -> None:
        """Open the log of a task, unless the cursor moves on at once."""
        self._at = task
        self._stop_resting()
        if self.detail is None or self.detail.task != task:
            self._resting = self.set_timer(REST, self.read_wanted)

    def _stop_resting(self) -> None:
        if self._resting is not None:
            self._resting.stop()
            self._resting = None

    def leave(self, note: Instead) -> None:
        """Show no task, and a note in its place."""
        self._stop_resting()
        self._at = None
        self._task_keys.let_go()
        self.clear(note)

    def await_task(self) -> None:
        """Let keys for the log wait until it is that of the task under the cursor: one that came later would end a
        search."""
        if self._at is not None and (self.detail is None or self.detail.task != self._at):
            self._stop_resting()
            self._task_keys.hold()
            self.read_wanted()

    def read_wanted(self) -> None:
        """Read about the task whose log is to be shown next."""
        if self._model.source is not None and self._at is not None:
            run = self._model.stage_run(self._at)
            self._read_task(self._model.source, self._at, None if run is None else run.task)

    @work(thread=True, exclusive=True, group="detail")
    def _read_task(self, source: TaskSource, task: int, behind: int | None) -> None:
        try:
            found = read_detail(source, task, behind)
        except (LabError, LookupError, OSError):
            found = None
        deliver(self, self._task_read, source, task, found)

    def _task_read(self, source: TaskSource, task: int, found: TaskDetail | None) -> None:
        if source is self._model.source and task == self._at:
            self._task_keys.let_go()
            if found is not None:
                self.open(found)
            else:
                self.clear("this task is unknown")
            self._was_read()

    @on(Worker.StateChanged)
    def _worker_changed(self, event: Worker.StateChanged) -> None:
        """Let the keys go after an internal error in a worker, which is reported elsewhere."""
        if event.state == WorkerState.ERROR:
            self._hit_keys.let_go()
            self._task_keys.let_go()
