"""The tasks of one experiment as the Tasks pane shows them, and when they are read again.

The model starts nothing: the pane asks it what is due, does that in threads, and hands in what came. So nothing of it
needs a screen.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import polars as pl

from tui_lab.client.formatting import plural, shortened
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.error import TuiLabError
from tui_lab.tui.base.selection import Chosen
from tui_lab.tui.base.throttle import Throttle
from tui_lab.tui.panes.tasks.expansion import Expansion, StageRun, expanded
from tui_lab.tui.panes.tasks.view import Shown, View, shown
from tui_lab.tui.tasks.frame import TaskSource, TaskTable, overlaid
from tui_lab.tui.tasks.live import LiveRow, LiveTasks, filled

PACE: Final = 1.0
"""Seconds between two tables that no action requested."""
SHARE: Final = 5
"""The time between two of them is so many times what one takes."""
METRICS_PACE: Final = 3.0
METRICS_SHARE: Final = 12
LIKE: Final = 30
"""Characters of a filter that are quoted."""


@dataclass(frozen=True)
class TableJob:
    """A table to make, in a thread: a view of `table`, or of one that is read now."""

    source: TaskSource
    view: View
    table: TaskTable | None

    def run(self) -> MadeTable:
        """Return the table and the rows of the view. Raises LabError, OSError, PolarsError."""
        began = time.monotonic()
        table = self.table or self.source.read()
        rows, expansion = shown(table, self.view), None
        if self.view.expanded is not None:
            rows, expansion = expanded(self.source, table, rows, self.view.expanded)
        return MadeTable(self, table, rows, time.monotonic() - began, expansion)


@dataclass(frozen=True)
class MadeTable:
    """The table that a job made, and the seconds that it took. expansion: the task whose runs are among the rows."""

    job: TableJob
    table: TaskTable
    shown: Shown
    seconds: float
    expansion: Expansion | None = None


@dataclass(frozen=True)
class LiveJob:
    """Facts to read, in a thread, of some tasks, and what those of them say that run."""

    source: TaskSource
    listener: LiveTasks | None
    table: TaskTable
    tasks: tuple[int, ...]
    metric: str | None

    def run(self) -> HeardLive:
        """Return what was read. Raises LabError, OSError."""
        facts = self.source.live(self.tasks)
        return HeardLive(facts, self._said(facts) if self.listener is not None else {})

    def _said(self, facts: dict[int, Row]) -> dict[int, LiveRow]:
        assert self.listener is not None
        try:
            return self.listener.read(facts, self.table, self.metric)
        except (TuiLabError, LookupError, OSError):  # of the file of the experiment, which the table reports
            return {}


@dataclass(frozen=True)
class HeardLive:
    """Facts of some tasks, and the live columns of those that run."""

    facts: dict[int, Row]
    said: dict[int, LiveRow]


class TaskModel:
    """One experiment's tasks: their source, the newest table, the wanted view, the rows shown."""

    def __init__(self) -> None:
        self.source: TaskSource | None = None
        self.table: TaskTable | None = None
        self.view = View()
        self.shown_view: View | None = None
        """The view that the rows on the screen answer."""
        self.expansion: Expansion | None = None
        """The task whose runs of stages stand below it."""
        self.problem = ""
        """What is wrong with the filter."""
        self.running = 0
        """Tasks that run."""
        self.moves = False
        """Whether tasks or runs of stages run."""
        self.live: dict[int, Row] = {}
        """The newest facts of tasks in sight, which are read more often than the table."""
        self.said: dict[int, LiveRow] = {}
        """What those of them say that run."""
        self.listener: LiveTasks | None = None
        """Reads that."""
        self.tables = Throttle(PACE, SHARE)
        self.metrics = Throttle(METRICS_PACE, METRICS_SHARE)
        self.live_busy = False
        self._unread = True  # no metrics have been read yet
        self._stale = False  # the journal has more than the table

    def open(self, source: TaskSource, view: View, listener: LiveTasks | None = None) -> None:
        """Show the tasks of an experiment."""
        self.close()
        self.source, self.view, self.listener = source, view, listener
        self.tables, self.metrics = Throttle(PACE, SHARE), Throttle(METRICS_PACE, METRICS_SHARE)
        self._unread = True

    def close(self) -> None:
        """Show no experiment."""
        if self.listener is not None:
            self.listener.close()
        self.said, self.listener = {}, None
        self.source, self.table, self.shown_view, self.live, self.expansion = None, None, None, {}, None

    def journal_grew(self, running: int, runs: int) -> None:
        """Note that the table is behind the journal. running, runs: tasks, and runs of stages, that run."""
        self.running, self.moves, self._stale = running, running + runs > 0, True

    # --- Tables

    def want_table(self, soon: bool = False) -> float | None:
        """Ask for another table. Return the seconds until one may be made; None where that follows by itself."""
        self.tables.wanted = True
        if self.tables.busy or self.source is None:
            return None
        return 0.0 if soon or self.table is None else self.tables.delay()

    def begin_table(self) -> TableJob | None:
        """Return the table to make now, if any."""
        if self.tables.busy or self.source is None or not self.tables.wanted:
            return None
        self.tables.began()
        fresh = self.table is None or (self._stale and not self.tables.delay())
        if fresh:
            self._stale = False
        return TableJob(self.source, self.view, None if fresh else self.table)

    def take_table(self, made: MadeTable) -> bool:
        """Take in a table. Return whether its rows are to be shown: it is of this experiment and of this view."""
        if made.job.source is not self.source:
            self.tables.ended(0)
            return False
        if made.job.table is None:
            self.tables.ended(made.seconds)
        else:
            self.tables.busy = False
        self.table = made.table
        self._stale = self._stale or made.shown.unsteady  # what runs on will stand on top
        return made.job.view == self.view

    def is_behind(self, made: MadeTable) -> bool:
        """Whether another table is wanted after this one."""
        return self.tables.wanted or self._stale or self.is_other(made)

    def is_other(self, made: MadeTable) -> bool:
        """Whether a table is of another experiment or view than is wanted by now."""
        return made.job.source is not self.source or made.job.view != self.view

    def show(self, made: MadeTable) -> None:
        """Note that the rows of a table are on the screen."""
        self.shown_view, self.problem, self.expansion = made.job.view, made.shown.problem, made.expansion

    @property
    def is_waiting(self) -> bool:
        """Whether the rows on the screen answer another view than is wanted."""
        return self.source is not None and self.shown_view != self.view

    # --- Runs of stages

    def stage_run(self, one: int | None) -> StageRun | None:
        """Return the run of a stage that a row shows; None for the row of a task."""
        return None if self.expansion is None else self.expansion.run(one)

    def tasks_of(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return the rows of tasks, without those of runs of stages."""
        if self.expansion is None:
            return rows
        return rows.filter(~pl.col("task_id").is_in([run.run for run in self.expansion.runs]))

    # --- Metrics and live facts

    @property
    def version(self) -> int:
        """The version of the metrics in the table."""
        return self.table.version if self.table is not None else 0

    def begin_metrics(self) -> TaskSource | None:
        """Ask for the metrics. Return where to read them now; None where it is too early: the pane asks again."""
        self.metrics.wanted = True
        if self.source is None or self.table is None or not self.table.reads or self.metrics.busy:
            return None
        if self.metrics.delay():
            return None
        self.metrics.began()
        return self.source

    def take_metrics(self, source: TaskSource, came: bool, seconds: float) -> bool:
        """Note that metrics were read. Return whether another table is wanted for them."""
        self.metrics.ended(seconds)
        self._unread = self._unread and source is not self.source
        news = came and source is self.source
        self._stale = self._stale or news
        return news

    def begin_live(self, tasks: Collection[int]) -> LiveJob | None:
        """Return what is to be read now about some tasks, if anything."""
        if self.live_busy or self.source is None or self.table is None:
            return None
        self.live_busy = True
        return LiveJob(self.source, self.listener, self.table, tuple(tasks), self.view.metric)

    def take_live(self, job: LiveJob, found: HeardLive | None) -> bool:
        """Take in live facts, None where they could not be read. Return whether anything is new."""
        self.live_busy = False
        if job.source is not self.source or found is None or (found.facts, found.said) == (self.live, self.said):
            return False
        self.live, self.said = found.facts, found.said
        return True

    @property
    def live_metric(self) -> str | None:
        """The metric whose live values are shown."""
        return self.listener.metric if self.listener is not None else None

    def next_metric(self) -> str | None:
        """Return the metric whose live values are to be shown next; None where there is no other."""
        known = self.listener.metrics if self.listener is not None else ()
        if len(known) < 2:
            return None
        now = self.view.metric if self.view.metric in known else self.live_metric
        return known[(known.index(now) + 1) % len(known)] if now in known else known[0]

    def overlay(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return rows with the live facts in the place of older ones."""
        if "task_id" not in rows.columns or self.table is None:
            return rows
        found = overlaid(rows, self.live) if self.live else rows
        return filled(found, self.said, self.table.columns) if self.table.running else found

    def worker_failed(self, group: str) -> None:
        """Note that work ended by an error of this program."""
        self.tables.busy = self.tables.busy and group != "tables"
        self.metrics.busy = self.metrics.busy and group != "metrics"
        self._unread = self._unread and group != "metrics"
        self.live_busy = self.live_busy and group != "live"

    # --- In words

    def count(self, rows: pl.DataFrame, total: int, marked: Collection[int]) -> str:
        """Return how many tasks there are, are shown and are marked."""
        assert self.table is not None
        rows = self.tasks_of(rows)
        words = [f"{rows.height:,} of {total:,}" if rows.height != total else count_of_tasks(self.table)]
        if self.view.only is not None:
            words.insert(0, self.view.only[0])
        if self.table.running:
            words.append(f"{self.table.running:,} running")
        if marked:
            words.append(f"{len(marked):,} marked")
        if self.table.reads and self._unread and not self.version:
            words.append("reading metrics …")
        if self.source is not None and self.source.trouble:
            words.append(self.source.trouble)
        return " · ".join(words)

    def chosen(self, rows: pl.DataFrame, total: int, marked: Collection[int]) -> Chosen | None:
        """Return the tasks that charts of steps are narrowed to: the marked ones, else those that a filter found."""
        if self.source is None or self.table is None:
            return None
        name, rows = self.source.folder.name, self.tasks_of(rows)
        if marked:
            return Chosen(name, f"{plural(len(marked), 'task')} marked", pl.Series(sorted(marked), dtype=pl.Int64))
        if rows.height != total and not self.problem:
            like = self.view.only[0] if self.view.only is not None else f"like {self.view.text.strip()}"
            words = f"{plural(rows.height, 'task')} {shortened(like, LIKE)}"
            return Chosen(name, words, rows["task_id"].cast(pl.Int64))
        return None


def count_of_tasks(table: TaskTable) -> str:
    """Return how many there are. Those that left the plan are not in the counts at the top of the screen."""
    left = table.unplanned
    words = plural(table.frame.height - left, "task")
    return f"{words} and {left:,} no longer planned" if left else words
