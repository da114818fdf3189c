"""The statistics of an experiment: a summary of each metric in each setting, and their comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Final, Literal

import polars as pl

from tui_lab.experiment.expressions import expression
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.numeric.exact import Anova
from tui_lab.results.plain import shown
from tui_lab.results.statistics.baseline import find_setting
from tui_lab.results.statistics.comparison import (
    Comparison,
    ComparisonMethod,
    Goal,
    TaskCounts,
    against,
    against_best,
    best,
    complete,
    overall,
    ranked,
)
from tui_lab.results.statistics.errors import StatisticsError, pointed
from tui_lab.results.statistics.intervals import FEWEST, Bootstrap
from tui_lab.results.statistics.resolution import Resolution, resolution
from tui_lab.results.statistics.sample import CONFIDENCE, Sample, Summary, describe
from tui_lab.results.statistics.settings import Settings, numeric_metrics, settings, varying
from tui_lab.results.statistics.steps import split
from tui_lab.results.statistics.tests import Correction
from tui_lab.results.statistics.values import done_values, goal_of, unit_of
from tui_lab.results.tables import Results
from tui_lab.store.spare import spare_tasks

Pairing = Literal["auto", "paired", "unpaired"]
MOSTLY: Final = 0.5
"""Pairs are made unasked where more than this share of the tasks has a partner."""


@dataclass(frozen=True)
class Options:
    """What to compare, and how."""

    by: tuple[str, ...] | None = None
    """Parameters that make a setting; by default all that vary."""
    metrics: tuple[str, ...] | None = None
    """Metrics, numeric facts, or summaries of steps (`loss@last`); by default all metrics with numbers."""
    goals: Mapping[str, Goal] = field(default_factory=dict)
    """What is better, where the experiment's file does not say or says otherwise."""
    baseline: str | None = None
    """`lr=0.1 opt=sgd`, or a SQL condition that one setting fulfils."""
    level: float = CONFIDENCE
    bootstrap: Bootstrap | None = None
    pairing: Pairing = "auto"
    correction: Correction = "holm"
    where: str | None = None
    """A SQL condition that tasks fulfil; others don't count, nor are they missing."""
    allow_incomplete: bool = False
    """Whether a setting may be best that lacks values: NaN, infinite, without a value, failed or unfinished."""


Standing = Literal["best", "tied", "worse", "untested", "incomplete", "no value"]
"""What a setting is, by one metric: the best, tied with it, worse; without a test (a single value);
tied with the best, and short of requested values."""


@dataclass(frozen=True)
class MetricReport:
    """One metric in all settings; the lists are in the order of the settings."""

    name: str
    unit: str | None
    goal: Goal | None
    samples: list[Sample]
    summaries: list[Summary]
    asked: list[TaskCounts]
    best: int | None
    p_best: list[float | None]
    """Corrected p-value of the difference from the best; all None without a goal."""
    comparisons: list[Comparison | None]
    """With the baseline; all None without one."""
    anova: Anova | None
    """Whether the settings differ at all; None where that can't be asked."""
    order: list[int]
    """Settings, best mean first (in the order of the grid without a goal), then incomplete ones, those without values
    last."""
    known: Resolution
    level: float
    offset: int
    """What is subtracted from the values in `samples`; see there."""
    exact: list[Summary]
    """Summaries of the values in `samples`, without the offset. Means that differ do so here, too."""

    def standing(self, place: int) -> Standing | None:
        """Return the standing of a setting; None if there is no best setting."""
        if self.exact[place].mean is None:
            return "no value"
        if self.best is None:
            return None
        if place == self.best:
            return "best"
        p = self.p_best[place]
        lacking = not complete(self.summaries[place], self.asked[place])
        if lacking and self._before_best(place):
            return "incomplete"
        if p is not None and p < 1 - self.level:
            return "worse"
        if p is None and self.known.deterministic:
            equal = self.exact[place].mean == self.exact[self.best].mean
            return "tied" if equal and not lacking else "worse"
        if lacking:
            return "incomplete"
        return "untested" if p is None else "tied"

    def tied(self, place: int) -> bool:
        """Whether a setting was tested and does not differ from the best; true of the best itself."""
        return self.standing(place) in ("best", "tied")

    @cached_property
    def equal(self) -> frozenset[int]:
        """Settings that no test tells from the best, and whose mean is the same: any of them could be called best."""
        if self.best is None:
            return frozenset()
        top, places = self.exact[self.best].mean, range(len(self.samples))
        return frozenset(at for at in places if self.exact[at].mean == top and self.standing(at) == "untested")

    def count(self, standing: Standing) -> int:
        """Return how many settings have a standing."""
        return sum(self.standing(place) == standing for place in range(len(self.samples)))

    def incomplete(self, place: int) -> bool:
        """Whether a setting is marked as incomplete: it has fewer values than were requested, also where it is worse
        than the best for certain. False where there is no best setting, and of the best."""
        lacking = self.summaries[place].n < self.asked[place].asked
        return self.best is not None and place != self.best and lacking

    def _before_best(self, place: int) -> bool:
        mean = self.exact[place].mean
        top = None if self.best is None else self.exact[self.best].mean
        return mean is not None and (top is None or (mean > top if self.goal == "max" else mean < top))

    def incomplete_leaders(self) -> list[int]:
        """Settings whose mean would be the best, but that lack values, the best first."""
        if self.goal is None:
            return []
        return [place for place in ranked(self.exact, self.goal) if self._before_best(place)]


