"""The tables of an experiment: parameters, metrics and facts of its tasks.

`refresh` reads what is new in the outputs and keeps the rest from the cache. An attempt that ended is read
once for each definition of a metric; another pattern, a new attempt or a file that was missing is read again,
and everything else in the table comes from the plans and the journal each time.

Columns: the parameters, the metrics in the order of the file, then the facts of the task. Where a parameter
and a metric have the same name (without case, as SQL sees it) they are called `in_NAME` and `out_NAME`; a
metric with the name of a fact is `out_NAME`, too.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.experiment import facts
from tui_lab.experiment.facts import Fact, measured
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.results import cache
from tui_lab.results.extraction import hints, long
from tui_lab.results.extraction.columns import Column, build, merge
from tui_lab.results.extraction.extract import extract
from tui_lab.results.extraction.extractor import Computing, Extraction, Running, Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.function_names import find_names
from tui_lab.results.extraction.hints import Hint
from tui_lab.results.extraction.readers import Tally
from tui_lab.results.extraction.returned import collect_names
from tui_lab.results.extraction.sources.kinds import by_extractor, extractor_of
from tui_lab.results.extraction.units import common_unit
from tui_lab.results.extraction.values import Scalar
from tui_lab.store import layout, ranges, trust
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import NONE
from tui_lab.store.naming import column_names
from tui_lab.store.parquet import About
from tui_lab.store.returned_names import ReturnedNames

Progress = Callable[[int, int], None]
"""Called with the number of tasks read so far, and of all to be read."""

BATCH: Final = 2000
"""Tasks that are read between two calls of a Progress."""


@dataclass(frozen=True)
class Results:
    """The tables of one experiment at one moment."""

    folder: ExperimentFolder
    spec: Experiment
    parameters: tuple[str, ...]
    """Columns that are parameters."""
    metrics: Mapping[str, str]
    """Column of each metric."""
    tasks: pl.DataFrame
    """Every task ever: the table `NAME_tasks`."""
    read: int = 0
    """Attempts whose outputs were read by this refresh; the others came from the cache."""
    live: bool = False
    force: bool = False
    """Whether `steps` and `rows`, too, are read from the outputs and not from their caches."""
    problems: Mapping[str, str] = field(default_factory=dict)
    """What is wrong with metrics that can't be computed, by metric."""
    troubles: Mapping[str, str] = field(default_factory=dict)
    """The first thing that went wrong where something runs for a metric, by metric."""
    slow: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Tasks on whose output the pattern of a metric took too long, by metric: it is null there."""
    settled: bool = False
    """What was read stays as it is until something is added to the journal, or other metrics are set."""
    units: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Units of the quantities of each metric, as programs wrote them, and how often."""
    bases: Mapping[str, str] = field(default_factory=dict)
    """The unit that the values of a metric without `unit` were read in, where they have several."""
    not_kept: Mapping[str, tuple[int, str]] = field(default_factory=dict)
    """What functions returned and can't be kept, in which task it was first, and what it is."""
    _long: dict[str, long.LongTable] = field(default_factory=dict, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self.folder.name

    @cached_property
    def step_facts(self) -> Mapping[str, Fact]:
        """The facts of named steps, by their column."""
        return self.folder.step_facts(self.spec.metrics)

    @property
    def measured(self) -> tuple[str, ...]:
        """The facts that are summarised like metrics."""
        return (*measured(), *(name for name, fact in self.step_facts.items() if fact.measured))

    def unit_of_fact(self, column: str) -> str | None:
        """Return the unit of a fact; None where it has none, or is no fact."""
        return self.step_facts[column].unit if column in self.step_facts else facts.unit(column)

    @property
    def stays(self) -> bool:
        """Also what was read of `steps` and `rows` stays as it is."""
        return self.settled and not any(table.waits for table in self._long.values())

    def shared_runs(self, name: str, table: pl.DataFrame) -> pl.Series | None:
        """Return the run of a stage from which the value of a metric is, for the tasks of a table: one value that
        several tasks share is one observation. None for metrics that are the tasks' own."""
        metric = self.spec.metrics.get(name)
        if metric is None or metric.stage not in self.spec.earlier_stages:
            return None
        behind = self.folder.attempts_behind(metric.stage)
        return pl.Series([behind.get(task, (None, 0))[0] for task in table["task_id"]], dtype=pl.Int64)

    @cached_property
    def shared_by_column(self) -> dict[str, pl.Series]:
        """The same for the rows of `grid`, by column, of those metrics whose values tasks share."""
        found = {column: self.shared_runs(name, self.grid) for name, column in self.metrics.items()}
        return {column: runs for column, runs in found.items() if runs is not None}

    @cached_property
    def grid(self) -> pl.DataFrame:
        """The done tasks of the newest plan: the table `NAME`."""
        return self.tasks.filter((pl.col("state") == "done") & pl.col("planned"))

    @cached_property
    def matched(self) -> dict[str, int]:
        """Tasks in which each metric was found (for `count`: more than 0)."""
        found = {}
        for name, column in self.metrics.items():
            series = self.tasks[column]
            counts = self.spec.metrics[name].take == "count"
            found[name] = int((series > 0).sum()) if counts else len(series) - series.null_count()
        return found

    @cached_property
    def warnings(self) -> tuple[Hint, ...]:
        """Warnings: metrics that not every done task has, or whose values can't be compared, or
        that can't be computed."""
        warnings = [Hint(name, problem) for name, problem in self.problems.items()]
        warnings += [hints.too_slow(name, tasks) for name, tasks in self.slow.items()]
        warnings += [hints.not_kept(name, *what) for name, what in self.not_kept.items()]
        done = self.tasks.filter((pl.col("state") == "done") & pl.col("attempt").is_not_null())
        metrics = _in_units(self.spec.metrics, self.bases)
        for name, column in self.metrics.items():
            metric = metrics[name]
            extractor = extractor_of(metric)
            if isinstance(extractor, Computing) or name in self.problems:
                continue
            without = done.filter(pl.col(column).is_null()).select("task_id", "attempt")
            if without.height and metric.take != "count" and name not in self.slow:
                if isinstance(extractor, Running):
                    found = done.height - without.height
                    where = hints.without(found, done.height)
                    warnings.append(Hint(name, where, self.troubles.get(name, "")))
                else:
                    samples = without.head(hints.SAMPLES).rows()
                    tasks = done.height, without.height
                    warnings.append(self._explained(name, metric, samples, *tasks))
            if several := hints.several_units(
                name, self.units.get(name, {}), metric.unit, self.spec.metrics[name].unit is not None
            ):
                warnings.append(several)
            elif metric.type is None and (text := hints.written_otherwise(name, metric, done[column])):
                warnings.append(text)
        return tuple(warnings)

    def _explained(self, name: str, metric: Metric, samples: Sequence[Task], tasks: int, without: int) -> Hint:
        """Return why some tasks have no value of a metric."""
        spec, outputs = self.spec, OutputFolders(self.folder.path)
        if metric.stage in spec.earlier_stages:
            behind = self.folder.attempts_behind(metric.stage)
            samples = list(dict.fromkeys(behind[task] for task, _ in samples if task in behind))
            spec, outputs = spec.of_stage(metric.stage), OutputFolders(self.folder.path, metric.stage)
            if not samples:
                return Hint(name, hints.without(tasks - without, tasks))
        return hints.explain(name, metric, spec, outputs, samples, tasks, without)

    @property
    def all_warnings(self) -> tuple[Hint, ...]:
        """The warnings, and what could not be read for the tables of steps and rows, if the file asks for them."""
        by_step = any(
            metric.take == "all" and metric.source.expression is None for metric in self.spec.metrics.values()
        )
        kinds = ["steps"] * by_step + ["rows"] * (self.spec.rows is not None)
        return (*self.warnings, *(hint for kind in kinds for hint in self._not_all_read(kind)))

    def _not_all_read(self, kind: str) -> list[Hint]:
        done = self.tasks.filter((pl.col("state") == "done") & pl.col("attempt").is_not_null())
        tasks = done.select("task_id", "attempt").rows()
        return hints.not_all_read(self._table(kind), kind, self.spec, OutputFolders(self.folder.path), tasks)

    @property
    def steps(self) -> pl.DataFrame:
        """Values by step: the table `NAME_steps`."""
        return self._table("steps").frame

    @property
    def rows(self) -> pl.DataFrame:
        """The rows that `rows` finds: the table `NAME_rows`."""
        return self._table("rows").frame

    def left_out(self, kind: Literal["", "steps", "rows"] = "") -> list[str]:
        """Return the warnings on outputs that could not be read for a table: by default for those with a row per
        task."""
        if not kind:
            why = not_trusted(self.folder)
            names = ", ".join(name for name, problem in self.problems.items() if problem == why)
            return [
                *([f"{names}: {why}"] if names else []),
                *(str(hints.too_slow(name, tasks)) for name, tasks in self.slow.items()),
            ]
        table, texts = self._table(kind), []
        if count := table.skipped:
            what = "line of live metrics is no JSON object and was"
            if count > 1:
                what = "lines of live metrics are no JSON objects and were"
            texts.append(f"{self.name}: {count:,} {what} left out")
        return [*texts, *map(str, self._not_all_read(kind))]

    def _table(self, kind: str) -> long.LongTable:
        if kind not in self._long:
            spec = replace(self.spec, metrics=_in_units(self.spec.metrics, self.bases))
            self._long[kind] = long.refresh(
                kind,
                self.folder,
                spec,
                self.tasks,
                self.parameters,
                self.live,
                self.force,
            )
        return self._long[kind]


def refresh(
    folder: ExperimentFolder,
    progress: Progress | None = None,
    live: bool = False,
    force: bool = False,
    spec: Experiment | None = None,
) -> Results:
    """Return the present tables of an experiment. Raises what reading its plans, journal and file raises. live: also
    read what running tasks have printed so far (never into the cache). force: read everything again. spec: has other
    metrics than the submitted ones."""
    spec = folder.written_spec() if spec is None else spec
    table = folder.tasks(spec.metrics)
    returned = ReturnedNames()
    own = folder.parameter_columns()
    trusted = not by_extractor(spec.metrics, Running) or trust.is_trusted(folder.path.parent)
    not_called: list[str] = []
    with cache.writing(folder.path) as may_write:
        for extractor, some in by_extractor(spec.metrics, Running).items() if force and may_write and trusted else ():
            for metric in some.values():
                extractor.forget(spec, folder.path, metric)
        if any(metric.source.several for metric in spec.metrics.values()):
            ended = table.filter(pl.col("attempt").is_not_null()).select("task_id", "attempt")
            known, parameters_of = own, table
            names, not_called = find_names(
                folder,
                spec,
                ended,
                lambda tasks: _parameters(parameters_of, known, tasks),
                trusted=trusted,
                force=force,
                may_write=may_write,
            )
            spec = names.added_to(spec)
            table = folder.tasks(spec.metrics)
    if spec.function is not None:
        done = table.filter((pl.col("state") == "done") & pl.col("attempt").is_not_null())
        with cache.writing(folder.path) as may_write:
            returned = collect_names(folder, done.select("task_id", "attempt"), force, may_write)
        spec = returned.added_to(spec)
    split = table.columns.index("task_id")
    renamed, metrics = column_names(table.columns[:split], list(spec.metrics), table.columns[split:])
    table = table.rename(renamed)
    parameters = table.columns[:split]
    path = folder.path / layout.RESULTS_FILE
    ended = table.filter(pl.col("attempt").is_not_null()).select("task_id", "attempt")
    with cache.writing(folder.path) as may_write:
        found = None if force else cache.read(path)
        columns_of = {name: renamed.get(column, column) for name, column in own.items()}
        reading = _Reading(folder, spec, table, columns_of, metrics, progress, trusted)
        columns = reading.from_cache_and_files(ended, found)
        full, problems = _assembled(spec, table, parameters, metrics, columns, reading.ids)
        about = {
            "metrics": {name: [metrics[name], reading.prints[name], c.form] for name, c in columns.items()},
            "again": ranges.to_ranges(sorted(reading.again)),
            "beside": reading.beside(),
            "troubles": reading.troubles,
            "slow": {name: ranges.to_ranges(sorted(tasks)) for name, tasks in reading.slow.items()},
            "units": reading.units,
            "bases": reading.bases,
        }
        if (
            may_write
            and not reading.not_executed
            and (found is None or _said(found[1]) != _said(about) or not full.equals(found[0]))
        ):
            cache.write(path, full, about)
    slow = reading.slow
    if live:
        columns, ids = reading.with_running(columns)
        full, problems = _assembled(spec, table, parameters, metrics, columns, ids)
    problems |= dict.fromkeys((*sorted(reading.not_executed), *not_called), not_trusted(folder))
    tables = (tuple(parameters), metrics, full)
    settled = not reading.again and not (live and (table["state"] == "running").any())
    return Results(
        folder,
        spec,
        *tables,
        reading.read,
        live,
        force,
        problems=problems,
        troubles=reading.troubles,
        slow=slow,
        settled=settled,
        units=reading.units,
        bases=reading.bases,
        not_kept=returned.not_kept,
    )


def rows_of(ascending: pl.Series, ids: pl.Series) -> npt.NDArray[np.int64]:
    """The row of each id in a column of ascending ids, NONE for those that are not there."""
    column, wanted = ascending.to_numpy(), ids.to_numpy()
    rows = np.searchsorted(column, wanted).astype(np.int64)
    rows[rows == len(column)] = 0
    return np.where(column[rows] == wanted, rows, NONE) if len(column) else np.full(len(wanted), NONE)


def _said(about: About) -> list[Any]:
    return [*(about.get(key) for key in ("metrics", "again", "beside", "units", "bases")), about.get("slow", {})]


def _assembled(
    spec: Experiment,
    table: pl.DataFrame,
    parameters: Sequence[str],
    metrics: Mapping[str, str],
    columns: Mapping[str, Column],
    ids: pl.Series,
) -> tuple[pl.DataFrame, dict[str, str]]:
    """The table of all tasks with the values of metrics, which are in the order of `ids`."""
    rows = np.full(table.height, NONE, dtype=np.int64)
    rows[rows_of(table["task_id"], ids)] = np.arange(len(ids))
    places = pl.Series(rows, dtype=pl.Int64)
    places = places.set(places == NONE, None)
    full = table.with_columns(column.series.gather(places).alias(metrics[name]) for name, column in columns.items())
    problems: dict[str, str] = {}
    for extractor, some in by_extractor(spec.metrics, Computing).items():
        full, wrong = extractor.add(full, spec, some, metrics)
        problems |= wrong
    facts = table.columns[len(parameters) :]
    return full.select(*parameters, *metrics.values(), *facts), problems


def not_trusted(folder: ExperimentFolder) -> str:
    """Return why a metric that executes something has no values in a lab that is not trusted."""
    lab = folder.path.parent
    return f"not executed, because {lab.name} came from elsewhere; `tui-lab trust {shlex.quote(str(lab))}` allows it"


def _not_executed(extractor: Running, metrics: Mapping[str, Metric], tasks: Sequence[Task]) -> Extraction:
    """Null for each task."""
    found = Extraction()
    for name, metric in metrics.items():
        found.values[name] = [None] * len(tasks)
        found.types[name] = extractor.type(name, metric)
        found.tallies[name] = Tally(tasks=len(tasks))
    return found


def _in_units(metrics: Mapping[str, Metric], bases: Mapping[str, str]) -> dict[str, Metric]:
    """The metrics, with the unit that their values have together where they name none."""
    return {name: replace(metric, unit=bases[name]) if name in bases else metric for name, metric in metrics.items()}


class _Reading:
    """The values of all metrics that are read, in the order of `ids`; computed ones are not."""

    def __init__(
        self,
        folder: ExperimentFolder,
        spec: Experiment,
        table: pl.DataFrame,
        parameters: Mapping[str, str],
        metrics: Mapping[str, str],
        progress: Progress | None,
        trusted: bool,
    ) -> None:
        """parameters, metrics: their columns in the table. trusted: whether metrics may execute something."""
        self.folder, self.spec, self.table, self.names, self.progress = folder, spec, table, metrics, progress
        self.parameters = parameters
        self.metrics = {
            name: metric for name, metric in spec.metrics.items() if not isinstance(extractor_of(metric), Computing)
        }
        steps = [step.name for step in spec.steps]
        definitions: dict[str, list[Any]] = {name: [steps, one.definition()] for name, one in self.metrics.items()}
        for extractor, some in by_extractor(self.metrics, Running).items():
            for name, metric in some.items():
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
        self._behind: dict[str, dict[int, tuple[int, int]]] = {}  # by stage: the attempt that each task depends on

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
            known &= ~np.isin(ended["task_id"].to_numpy(), self._changed_beside(about.get("beside", {})))
            rows = rows[known]
            for name, (column, print_, form) in about["metrics"].items():
                if self.prints.get(name) == print_ and column in cached.columns:
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

    def with_running(self, columns: Mapping[str, Column]) -> tuple[dict[str, Column], pl.Series]:
        """The columns with what running tasks have printed so far in place of their last attempt's values."""
        running = self.table.filter(pl.col("state") == "running").select("task_id", "attempts")
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
        metrics = _in_units(metrics, self.bases)
        running = {} if live else by_extractor(metrics, Running)
        run = {name for some in running.values() for name in some}
        for start in range(0, max(len(tasks), 1), BATCH):
            batch = tasks[start : start + BATCH]
            of_stages = self.spec.metrics_by_stage(metrics)
            parts = [extract(self.spec, OutputFolders(self.folder.path), batch, of_stages.pop(None), live)]
            parts += [self._of_stage(stage, batch, some) for stage, some in of_stages.items() if stage]
            for extractor, some in running.items():
                if not self.trusted:
                    parts.append(_not_executed(extractor, some, batch))
                    self.not_executed.update(some if batch else ())
                    continue
                parts.append(
                    extractor.values(
                        self.spec, self.folder.path, batch, some, _parameters(self.table, self.parameters, batch)
                    )
                )
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

    def beside(self) -> dict[str, dict[str, ranges.Ranges]]:
        """Return the attempts beside tasks from which metrics are: by stage and attempt the tasks. Such an attempt may
        change while that of the task stays."""
        found: dict[str, dict[str, ranges.Ranges]] = {}
        for stage in {metric.stage for metric in self.metrics.values()} & {*self.spec.beside}:
            tasks: dict[str, list[int]] = {}
            for task, (_, attempt) in self._attempts_behind(stage or "").items():
                tasks.setdefault(str(attempt), []).append(task)
            found[stage or ""] = {attempt: ranges.to_ranges(sorted(ids)) for attempt, ids in tasks.items()}
        return found

    def _changed_beside(self, known: Mapping[str, Mapping[str, ranges.Ranges]]) -> list[int]:
        """Return the tasks whose attempts beside them are others than those of the cache."""

        def each(found: Mapping[str, Mapping[str, ranges.Ranges]]) -> set[tuple[str, str, int]]:
            return {
                (stage, attempt, task)
                for stage in found
                for attempt, ids in found[stage].items()
                for task in ranges.each(ids)
            }

        present = self.beside()
        before = {stage: known.get(stage, {}) for stage in present}
        return sorted({task for _, _, task in each(present) ^ each(before)})

    def _attempts_behind(self, stage: str) -> dict[int, tuple[int, int]]:
        if stage not in self._behind:
            self._behind[stage] = self.folder.attempts_behind(stage)
        return self._behind[stage]

    def _of_stage(self, stage: str, tasks: Sequence[Task], metrics: Mapping[str, Metric]) -> Extraction:
        """Read metrics from the outputs of a stage: each run once, for all tasks that depend on it."""
        runs_of = self._attempts_behind(stage)
        behind = [runs_of.get(task) for task, _ in tasks]
        runs = list(dict.fromkeys(run for run in behind if run is not None))
        places = {run: place for place, run in enumerate(runs)}
        found = extract(self.spec.of_stage(stage), OutputFolders(self.folder.path, stage), runs, metrics)
        for name, values in found.values.items():
            found.values[name] = [None if run is None else values[places[run]] for run in behind]
        waiting = {number for number, _ in runs if number in found.again}
        found.again = {task for (task, _), run in zip(tasks, behind, strict=True) if run and run[0] in waiting}
        for tally in found.tallies.values():
            slow = set(tally.slow)
            tally.slow = [task for (task, _), run in zip(tasks, behind, strict=True) if run and run[0] in slow]
        return found


def _parameters(table: pl.DataFrame, parameters: Mapping[str, str], tasks: Sequence[Task]) -> pl.DataFrame:
    """The values of parameters under their own names, for the tasks in their order. parameters: their columns."""
    own = {column: name for name, column in parameters.items()}
    own |= {name: name for name in ("repeat", "seed") if name not in parameters}
    wanted = pl.DataFrame({"task_id": pl.Series([task_id for task_id, _ in tasks], dtype=pl.Int64)})
    rows = wanted.join(table, on="task_id", how="left", maintain_order="left")
    return rows.select(pl.col(column).alias(name) for column, name in own.items())


def codes(table: pl.DataFrame, columns: Sequence[str]) -> pl.Series:
    """A number for each row: equal where the columns are, counted in the order of first appearance."""
    columns = list(dict.fromkeys(columns))
    if not columns:
        return pl.Series("code", [0] * table.height, dtype=pl.Int64)
    known = table.select(columns).unique(maintain_order=True).with_row_index("a row's code")
    joined = table.select(columns).join(known, on=columns, how="left", nulls_equal=True, maintain_order="left")
    return joined["a row's code"].cast(pl.Int64)
