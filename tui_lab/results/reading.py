"""Reads the metrics of attempts: of tasks, or of the runs of a stage. What a cache has is not read again.

An attempt that ended is read once for each definition of a metric; another pattern, a new attempt or a file that was
missing is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.results import cache
from tui_lab.results.extraction.columns import Column, build, merge
from tui_lab.results.extraction.execution import Execution, Parameters
from tui_lab.results.extraction.extract import extract
from tui_lab.results.extraction.extractor import Computing, Extraction, Running, Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.readers import Tally
from tui_lab.results.extraction.sources.kinds import by_extractor, extractor_of
from tui_lab.results.extraction.units import common_unit
from tui_lab.results.extraction.values import Scalar
from tui_lab.store import ranges
from tui_lab.store.fold import NONE
from tui_lab.store.parquet import About

Progress = Callable[[int, int], None]
"""Called with the number of attempts read so far, and of all to be read."""

BATCH: Final = 2000
"""Attempts that are read between two calls of a Progress."""


class MetricReading:
    """The values of metrics that are read, in the order of `ids`; computed ones are not."""

    def __init__(
        self,
        spec: Experiment,
        outputs: OutputFolders,
        metrics: Mapping[str, Metric],
        parameters: Parameters,
        progress: Progress | None,
        trusted: bool,
    ) -> None:
        """spec: as the stage has it of which outputs are read. trusted: whether metrics may execute something."""
        self.spec, self.outputs, self.parameters, self.progress = spec, outputs, parameters, progress
        self.metrics = {
            name: metric for name, metric in metrics.items() if not isinstance(extractor_of(metric), Computing)
        }
        steps = [step.name for step in spec.steps]
        definitions: dict[str, list[Any]] = {name: [steps, one.definition()] for name, one in self.metrics.items()}
        self.written: dict[str, str] = {}
        """Prints of what the file says of metrics for which something runs, whatever has become of what runs."""
        for extractor, some in by_extractor(self.metrics, Running).items():
            for name, metric in some.items():
                self.written[name] = cache.fingerprint(definitions[name])
                definitions[name] += [more] if (more := extractor.fingerprint(spec, metric)) else []
        self.prints = {name: cache.fingerprint(definition) for name, definition in definitions.items()}
        self.ids = pl.Series("task_id", [], dtype=pl.Int64)
        self.again: set[int] = set()
        self.troubles: dict[str, str] = {}
        self.slow: dict[str, list[int]] = {}
        self.units: dict[str, dict[str, int]] = {}
        self.bases: dict[str, str] = {}
        self.read = 0
        self.trusted = trusted
        self.not_executed: set[str] = set()

    @property
    def execution(self) -> Execution:
        """What is needed to run something for the same attempts."""
        return Execution(self.spec, self.outputs, self.parameters, self.trusted)

    def about(self, columns: Mapping[str, Column], names: Mapping[str, str]) -> About:
        """Return what a cache says of the values in it. names: the column of each metric."""
        return {
            "metrics": {name: [names[name], self.prints[name], column.form] for name, column in columns.items()},
            "again": ranges.to_ranges(sorted(self.again)),
            "troubles": self.troubles,
            "slow": {name: ranges.to_ranges(sorted(tasks)) for name, tasks in self.slow.items()},
            "units": self.units,
            "bases": self.bases,
            **({"written": self.written} if self.written else {}),
        }

    def from_cache_and_files(self, ended: pl.DataFrame, found: tuple[pl.DataFrame, About] | None) -> dict[str, Column]:
        """The values of the attempts in `ended` (`task_id`, `attempt`)."""
        kept: dict[str, Column] = {}
        known = np.zeros(ended.height, dtype=bool)
        if found is not None:
            cached, about = found
            rows = rows_of(cached["task_id"], ended["task_id"])
            attempts = cached["attempt"].fill_null(NONE).to_numpy()
            known = rows >= 0
            known[known] = attempts[rows[known]] == ended["attempt"].to_numpy()[known]
            known &= ~np.isin(ended["task_id"].to_numpy(), ranges.to_ids(about["again"]))
            rows = rows[known]
            for name, (column, print_, form) in about["metrics"].items():
                # Where nothing may be executed, the values that came with the lab are all that there is.
                came = not self.trusted and name in self.written
                same = came and about.get("written", {}).get(name) == self.written[name]
                if (self.prints.get(name) == print_ or same) and column in cached.columns:
                    kept[name] = Column(cached[column].gather(rows), form)
                    slow = np.intersect1d(
                        ranges.to_ids(about.get("slow", {}).get(name, [])), ended["task_id"].filter(known)
                    )
                    if len(slow):
                        self.slow[name] = slow.tolist()
                    for said in ("troubles", "units", "bases"):
                        if name in about[said]:
                            getattr(self, said)[name] = about[said][name]
            if not kept:
                known[:] = False
        old, new = ended.filter(known), ended.filter(~known)
        self.ids = pl.concat([old["task_id"], new["task_id"]])
        changed = {name: metric for name, metric in self.metrics.items() if name not in kept}
        return self._below(kept, old, self._extract(old.rows() if changed else [], changed), new)

    def _below(
        self, kept: dict[str, Column], old: pl.DataFrame, changed: Extraction, new: pl.DataFrame
    ) -> dict[str, Column]:
        fresh = self._extract(new.rows() if self.metrics else [], self.metrics)
        columns: dict[str, Column] = {}
        for name in self.metrics:
            wanted = fresh.types[name]
            for part in (changed, fresh):
                if name in part.tallies:
                    self._count_units(name, part.tallies[name].units)
            if self._other_base(name):
                # The values have another unit together than those before had: all of them are read in that.
                columns[name] = build(name, self._values(name, old) + self._values(name, new), wanted)
                continue
            if name in kept:
                merged = merge(kept[name], build(name, fresh.values[name], wanted), wanted)
                if merged is not None:
                    columns[name] = merged
                    continue
                # Values of another kind than before: the type of the column changes, for all of them.
                columns[name] = build(name, self._values(name, old) + fresh.values[name], wanted)
                continue
            columns[name] = build(name, changed.values[name] + fresh.values[name], wanted)
        return columns

    def _values(self, name: str, tasks: pl.DataFrame) -> list[Scalar | None]:
        return self._extract(tasks.rows(), {name: self.metrics[name]}).values[name]

    def _count_units(self, name: str, units: Mapping[str, int]) -> None:
        counted = self.units.setdefault(name, {}) if units else {}
        for unit, count in units.items():
            counted[unit] = counted.get(unit, 0) + count

    def _other_base(self, name: str) -> bool:
        """Whether the values of a metric without `unit` have to be read in another one than so far."""
        base = None if self.metrics[name].unit else common_unit(self.units.get(name, {}))
        if base is None or base == self.bases.get(name):
            return False
        self.bases[name] = base
        return True

    def with_running(self, columns: Mapping[str, Column], running: pl.DataFrame) -> tuple[dict[str, Column], pl.Series]:
        """The columns with what running attempts (`task_id`, `attempts`) have printed so far in place of their last
        attempt's values."""
        fresh = self._extract(running.rows(), self.metrics, live=True)
        stay = ~self.ids.is_in(running["task_id"].implode())
        merged = {}
        for name, column in columns.items():
            rest = Column(column.series.filter(stay), column.form)
            nothing: list[Scalar | None] = [None] * running.height
            wanted = fresh.types.get(name, "str")
            below = merge(rest, build(name, fresh.values.get(name, nothing), wanted), wanted)
            # A value of a kind that does not fit the column shows when its task has ended.
            empty = Column(pl.Series(name, nothing, dtype=column.series.dtype), column.form)
            merged[name] = below or merge(rest, empty, wanted) or rest
        return merged, pl.concat([self.ids.filter(stay), running["task_id"]])

    def _extract(self, tasks: Sequence[Task], metrics: Mapping[str, Metric], live: bool = False) -> Extraction:
        whole = Extraction()
        metrics = in_units(metrics, self.bases)
        running = {} if live else by_extractor(metrics, Running)
        run = {name for some in running.values() for name in some}
        for start in range(0, max(len(tasks), 1), BATCH):
            batch = tasks[start : start + BATCH]
            parts = [extract(self.spec, self.outputs, batch, metrics, live)]
            for extractor, some in running.items():
                if not self.trusted:
                    parts.append(_not_executed(extractor, some, batch))
                    self.not_executed.update(some if batch else ())
                    continue
                parts.append(extractor.values(self.spec, self.outputs, batch, some, self.parameters(batch)))
            for part in parts:
                for name, values in part.values.items():
                    whole.values.setdefault(name, []).extend(values)
                whole.types |= part.types
                self.again |= part.again
                for name, tally in part.tallies.items():
                    if tally.slow:
                        self.slow[name] = sorted({*self.slow.get(name, ()), *tally.slow})
                    whole.tallies.setdefault(name, Tally()).units += tally.units
                    if name in run and tally.trouble:
                        self.troubles.setdefault(name, tally.trouble)
            if self.progress and tasks and metrics:
                self.progress(start + len(batch), len(tasks))
        if metrics:
            self.read += len(tasks)
        return whole