def judge(
    name: str,
    samples: list[Sample],
    goal: Goal | None = None,
    *,
    unit: str | None = None,
    asked: Sequence[TaskCounts] | None = None,
    allow_incomplete: bool = False,
    baseline: int | None = None,
    level: float = CONFIDENCE,
    correction: Correction = "holm",
    pair: bool = False,
    bootstrap: Bootstrap | None = None,
) -> MetricReport:
    """Return the report on one metric: the only place that decides which setting is best. asked: the tasks of each
    setting; by default all have ended. allow_incomplete: a setting that lacks values may be the best."""
    offset = samples[0].offset if samples else 0
    known = resolution((sample.values for sample in samples), offset)
    summaries = [describe(sample, level, bootstrap, known) for sample in samples]
    asked = (
        list(asked)
        if asked is not None
        else [TaskCounts(sample.n + sample.n_null + sample.n_nan) for sample in samples]
    )
    behind = [not (allow_incomplete or complete(*one)) for one in zip(summaries, asked, strict=True)]
    first = None if goal is None else best(summaries, goal, behind)
    how = ComparisonMethod(level, correction, pair, known, bootstrap, offset=offset)
    together = overall(samples, summaries, how)
    nothing: list[None] = [None] * len(samples)
    return MetricReport(
        name=name,
        unit=unit,
        goal=goal,
        samples=samples,
        summaries=[summary.moved(offset) for summary in summaries],
        asked=asked,
        best=first,
        p_best=list(nothing) if first is None else against_best(samples, summaries, first, how, together),
        comparisons=list(nothing) if baseline is None else against(samples, summaries, baseline, how),
        anova=together,
        order=ranked(summaries, goal, behind if goal is not None and first is not None else ()),
        known=known,
        level=level,
        offset=offset,
        exact=summaries,
    )


@dataclass(frozen=True)
class Chosen:
    """Some settings against one of them."""

    comparisons: list[Comparison | None]
    tests: int
    """For how many comparisons p is corrected."""
    of_all: bool
    """Whether these are comparisons that the whole report makes: with its best setting, or with its baseline. Then p is
    corrected for all of them, for who chooses some has seen all."""


