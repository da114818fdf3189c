"""The table of all tasks of an experiment as the screen shows it: what was asked, what came out, where it stands.

Made by threads. Facts come from the fold's columns at once; parameters are read once a submission, metrics
every few seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.engine.task_builder import TaskBuilder
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.tables import refresh
from tui_lab.store import facts
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State
from tui_lab.store.lab import Lab
from tui_lab.store.naming import column_names

LIVE: Final = 256  # running tasks whose metrics are read while they run


@dataclass(frozen=True)
class TaskTable:
    """All tasks at one moment. `frame` has parameters, metrics, then facts; rows ascend by task_id.

    named, measured: the columns of parameters and metrics, by name. staged: there are runs of stages before the last.
    reads: metrics are to be read, maybe such of which only reading tells the names. running: tasks that run.
    """

    frame: pl.DataFrame
    parameters: tuple[str, ...]
    metrics: tuple[str, ...]
    still: frozenset[str]  # columns that have one value in all rows
    offset: int  # of the journal
    unplanned: int = 0  # tasks that the newest plan does not have
    named: Mapping[str, str] = field(default_factory=dict)
    measured: Mapping[str, str] = field(default_factory=dict)
    staged: bool = False
    reads: bool = False
    running: int = 0

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.frame.columns


class TaskSource:
    """Reads one experiment for the screen. Every method may be called by any thread; all raise LabError."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.folder = lab.experiment(name)
        self._reader = ExperimentFolder(self.folder.path)  # for metrics: read beside, not in between
        self._lock = threading.Lock()
        self._known: pl.DataFrame | None = None  # parameters and what only a submission changes
        self._still: frozenset[str] = frozenset()
        self._parameters: tuple[str, ...] = ()
        self._metrics: dict[str, str] = {}
        self._finds_names = False  # metrics may come of which the file does not know the names
        self._named: dict[str, str] = {}
        self._submissions = -1
        self._found: pl.DataFrame | None = None  # task_id and metrics
        self._builders: dict[int, TaskBuilder] = {}
        self.trouble = ""  # why metrics can't be read

    @contextmanager
    def reading(self) -> Iterator[ExperimentFolder]:
        """Return the folder, for this thread alone."""
        with self._lock:
            yield self.folder

    def builder(self, task: int) -> tuple[TaskBuilder, int]:
        """Return the task builder and the row of a task, or of a run of a stage, by the newest plan that has it. Only
        while `reading`."""
        plan = self.folder.plan_of(task)
        if plan.number not in self._builders:
            self._builders = {plan.number: TaskBuilder(self.folder.spec(plan.number), plan, self.folder.path, "")}
        state = self.folder.state()
        builder, row = self._builders[plan.number].of(state.planned_run(task), state.stage(task))
        assert row is not None
        return builder.using(state.runs_with(task)), row

    def live(self, ids: Sequence[int]) -> dict[int, Row]:
        """Return the present facts of some tasks, by task, for those that exist."""
        with self._lock:
            state = self.folder.state()
            wanted = np.array([i for i in ids if 0 <= i < state.size], dtype=np.int64)
            found = facts.frame(folded(state, wanted))
        return {row["task_id"]: row for row in found.to_dicts()}

    def read(self) -> TaskTable:
        """Return the table of all tasks."""
        with self._lock:
            state = self.folder.state()
            if len(state.submissions) != self._submissions or self._known is None:
                self._read_known(state)
            known = self._known
            assert known is not None
            ids = known["task_id"].to_numpy()
            moving = facts.frame(folded(state, ids)).drop("task_id")
            offset, staged = state.offset, bool(state.stages)
        found = self._found
        parts = [known.select(self._parameters)]
        metrics = tuple(self._metrics.values())
        if metrics:
            parts.append(_beside(known["task_id"], found, metrics))
        asked = [name for name in facts.asked() if name in known.columns and name not in self._parameters]
        parts += [known.select(asked), moving]
        whole = pl.concat([part for part in parts if part.width], how="horizontal")
        order = [*self._parameters, *metrics, *(name for name in FACTS if name in whole.columns)]
        frame = whole.select(*dict.fromkeys(order))
        unplanned = frame.height - int(moving["planned"].sum())
        still = self._still | _still(moving)
        named, reads = (self._named, self._metrics), self._reads
        running = int((moving["state"] == "running").sum())
        return TaskTable(frame, self._parameters, metrics, still, offset, unplanned, *named, staged, reads, running)

    def _read_known(self, state: State, found: Iterable[str] = ()) -> None:
        """Read what only a submission changes. found: names of all metrics, where they are known."""
        table = self.folder.asked()
        parameters = table.columns[: table.columns.index("task_id")]
        wanted = list(found)
        try:
            written = self.folder.written_spec()
            several = any(metric.source.several for metric in written.metrics.values())
            self._finds_names = several or written.function is not None
            wanted = wanted or list(self.folder.spec().metrics if self._finds_names else written.metrics)
        except SpecError as error:
            self.trouble = f"no metrics: {error}"
        except (LookupError, OSError):
            pass
        renamed, self._metrics = column_names(parameters, wanted, [name for name in FACTS if name not in parameters])
        self._known = table.rename(renamed)
        self._parameters = tuple(self._known.columns[: len(parameters)])
        self._named = {}
        if state.stages:
            named = self.folder.parameter_columns()
            self._named = {name: renamed.get(column, column) for name, column in named.items()}
        self._still = _still(self._known)
        self._submissions = len(state.submissions)

    @property
    def _reads(self) -> bool:
        return bool(self._metrics) or self._finds_names

    def read_metrics(self, running: int) -> bool:
        """Read new outputs; return whether any value is new."""
        if not self._reads:
            return False
        results = refresh(self._reader, live=0 < running <= LIVE)
        self.trouble = next(iter(results.problems.values()), "")
        values = results.tasks.select("task_id", *results.metrics.values())
        with self._lock:
            if results.metrics.keys() != self._metrics.keys() and self._finds_names:
                self._read_known(self.folder.state(), results.metrics)
            before, self._found = self._found, values
        return before is None or not values.equals(before)  # another pane, or a command, may have read them first


