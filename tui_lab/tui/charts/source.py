"""Rows for the Chart pane: an answer that was handed over, or an experiment's steps or results as they are now."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Final, Literal

import polars as pl

from tui_lab.client.formatting import plural
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.model import Experiment
from tui_lab.results.charts.model import Goal, Source
from tui_lab.results.charts.sources import geometric
from tui_lab.results.facts import is_fact
from tui_lab.results.plain import plain_column, shown
from tui_lab.results.planned import of_plan, without_unplanned
from tui_lab.results.tables import Results, refresh
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.base.selection import Chosen

What = Literal["given", "steps", "results"]
TASK: Final = "task"
"""A column of steps that tells the tasks apart, in words."""
CURVES: Final = 12
"""Tasks that are overlaid at most."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows to draw, and what their columns are. They are equal to themselves only."""

    source: Source
    what: What
    title: str
    goals: tuple[tuple[str, Goal], ...] = ()
    seconds: float = 0.0
    """What reading took."""
    which: str = ""
    """Which tasks, as shown; empty: all."""

    def described(self, live: bool) -> str:
        """Return what they are, and how many. live: they grow."""
        count = plural(self.source.frame.height, "row")
        if self.what == "given":
            return f"{count}: {self.title}"
        return f"{self.title}{' (live)' if live else ''}{f', {self.which}' if self.which else ''}, {count}"


def spec_of(folder: ExperimentFolder | None) -> Experiment | None:
    """Return what the file of an experiment says; None where it can't be read."""
    try:
        return folder.spec() if folder is not None else None
    except Exception:  # noqa: BLE001 - without its file the columns' types have to do
        return None


def read(folder: ExperimentFolder, what: What | None, chosen: Chosen | None = None) -> Rows:
    """Steps or results of an experiment; by default its steps where it has some, those of the `chosen` tasks alone.
    Raises what reading it raises."""
    began = time.monotonic()
    results = refresh(folder, live=what != "results")
    goals = tuple(
        (results.metrics[name], metric.goal) for name, metric in results.spec.metrics.items() if metric.goal is not None
    )
    if what != "results":
        steps = results.steps
        if what == "steps" or of_plan(steps, results.tasks).height:
            which = ""
            if chosen is not None and chosen.experiment == folder.name:
                steps, which = steps.filter(pl.col("task_id").is_in(chosen.ids.implode())), chosen.words
            source = steps_source(steps, results)
            return Rows(source, "steps", f"steps of {folder.name}", goals, time.monotonic() - began, which)
    parameters = tuple(name for name in results.parameters if name in results.grid.columns)
    metrics = tuple(results.metrics.values()) or ("duration",)
    shared = results.shared_by_column
    source = Source(results.grid, parameters, metrics, folder.name, shared, geometric(results.spec))
    return Rows(source, "results", f"results of {folder.name}", goals, time.monotonic() - began)


def steps_source(steps: pl.DataFrame, results: Results) -> Source:
    """Return the rows of steps as the source of a chart: those of tasks that the newest plan has."""
    steps, notes = without_unplanned(steps, results.tasks)
    parameters = tuple(name for name in results.parameters if name in steps.columns)
    metrics = tuple(name for name in steps.columns if not is_fact(name) and name not in parameters)
    shared = results.shared_steps(steps)
    rows, known = with_tasks(steps, parameters), geometric(results.spec)
    return Source(rows, parameters, metrics, results.name, shared, known, notes=notes)


def with_tasks(steps: pl.DataFrame, parameters: tuple[str, ...]) -> pl.DataFrame:
    """Return the steps with a column TASK: the task's number, and the parameters in which tasks differ."""
    if "task_id" not in steps.columns or TASK in steps.columns:
        return steps
    tasks = steps.select("task_id", *parameters).unique("task_id", maintain_order=True)
    varying = [name for name in parameters if tasks[name].n_unique() > 1]
    names = [_task_name(row, varying) for row in tasks.rows(named=True)]
    named = tasks.select("task_id").with_columns(pl.Series(TASK, names, dtype=pl.String))
    return steps.join(named, on="task_id", how="left", maintain_order="left")


def _task_name(row: Row, varying: list[str]) -> str:
    words = [str(row["task_id"])]
    for name in varying:
        value = plain_column(pl.Series([row[name]]))[0]
        words.append(f"{name}={'null' if value is None else shown(value)}")
    return " ".join(words)


def overlaid(source: Source) -> tuple[Source, str]:
    """Return the steps of the tasks to overlay: those that run, then the newest; and a note if some are left out."""
    frame = source.frame
    tasks = frame.select("task_id", "state").unique("task_id").sort(pl.col("state") == "running", "task_id")
    if tasks.height <= CURVES:
        return source, ""
    kept = tasks["task_id"].tail(CURVES).to_list()
    few = frame.filter(pl.col("task_id").is_in(kept))
    note = f"{CURVES} of {tasks.height:,} tasks: those that run, then the newest"
    return replace(source, frame=few, shared={}), note
