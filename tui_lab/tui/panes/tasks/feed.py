"""The tables of the Tasks pane as they are made anew: by workers, which post what they made; nothing waits for them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from textual import on
from textual.content import Content
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker, WorkerState

from tui_lab.client.formatting import plural, shortened
from tui_lab.experiment.facts import FACTS
from tui_lab.store.errors import LabError
from tui_lab.tui.base.selection import Chosen
from tui_lab.tui.base.workers import work
from tui_lab.tui.panes.tasks import view
from tui_lab.tui.panes.tasks.columns import columns
from tui_lab.tui.panes.tasks.frame import TaskSource, TaskTable, overlaid
from tui_lab.tui.panes.tasks.view import View
from tui_lab.tui.panes.tasks.worker import METRICS_PACE, METRICS_SHARE, PACE, SHARE, Made, Pace, make, settle

if TYPE_CHECKING:
    from tui_lab.tui.panes.tasks.pane import TasksPane

LIKE: Final = 30
"""Characters of a filter that are said elsewhere."""


def count_of_tasks(table: TaskTable) -> str:
    """How many there are; those that are in the plan no more are not in the counts at the top of the screen."""
    left = table.unplanned
    words = plural(table.frame.height - left, "task")
    return f"{words} and {left:,} no longer planned" if left else words


class TaskFeed(Widget):
    """The part of the pane that keeps its tables up to date."""

    def __init__(self) -> None:
        super().__init__()
        self.source: TaskSource | None = None
        self.made: TaskTable | None = None
        self.view = View()
        self.shown_view: View | None = None  # what the rows on the screen answer
        self._going = 0  # tasks that run
        self._wrong = ""  # what is wrong with the filter
        self._tables = Pace(PACE, SHARE)
        self._metrics = Pace(METRICS_PACE, METRICS_SHARE)
        self._stale = False  # the journal has more than the table
        self._timer: Timer | None = None
        self._live_busy = False
        self._live: dict[int, dict[str, Any]] = {}

    @property
    def _feeds(self) -> TasksPane:
        return self  # type: ignore[return-value]

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

    @work(thread=True, group="tables")
    def _make(self, source: TaskSource, view: View, table: TaskTable | None) -> None:
        try:
            made = make(source, view, table)
        except (LabError, OSError, pl.exceptions.PolarsError) as error:
            self.app.call_from_thread(self._failed, source, str(error))
        else:
            self.app.call_from_thread(self._made, made, table is None)

    def _failed(self, source: TaskSource, problem: str) -> None:
        self._tables.ended(PACE)
        self._feeds.let_keys_go()
        if source is self.source:
            if self.made is None:
                self._feeds.table.placeholder = problem
                self._feeds.table.refresh()
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
        table, shown = self._feeds.table, made.shown
        self.shown_view = made.view
        self._feeds.let_keys_go()
        self._wrong = shown.problem
        if shown.problem and table.frame.height:  # what was shown stays while someone is typing
            self.say_count()
            return
        facts = [*FACTS]
        ascii_only = self._feeds.lab_app.config.ascii
        table.placeholder = "no task is like that" if made.table.frame.height else "there are no tasks yet"
        order = view.columns(made.table, made.view) or ["task_id", "state"]
        parameters = {*made.table.parameters, *made.table.metrics}
        table.set_frame(
            shown.frame,
            columns=columns(order, [name for name in facts if name not in parameters], ascii_only),
            total=shown.total,
        )
        if self._feeds._wanted_task is not None:
            self._feeds._go_to_wanted()
        self.say_count()
        self._feeds.regroup()

    def say_count(self) -> None:
        table = self._feeds.table
        self._feeds.lab_app.chosen = self._chosen()
        if self.made is None:
            self._say("")
            return
        if self.has_class("-grouped"):
            self._say(f"{self._feeds.group_words()} · esc goes back")
            return
        few = table.frame.height != table.total
        if self._wrong:
            self._say(self._wrong.partition("\n")[0], wrong=True)
            return
        words = [f"{table.frame.height:,} of {table.total:,}" if few else count_of_tasks(self.made)]
        if self.view.only is not None:
            words.insert(0, self.view.only[0])
        if table.marked:
            words.append(f"{len(table.marked):,} marked")
        if self.source is not None and self.source.trouble:
            words.append(self.source.trouble)
        self._say(" · ".join(words))

    def _chosen(self) -> Chosen | None:
        """What charts of steps are narrowed to."""
        table, source = self._feeds.table, self.source
        if source is None or self.made is None:
            return None
        if table.marked:
            words = f"{plural(len(table.marked), 'task')} marked"
            return Chosen(source.folder.name, words, pl.Series(sorted(table.marked), dtype=pl.Int64))
        if table.frame.height != table.total and not self._wrong:
            like = self.view.only[0] if self.view.only is not None else f"like {self.view.text.strip()}"
            words = f"{plural(table.frame.height, 'task')} {shortened(like, LIKE)}"
            return Chosen(source.folder.name, words, table.frame["task_id"].cast(pl.Int64))
        return None

    def _say(self, text: str, wrong: bool = False) -> None:
        widget = self.query_one("#task-count", Static)
        widget.update(Content(text))
        widget.set_class(wrong, "-wrong")

    # Metrics.

    def _want_metrics(self) -> None:
        self._metrics.wanted = True  # also where it is too early: `_second` asks again, after the run has ended, too
        if self.source is None or self.made is None or not self.made.metrics or self._metrics.busy:
            return
        if not self._metrics.delay():
            self._metrics.began()
            self._read_metrics(self.source, self._going)

    @work(thread=True, group="metrics")
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
            self._feeds.let_keys_go()
            self._tables.busy = self._tables.busy and event.worker.group != "tables"
            self._metrics.busy = self._metrics.busy and event.worker.group != "metrics"
            self._live_busy = self._live_busy and event.worker.group != "live"
            if self.made is None and event.worker.group == "tables":
                self._feeds.table.placeholder = f"{type(event.worker.error).__name__}: {event.worker.error}"
                self._feeds.table.refresh()

    # What is in sight, several times a second.

    def _second(self) -> None:
        if not self.is_on_screen:
            return
        if self._going:
            self._look_live()
        if self._going or self._metrics.wanted:
            self._want_metrics()

    def _look_live(self) -> None:
        if self._live_busy or self.source is None or self.made is None:
            return
        ids = self._feeds.table.keys_in_sight()
        if self._feeds.detail is not None:
            ids.append(self._feeds.detail.task)
        self._live_busy = True
        self._read_live(self.source, ids)

    @work(thread=True, group="live")
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
        if found == self._live:
            return
        self._live = found
        self._feeds.table.refresh_rows()
        detail = self._feeds.detail
        now = found.get(detail.task) if detail is not None else None
        if detail is None or now is None:
            return
        if (now["state"], now["attempts"]) != (detail.state, detail.attempts):
            self._feeds.read_wanted()
        else:
            self._feeds.log_panel.tick(now["duration"])

    def _overlay(self, rows: pl.DataFrame) -> pl.DataFrame:
        return overlaid(rows, self._live) if self._live and "task_id" in rows.columns else rows