def folded(state: State, ids: npt.NDArray[np.int64]) -> facts.FoldedTasks:
    """Return facts of tasks; running ones have their duration so far. Unknown ids are left out."""
    known = ids[ids < state.size] if len(ids) and int(ids.max()) >= state.size else ids
    return facts.FoldedTasks(state, known, time.time())


def _beside(ids: pl.Series, found: pl.DataFrame | None, metrics: Sequence[str]) -> pl.DataFrame:
    """Return metrics in the order of the tasks; nulls where nothing was read yet."""
    if found is None or any(name not in found.columns for name in metrics):
        return pl.DataFrame({name: pl.Series(name, [None] * len(ids), dtype=pl.Float64) for name in metrics})
    if found.height == len(ids) and bool((found["task_id"] == ids).all()):
        return found.select(metrics)
    return pl.DataFrame(ids).join(found, on="task_id", how="left", maintain_order="left").select(metrics)


def _still(frame: pl.DataFrame) -> frozenset[str]:
    names = []
    for series in frame:
        if not series.len() or bool(series.eq_missing(series.head(1)).all()):
            names.append(series.name)
    return frozenset(names)


def overlaid(rows: pl.DataFrame, live: Mapping[int, Row]) -> pl.DataFrame:
    """Rows with newer facts, where there are such.

    Column by column in Python: few rows, and Polars' threads may be busy with all of them, which the screen can't wait
    for.
    """
    ids = rows["task_id"].to_list()
    newer = [live.get(task) for task in ids]
    found = rows.clone()
    if not any(newer):
        return found
    for place, series in enumerate(rows):
        name = series.name
        if name in FACTS and not FACTS[name].asked:
            pairs = zip(series.to_list(), newer, strict=True)
            values = [value if facts is None or name not in facts else facts[name] for value, facts in pairs]
            found.replace_column(place, pl.Series(name, values, dtype=series.dtype, strict=False))
    return found
