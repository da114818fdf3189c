"""One value per task of a metric that has many: `loss@last`, `loss@best`, `loss@10`.

NAME@last, NAME@first    the value at the highest, the lowest step that has one
NAME@min, NAME@max       the lowest, the highest value
NAME@best                one of the two, by the metric's goal
NAME@mean                the mean over the steps
NAME@N                   the value at step N
"""

from __future__ import annotations

from typing import Final

import polars as pl

from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.statistics.comparison import Goal
from tui_lab.results.tables import Results

WORDS: Final = ("last", "first", "min", "max", "best", "mean")


class StepsError(Exception):
    """A summary of steps that can't be had; one line."""


def split(reference: str) -> tuple[str, str] | None:
    """NAME and the word or step behind its last @; None for a plain name."""
    name, at, how = reference.rpartition("@")
    return (name, how) if at and name else None


def summary(results: Results, name: str, how: str, goal: Goal | None) -> pl.Series:
    """The value for each task of `results.tasks`, in their order; null where there is none. Raises
    StepsError."""
    steps = results.steps
    facts = [fact.name for fact in FACTS.values() if fact.in_steps]
    known = [column for column in steps.columns[len(results.parameters) + 1 :] if column not in facts]
    if name not in known:
        hint = suggest(name, known) or (f"there are {', '.join(known)}" if known else "there are no values by step")
        raise StepsError(f'{results.name} has no values by step of "{name}"; {hint}')
    if not steps[name].dtype.is_numeric():
        raise StepsError(f'"{name}" has steps without numbers')
    if how == "best":
        if goal is None:
            raise StepsError(f'{name}@best: "{name}" has no goal; say --goal {name}=min or {name}=max')
        how = goal
    usable = steps.filter(pl.col(name).is_not_null()).select("task_id", "step", pl.col(name).alias("value"))
    chosen: pl.Expr
    if how in ("last", "first"):
        usable = usable.sort("task_id", "step", maintain_order=True)
        chosen = pl.col("value").last() if how == "last" else pl.col("value").first()
    elif how in ("min", "max", "mean"):
        usable = usable.filter(pl.col("value").is_finite())
        chosen = {"min": pl.col("value").min(), "max": pl.col("value").max(), "mean": pl.col("value").mean()}[how]
    else:
        usable = usable.filter(pl.col("step").cast(pl.Float64, strict=False) == _step(how, name))
        chosen = pl.col("value").last()
    found = usable.group_by("task_id", maintain_order=True).agg(chosen)
    return results.tasks.select("task_id").join(found, on="task_id", how="left", maintain_order="left")["value"]


def _step(how: str, name: str) -> float:
    try:
        return float(how)
    except ValueError:
        hint = suggest(how, WORDS) or f"say a step, or one of {', '.join(WORDS)}"
        raise StepsError(f'{name}@{how}: there is no "{how}" of steps; {hint}') from None
