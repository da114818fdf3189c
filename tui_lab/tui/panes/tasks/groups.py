"""The group view of the Tasks pane: tasks by a column, or failures by what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import polars as pl
from textual import on
from textual.worker import get_current_worker

from tui_lab.client.formatting import plural
from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.failures.clusters import Cluster
from tui_lab.results.failures.shared import Shared
from tui_lab.results.sql.text import is_equal
from tui_lab.store.errors import LabError
from tui_lab.tui.base.empty import Empty, Instead
from tui_lab.tui.base.formatting import mark
from tui_lab.tui.base.pane import HeldKeys, host_of
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.tasks import view
from tui_lab.tui.panes.tasks.failures import excluding
from tui_lab.tui.panes.tasks.model import TaskModel
from tui_lab.tui.panes.tasks.why import explanation
from tui_lab.tui.tasks.columns import MEAN_DURATION, TONES, columns
from tui_lab.tui.tasks.failures import FailedTasks, Failures
from tui_lab.tui.tasks.frame import TaskSource, TaskTable
from tui_lab.tui.widgets.table.table import Column, FrameTable, next_order

FAILURES: Final = "failures by why"
"""In the place of a column: no column has spaces in its name."""


class GroupView(FrameTable):
    """Groups of tasks: by a column, or the failures in kinds. Hidden while `by` is None."""

    class Picked(FrameTable.TableMessage):
        """A group was chosen: show its tasks, by a filter or by their ids."""

        def __init__(self, table: FrameTable, where: str, only: tuple[str, tuple[int, ...]] | None) -> None:
            super().__init__(table)
            self.where = where
            self.only = only

    class Regrouped(FrameTable.TableMessage):
        """Other groups are shown."""

    def __init__(self, model: TaskModel, *, id: str | None = None) -> None:
        super().__init__(id=id, key="group")
        self.by: str | None = None
        """A column, or FAILURES; None where tasks are shown one by one."""
        self._model = model
        self._failures: Failures | None = None
        self._reader: FailedTasks | None = None
        self._keys = HeldKeys(self)  # for the first failures

    def open(self, by: str, unread: Instead) -> None:
        """Group by a column, or the failures. `unread`: why no task can be read, if so."""
        self.close()
        self.by = by
        waiting = (
            "reading the failures" if by == FAILURES else Empty("No tasks", "app.leave_text", "goes back to all tasks")
        )
        self.placeholder = unread if self._model.table is None else waiting
        self.sort_by = None
        self.set_frame(pl.DataFrame())
        if by == FAILURES:
            self._keys.hold()
        self.update_groups()

    def close(self) -> None:
        """Forget the groups."""
        self.by, self._failures, self._reader = None, None, None
        self._keys.let_go()

    def update_groups(self) -> None:
        """Bring the groups up to date with the table."""
        model = self._model
        if self.by is None or model.table is None or model.source is None:
            return
        if self.by == FAILURES:
            self._reader = self._reader or FailedTasks(model.source)
            self._read_failures(self._reader, model.table)
        else:
            self._show_groups(model.table, self.by)

    def words(self) -> str:
        """Return how many groups there are."""
        if self.by == FAILURES:
            return plural(self.frame.height, "kind") + " of failure"
        left = self._model.table.unplanned if self._model.table is not None else 0
        out = f", without {plural(left, 'task')} no longer planned" if left else ""
        return f"{plural(self.frame.height, 'group')} by {self.by}{out}"

    def tasks(self) -> list[int]:
        """Return the tasks of the group under the cursor."""
        row = self.row(self.cursor_row)
        return [] if row is None else self.tasks_of(row["group"])

    def tasks_of(self, group: Any) -> list[int]:
        """Return the tasks of a group: of a value of the column, or of a kind of failure by its number."""
        if self.by == FAILURES:
            return list(self._failures.kinds[group].tasks) if self._failures is not None else []
        if self.by is None or self._model.table is None:
            return []
        same = pl.col(self.by).eq_missing(pl.lit(group))
        return [int(task) for task in self._model.table.of_plan().frame.filter(same)["task_id"]]

    def kind_here(self) -> tuple[Cluster, tuple[Shared, ...]] | None:
        """Return the kind of failure under the cursor, and what its tasks share; None where there is none."""
        row = self.row(self.cursor_row)
        if row is None or self.by != FAILURES or self._failures is None:
            return None
        return self._failures.kinds[row["group"]], self._failures.shared[row["group"]]

    def action_copy_cell(self) -> None:
        """Of failures: copy the condition that they share."""
        here = self.kind_here()
        if self.by != FAILURES:
            super().action_copy_cell()
        elif here is not None and here[1]:
            host_of(self).copy(here[1][0].sql, "the condition")
        else:
            host_of(self).tell("these failures share nothing that a condition could say", "information")

    def action_copy_row(self) -> None:
        """Of failures: copy all that is known of them."""
        here = self.kind_here()
        if self.by != FAILURES:
            super().action_copy_row()
        elif here is not None:
            host_of(self).copy(explanation(*here), "the explanation")

    def exclude(self) -> None:
        """Open the file with a condition in `where` that leaves out what the failures under the cursor share."""
        source, here = self._model.source, self.kind_here()
        if source is not None and here is not None and here[1]:
            self._exclude(source, here[1])
        else:
            host_of(self).tell("these failures share nothing that could be left out", "information")

    @work(thread=True, exclusive=True, group="exclude")
    def _exclude(self, source: TaskSource, found: Sequence[Shared]) -> None:
        host = host_of(self)
        try:
            path, text, condition = excluding(source, found)
        except (LabError, SpecError, OSError, UnicodeDecodeError) as error:
            host.tell(str(error), "error")
        else:
            deliver(self, host.open_text, path, text, f"with {condition}")

    def _show_groups(self, table: TaskTable, column: str) -> None:
        if column not in table.frame.columns:
            return
        frame = view.grouped(table.of_plan().frame, column, table.metrics)
        if self.sort_by is not None and self.sort_by[0] in frame.columns:
            frame = frame.sort(self.sort_by[0], descending=self.sort_by[1], nulls_last=True)
        ascii_only = host_of(self).config.ascii
        shown = [Column("group", column), *columns(frame.columns[1:], [*FACTS, MEAN_DURATION], False)]
        for place, one in enumerate(shown):
            if one.name in TONES and column != one.name:
                label = mark(one.name, ascii_only)
                shade = partial(_shade, TONES[one.name])
                shown[place] = Column(one.name, f"{label} {one.name}", "right", _counted, style=shade)
        if column == "state":
            shown = [one for one in shown if one.name not in TONES]
            shown[0] = replace(columns(["state"], ["state"], ascii_only)[0], name="group")
        self.set_frame(frame, columns=shown)
        self.post_message(self.Regrouped(self))

    @work(thread=True, exclusive=True, group="failures")
    def _read_failures(self, reader: FailedTasks, table: TaskTable) -> None:
        worker = get_current_worker()
        try:
            found = reader.read(table, lambda: not worker.is_cancelled)
        except (LabError, OSError) as error:
            deliver(self, self._failures_unread, reader, str(error))
            return
        deliver(self, self._show_failures, reader, found)

    def _failures_unread(self, reader: FailedTasks, problem: str) -> None:
        if reader is self._reader:
            self.placeholder = problem
            self.set_frame(pl.DataFrame())
            self._keys.let_go()

    def _show_failures(self, reader: FailedTasks, found: Failures) -> None:
        if self.by != FAILURES or reader is not self._reader:
            return
        self._failures = found
        left = f"; {found.left:,} more are not read" if found.left else ""
        self.placeholder = Empty("No task has failed", "app.leave_text", "goes back to all tasks")
        shown = [
            Column("tasks"),
            Column("reason", style=lambda _: "error"),
            Column("line", f"what it said{left}", format=lambda line: line or "(nothing)"),
        ]
        self.set_frame(found.frame, columns=shown)
        self._keys.let_go()
        self.post_message(self.Regrouped(self))

    @on(FrameTable.HeaderSelected)
    def _sort(self, event: FrameTable.HeaderSelected) -> None:
        event.stop()
        if self.by and self.by != FAILURES and self._model.table is not None:
            self.sort_by = next_order(self.sort_by, event.column)
            self._show_groups(self._model.table, self.by)

    @on(FrameTable.RowSelected)
    def _pick(self, event: FrameTable.RowSelected) -> None:
        event.stop()
        if self.by == FAILURES and self._failures is not None:
            name = str(event.row["line"] or event.row["reason"])
            self.post_message(self.Picked(self, "", (name[:40], self._failures.kinds[event.row["group"]].tasks)))
        elif self.by is not None:
            where = "" if self.by == FAILURES else is_equal(self.by, event.row["group"])
            if where and self._model.table is not None and self._model.table.unplanned:
                where += " and planned"
            self.post_message(self.Picked(self, where, None))


def _counted(count: int) -> str:
    return f"{count:,}" if count else "0"


def _shade(tone: str, count: int) -> str:
    return tone if count else "muted"