def _not_executed(extractor: Running, metrics: Mapping[str, Metric], tasks: Sequence[Task]) -> Extraction:
    """Null for each task."""
    found = Extraction()
    for name, metric in metrics.items():
        found.values[name] = [None] * len(tasks)
        found.types[name] = extractor.type(name, metric)
        found.tallies[name] = Tally(tasks=len(tasks))
    return found


def in_units(metrics: Mapping[str, Metric], bases: Mapping[str, str]) -> dict[str, Metric]:
    """The metrics, with the unit that their values have together where they name none."""
    return {name: replace(metric, unit=bases[name]) if name in bases else metric for name, metric in metrics.items()}


def rows_of(ascending: pl.Series, ids: pl.Series) -> npt.NDArray[np.int64]:
    """The row of each id in a column of ascending ids, NONE for those that are not there."""
    column, wanted = ascending.to_numpy(), ids.to_numpy()
    rows = np.searchsorted(column, wanted).astype(np.int64)
    rows[rows == len(column)] = 0
    return np.where(column[rows] == wanted, rows, NONE) if len(column) else np.full(len(wanted), NONE)


def to_gather(rows: npt.NDArray[np.int64]) -> pl.Series:
    """Return rows as places to gather values by: null for NONE."""
    places = pl.Series(rows, dtype=pl.Int64)
    return places.set(places == NONE, None)


def told(about: About) -> list[Any]:
    """Return what of a cache's own words tells whether it is to be written again."""
    return [*(about.get(key) for key in ("metrics", "again", "units", "bases")), about.get("slow", {})]
