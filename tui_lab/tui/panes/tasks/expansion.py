"""The runs of stages behind a task, as rows below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from tui_lab.client.formatting import shortened
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.stages import before, differing
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store import facts
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.plan import LINK, Plan
from tui_lab.tui.panes.tasks.view import Shown
from tui_lab.tui.tasks.frame import TaskSource, TaskTable, folded
from tui_lab.tui.widgets.table.cells import Column

_NUMBER: Final = 4  # cells of the number of a task at least: those of its heading
_NAME: Final = 24  # cells of the name of a stage at most


@dataclass(frozen=True)
class StageRun:
    """A run of a stage behind an expanded task. shared: how many tasks of the plan need it. name: how an address names
    it."""

    run: int
    stage: str
    task: int
    shared: int
    name: str


@dataclass(frozen=True)
class Expansion:
    """The runs behind a task, in the order of the stages. A run has an id as tasks have, and no task has the same."""

    task: int
    runs: tuple[StageRun, ...]

    def run(self, one: int | None) -> StageRun | None:
        """Return the run with an id; None for that of a task."""
        return next((run for run in self.runs if run.run == one), None)

    def labels(self, ascii_only: bool) -> dict[int, str]:
        """Return what stands in the place of a task's number, by run."""
        inner, last, times = ("|-", "`-", "x") if ascii_only else ("├╴", "└╴", "×")
        return {
            run.run: f"{last if run is self.runs[-1] else inner}{shortened(run.name, _NAME)}"
            + (f" {times}{run.shared:,}" if run.shared > 1 else "")
            for run in self.runs
        }


def expanded(source: TaskSource, table: TaskTable, found: Shown, task: int) -> tuple[Shown, Expansion | None]:
    """Return the rows with those of the runs behind a task below it; the same rows where it is not among them, or has
    none. Raises LabError."""
    place = found.frame["task_id"].index_of(task)
    if place is None:
        return found, None
    with source.reading() as folder:
        state = folder.state()
        plan = folder.plan_of(task)
        runs = _runs(folder, plan, task)
        if not runs:
            return found, None
        spec = _spec(source, task)
        ids = np.array([run.run for run in runs], dtype=np.int64)
        moving = facts.frame(folded(state, ids)).to_dicts()
        planned = {run.run: state.planned_run(run.run) for run in runs}
        rows_of = plan.runs.filter(pl.col("task_id").is_in(list(planned.values())))
        by_id = {row["task_id"]: row for row in rows_of.to_dicts()}
        asked = {one: {**by_id[other], "task_id": one} for one, other in planned.items()}
    of_task = table.frame.row(table.frame["task_id"].index_of(task) or 0, named=True)
    rows = [
        _row(run, of_task, table, spec, {**_asked(asked[run.run], run.stage, spec), **now})
        for run, now in zip(runs, moving, strict=True)
    ]
    below = pl.DataFrame(
        {
            name: pl.Series(name, [row.get(name) for row in rows], dtype, strict=False)
            for name, dtype in found.frame.schema.items()
        }
    )
    frame = pl.concat([found.frame[: place + 1], below, found.frame[place + 1 :]])
    pinned = found.pinned + (len(rows) if place < found.pinned else 0)
    return replace(found, frame=frame, pinned=pinned), Expansion(task, runs)


def _runs(folder: ExperimentFolder, plan: Plan, task: int) -> tuple[StageRun, ...]:
    """Return the runs behind a task. If each node has a run of its own, and the task has not run yet, those of all
    nodes."""
    found = []
    for stage in plan.stages:
        planned, run = plan.run_behind(task, stage), folder.run_behind(task, stage)
        if planned is None or run is None:
            continue
        shared = int((plan.tasks[LINK + stage] == planned).sum())
        runs = folder.state().node_runs.get(run, {}).values() or (run,)
        found += [StageRun(one, stage, task, shared, folder.stage_of(one) or stage) for one in runs]
    return tuple(found)


def _spec(source: TaskSource, task: int) -> Experiment | None:
    """Return the experiment as submitted; None where its file can't be read."""
    try:
        return source.builder(task)[0].experiment
    except SpecError:
        return None


def _asked(row: Row, stage: str, spec: Experiment | None) -> Row:
    """Return the facts of a run that its plan has."""
    found = {name: row[name] for name in facts.asked() if name in row}
    if spec is not None and not spec.stages[stage].repeated:
        found["repeat"] = None
    return found


def _row(run: StageRun, of_task: Row, table: TaskTable, spec: Experiment | None, own: Row) -> Row:
    """Return the row of a run: those of the task's parameters on which it depends, and its own facts."""
    row: Row = dict.fromkeys(of_task)
    row |= {name: value for name, value in own.items() if name in row}
    if spec is not None:
        uses = {name for one in (*before(spec.stages, run.stage), run.stage) for name in spec.stages[one].uses}
        uses &= differing(spec.stages)[run.stage] if spec.stages[run.stage].apart else uses
        row |= {column: of_task[column] for name, column in table.named.items() if name in uses}
        row |= {
            column: of_task[column]
            for name, column in table.measured.items()
            if name in spec.metrics and spec.metrics[name].stage == run.stage
        }
    return row


def labelled(columns: Sequence[Column], expansion: Expansion, most: int, ascii_only: bool) -> list[Column]:
    """Return the columns with the names of stages among the numbers of tasks. most: the greatest number."""
    labels = expansion.labels(ascii_only)
    digits = max(_NUMBER, len(str(most)))
    width = max(digits, *(digits - 1 + len(label) for label in labels.values()))

    def shown(one: int) -> str:
        label = labels.get(one)
        text = f"{one:>{digits}}" if label is None else " " * (digits - 1) + label
        return text.ljust(width)

    return [
        replace(column, align="left", format=shown, width=width) if column.name == "task_id" else column
        for column in columns
    ]