@dataclass(frozen=True)
class Report:
    """The settings of an experiment, with the statistics of each metric."""

    results: Results = field(repr=False)
    settings: Settings
    metrics: list[MetricReport]
    baseline: int | None
    paired: bool
    """Whether comparisons are made within pairs."""
    options: Options
    per: tuple[str, Any] | None = None
    """A parameter and its value, where the report is on the tasks with that value alone."""

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self.results.name

    def chosen(self, metric: MetricReport, places: Sequence[int], first: int) -> Chosen:
        """Compare some settings with one of them, whose index in `places` is `first`. What the report says of a setting
        and its best one, or its baseline, stands here, too."""
        if places[first] == self.baseline:
            tests = sum(one is not None and one.p is not None for one in metric.comparisons)
            return Chosen([metric.comparisons[place] for place in places], tests, of_all=True)
        how = ComparisonMethod(metric.level, self.options.correction, self.paired, metric.known, offset=metric.offset)
        found = against([metric.samples[at] for at in places], [metric.exact[at] for at in places], first, how)
        if places[first] != metric.best:
            return Chosen(found, sum(one is not None and one.p is not None for one in found), of_all=False)
        comparisons = [
            None if one is None else replace(one, p_adjusted=None if one.p is None else metric.p_best[place])
            for one, place in zip(found, places, strict=True)
        ]
        return Chosen(comparisons, sum(p is not None for p in metric.p_best) - 1, of_all=True)


def make(results: Results, options: Options | None = None) -> Report:
    """The report on the done tasks of an experiment. Raises StatisticsError."""
    options = options or Options()
    if not results.grid.height:
        raise StatisticsError(f"{results.name} has no finished tasks yet")
    if options.where is not None:
        results = _chosen(results, options.where)
    found = settings(results, _known_parameters(results, options.by))
    baseline = None if options.baseline is None else find_setting(found, options.baseline)
    pair = _paired(results, found, options.pairing)
    names = options.metrics or tuple(numeric_metrics(results))
    if not names:
        known = ", ".join(results.measured)
        raise StatisticsError(f"{results.name} has no metric with numbers; --metric takes facts of tasks, too: {known}")
    _check_goals(results, names, options.goals)
    metrics = [_metric(results, found, name, baseline, pair, options) for name in names]
    if options.bootstrap is not None:
        _enough_to_resample(metrics)
    return Report(results, found, metrics, baseline, pair, options)


def _check_goals(results: Results, names: Sequence[str], goals: Mapping[str, Goal]) -> None:
    """Raises StatisticsError for a goal of something that is no metric."""
    steps = [reference[0] for name in names if (reference := split(name)) is not None]
    known = [*results.metrics, *results.measured, *names, *steps]
    for name in goals:
        if name not in known and name not in results.tasks.columns:
            hint = suggest(name, known) or f"there are {', '.join(dict.fromkeys(known))}"
            raise StatisticsError(f'--goal {name}: {results.name} has no metric "{name}"; {hint}')


def make_per(results: Results, options: Options, name: str) -> list[Report]:
    """A report for each value of a parameter that has finished tasks, on the tasks with that value; all by the same
    parameters. Raises StatisticsError."""
    _known_parameters(results, [name])
    if not results.grid.height:
        raise StatisticsError(f"{results.name} has no finished tasks yet")
    if options.where is not None:
        results = _chosen(results, options.where)
    planned = results.planned
    values = [value for value in planned[name].unique(maintain_order=True) if _has(results.grid, name, value).any()]
    parts = [replace(results, tasks=results.tasks.filter(_has(results.tasks, name, value))) for value in values]
    by = _known_parameters(results, options.by)
    if by is None:
        by = [one for one in varying(results) if any(part.grid[one].n_unique() > 1 for part in parts)]
    by = [one for one in by if one != name]
    if not by:
        raise StatisticsError(f"--per {name}: no other parameter varies, so there is nothing to choose from")
    found = []
    for value, part in zip(values, parts, strict=True):
        try:
            found.append(replace(make(part, replace(options, by=tuple(by))), per=(name, value)))
        except StatisticsError as error:
            raise StatisticsError(f"{name}={shown(value)}: {error}") from None
    return found


def _has(table: pl.DataFrame, name: str, value: Any) -> pl.Series:
    """The rows with a value, which may be null."""
    return table.select(pl.col(name).eq_missing(pl.lit(value, dtype=table[name].dtype))).to_series()


def _chosen(results: Results, where: str) -> Results:
    """Return the results with only the tasks that fulfil a condition."""
    chosen = replace(results, tasks=results.tasks.filter(chosen_rows(results.tasks, where)))
    if not chosen.grid.height:
        raise StatisticsError(f"--where: no finished task of {results.name} fulfils {where}")
    return chosen


