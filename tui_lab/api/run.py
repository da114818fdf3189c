"""`tl.Run`: an experiment in a lab, with its results."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tui_lab.api.errors import TasksFailed, naming_arguments, warn
from tui_lab.api.plot import Plot

if TYPE_CHECKING:
    import polars as pl

    from tui_lab.client.failures import FailureGroup
    from tui_lab.client.follow import Followed, Heard
    from tui_lab.engine.client import EngineClient
    from tui_lab.experiment.domains.model import Value
    from tui_lab.results.charts.model import Role
    from tui_lab.results.statistics.report import Report
    from tui_lab.results.tables import Results
    from tui_lab.store.experiment import ExperimentFolder
    from tui_lab.store.lab import Lab

Goal = Literal["min", "max"]


@dataclass(frozen=True)
class Best:
    """The best setting by a metric, over its repeats."""

    metric: str
    goal: Goal
    unit: str | None
    """Of `mean`, `low` and `high`."""
    parameters: dict[str, Value]
    """The parameters that vary, with their values."""
    n: int
    """How many values the mean is of."""
    mean: float
    low: float | None
    """Lower end of the confidence interval of the mean; None for a single value."""
    high: float | None
    tied: list[dict[str, Value]]
    """Settings that can't be told from the best: tested, and not different."""
    untested: list[dict[str, Value]]
    """Settings of which there are too few values to tell."""


