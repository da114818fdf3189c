"""The values of a metric, a fact or a summary of steps, with its goal and unit."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.statistics.comparison import (
    Goal,
)
from tui_lab.results.statistics.errors import StatisticsError
from tui_lab.results.statistics.steps import StepsError, split, summary
from tui_lab.results.tables import Results


def is_done(results: Results) -> pl.Series:
    """Return which rows of `results.tasks` are of planned tasks that are done."""
    return results.tasks.select((pl.col("state") == "done") & pl.col("planned")).to_series()


def done_values(results: Results, name: str, goals: Mapping[str, Goal]) -> pl.Series:
    """Return the same for each row of `results.grid`."""
    return values_of(results, name, goals).filter(is_done(results))


def values_of(results: Results, name: str, goals: Mapping[str, Goal]) -> pl.Series:
    """The values of a metric, a fact or a summary of steps for each row of `results.tasks`. Raises
    StatisticsError."""
    column = results.metrics.get(name, name)
    if column in results.tasks.columns and column not in results.parameters:
        series = results.tasks[column]
        if not (series.dtype.is_numeric() or series.dtype == pl.Boolean):
            raise StatisticsError(f'"{name}" holds {_kind(series)}, not numbers')
        return series
    reference = split(name)
    if reference is not None:
        try:
            return summary(results, *reference, goal_of(results, reference[0], goals))
        except StepsError as error:
            raise StatisticsError(str(error)) from None
    known = [*results.metrics, *results.measured]
    hint = suggest(name, known) or f"there are {', '.join(known)}"
    raise StatisticsError(f'{results.name} has no metric "{name}"; {hint}')


def _kind(series: pl.Series) -> str:
    return {"String": "text"}.get(str(series.dtype), f"values of type {series.dtype}")


def goal_of(results: Results, name: str, goals: Mapping[str, Goal]) -> Goal | None:
    """Return the goal of a metric: the one asked for, else that of experiment.yaml."""
    if name in goals:
        return goals[name]
    if name in results.spec.metrics:
        return results.spec.metrics[name].goal
    reference = split(name)
    if reference is not None:
        return goal_of(results, reference[0], goals)
    return "min" if name in results.measured else None


def unit_of(results: Results, name: str) -> str | None:
    """Return the unit of a metric, None where it has none."""
    reference = split(name)
    if name in results.spec.metrics or reference is None:
        metric = results.spec.metrics.get(name)
        return results.unit_of_fact(name) if metric is None else metric.unit or results.bases.get(name)
    return unit_of(results, reference[0])