def chosen_rows(table: pl.DataFrame, where: str) -> pl.Series:
    """Return the rows for which `--where` is true. Raises StatisticsError."""
    try:
        return expression.condition(where, table)
    except expression.ExpressionError as error:
        raise StatisticsError(pointed("--where", where, error)) from None


def _enough_to_resample(metrics: Sequence[MetricReport]) -> None:
    most = max((sample.n for metric in metrics for sample in metric.samples), default=0)
    if most < FEWEST:
        said = "a single value" if most == 1 else f"at most {most} values"
        raise StatisticsError(
            f"--bootstrap needs {FEWEST} values of a setting, and here each has {said}; "
            "leave it out, and intervals are Student's t"
        )


def _metric(
    results: Results, found: Settings, name: str, baseline: int | None, pair: bool, options: Options
) -> MetricReport:
    return judge(
        name,
        found.samples(done_values(results, name, options.goals), results.shared_runs(name, results.grid)),
        goal_of(results, name, options.goals),
        unit=unit_of(results, name),
        asked=_asked(results, found, name),
        allow_incomplete=options.allow_incomplete,
        baseline=baseline,
        level=options.level,
        correction=options.correction,
        pair=pair,
        bootstrap=options.bootstrap,
    )


def _asked(results: Results, found: Settings, name: str) -> list[TaskCounts]:
    """Return planned tasks in each setting, without repeats that were not needed; for a metric of a stage, the runs
    that they share."""
    spare = pl.Series("task_id", spare_tasks(results.folder.state()), dtype=results.tasks["task_id"].dtype)
    planned = results.planned.filter(~pl.col("task_id").is_in(spare.implode()))
    failed = pl.col("state").is_in(["failed", "lost", "stopped"])
    runs = results.shared_runs(name, planned)
    if runs is not None:
        by = [*found.by, "its run"]
        done = (pl.col("state") == "done").any()
        state = (
            pl.when(done).then(pl.lit("done")).when(failed.all()).then(pl.lit("failed")).otherwise(pl.lit("pending"))
        )
        planned = planned.select(*found.by, pl.col("state").cast(pl.String), runs.alias("its run"))
        planned = planned.group_by(by, maintain_order=True).agg(state.alias("state"))
    counts = (pl.len().alias("asked"), failed.sum().alias("failed"), (~failed & (pl.col("state") != "done")).sum())
    if not found.by:
        return [TaskCounts(*planned.select(*counts).row(0))] * found.count
    names = {name: f"p{number}" for number, name in enumerate(found.by)}
    table = planned.select(pl.col(name).alias(short) for name, short in names.items())
    table = table.with_columns(planned["state"]).group_by(names.values()).agg(*counts)
    keys = found.keys.rename(names)
    joined = keys.join(table, on=list(names.values()), how="left", nulls_equal=True, maintain_order="left")
    return [TaskCounts(*row[len(names) :]) for row in joined.iter_rows()]


# --- What is asked for


def _known_parameters(results: Results, by: Sequence[str] | None) -> list[str] | None:
    if by is None:
        return None
    for name in by:
        if name not in results.parameters:
            hint = suggest(name, results.parameters) or f"there are {', '.join(results.parameters) or 'none'}"
            raise StatisticsError(f'{results.name} has no parameter "{name}"; {hint}')
    return list(dict.fromkeys(by))


def _paired(results: Results, found: Settings, pairing: Pairing) -> bool:
    """Repeats pair where a seed makes them alike: the command takes `{seed}`, which then is the same for
    equal repeats, or a parameter is called `seed`. Averages over other parameters pair by those."""
    if pairing == "unpaired":
        return False
    share = found.pairing()
    if pairing == "paired":
        if share == 0:
            raise StatisticsError("nothing pairs: no two settings have a repeat in common; leave --paired out")
        return True
    seeds = results.folder.plan().about.get("seed")
    alike = "seed" in results.parameters or (seeds is not None and seeds[1] == "repeat")
    return (alike or bool(found.averaged)) and share > MOSTLY
