"""The grouped view of the Tasks pane: by a column, or the failures by what they said last."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from textual import on
from textual.widget import Widget
from textual.worker import get_current_worker

from tui_lab.client.formatting import last_line, plural
from tui_lab.experiment.facts import FACTS
from tui_lab.results.sql.text import is_equal
from tui_lab.store import fold
from tui_lab.store.errors import LabError
from tui_lab.tui.base.formatting import mark
from tui_lab.tui.base.workers import work
from tui_lab.tui.panes.tasks import view
from tui_lab.tui.panes.tasks.columns import MEAN_DURATION, TONES, columns
from tui_lab.tui.panes.tasks.frame import TaskSource
from tui_lab.tui.widgets.dialogs import Choose
from tui_lab.tui.widgets.table.table import Column, FrameTable, next_order

if TYPE_CHECKING:
    from tui_lab.tui.panes.tasks.pane import TasksPane


# --- Failures by what they said last: what to look at first when many tasks failed
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
            path = folder.path
        groups: dict[tuple[str, str], list[int]] = {}
        examples: dict[tuple[str, str], str] = {}
        for place, task in enumerate(ids[:READ_AT_MOST].tolist()):
            if not going():
                break
            attempt = facts["attempt"][place]
            line = self._lines.get((task, attempt))
            if line is None:
                line = last_line(path, (task, attempt))
                self._lines[task, attempt] = line
            reason = "lost" if facts["state"][place] == fold.LOST else fold.REASONS[facts["reason"][place]]
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


class TaskGrouping(Widget):
    """The part of the pane that groups."""

    _grouped_by: str | None = None  # a column, or "" for the failures
    _failures: Failures | None = None
    _reader: FailureReader | None = None

    @property
    def _pane(self) -> TasksPane:
        return self  # type: ignore[return-value]

    # Groups.

    @work(exclusive=True, group="dialog")
    async def action_group(self) -> None:
        pane = self._pane
        if pane.made is None:
            return
        choices = [("", "one by one"), ("failures", "failures by their last line")]
        choices += [(f"by {name}", f"by {name}") for name in view.groupable(pane.made)]
        now = "failures" if self._grouped_by == "" else f"by {self._grouped_by}" if self._grouped_by else "by state"
        answer = await self.app.push_screen_wait(Choose("Tasks", choices, now))
        if answer == "":
            self.leave_groups()
            pane.focus_first()
        elif answer == "failures":
            self.action_failures()
        elif answer is not None:
            self._group_by(answer.removeprefix("by "))

    def action_failures(self) -> None:
        self._group_by("")

    def _group_by(self, column: str) -> None:
        self._grouped_by, self._failures, self._reader = column, None, None
        self.add_class("-grouped")
        self.remove_class("-zoomed")
        groups = self._pane.groups
        here = self._pane.table.placeholder  # why nothing can be read
        groups.placeholder = here if self._pane.made is None else "reading the failures" if column == "" else "no tasks"
        groups.sort_by = None
        groups.set_frame(pl.DataFrame())
        self.regroup()
        self._pane.focus_first()

    def leave_groups(self) -> None:
        self._grouped_by, self._failures, self._reader = None, None, None
        self.remove_class("-grouped")
        self._pane.say_count()

    def regroup(self) -> None:
        """Bring the groups up to date with the table."""
        pane = self._pane
        if self._grouped_by is None or pane.made is None or pane.source is None:
            return
        if self._grouped_by == "":
            if self._reader is None:
                self._reader = FailureReader(pane.source)
            self._read_failures(self._reader)
        else:
            self._show_groups(self._grouped_by)

    def _show_groups(self, column: str) -> None:
        pane = self._pane
        assert pane.made is not None
        if column not in pane.made.frame.columns:
            return
        frame = view.grouped(pane.made.frame, column, pane.made.metrics)
        groups = pane.groups
        if groups.sort_by is not None and groups.sort_by[0] in frame.columns:
            frame = frame.sort(groups.sort_by[0], descending=groups.sort_by[1], nulls_last=True)
        shown = [Column("group", column), *columns(frame.columns[1:], [*FACTS, MEAN_DURATION], False)]
        for place, one in enumerate(shown):
            if one.name in TONES and column != one.name:
                label = mark(one.name, pane.lab_app.config.ascii)
                tone = TONES[one.name]
                shade = partial(_shade, tone)
                shown[place] = Column(one.name, f"{label} {one.name}", "right", _counted, style=shade)
        if column == "state":
            shown = [one for one in shown if one.name not in TONES]
            shown[0] = replace(columns(["state"], ["state"], pane.lab_app.config.ascii)[0], name="group")
        groups.set_frame(frame, columns=shown)
        pane.say_count()

    @work(thread=True, exclusive=True, group="failures")
    def _read_failures(self, reader: FailureReader) -> None:
        worker = get_current_worker()
        try:
            found = reader.read(lambda: not worker.is_cancelled)
        except (LabError, OSError) as error:
            self.app.call_from_thread(self._failures_unread, reader, str(error))
            return
        if not worker.is_cancelled:
            self.app.call_from_thread(self._show_failures, reader, found)

    def _failures_unread(self, reader: FailureReader, problem: str) -> None:
        if reader is self._reader:
            self._pane.groups.placeholder = problem
            self._pane.groups.set_frame(pl.DataFrame())

    def _show_failures(self, reader: FailureReader, found: Failures) -> None:
        if self._grouped_by != "" or reader is not self._reader:
            return
        self._failures = found
        groups = self._pane.groups
        left = f"; {found.left:,} more are not read" if found.left else ""
        groups.placeholder = "no task failed"
        shown = [
            Column("tasks"),
            Column("reason", style=lambda _: "error"),
            Column("last line", f"last line of standard error{left}", format=lambda line: line or "(it has none)"),
        ]
        groups.set_frame(found.frame, columns=shown)
        self._pane.say_count()

    @on(FrameTable.HeaderSelected, "#task-groups")
    def _group_header(self, event: FrameTable.HeaderSelected) -> None:
        event.stop()
        if self._grouped_by:
            event.table.sort_by = next_order(event.table.sort_by, event.column)
            self._show_groups(self._grouped_by)

    @on(FrameTable.RowSelected, "#task-groups")
    def _group_selected(self, event: FrameTable.RowSelected) -> None:
        """Show the tasks of a group."""
        event.stop()
        pane = self._pane
        column, failures = self._grouped_by, self._failures
        self.leave_groups()
        if column:
            pane.set_text(is_equal(column, event.row["group"]))
        elif failures is not None:
            name = event.row["last line"] or event.row["reason"]
            tasks = failures.tasks[event.row["group"]]
            pane.set_view(replace(pane.view, only=(str(name)[:40], tasks)))
        pane.focus_first()

    @on(FrameTable.RowHighlighted, "#task-groups")
    def _group_highlighted(self, event: FrameTable.RowHighlighted) -> None:
        """The log of the first task of a group."""
        event.stop()
        if event.row is not None and self.has_class("-grouped"):
            tasks = self._tasks_of(event.row)
            if tasks:
                self._pane.rest_on(tasks[0])

    def group_words(self) -> str:
        """How many groups there are."""
        height = self._pane.groups.frame.height
        if self._grouped_by == "":
            return plural(height, "kind") + " of failure"
        return f"{plural(height, 'group')} by {self._grouped_by}"

    def _tasks_of(self, row: dict[str, Any]) -> list[int]:
        pane = self._pane
        if self._grouped_by and pane.made is not None:
            same = pl.col(self._grouped_by).eq_missing(pl.lit(row["group"]))
            found = pane.made.frame.filter(same)["task_id"].to_list()
            return [int(task) for task in found]
        return list(self._failures.tasks[row["group"]]) if self._failures is not None else []


def _counted(count: int) -> str:
    return f"{count:,}" if count else "0"


def _shade(tone: str, count: int) -> str:
    return tone if count else "muted"
