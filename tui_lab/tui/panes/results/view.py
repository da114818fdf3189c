"""What the Results pane shows of an experiment. Functions for thread workers; they never touch a widget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.statistics.comparison import Goal
from tui_lab.results.statistics.errors import StatisticsError
from tui_lab.results.statistics.importance import MOST_PARAMETERS, Importance, importance
from tui_lab.results.statistics.pareto import front as pareto
from tui_lab.results.statistics.report import MetricReport, Options, Report, make
from tui_lab.results.statistics.settings import leading_metric, numeric_metrics, varying
from tui_lab.results.statistics.values import done_values
from tui_lab.results.statistics.warnings import warnings
from tui_lab.results.tables import Results, refresh
from tui_lab.results.until import unreached
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder

DURATION: Final = "duration"
"""A fact that stands beside the metrics: what is best often costs time."""


@dataclass(frozen=True)
class ViewRequest:
    """What to show of an experiment."""

    metric: str | None = None
    """By default the leading one."""
    by: tuple[str, ...] | None = None
    goals: Mapping[str, Goal] = field(default_factory=dict)
    baseline: str | None = None
    """A SQL condition that one setting fulfils."""
    front: str | None = None
    """The second metric of a Pareto front."""
    incomplete: bool = False
    """Whether settings that lack values may be the best."""


@dataclass(frozen=True)
class View:
    """Results at one moment; without a report, `message` says why there is none."""

    experiment: str
    request: ViewRequest
    revision: int = 0
    report: Report | None = None
    metric: MetricReport | None = None
    places: tuple[int, ...] = ()
    """Settings in the order of the table."""
    front: tuple[bool, ...] | None = None
    explained: Importance | None = None
    notes: tuple[str, ...] = ()
    message: str = ""
    vary: tuple[str, ...] = ()
    """Parameters that settings may be made of."""

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics in the report."""
        return [] if self.report is None else [one.name for one in self.report.metrics]


def make_view(path: Path, request: ViewRequest, revision: int, allow: str) -> View:
    """Read the results of an experiment's folder. Errors are in the view."""
    empty = View(path.name, request, revision)
    try:
        results = refresh(ExperimentFolder(path))
    except (LabError, SpecError, OSError) as error:
        return replace(empty, message=str(error))
    # The tables of steps and rows grow with a run: they are read for this when it is at rest.
    running = bool((results.tasks["state"] == "running").any())
    hints = tuple(map(str, results.warnings if running else results.all_warnings))
    if not running and (missed := unreached(ExperimentFolder(path), results)):
        hints = (missed, *hints)
    if not results.grid.height:
        return replace(empty, message=nothing_done(results), notes=hints)
    try:
        return _view(results, replace(empty, vary=tuple(varying(results))), hints, allow)
    except StatisticsError as error:
        if request.baseline is None and request.by is None:
            return replace(empty, message=str(error), notes=hints)
    # The setting is gone, or the parameter: without them there is still something to see.
    plain = replace(request, baseline=None, by=None)
    try:
        return _view(results, replace(empty, request=plain, vary=tuple(varying(results))), hints, allow)
    except StatisticsError as error:
        return replace(empty, message=str(error), notes=hints)


def _view(results: Results, empty: View, hints: Sequence[str], allow: str) -> View:
    request = empty.request
    names = [*numeric_metrics(results)]
    if DURATION not in names and DURATION not in results.parameters:
        names.append(DURATION)
    options = Options(
        by=request.by,
        metrics=tuple(names),
        goals=request.goals,
        baseline=request.baseline,
        allow_incomplete=request.incomplete,
    )
    report = make(results, options)
    wanted = request.metric or leading_metric(results)
    metric = next((one for one in report.metrics if one.name == wanted), report.metrics[0])
    front = _front(report, metric, request.front)
    places = metric.order if front is None else [place for place in metric.order if front[place]]
    lines = [*hints, *warnings(report, [metric], allow=allow)]
    if not numeric_metrics(results):
        lines.insert(0, f"{results.name} has no metric with numbers: add some to `metrics` of its file")
    return replace(
        empty,
        report=report,
        metric=metric,
        places=tuple(places),
        front=front,
        explained=_explained(report, metric),
        notes=tuple(dict.fromkeys(lines)),
    )


def _front(report: Report, metric: MetricReport, other: str | None) -> tuple[bool, ...] | None:
    second = next((one for one in report.metrics if one.name == other), None)
    if second is None or metric.goal is None or second.goal is None:
        return None
    means = [(a.mean, b.mean) for a, b in zip(metric.exact, second.exact, strict=True)]
    return tuple(pareto(means, (metric.goal, second.goal)))


def _explained(report: Report, metric: MetricReport) -> Importance | None:
    if not report.settings.by or len(report.settings.by) > min(MOST_PARAMETERS, 6):
        return None
    values = done_values(report.results, metric.name, report.options.goals)
    try:
        return importance(report.settings.table, report.settings.by, values)
    except ValueError:
        return None


def nothing_done(results: Results) -> str:
    """Return why there are no results, in a sentence."""
    states = dict(results.planned["state"].value_counts().rows())
    failed = states.get("failed", 0) + states.get("lost", 0)
    open_ = states.get("running", 0) + states.get("pending", 0)
    if failed and not open_:
        return f"No task of {results.name} is done: all {failed:,} failed."
    if failed:
        return f"No task of {results.name} is done yet, and {failed:,} failed."
    if states.get("running"):
        return f"No task of {results.name} is done yet; {states['running']:,} running."
    if states.get("stopped") and not open_:
        return f"All tasks of {results.name} were stopped before one was done."
    return f"No task of {results.name} has run yet."
