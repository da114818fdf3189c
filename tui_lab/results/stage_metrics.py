"""The metrics of a stage before the last: each of its runs is read once, for all tasks that share it.

results.stage.NAME.parquet    `task_id` (of the run), `attempt`, and the metrics of the stage
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import polars as pl

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.results import cache
from tui_lab.results.extraction.extractor import Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.reading import MetricReading, Progress, rows_of, to_gather, told
from tui_lab.store.experiment import RUN, ExperimentFolder
from tui_lab.store.fold import NONE


class StageMetrics:
    """The values of the metrics of one stage, by run."""

    def __init__(
        self,
        folder: ExperimentFolder,
        spec: Experiment,
        stage: str,
        metrics: Mapping[str, Metric],
        progress: Progress | None,
        trusted: bool,
    ) -> None:
        """trusted: whether metrics may execute something."""
        self.folder, self.stage = folder, stage
        outputs = OutputFolders(folder.path, stage)
        self.reading = MetricReading(spec.of_stage(stage), outputs, metrics, self._parameters_of, progress, trusted)
        self.ids = pl.Series("task_id", [], dtype=pl.Int64)
        """The runs that have ended, ascending."""
        self.values: dict[str, pl.Series] = {}
        """Their values, by metric."""
        self._table: pl.DataFrame | None = None

    def read(self, force: bool, may_write: bool) -> None:
        """Read the runs that have ended; of those in the cache, unless forced, only what is new."""
        path = self.folder.path / f"results.stage.{self.stage}.parquet"
        found = None if force else cache.read(path)
        reading, ended = self.reading, self.folder.ended_runs(self.stage)
        columns = reading.from_cache_and_files(ended, found)
        order = reading.ids.arg_sort()
        self.ids = ended["task_id"]
        self.values = {name: column.series.gather(order) for name, column in columns.items()}
        names = {name: f"values.{name}" for name in columns}
        frame = ended.with_columns(series.alias(names[name]) for name, series in self.values.items())
        about = reading.about(columns, names)
        if (
            may_write
            and not reading.not_executed
            and (found is None or told(found[1]) != told(about) or not frame.equals(found[0]))
        ):
            cache.write(path, frame, about)

    def of_runs(self, runs: pl.Series) -> dict[str, pl.Series]:
        """Return the values of runs of the stage, by metric; null for those that have not ended."""
        at = to_gather(rows_of(self.ids, runs.fill_null(NONE)))
        return {name: series.gather(at) for name, series in self.values.items()}

    def of_tasks(self, tasks: pl.Series) -> dict[str, pl.Series]:
        """Return the values that tasks have from the runs behind them, by metric."""
        return self.of_runs(pl.Series([self.behind.get(task) for task in tasks], dtype=pl.Int64))

    def tasks_of(self, runs: Sequence[int]) -> list[int]:
        """Return the tasks that have their values from some runs."""
        wanted = set(runs)
        return sorted(task for task, run in self.behind.items() if run in wanted)

    @cached_property
    def behind(self) -> dict[int, int]:
        """The run of the stage that each task used, by task; without runs that have not ended."""
        return {task: run for task, (run, _) in self.folder.attempts_behind(self.stage).items()}

    def _parameters_of(self, runs: Sequence[Task]) -> pl.DataFrame:
        if self._table is None:
            self._table = self.folder.run_parameters(self.stage)
        wanted = pl.DataFrame({RUN: pl.Series([run for run, _ in runs], dtype=pl.Int64)})
        return wanted.join(self._table, on=RUN, how="left", maintain_order="left").drop(RUN)