class Run:
    """An experiment in a lab: its tasks, their results, and what these say.

    Every call reads the lab as it is then, also while tasks run. What was read once is kept in the lab.
    """

    def __init__(self, lab: Lab, folder: ExperimentFolder) -> None:
        self._lab = lab
        self._folder = folder

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self._folder.name

    @property
    def path(self) -> Path:
        """The experiment's folder in the lab. Task 17 has its files in `tasks/0/17`."""
        return self._folder.path

    @property
    def counts(self) -> dict[str, int]:
        """The number of planned tasks in each state: pending, running, done, failed, stopped, lost."""
        from tui_lab.store.spare import counts_without_spare

        return counts_without_spare(self._folder.state())[0]

    @property
    def running(self) -> bool:
        """Whether tasks of the last submission may still run or begin."""
        state = self._folder.state()
        return bool(state.submissions) and state.ended is None

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {state}" for state, count in self.counts.items() if count)
        return f"<Run {self.name} in {self._lab.path}: {counts or 'no tasks'}>"

    def wait(self, progress: bool = True) -> Run:
        """Wait until no task of the experiment runs or is to run, and return the run itself.

        Ctrl-C acts as in `Experiment.run`. Raises LabError, StorageError where the run can't continue.
        """
        from tui_lab.client.failures import open_tasks
        from tui_lab.client.follow import Followed
        from tui_lab.engine.client import EngineClient

        with naming_arguments():
            state = self._folder.state()
            if not state.submissions or state.ended is not None:
                return self
            client = EngineClient.start(self._lab)
            followed = Followed(self._folder, len(state.submissions) - 1, open_tasks(state), state)
            heard = interrupts()
            if follow(self._lab, client, [followed], heard, progress):
                raise KeyboardInterrupt
        return self

    def check(self) -> Run:
        """Raise TasksFailed where some task failed, was lost or did not end; else return the run itself."""
        from tui_lab.client.failures import failure_groups, open_tasks
        from tui_lab.client.formatting import plural

        state = self._folder.state()
        counts = self.counts
        failures = failure_groups(self._folder, state)
        bad = counts["failed"] + counts["lost"]
        parts = []
        if bad:
            first = failures[0]
            step = f" in step {first['step']}" if first["step"] else ""
            line = f": {first['line']}" if first["line"] else ""
            parts.append(f"{bad:,} of {plural(sum(counts.values()), 'task')} failed ({first['reason']}{step}{line})")
        elif failures:  # runs of stages that no task depends on
            first = failures[0]
            line = f": {first['line']}" if first["line"] else ""
            parts.append(f"{first['address']} failed ({first['reason']}{line})")
        if state.paused is not None:
            parts.append(f"paused: {state.paused.message}")
        elif not parts and (count := open_tasks(state)):
            parts.append(f"{plural(count, 'task')} did not end")
        if parts:
            raise TasksFailed(f"{self.name}: {'; '.join(parts)}", counts, failures)
        return self

    def failures(self) -> list[FailureGroup]:
        """Return the failed and lost tasks in groups of those that failed alike, the largest first.

        Each has `reason`, the name or place of the `step` if tasks have several, the `line` of their standard
        error that says why or their exception, `count`, and the id of the first `task`.
        """
        from tui_lab.client.failures import failure_groups

        return failure_groups(self._folder, self._folder.state())

    def folder(self, task: int, stage: str | None = None) -> Path:
        """Return the folder of a task, with its outputs and the files that it wrote.

        task: its id, as in the column `task_id`.
        stage: with stages, return the folder of the run of this one behind the task.

        Raises LabError where there is no such task or stage.
        """
        from tui_lab.client.attempts import output_folder

        return output_folder(self._folder, task, stage)

    def output(self, task: int, file: str = "stdout") -> str:
        """Return the text of a file in a task's folder: what its last attempt has printed, or a file that it wrote.

        task: its id, as in the column `task_id`.
        file: `stdout`, `stderr`, or another file by its name.

        Raises LabError where there is no such task or file. Bytes that are not UTF-8 are replaced.
        """
        from tui_lab.client.attempts import output_text

        return output_text(self._folder, task, file)

    # --- Tables

    def results(self) -> pl.DataFrame:
        """Return the done tasks: the table `NAME` of SQL, of shape (done tasks, columns).

        Columns: the parameters, the metrics, and facts such as `task_id`, `duration` in seconds, `peak_rss` in bytes,
        and `node`. docs/guide.md has all of them.
        """
        return self._read().grid

    def tasks(self) -> pl.DataFrame:
        """Return every task, also failed and unplanned ones: the table `NAME_tasks`, of shape (tasks, columns).

        It has the columns of `results`, with `state` and `reason` for all. The metrics of running tasks are what they
        have printed so far.
        """
        return self._read(live=True).tasks

    def steps(self) -> pl.DataFrame:
        """Return the values by step: the table `NAME_steps`, of shape (steps of all tasks, columns).

        Columns: the parameters, `task_id`, `step`, and each metric that has values by step.
        """
        return self._read(live=True).steps

    def rows(self) -> pl.DataFrame:
        """Return the rows that the key `rows` finds in outputs, or that functions return: the table `NAME_rows`.

        Of shape (rows of all tasks, columns): the parameters, `task_id`, and a column for each part of a row.
        """
        return self._read(live=True).rows

    def stages(self) -> pl.DataFrame:
        """Return the runs of stages: the table `NAME_stages`, of shape (runs, columns); empty without `stages`.

        Columns: `stage`, `run_id`, `state`, `duration` in seconds, `tasks` (how many share the run), the metrics of
        stages, and others.
        """
        return self._read().stage_runs

    def query(self, sql: str, /, **parameters: Any) -> pl.DataFrame:
        """Return the answer to a SQL query, in which the table `results` is this experiment.

        parameters: values for `$NAME` in the query.

        Raises TuiLabError with the place of a mistake.
        """
        return answer(self._lab, sql, parameters, self.name)

    def _read(self, live: bool = False) -> Results:
        from tui_lab.results.tables import refresh

        with naming_arguments():
            results = refresh(self._folder, live=live)
        warn(str(warning) for warning in results.all_warnings)
        return results

    # --- Statistics

    def best(
        self,
        metric: str | None = None,
        goal: Goal | None = None,
        *,
        by: Sequence[str] | None = None,
        where: str | None = None,
        allow_incomplete: bool = False,
    ) -> Best:
        """Return the best setting: the combination of parameters with the best mean over its repeats.

        metric: a metric, a fact such as `duration`, or `NAME@last` of values by step; by default the first metric
            that has a goal.
        goal: what is better, if the experiment does not say or says otherwise.
        by: the parameters that make a setting; by default all that vary, but `seed`.
        where: a SQL condition; only tasks for which it is true count.
        allow_incomplete: let a setting be best even if some of its repeats failed or have no value.

        Raises TuiLabError where no setting can be called the best.
        """
        from tui_lab.results.statistics.errors import StatisticsError
        from tui_lab.results.statistics.settings import leading_metric
        from tui_lab.results.statistics.table import incomplete_leaders
        from tui_lab.results.statistics.values import goal_of

        with naming_arguments():
            results = self._read()
            name = metric or leading_metric(results)
            if name is None:
                raise StatisticsError(f"{self.name} has no metric with numbers; name a fact, such as duration")
            report = self._report(results, [name], goal, by, where, None, allow_incomplete)
            (found,) = report.metrics
            wanted = goal_of(results, name, report.options.goals)
            if wanted is None:
                raise StatisticsError(f'{name} has no goal; write goal="min" or goal="max"')
            if found.best is None:
                raise StatisticsError(incomplete_leaders(report, found) or f"no setting has a value of {name}")
        summary = found.summaries[found.best]
        assert summary.mean is not None
        others = [place for place in found.order if place != found.best]
        return Best(
            metric=name,
            goal=wanted,
            unit=found.unit,
            parameters=report.settings.label(found.best),
            n=summary.n,
            mean=summary.mean,
            low=summary.low,
            high=summary.high,
            tied=[report.settings.label(place) for place in others if found.standing(place) == "tied"],
            untested=[report.settings.label(place) for place in others if found.standing(place) == "untested"],
        )

    def stats(
        self,
        metric: str | Sequence[str] | None = None,
        goal: Goal | None = None,
        *,
        by: Sequence[str] | None = None,
        where: str | None = None,
        baseline: str | None = None,
        allow_incomplete: bool = False,
    ) -> pl.DataFrame:
        """Return the statistics of every setting, best first: of shape (metrics * settings, columns).

        metric: one or several, by default all with numbers.
        goal, by, where, allow_incomplete: as in `best`.
        baseline: the setting to compare with, as in `lr=0.1 opt=sgd`, or a SQL condition.

        Columns: the parameters that vary; `n` values, `mean`, `sd`, `se`, `low` and `high` (the 95 % confidence
        interval of the mean), quartiles; `best`, `tied`, `standing`; with a baseline differences, ratios and p-values.
        docs/statistics.md explains them. Raises TuiLabError.
        """
        from tui_lab.results.statistics.frame import frame
        from tui_lab.results.statistics.warnings import warnings

        with naming_arguments():
            names = [metric] if isinstance(metric, str) else None if metric is None else list(metric)
            report = self._report(self._read(), names, goal, by, where, baseline, allow_incomplete)
        warn(warnings(report))
        return frame(report)

    def _report(
        self,
        results: Results,
        metrics: list[str] | None,
        goal: Goal | None,
        by: Sequence[str] | None,
        where: str | None,
        baseline: str | None,
        allow_incomplete: bool,
    ) -> Report:
        from tui_lab.results.statistics.report import Options, make
        from tui_lab.results.statistics.settings import leading_metric

        leading = leading_metric(results)
        judged = metrics or ([leading] if leading else [])
        options = Options(
            by=None if by is None else (by,) if isinstance(by, str) else tuple(by),
            metrics=None if metrics is None else tuple(metrics),
            goals={} if goal is None else dict.fromkeys(judged, goal),
            baseline=baseline,
            allow_incomplete=allow_incomplete,
            where=where,
        )
        return make(results, options)

    def plot(
        self,
        x: str | None = None,
        y: str | None = None,
        kind: str | None = None,
        *,
        z: str | None = None,
        hue: str | None = None,
        style: str | None = None,
        log: Literal["", "x", "y", "xy"] = "",
        aggregate: Literal["mean", "median", "sum", "std", "product", "min", "max", "count"] = "mean",
        error: Literal["none", "sd", "se", "pi", "ci"] = "ci",
        title: str | None = None,
    ) -> Plot:
        """Return a chart of the done tasks. A notebook shows it, `print` draws it in a terminal, `save` writes it.

        x, y, z, hue, style: columns; those left out are chosen.
        kind: see docs/charts.md; by default means along x with their error, as lines where x is a number, else as bars.
        log: logarithmic axes.
        aggregate: how values at one place are combined.
        error: of the mean: the 95 % confidence interval (ci), standard deviation (sd), standard error (se), 95 % of the
            values (pi), or none.

        Raises TuiLabError where there is nothing to draw.
        """
        from tui_lab.results.charts.choice import find
        from tui_lab.results.charts.making import make
        from tui_lab.results.charts.model import Request
        from tui_lab.results.charts.natural import is_axis
        from tui_lab.results.charts.registry import MEANS, MEANS_OF_TEXTS, kind_of
        from tui_lab.results.charts.sources import source_of

        with naming_arguments():
            results = self._read(live=kind is not None and kind_of(kind).of_steps)
            if kind is None:
                texts = x is not None and not is_axis(results.grid[find(x, results.grid.columns)])
                kind = MEANS_OF_TEXTS if texts else MEANS
            source, goals = source_of(results, kind)
            roles: dict[Role, str | None] = {"x": x, "y": y, "z": z, "hue": hue, "style": style}
            axes: dict[str, Literal["x", "y"]] = {"x": "x", "y": "y"}
            request = Request(
                kind,
                columns={role: name for role, name in roles.items() if name is not None},
                labels={} if title is None else {"title": title},
                aggregate=aggregate,
                error=error,
                log=frozenset(axes[letter] for letter in log),
                goals=goals,
            )
            chart = make(request, source)
        warn(chart.notes)
        return Plot(chart)


