"""The table of all tasks of an experiment as the screen shows it: what was asked, what came out, where it stands.

Made by threads. Facts come from the fold's columns at once; parameters are read once a submission, metrics
every few seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.engine.tasks.builder import TaskBuilder
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.planned import of_plan
from tui_lab.results.tables import refresh
from tui_lab.store import facts
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State
from tui_lab.store.lab import Lab
from tui_lab.store.naming import column_names
from tui_lab.tui.tasks.blocks import Block, Blocks, still, still_in_all

LIVE: Final = 256  # running tasks whose metrics are read while they run


@dataclass(frozen=True)
class TaskTable:
    """All tasks at one moment. `frame` has parameters, metrics, then facts; rows ascend by task_id.

    named, measured: the columns of parameters and metrics, by name. staged: there are runs of stages before the last.
    reads: metrics are to be read, maybe such of which only reading tells the names. running: tasks that run.
    version: of the values of metrics. `frame` has a chunk for each block of tasks, which tables share.
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
    version: int = 0

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return self.frame.columns

    def of_plan(self) -> TaskTable:
        """Return the same with only those tasks that the newest plan has."""
        if not self.unplanned:
            return self
        frame = of_plan(self.frame)
        return replace(self, frame=frame, still=frozenset(still(frame)), unplanned=0)


class TaskSource:
    """Reads one experiment for the screen. Every method may be called by any thread; all raise LabError."""

    def __init__(self, lab: Lab, name: str) -> None:
        self._blocks = Blocks()
        self.folder = ExperimentFolder(lab.experiment(name).path, self._blocks.hear)
        self._reader = ExperimentFolder(self.folder.path)  # for metrics: read beside, not in between
        self._lock = threading.Lock()
        self._known: pl.DataFrame | None = None  # parameters and what only a submission changes
        self._still: frozenset[str] = frozenset()
        self._parameters: tuple[str, ...] = ()
        self._metrics: dict[str, str] = {}
        self._finds_names = False  # metrics may come of which the file does not know the names
        self._named: dict[str, str] = {}
        self._known_of: object = None  # the submissions and the file with other metrics that `_known` is made of
        self._found: pl.DataFrame | None = None  # task_id and metrics
        self._fixed: pl.DataFrame | None = None  # parameters, metrics and what only a submission changes
        self._parts: dict[Block, pl.DataFrame] = {}  # all columns of each block
        self._table: TaskTable | None = None
        self._version = 0  # of the metrics
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
        """Return the table of all tasks: the same one as long as nothing has changed."""
        with self._lock:
            state = self.folder.state()
            if self._known is None or self._known_of != self._sources(state):
                self._read_known(state)
            assert self._known is not None
            blocks = self._blocks.read(state, self._known["task_id"].to_numpy())
            metrics = tuple(self._metrics.values())
            if self._fixed is None:
                self._fixed, self._parts = self._made_fixed(self._known, metrics), {}
            elif self._table is not None and blocks == tuple(self._parts):
                return self._table
            known, fixed = self._parts, self._fixed
            self._parts = {one: known[one] if one in known else self._whole(fixed, one, metrics) for one in blocks}
            frame = pl.concat(self._parts.values(), rechunk=False)
            self._table = TaskTable(
                frame,
                self._parameters,
                metrics,
                self._still | still_in_all(blocks),
                state.offset,
                frame.height - sum(block.planned for block in blocks),
                self._named,
                self._metrics,
                bool(state.stages),
                self._reads,
                sum(block.running for block in blocks),
                self._version,
            )
            return self._table

    def _made_fixed(self, known: pl.DataFrame, metrics: Sequence[str]) -> pl.DataFrame:
        parts = [known.select(self._parameters)]
        if metrics:
            parts.append(_beside(known["task_id"], self._found, metrics))
        asked = [name for name in facts.asked() if name in known.columns and name not in self._parameters]
        parts.append(known.select(asked))
        return pl.concat([part for part in parts if part.width], how="horizontal", rechunk=True)

    def _whole(self, fixed: pl.DataFrame, block: Block, metrics: Sequence[str]) -> pl.DataFrame:
        """Return all columns of a block."""
        whole = pl.concat([fixed[block.rows], block.frame], how="horizontal")
        order = [*self._parameters, *metrics, *(name for name in FACTS if name in whole.columns)]
        return whole.select(*dict.fromkeys(order))

    def _read_known(self, state: State, found: Iterable[str] = ()) -> None:
        """Read what only a submission, or other metrics, change. found: names of all metrics, where they are known."""
        self._known_of = self._sources(state)
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
        self._still, self._fixed = frozenset(still(self._known)), None

    def _sources(self, state: State) -> tuple[int, int | None]:
        """Return how often it was submitted, and when other metrics came into force since, in ns."""
        try:
            return len(state.submissions), self.folder.metrics_file.stat().st_mtime_ns
        except OSError:
            return len(state.submissions), None

    @property
    def _reads(self) -> bool:
        return bool(self._metrics) or self._finds_names

    def read_metrics(self, running: int, since: int | None = None) -> bool:
        """Read new outputs; return whether any value is new. since: the `version` of a table that is here already:
        another pane, or a command, may have read them first."""
        since = self._version if since is None else since
        if not self._reads:
            return self._version != since
        results = refresh(self._reader, live=0 < running <= LIVE)
        self.trouble = next(iter(results.problems.values()), "")
        values = results.tasks.select("task_id", *results.metrics.values())
        with self._lock:
            if results.metrics.keys() != self._metrics.keys() and self._finds_names:
                self._read_known(self.folder.state(), results.metrics)
            if self._found is None or not values.equals(self._found):
                self._found, self._fixed = values, None
                self._version += 1
            return self._version != since


Sources: TypeAlias = MutableMapping[tuple[str, str, str], TaskSource]
"""Those that a screen has, by lab and experiment."""


def source_of(sources: Sources, lab: Lab, name: str) -> TaskSource:
    """Return the source of an experiment: the same one for all panes, for it has much in memory. Raises LabError."""
    about = (str(lab.path), lab.identity, name)
    found = sources.get(about)
    if found is None:
        found = sources[about] = TaskSource(lab, name)
    return found


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
