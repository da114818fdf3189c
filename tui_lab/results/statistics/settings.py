"""Settings: the combinations of the parameters that vary, and the values of a metric in each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from tui_lab.experiment.data_types import Row
from tui_lab.results.numeric.whole_numbers import as_floats
from tui_lab.results.statistics.sample import Sample
from tui_lab.results.tables import Results, codes
from tui_lab.store.naming import SEED


def varying(results: Results) -> list[str]:
    """The parameters with more than one value in the plan, without one named `seed`, which makes repeats."""
    planned = results.planned
    table = planned if planned.height else results.tasks
    return [name for name in results.parameters if name != SEED and table[name].n_unique() > 1]


def numeric_metrics(results: Results) -> dict[str, str]:
    """Column of each metric that holds numbers."""
    return {
        name: column
        for name, column in results.metrics.items()
        if results.tasks[column].dtype.is_numeric() or results.tasks[column].dtype == pl.Boolean
    }


def leading_metric(results: Results) -> str | None:
    """The metric that tables and charts begin with: the first that has a goal, else the first."""
    metrics = numeric_metrics(results)
    with_goal = [name for name in metrics if results.spec.metrics[name].goal is not None]
    return next(iter(with_goal or metrics), None)


@dataclass(frozen=True)
class Settings:
    """The tasks of a table by setting, in the order of their first task."""

    table: pl.DataFrame = field(repr=False)
    by: tuple[str, ...]
    averaged: tuple[str, ...]
    """Parameters that vary within a setting, because they are not among `by`."""
    _others: tuple[str, ...] = field(repr=False)

    @cached_property
    def keys(self) -> pl.DataFrame:
        """The parameters of each setting, a row each; no columns where nothing varies."""
        if not self.by:
            return pl.DataFrame()
        return self.table.select(self.by).unique(maintain_order=True)

    @cached_property
    def count(self) -> int:
        """The number of settings."""
        return (self.keys.height if self.by else 1) if self.table.height else 0

    @cached_property
    def _codes(self) -> pl.Series:
        return codes(self.table, self.by)

    @cached_property
    def _pairs(self) -> pl.Series:
        return codes(self.table, self._others)

    def label(self, index: int) -> Row:
        """Return the parameters of a setting with their values."""
        return self.keys.row(index, named=True) if self.by else {}

    def samples(self, column: str | pl.Series, once: pl.Series | None = None) -> list[Sample]:
        """The values of a column in each setting; true counts as 1, false as 0. Whole numbers beyond those that floats
        hold are differences from the first of them (`Sample.offset`). once: what each value was measured on; within a
        setting, each of these counts once."""
        series = self.table[column] if isinstance(column, str) else column
        found: list[tuple[list[float], list[int], list[int]]] = [([], [], []) for _ in range(self.count)]
        missing = [[0, 0, 0] for _ in range(self.count)]
        values, offset = as_floats(series)
        rows = zip(self._codes, self._pairs, self.table["task_id"], values, strict=True)
        seen = set[tuple[int, int]]()
        shared: Sequence[int | None] = [None] * self.table.height if once is None else once.to_list()
        for (setting, pair, task, value), one in zip(rows, shared, strict=True):
            if one is not None:
                if (setting, one) in seen:
                    continue
                seen.add((setting, one))
            if value is None:
                missing[setting][0] += 1
            elif not math.isfinite(value):
                missing[setting][1] += 1
                missing[setting][2] += math.isinf(value)
            else:
                numbers, pairs, tasks = found[setting]
                numbers.append(value)
                pairs.append(pair)
                tasks.append(task)
        return [
            Sample(tuple(numbers), tuple(pairs), tuple(tasks), absent[0], absent[1], offset, absent[2])
            for (numbers, pairs, tasks), absent in zip(found, missing, strict=True)
        ]

    def pairing(self) -> float:
        """Share of the tasks that have a partner in another setting: equal in all that makes no setting."""
        pairs = pl.DataFrame({"pair": self._pairs, "setting": self._codes})
        partners = pairs.with_columns(pl.col("setting").n_unique().over("pair").alias("settings"))
        together = int((partners["settings"] > 1).sum())
        return together / partners.height if partners.height else 0.0

    def nodes(self) -> list[dict[str, int]]:
        """Tasks by node, of each setting."""
        found: list[dict[str, int]] = [{} for _ in range(self.count)]
        for setting, node in zip(self._codes, self.table["node"], strict=True):
            if node is not None:
                found[setting][node] = found[setting].get(node, 0) + 1
        return found


def settings(results: Results, by: Sequence[str] | None = None, table: pl.DataFrame | None = None) -> Settings:
    """The settings of the done tasks (or of another table with their columns), by all parameters that vary or
    by those named."""
    table = results.grid if table is None else table
    chosen = varying(results) if by is None else list(by)
    vary = varying(results)
    others = [name for name in results.parameters if name not in chosen and not _follows(table, name, chosen)]
    averaged = [name for name in vary if name in others]
    return Settings(table, tuple(chosen), tuple(averaged), (*others, "repeat"))


def _follows(table: pl.DataFrame, name: str, chosen: Sequence[str]) -> bool:
    """Whether a parameter that varies has one value in each setting: as one that is derived from what makes settings,
    which is no part of what pairs across them."""
    if not chosen or table[name].n_unique() < 2:
        return False
    return table.select(*chosen, name).n_unique() == table.select(chosen).n_unique()