# --- What runs and labs share


def answer(lab: Lab, sql: str, parameters: dict[str, Any], current: str | None = None) -> pl.DataFrame:
    """Return the answer to a query. current: the experiment that `results` means. Raises TuiLabError."""
    from tui_lab.api.plain import plain
    from tui_lab.results.sql.database import Database

    given = {name: plain(value, name) for name, value in parameters.items()}
    with naming_arguments(), Database(lab, current) as database:
        warnings: list[str] = []
        found = database.query(sql, warnings.append, given)
    warn(warnings)
    return found


def interrupts() -> Heard:
    """Listen for Ctrl-C, which only the main thread can."""
    from tui_lab.client.follow import Heard, Interrupts

    return Interrupts() if threading.current_thread() is threading.main_thread() else Heard()


def follow(
    lab: Lab,
    client: EngineClient,
    runs: list[Followed],
    heard: Heard,
    progress: bool,
    environment: Mapping[str, str] = os.environ,
) -> bool:
    """Follow runs to their end, and show how they go; return whether the user interrupted them. environment: of their
    tasks, for another engine if this one dies."""
    from tui_lab.api.progress import NotebookView, counts_line, make_view
    from tui_lab.client.follow import Follower

    view = make_view(progress)
    interrupted = Follower(lab, client, runs, view, heard, environment).follow()
    if not isinstance(view, NotebookView):  # which still shows it
        for run in runs:
            view.say(counts_line(run))
    return interrupted
