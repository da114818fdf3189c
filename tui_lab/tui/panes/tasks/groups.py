"""The group view of the Tasks pane: tasks by a column, or failures by the last line of their standard error."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

import numpy as np
import polars as pl
from textual import on
from textual.worker import get_current_worker

from tui_lab.client.attempts import messages
from tui_lab.client.formatting import last_line, plural
from tui_lab.experiment.facts import FACTS
from tui_lab.results.sql.text import is_equal
from tui_lab.store import fold
from tui_lab.store.errors import LabError
from tui_lab.tui.base.formatting import mark
from tui_lab.tui.base.pane import PATIENT, host_of
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.tasks import view
from tui_lab.tui.panes.tasks.columns import MEAN_DURATION, TONES, columns
from tui_lab.tui.panes.tasks.frame import TaskSource, TaskTable
from tui_lab.tui.panes.tasks.model import TaskModel
from tui_lab.tui.widgets.table.table import Column, FrameTable, next_order

FAILURES: Final = "failures by their last line"
"""In the place of a column: no column has spaces in its name."""

# --- Failures by their last line

READ_AT_MOST: Final = 20_000  # failed tasks whose last line is read
_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")


@dataclass(frozen=True)
class Failures:
    """`frame` has a row per kind: group (its number), tasks, reason, last line; `tasks` the ids of each. `left` were
    not read: too many."""

    frame: pl.DataFrame
    tasks: tuple[tuple[int, ...], ...]
    left: int = 0


class FailureReader:
    """Reads last lines, each once."""

    def __init__(self, source: TaskSource) -> None:
        self._source = source
        self._lines: dict[tuple[int, int], str] = {}

    def read(self, going: Callable[[], bool]) -> Failures:
        """The failed and lost planned tasks, grouped by reason and last line (lines that differ in numbers alone are
        one kind), largest group first. Raises LabError."""
        with self._source.reading() as folder:
            state = folder.state()
            columns = {
                name: np.frombuffer(state.columns[name], dtype=fold.COLUMNS[name][0])
                for name in ("state", "planned", "reason", "exit_code", "signal", "attempt")
            }
            failed = (columns["state"] == fold.FAILED) | (columns["state"] == fold.LOST)
            ids = np.flatnonzero(failed & (columns["planned"] == 1))
            facts = {name: column[ids].tolist() for name, column in columns.items()}
            del columns
            raised = dict(state.raised)
            explained = any(fold.REASONS[code] in fold.EXPLAINED for code in set(facts["reason"]))
            said = messages(folder) if explained else {}
        groups: dict[tuple[str, str], list[int]] = {}
        examples: dict[tuple[str, str], str] = {}
        for place, task in enumerate(ids[:READ_AT_MOST].tolist()):
            if not going():
                break
            attempt = facts["attempt"][place]
            if (exception := raised.get(task)) is not None:
                kind = (f"exception at {exception.at}", exception.type)
                examples.setdefault(kind, exception.line)
                groups.setdefault(kind, []).append(task)
                continue
            line = self._lines.get((task, attempt))
            reason = fold.REASONS[facts["reason"][place]]
            if line is None:
                message = said.get(task) if reason in fold.EXPLAINED else None
                line = last_line(folder.task_folder(task), attempt, message)
                self._lines[task, attempt] = line
            if facts["state"][place] == fold.LOST:
                reason = "lost"
            if reason in ("exit", "signal"):
                code = facts["exit_code" if reason == "exit" else "signal"][place]
                reason = f"{reason} {code}"
            kind = (reason, _NUMBER.sub("#", line))
            examples.setdefault(kind, line)
            groups.setdefault(kind, []).append(task)
        ordered = sorted(groups.items(), key=lambda item: -len(item[1]))
        frame = pl.DataFrame(
            {
                "group": list(range(len(ordered))),
                "tasks": [len(tasks) for _, tasks in ordered],
                "reason": [reason for (reason, _), _ in ordered],
                "last line": [examples[kind] for kind, _ in ordered],
            },
            schema={"group": pl.Int64, "tasks": pl.Int64, "reason": pl.String, "last line": pl.String},
        )
        return Failures(frame, tuple(tuple(tasks) for _, tasks in ordered), max(0, len(ids) - READ_AT_MOST))


class GroupView(FrameTable):
    """Groups of tasks: by a column, or the failures by their last line. Hidden while `by` is None."""

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
        self._reader: FailureReader | None = None
        self._release: Callable[[], None] | None = None  # lets the keys go that wait for the first failures

    def open(self, by: str, unread: str) -> None:
        """Group by a column, or the failures. `unread`: why no task can be read, if so."""
        self.close()
        self.by = by
        waiting = "reading the failures" if by == FAILURES else "no tasks"
        self.placeholder = unread if self._model.table is None else waiting
        self.sort_by = None
        self.set_frame(pl.DataFrame())
        if by == FAILURES:
            self._release = host_of(self).hold_input(PATIENT, rows=True)
        self.update_groups()

    def close(self) -> None:
        """Forget the groups."""
        self.by, self._failures, self._reader = None, None, None
        self._let_keys_go()

    def _let_keys_go(self) -> None:
        if self._release is not None:
            self._release()
            self._release = None

    def update_groups(self) -> None:
        """Bring the groups up to date with the table."""
        model = self._model
        if self.by is None or model.table is None or model.source is None:
            return
        if self.by == FAILURES:
            self._reader = self._reader or FailureReader(model.source)
            self._read_failures(self._reader)
        else:
            self._show_groups(model.table, self.by)

    def words(self) -> str:
        """Return how many groups there are."""
        if self.by == FAILURES:
            return plural(self.frame.height, "kind") + " of failure"
        return f"{plural(self.frame.height, 'group')} by {self.by}"

    def tasks(self) -> list[int]:
        """Return the tasks of the group under the cursor."""
        row = self.row(self.cursor_row)
        return [] if row is None else self.tasks_of(row["group"])

    def tasks_of(self, group: Any) -> list[int]:
        """Return the tasks of a group: of a value of the column, or of a kind of failure by its number."""
        if self.by == FAILURES:
            return list(self._failures.tasks[group]) if self._failures is not None else []
        if self.by is None or self._model.table is None:
            return []
        same = pl.col(self.by).eq_missing(pl.lit(group))
        return [int(task) for task in self._model.table.frame.filter(same)["task_id"]]

    def _show_groups(self, table: TaskTable, column: str) -> None:
        if column not in table.frame.columns:
            return
        frame = view.grouped(table.frame, column, table.metrics)
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
    def _read_failures(self, reader: FailureReader) -> None:
        worker = get_current_worker()
        try:
            found = reader.read(lambda: not worker.is_cancelled)
        except (LabError, OSError) as error:
            deliver(self, self._failures_unread, reader, str(error))
            return
        deliver(self, self._show_failures, reader, found)

    def _failures_unread(self, reader: FailureReader, problem: str) -> None:
        if reader is self._reader:
            self.placeholder = problem
            self.set_frame(pl.DataFrame())
            self._let_keys_go()

    def _show_failures(self, reader: FailureReader, found: Failures) -> None:
        if self.by != FAILURES or reader is not self._reader:
            return
        self._failures = found
        left = f"; {found.left:,} more are not read" if found.left else ""
        self.placeholder = "no task failed"
        shown = [
            Column("tasks"),
            Column("reason", style=lambda _: "error"),
            Column("last line", f"last line of standard error{left}", format=lambda line: line or "(it has none)"),
        ]
        self.set_frame(found.frame, columns=shown)
        self._let_keys_go()
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
            name = str(event.row["last line"] or event.row["reason"])
            self.post_message(self.Picked(self, "", (name[:40], self._failures.tasks[event.row["group"]])))
        elif self.by is not None:
            where = "" if self.by == FAILURES else is_equal(self.by, event.row["group"])
            self.post_message(self.Picked(self, where, None))


def _counted(count: int) -> str:
    return f"{count:,}" if count else "0"


def _shade(tone: str, count: int) -> str:
    return tone if count else "muted"
