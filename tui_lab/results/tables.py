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
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Literal

import numpy as np
import polars as pl

from tui_lab.experiment import facts
from tui_lab.experiment.facts import Fact, measured
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.results import cache
from tui_lab.results.extraction import hints, long
from tui_lab.results.extraction.columns import Column
from tui_lab.results.extraction.execution import Execution
from tui_lab.results.extraction.expression_names import names_used
from tui_lab.results.extraction.extractor import Computing, Running, Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.function_names import find_names
from tui_lab.results.extraction.hints import Hint
from tui_lab.results.extraction.returned import collect_names
from tui_lab.results.extraction.row_sources.kinds import rows_reader
from tui_lab.results.extraction.sources.kinds import by_extractor, extractor_of
from tui_lab.results.planned import of_plan
from tui_lab.results.reading import MetricReading, Progress, in_units, rows_of, to_gather, told
from tui_lab.results.stage_metrics import StageMetrics
from tui_lab.store import layout, mirrors, trust
from tui_lab.store.errors import StorageError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import NONE
from tui_lab.store.naming import column_names, free
from tui_lab.store.returned_names import ReturnedNames


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
    hidden: Mapping[str, str] = field(default_factory=dict)
    """What they returned and has no column: the metric whose name differs in case only, by name."""
    of_stages: Sequence[StageMetrics] = ()
    """The metrics of stages before the last."""
    executions: Mapping[str | None, Execution] = field(default_factory=dict)
    """What is needed to run something for steps or rows: of tasks (None), and of stages."""
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
        several tasks share is one observation. None for metrics that are the tasks' own.

        What is computed from such values and from parameters has a number for each combination of these; a summary of
        steps (`loss@last`) is shared as its steps are."""
        metric = self.spec.metrics.get(name)
        if metric is None:
            column, at, _ = name.rpartition("@")
            stage = self._table("steps").stages.get(column) if at else None
        elif metric.source.expression is not None:
            return self._shared_by_all(name, metric.source.expression, table)
        else:
            stage = metric.stage
        if stage not in self.spec.earlier_stages:
            return None
        return self._runs_behind(stage, table)

    def _runs_behind(self, stage: str, table: pl.DataFrame) -> pl.Series:
        behind = self.folder.attempts_behind(stage)
        return pl.Series([behind.get(task, (None, 0))[0] for task in table["task_id"]], dtype=pl.Int64)

    def _shared_by_all(self, name: str, expression: str, table: pl.DataFrame) -> pl.Series | None:
        """Return numbers that are equal where all values are shared from which a metric is computed; None where one of
        them is a task's own."""
        if name in self.problems:
            return None
        names = names_used(expression, self.tasks, self.metrics)
        by_column = {column: metric for metric, column in self.metrics.items()}
        runs: list[pl.Series] = []
        others: list[str] = []
        for used in names:
            metric = used if used in self.metrics else by_column.get(used)
            if metric is not None:
                found = self.shared_runs(metric, table)
                if found is None:
                    return None
                runs.append(found.alias(f"run {len(runs)}"))
                continue
            column = next((one for one in (used, f"in_{used}") if one in self.parameters), None)
            if column is None:
                return None
            others.append(column)
        if not runs:
            return None
        own = table.select("task_id").join(
            self.tasks.select("task_id", *others), on="task_id", how="left", maintain_order="left"
        )
        shared = pl.DataFrame(runs)
        numbers = codes(pl.concat([shared, own], how="horizontal"), [*shared.columns, *others])
        known = pl.all_horizontal(pl.all().is_not_null())
        return shared.select(pl.when(known).then(numbers)).to_series()

    def shared_steps(self, steps: pl.DataFrame) -> dict[str, pl.Series]:
        """Return the runs of stages from which values by step are, for some rows of `steps`, by column."""
        stages = self._table("steps").stages
        behind = {stage: self._runs_behind(stage, steps) for stage in set(stages.values())}
        return {column: behind[stage] for column, stage in stages.items()}

    @cached_property
    def shared_by_column(self) -> dict[str, pl.Series]:
        """The same for the rows of `grid`, by column, of those metrics whose values tasks share."""
        found = {column: self.shared_runs(name, self.grid) for name, column in self.metrics.items()}
        return {column: runs for column, runs in found.items() if runs is not None}

    @cached_property
    def stage_runs(self) -> pl.DataFrame:
        """Every run of a stage before the last, with the metrics of its stage: the table `NAME_stages`."""
        table = self.folder.stage_runs()
        taken = {name.lower() for name in table.columns}
        found = []
        for stage in self.of_stages:
            for name, values in stage.of_runs(table["run_id"]).items():
                found.append(values.alias(free(f"out_{name}" if name.lower() in taken else name, taken)))
        before = table.columns.index("repeat")  # behind the parameters
        return pl.concat([table[:, :before], pl.DataFrame(found), table[:, before:]], how="horizontal")

    @cached_property
    def grid(self) -> pl.DataFrame:
        """The done tasks of the newest plan: the table `NAME`."""
        return self.planned.filter(pl.col("state") == "done")

    @cached_property
    def planned(self) -> pl.DataFrame:
        """The tasks of the newest plan."""
        return of_plan(self.tasks)

    @cached_property
    def slow_planned(self) -> dict[str, list[int]]:
        """The tasks of the newest plan on whose output the pattern of a metric took too long, by metric."""
        planned = set(self.planned["task_id"].to_list()) if self.slow else set()
        found = {name: [task for task in tasks if task in planned] for name, tasks in self.slow.items()}
        return {name: tasks for name, tasks in found.items() if tasks}

    @cached_property
    def matched(self) -> dict[str, int]:
        """Tasks of the newest plan in which each metric was found (for `count`: more than 0)."""
        found = {}
        for name, column in self.metrics.items():
            series = self.planned[column]
            counts = self.spec.metrics[name].take == "count"
            found[name] = int((series > 0).sum()) if counts else len(series) - series.null_count()
        return found

    @cached_property
    def warnings(self) -> tuple[Hint, ...]:
        """Warnings: metrics that not every done task of the newest plan has, or whose values can't be compared, or
        that can't be computed."""
        warnings = [Hint(name, problem) for name, problem in self.problems.items()]
        warnings += [hints.too_slow(name, tasks) for name, tasks in self.slow_planned.items()]
        warnings += [hints.not_kept(name, *what) for name, what in self.not_kept.items()]
        warnings += [hints.hidden(name, column) for name, column in self.hidden.items()]
        done = self.grid.filter(pl.col("attempt").is_not_null())
        metrics = in_units(self.spec.metrics, self.bases)
        for name, column in self.metrics.items():
            metric = metrics[name]
            extractor = extractor_of(metric)
            if isinstance(extractor, Computing) or name in self.problems:
                continue
            without = done.filter(pl.col(column).is_null()).select("task_id", "attempt")
            if without.height and metric.take != "count" and name not in self.slow_planned:
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
        return (*self.warnings, *(hint for kind in kinds for hint in self._not_all_read(kind, planned=True)))

    def _not_all_read(self, kind: str, planned: bool) -> list[Hint]:
        done = self.grid if planned else self.tasks.filter(pl.col("state") == "done")
        tasks = done.filter(pl.col("attempt").is_not_null()).select("task_id", "attempt").rows()
        table = self._table(kind)
        if planned and self.planned.height < self.tasks.height:
            table = table.of_tasks(self.planned["task_id"])
        if table.not_executed:
            return [Hint(kind, not_trusted(self.folder), label=f"{self.name}_{kind}")]
        return hints.not_all_read(table, kind, self.spec, OutputFolders(self.folder.path), tasks)

    @property
    def steps(self) -> pl.DataFrame:
        """Values by step: the table `NAME_steps`."""
        return self._table("steps").frame

    @property
    def rows(self) -> pl.DataFrame:
        """The rows that `rows` finds: the table `NAME_rows`."""
        return self._table("rows").frame

    def left_out(self, kind: Literal["", "steps", "rows"] = "", planned: bool = False) -> list[str]:
        """Return the warnings on outputs that could not be read for a table: by default for those with a row per
        task. planned: only of tasks of the newest plan."""
        if not kind:
            why = not_trusted(self.folder)
            names = ", ".join(name for name, problem in self.problems.items() if problem == why)
            return [
                *([f"{names}: {why}"] if names else []),
                *(str(hints.too_slow(*one)) for one in (self.slow_planned if planned else self.slow).items()),
            ]
        table, texts = self._table(kind), []
        if count := table.skipped:
            what = "line of live metrics is no JSON object and was"
            if count > 1:
                what = "lines of live metrics are no JSON objects and were"
            texts.append(f"{self.name}: {count:,} {what} left out")
        return [*texts, *map(str, self._not_all_read(kind, planned))]

    def _table(self, kind: str) -> long.LongTable:
        if kind not in self._long:
            _bring(self.folder, kind)
            spec = replace(self.spec, metrics=in_units(self.spec.metrics, self.bases))
            self._long[kind] = long.refresh(
                kind,
                self.folder,
                spec,
                self.tasks,
                self.parameters,
                self.executions,
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
    _bring(folder)
    spec = folder.written_spec() if spec is None else spec
    table = folder.tasks(spec.metrics)
    returned = ReturnedNames()
    own = folder.parameter_columns()
    of_rows = None if spec.rows is None or not spec.rows.source.executes else rows_reader(spec)
    executes = bool(by_extractor(spec.metrics, Running)) or of_rows is not None
    trusted = not executes or trust.is_trusted(folder.path.parent)
    not_called: list[str] = []
    with cache.writing(folder.path) as may_write:
        for extractor, some in by_extractor(spec.metrics, Running).items() if force and may_write and trusted else ():
            for metric in some.values():
                extractor.forget(spec, folder.path, metric)
        if of_rows is not None and force and may_write and trusted:
            of_rows.forget(folder.path)
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
    columns_of = {name: renamed.get(column, column) for name, column in own.items()}
    of_stages = spec.metrics_by_stage(spec.metrics)
    parameters_of_tasks = partial(_parameters, table, columns_of)
    reading = MetricReading(
        spec, OutputFolders(folder.path), of_stages.pop(None), parameters_of_tasks, progress, trusted
    )
    stages = [StageMetrics(folder, spec, stage, some, progress, trusted) for stage, some in of_stages.items() if stage]
    with cache.writing(folder.path) as may_write:
        found = None if force else cache.read(path)
        for stage in stages:
            stage.read(force, may_write)
        shared = {name: values for one in stages for name, values in one.of_tasks(table["task_id"]).items()}
        columns = reading.from_cache_and_files(ended, found)
        values = _beside(table["task_id"], reading.ids, columns) | shared
        full, problems = _assembled(spec, table, parameters, metrics, values)
        about = reading.about(columns, metrics)
        if (
            may_write
            and not reading.not_executed
            and (found is None or told(found[1]) != told(about) or not full.equals(found[0]))
        ):
            cache.write(path, full, about)
    slow = dict(reading.slow)
    for one in stages:
        slow |= {name: one.tasks_of(runs) for name, runs in one.reading.slow.items()}
    if live:
        running = table.filter(pl.col("state") == "running").select("task_id", "attempts")
        columns, ids = reading.with_running(columns, running)
        values = _beside(table["task_id"], ids, columns) | shared
        full, problems = _assembled(spec, table, parameters, metrics, values)
    readings = [reading, *(one.reading for one in stages)]
    not_executed = sorted({name for one in readings for name in one.not_executed})
    problems |= dict.fromkeys((*not_executed, *not_called), not_trusted(folder))
    tables = (tuple(parameters), metrics, full)
    settled = not any(one.again for one in readings) and not (live and (table["state"] == "running").any())
    return Results(
        folder,
        spec,
        *tables,
        sum(one.read for one in readings),
        live,
        force,
        problems=problems,
        troubles={name: text for one in readings for name, text in one.troubles.items()},
        slow=slow,
        settled=settled,
        units={name: counts for one in readings for name, counts in one.units.items()},
        bases={name: base for one in readings for name, base in one.bases.items()},
        not_kept=returned.not_kept,
        hidden=returned.hidden_in(spec),
        of_stages=tuple(stages),
        executions={None: reading.execution, **{one.stage: one.reading.execution for one in stages}},
    )


def _bring(folder: ExperimentFolder, *kinds: str) -> None:
    """Bring what was read on the machine that has the outputs, if that is another one. While it is away, what is here
    must do."""
    side = mirrors.other_side(folder.path.parent)
    if side is not None:
        with suppress(StorageError):
            side.bring(folder.name, kinds)


def _beside(tasks: pl.Series, ids: pl.Series, columns: Mapping[str, Column]) -> dict[str, pl.Series]:
    """Return values, which are in the order of `ids`, in the order of the tasks, which ascend."""
    rows = np.full(len(tasks), NONE, dtype=np.int64)
    rows[rows_of(tasks, ids)] = np.arange(len(ids))
    places = to_gather(rows)
    return {name: column.series.gather(places) for name, column in columns.items()}


def _assembled(
    spec: Experiment,
    table: pl.DataFrame,
    parameters: Sequence[str],
    metrics: Mapping[str, str],
    values: Mapping[str, pl.Series],
) -> tuple[pl.DataFrame, dict[str, str]]:
    """The table of all tasks with the values of metrics, which are in their order."""
    full = table.with_columns(series.alias(metrics[name]) for name, series in values.items())
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
