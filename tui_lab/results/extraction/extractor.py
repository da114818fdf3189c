"""The interface of metric sources for reading values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import polars as pl

from tui_lab.experiment.column_type import ColumnType, column_type
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.results.extraction.execution import Execution
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.readers import FileReader, Tally, TextReader
from tui_lab.results.extraction.values import Scalar

Task: TypeAlias = tuple[int, int]
"""A task id, or the number of a run of a stage, and the attempt to read."""


StepValue: TypeAlias = tuple[int | float | str, str, Scalar | None, str]
"""Step, name, value, and the text that could not be read, or an empty one."""


@dataclass
class StepValues:
    """The values by step that something that ran has found for a task."""

    values: list[StepValue] = field(default_factory=list)
    slow: bool = False
    """A pattern took too long: what it would have found is missing."""


@dataclass
class Extraction:
    """The values that were found: for each metric a value per task, in the order of the tasks."""

    values: dict[str, list[Scalar | None]] = field(default_factory=dict)
    types: dict[str, ColumnType] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)
    """Tasks with a file missing, which may come later (from a node)."""


class Extractor:
    """How values are found: one of `Reading`, `Running` and `Computing`."""

    not_tried: str = ""
    """Why the screen can't try such a metric on an output."""


class Reading(Extractor):
    """Values are read from outputs and files of a task."""

    def reader(self, name: str, metric: Metric) -> TextReader | FileReader:
        """Return what reads a metric: text that patterns search, or a separate file. Raises ValueError."""
        raise NotImplementedError

    def not_found(self, metric: Metric) -> str:
        """Return why a separate file may have no value, as in `path $.a leads nowhere in b.json`."""
        return f"there is no value in {metric.source.file}"


class Running(Extractor):
    """Values come from something that runs once a task has ended, with the values of its parameters. Nothing is run in
    a lab that the user has not trusted."""

    def type(self, name: str, metric: Metric) -> ColumnType:
        """Return the type of a metric's column where nothing has run."""
        return column_type(metric, None)

    def fingerprint(self, experiment: Experiment, metric: Metric) -> str:
        """Return what else than the metric's definition decides its values: it is read again where that changes."""
        return ""

    def names(
        self,
        experiment: Experiment,
        outputs: OutputFolders,
        tasks: Sequence[Task],
        metric: Metric,
        parameters: pl.DataFrame,
    ) -> Sequence[str]:
        """Return the names of what is found in tasks, for a source that stands for several values. parameters: as for
        `values`."""
        return ()

    def forget(self, experiment: Experiment, folder: Path, metric: Metric) -> None:
        """Forget what was kept in an experiment's folder besides the tables: all is to be read again."""

    def values(
        self,
        experiment: Experiment,
        outputs: OutputFolders,
        tasks: Sequence[Task],
        metrics: Mapping[str, Metric],
        parameters: pl.DataFrame,
    ) -> Extraction:
        """Return the values of `metrics` for tasks, or for runs of a stage; the experiment is then as the stage has it.
        `parameters` has a row for each of `tasks`: the columns of parameters under their own names, `repeat` and
        `seed`."""
        raise NotImplementedError

    def has_steps(self, metric: Metric) -> bool:
        """Return whether it may find values by step of a metric, too."""
        return False

    def steps(
        self, execution: Execution, tasks: Sequence[Task], metrics: Mapping[str, Metric]
    ) -> Mapping[int, StepValues]:
        """Return the values by step of `metrics`, by task or run. It ran before, for their values, and should not run
        again."""
        return {}


class Computing(Extractor):
    """Values are computed from other columns whenever tables are made."""

    def add(
        self,
        frame: pl.DataFrame,
        experiment: Experiment,
        metrics: Mapping[str, Metric],
        columns: Mapping[str, str],
    ) -> tuple[pl.DataFrame, dict[str, str]]:
        """Return a table of all tasks with the columns of `metrics`, and by metric what is wrong with those that can't
        be computed. columns: of all metrics of the experiment, by name."""
        raise NotImplementedError
