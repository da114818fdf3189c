"""One of two experiments that are compared: its values, from a lab or a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import polars as pl

from tui_lab.results.planned import of_plan
from tui_lab.results.statistics.comparison import Goal
from tui_lab.results.statistics.errors import StatisticsError
from tui_lab.results.statistics.settings import numeric_metrics
from tui_lab.results.statistics.values import values_of
from tui_lab.results.tables import Results
from tui_lab.store.naming import SEED
from tui_lab.store.spare import spare_tasks

VALUE: Final = "a value"
"""A column of values beside others: no parameter has a blank in its name."""


@dataclass(frozen=True)
class Side:
    """One of two sides that are compared: its finished tasks, a row each."""

    label: str
    table: pl.DataFrame = field(repr=False)
    parameters: Mapping[str, str] | None = None
    """Column of each parameter; None where a file does not tell its parameters from its metrics."""
    metrics: Mapping[str, str] | None = None
    """Column of each metric with numbers."""
    seeded: bool = False
    """Whether tasks of the same repeat, or of the same seed, have something random in common."""
    exported: bool = False
    """Whether it is a table of ours, which has a seed for each task whether or not the command takes it."""
    lacking: int = 0
    """Tasks that were asked for and have not ended well."""
    results: Results | None = field(default=None, repr=False)

    def values(self, name: str, goals: Mapping[str, Goal]) -> pl.Series:
        """The values of a metric. Raises StatisticsError."""
        if self.results is not None:
            tasks = self.results.tasks.with_columns(values_of(self.results, name, goals).alias(VALUE))
            return self.table.join(tasks.select("task_id", VALUE), on="task_id", maintain_order="left")[VALUE]
        column = (self.metrics or {}).get(name, name)
        if column not in self.table.columns or not is_number(self.table[column]):
            raise StatisticsError(f'{self.label} has no column "{name}" with numbers')
        return self.table[column]

    def column(self, *names: str) -> pl.Series:
        """The first of these columns that there is, as integers; nulls where there is none."""
        for name in names:
            if name in self.table.columns:
                return self.table[name].cast(pl.Int64, strict=False)
        return pl.Series([None] * self.table.height, dtype=pl.Int64)


def joined_runs(sides: Sequence[Side], name: str) -> pl.Series | None:
    """Return what the values of a metric were measured on, one side behind the other, where that is not a task of its
    own on each."""
    runs = [None if side.results is None else side.results.shared_runs(name, side.table) for side in sides]
    if all(one is None for one in runs):
        return None
    nothing = [pl.Series([None] * side.table.height, dtype=pl.Int64) for side in sides]
    return pl.concat([no if one is None else one for one, no in zip(runs, nothing, strict=True)])


def side_of(results: Results, version: int | None = None) -> Side:
    """The done tasks of an experiment's plan, or of one version. Raises StatisticsError."""
    spare = pl.Series("task_id", spare_tasks(results.folder.state()), dtype=pl.Int64)
    tasks = results.tasks.filter(~pl.col("task_id").cast(pl.Int64).is_in(spare.implode()))
    if version is None:
        asked, label = of_plan(tasks), results.name
    else:
        asked, label = tasks.filter(pl.col("version") == version), f"{results.name}@{version}"
    if not asked.height:
        known = ", ".join(f"{results.name}@{one}" for one in tasks["version"].unique().sort())
        raise StatisticsError(f"{label} has no tasks; there are {known or 'none'}")
    table = asked.filter(pl.col("state") == "done")
    if not table.height:
        raise StatisticsError(f"{label} has no finished tasks yet")
    seeds = results.folder.plan().about.get("seed")
    return Side(
        label,
        table,
        {name: name for name in results.parameters},
        numeric_metrics(results),
        SEED in results.parameters or (seeds is not None and seeds[1] == "repeat"),
        lacking=asked.height - table.height,
        results=results,
    )


def side_of_file(path: Path, table: pl.DataFrame) -> Side:
    """The rows of a file; `in_` and `out_` tell parameters from metrics, as in the files of patas."""
    if not table.height:
        raise StatisticsError(f"{path} has no rows")
    metrics = {name[4:]: name for name in table.columns if name.startswith("out_") and is_number(table[name])}
    parameters = {name[3:]: name for name in table.columns if name.startswith("in_")}
    known = bool(metrics)
    return Side(
        str(path),
        table,
        parameters if known else None,
        metrics if known else None,
        seeded=SEED in table.columns,
        exported={SEED, "task_id", "version"} <= set(table.columns),
    )


def is_number(series: pl.Series) -> bool:
    """Return whether a column can be a metric."""
    return series.dtype.is_numeric() or series.dtype == pl.Boolean
