"""What the dashboard shows of an experiment. For thread workers; nothing here touches a widget."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.client.formatting import brief
from tui_lab.experiment.model import Goal
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Chart, ChartError, Request, Source
from tui_lab.results.charts.registry import CURVES
from tui_lab.results.numeric.exact import Moments
from tui_lab.results.statistics.intervals import t_half, wilson
from tui_lab.results.statistics.resolution import ENOUGH, Resolution, printed_step
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.tasks.failures import FailedTasks
from tui_lab.tui.tasks.frame import TaskSource, TaskTable
from tui_lab.tui.tasks.latest import latest
from tui_lab.tui.tasks.live import SCHEMA, LiveTasks, filled

BINS: Final = 60
"""Points of a chart over time."""
RUNNING: Final = 50
"""Running tasks that are shown, the newest first."""
LATEST: Final = 50
"""Ended tasks of which something is said."""
LEVEL: Final = 0.95
"""Of intervals."""
COLOURS: Final = {"running": 0, "done": 2, "failed": 3}
"""Blue, green and red, as these states have everywhere."""
PAUSE: Final = 60.0
"""Seconds without a running task after which a chart over time may begin anew."""
LONG: Final = 0.1
"""Part of all the time that such a pause takes at least."""
NARROW: Final = 1e-6
"""Part of the time between two values that a step takes from one to the other."""
DISTINCT: Final = 2000
"""Different values that show how finely a metric is printed: those that are printed coarsely are fewer."""
LABELS: Final = 4
"""Parameters that name a task or a setting."""


@dataclass(frozen=True)
class Best:
    """The setting whose mean is the best so far. half: of the width of its interval; None where it has none."""

    metric: str
    setting: str
    mean: float
    half: float | None
    n: int


@dataclass(frozen=True)
class Kind:
    """Tasks that failed alike. share: what they have in common, as far as that is certain."""

    count: int
    reason: str
    line: str
    share: str


@dataclass(frozen=True)
class Now:
    """How an experiment stands. metric: the one in the live columns of `running`."""

    running: pl.DataFrame = field(default_factory=pl.DataFrame)
    metric: str | None = None
    parameters: tuple[str, ...] = ()
    progress: Chart | None = None
    goal: str | None = None
    """The metric whose best mean is shown."""
    best: Best | None = None
    course: Chart | None = None
    """The best mean over time."""
    kinds: tuple[Kind, ...] = ()
    said: dict[int, str] = field(default_factory=dict)
    """The first metric and the setting of the tasks that ended last."""
    problem: str = ""


class NowReader:
    """Reads one experiment. `read` blocks, and belongs in one thread at a time."""

    def __init__(self, lab: Lab, source: TaskSource, ascii: bool) -> None:
        self._source = source
        self._live = LiveTasks(lab, self._source, ascii)
        self._failed = FailedTasks(self._source)

    def close(self) -> None:
        """End the connection to the engine, if there is one."""
        self._live.close()

    def read(self) -> Now:
        """Return how the experiment stands."""
        try:
            table = self._source.read()
            if self._source.read_metrics(table.running, table.version):
                table = self._source.read()
            counted = table.of_plan()
            span = span_of(counted.frame)
            now = Now(parameters=_labels(counted))
            now = self._running(table, now)
            now = replace(now, progress=progress_chart(counted.frame, span), said=_said(table))
            goals = self._goals(table)
            if goals:
                metric = next(iter(goals))
                best, course = best_so_far(counted, metric, goals[metric], span)
                now = replace(now, goal=metric, best=best, course=course)
            if bool(counted.frame["state"].is_in(["failed", "lost"]).any()):
                rows = self._failed.read(counted).frame.to_dicts()
                kinds = [Kind(row["tasks"], row["reason"] or "", row["line"], row["share"]) for row in rows]
                now = replace(now, kinds=tuple(kinds))
        except (LabError, SpecError, LookupError, OSError) as error:
            return Now(problem=str(error))
        return now

    def _goals(self, table: TaskTable) -> dict[str, Goal]:
        """Return the columns of metrics that have a goal."""
        with self._source.reading() as folder:
            found = {name: metric.goal for name, metric in folder.spec().metrics.items() if metric.goal}
        return {table.measured.get(name, name): goal for name, goal in found.items() if goal in ("max", "min")}

    def _running(self, table: TaskTable, now: Now) -> Now:
        frame = table.frame
        running = frame.filter(pl.col("state") == "running")
        if "started_at" in frame.columns:
            running = running.sort("started_at", descending=True, nulls_last=True)
        running = running.head(RUNNING)
        ids = running["task_id"].to_list()
        said = self._live.read(self._source.live(ids), table, None) if ids else {}
        names = list(dict.fromkeys(["task_id", *now.parameters, "duration", "node"]))
        rows = running.select(name for name in names if name in frame.columns)
        own = [name for name in SCHEMA if name in frame.columns]
        return replace(now, running=filled(rows, said, own), metric=self._live.metric)


def _labels(table: TaskTable) -> tuple[str, ...]:
    """Return the parameters that tell tasks apart."""
    return tuple(name for name in table.parameters if name not in table.still and name != "seed")[:LABELS]


def _seconds(frame: pl.DataFrame, name: str) -> npt.NDArray[np.float64]:
    """Return a column of times as seconds since 1970; NaN where there is none."""
    column = frame[name]
    if column.dtype.is_temporal():
        return column.dt.epoch("us").cast(pl.Float64).fill_null(math.nan).to_numpy() / 1e6
    return column.cast(pl.Float64).fill_null(math.nan).to_numpy()


def span_of(frame: pl.DataFrame) -> tuple[float, float] | None:
    """Return from when to when the charts go: from the first start after the last long pause, until the last event, or
    now, where a task runs. A pause is long if it takes more than a tenth of all the time, and a minute."""
    started, ended = _seconds(frame, "started_at"), _seconds(frame, "ended_at")
    known = ~np.isnan(started)
    if not known.any():
        return None
    last = max(np.nanmax(started), np.nanmax(ended) if not np.isnan(ended).all() else 0.0)
    running = (frame["state"] == "running").to_numpy()
    if running.any():
        last = max(last, datetime.now().timestamp())
        ended = np.where(running, last, ended)
    order = np.argsort(started[known], kind="stable")
    starts = started[known][order]
    busy = np.maximum.accumulate(np.fmax(ended[known][order], starts))
    pauses = np.flatnonzero(starts[1:] - busy[:-1] > max(PAUSE, LONG * (last - starts[0])))
    return float(starts[pauses[-1] + 1 if len(pauses) else 0]), float(last)


def progress_chart(frame: pl.DataFrame, span: tuple[float, float] | None) -> Chart | None:
    """Return tasks by state over time: done, failed, and how many ran; None where nothing has begun. span: see
    `span_of`."""
    if span is None:
        return None
    started, ended = _seconds(frame, "started_at"), _seconds(frame, "ended_at")
    state = frame["state"]
    edges = np.linspace(*span, BINS)
    rows = []
    for name, states in (("done", ["done"]), ("failed", ["failed", "lost"])):
        ends = np.sort(ended[state.is_in(states).to_numpy() & ~np.isnan(ended)])
        if name == "done" or len(ends):
            rows.append((name, np.searchsorted(ends, edges, side="right")))
    begun = np.searchsorted(np.sort(started[~np.isnan(started)]), edges, side="right")
    over = np.searchsorted(np.sort(ended[~np.isnan(started) & ~np.isnan(ended)]), edges, side="right")
    rows.append(("running", np.maximum(0, begun - over)))
    parts = [pl.DataFrame({"time": edges, "state": [name] * BINS, "tasks": counts * 1.0}) for name, counts in rows]
    chart = _over_time(pl.concat(parts), span, "tasks", "state")
    if chart is None:
        return None
    series = tuple(replace(one, color=COLOURS[one.name]) for one in chart.series)
    return replace(chart, series=series, y=replace(chart.y, whole=True))


def best_so_far(
    table: TaskTable, metric: str, goal: Goal, span: tuple[float, float] | None
) -> tuple[Best | None, Chart | None]:
    """Return the setting with the best mean, and how the best mean went over time. span: see `span_of`.

    A setting is what tasks with the same parameters have in common, but for repeat and seed. The interval is that of
    Results, which is not corrected for having been chosen as the best. Of equal means the first task's is the best.
    """
    frame = table.frame
    if metric not in frame.columns or not frame[metric].dtype.is_numeric():
        return None, None
    names = [name for name in table.parameters if name not in ("repeat", "seed") and name not in table.still]
    done = frame.filter((pl.col("state") == "done") & pl.col(metric).is_finite())
    if not done.height:
        return None, None
    at, values = _seconds(done, "ended_at"), done[metric].cast(pl.Float64).to_numpy()
    order = np.argsort(at, kind="stable")
    if names:
        group = done.select(pl.struct(names).rank("dense").cast(pl.Int64) - 1).to_series().to_numpy()
    else:
        group = np.zeros(len(values), dtype=np.int64)
    first = np.unique(group, return_index=True)[1]
    sign = 1.0 if goal == "max" else -1.0
    so_far = _Sums(values[first])
    course_of_best: list[tuple[float, _Sample]] = []
    best = 0
    for part in np.array_split(order, min(BINS, len(order))):
        so_far.add(group[part], values[part])
        means = sign * so_far.means()
        tied = np.flatnonzero(means == np.nanmax(means))
        best = int(tied[np.argmin(first[tied])])
        course_of_best.append((float(at[part[-1]]), so_far.sample(best)))
    known = _resolution(values, so_far)
    rows = [(when, *sample.interval(known)) for when, sample in course_of_best]
    row = done.row(int(order[np.flatnonzero(group[order] == best)[0]]), named=True)
    setting = "  ".join(f"{name}={brief(row[name])}" for name in names if row[name] is not None)
    _, mean, low, high = rows[-1]
    found = Best(metric, setting, mean, None if low is None or high is None else (high - low) / 2, int(so_far.n[best]))
    if span is None or math.isnan(rows[0][0]):
        return found, None
    if span[1] > rows[-1][0]:  # it still is the best
        rows.append((span[1], *rows[-1][1:]))
    course = pl.DataFrame(rows, schema=dict.fromkeys(("time", metric, "low", "high"), pl.Float64), orient="row")
    course = course.with_columns(pl.col("time").clip(lower_bound=span[0])).unique(
        "time", keep="last", maintain_order=True
    )
    chart = _over_time(course.select("time", metric), span, metric, None) if course.height > 1 else None
    if chart is not None:
        band = course.select(_since(course, span).alias("x"), "low", "high")
        series = chart.series[0]
        wide = series.points.drop("low", "high", strict=False).join(band, on="x", how="left", maintain_order="left")
        chart = replace(chart, series=(replace(series, points=_held(wide)), *chart.series[1:]))
    return found, chart


class _Sums:
    """Values of settings, added up. pivots: a value of each setting; differences from it are summed: less is lost."""

    def __init__(self, pivots: npt.NDArray[np.float64]) -> None:
        size = len(pivots)
        self.n, self._total, self._squares = np.zeros(size), np.zeros(size), np.zeros(size)
        self._least, self._greatest = np.full(size, math.inf), np.full(size, -math.inf)
        self._pivots = pivots

    def add(self, group: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> None:
        np.add.at(self.n, group, 1.0)
        differences = values - self._pivots[group]
        np.add.at(self._total, group, differences)
        np.add.at(self._squares, group, differences**2)
        np.minimum.at(self._least, group, values)
        np.maximum.at(self._greatest, group, values)

    def means(self) -> npt.NDArray[np.float64]:
        """NaN for a setting without values."""
        found = np.full(len(self.n), math.nan)
        np.divide(self._total, self.n, out=found, where=self.n > 0)
        return found + self._pivots

    def deviations(self) -> npt.NDArray[np.float64]:
        """The sums of the squares of the deviations from the means."""
        found = self._squares - self._total**2 / np.maximum(self.n, 1.0)
        return found.clip(min=0.0)

    def flat(self) -> bool:
        """Whether the values of each setting are equal."""
        return bool(np.all(self._least >= self._greatest))

    def sample(self, setting: int) -> _Sample:
        """Return what is known of a setting so far."""
        n, least, greatest = int(self.n[setting]), float(self._least[setting]), float(self._greatest[setting])
        sd = 0.0 if least == greatest else math.sqrt(float(self.deviations()[setting]) / (n - 1))
        return _Sample(n, float(self.means()[setting]), sd, least, greatest)


class _Sample(NamedTuple):
    """The values of a setting, summed up. sd: 0 for one value."""

    n: int
    mean: float
    sd: float
    least: float
    greatest: float

    def interval(self, known: Resolution) -> tuple[float, float | None, float | None]:
        """Return the mean, and the ends of its interval, as `results.statistics.sample.describe` does."""
        if self.n < 2 or known.deterministic:
            return self.mean, None, None
        if known.binary:
            return self.mean, *wilson(round(self.mean * self.n), self.n, LEVEL)
        spread = known.spread_between(self.n, self.least, self.greatest, self.sd)
        half = t_half(Moments(self.n, self.mean, spread), LEVEL)
        return (self.mean, None, None) if half is None else (self.mean, self.mean - half, self.mean + half)


def _resolution(values: npt.NDArray[np.float64], sums: _Sums) -> Resolution:
    """Return the resolution of a metric, as `results.statistics.resolution` does, for a million values. sums: of all
    of them."""
    distinct = np.unique(values)
    free = float(np.maximum(0.0, sums.n - 1).sum())
    flat = sums.flat()
    return Resolution(
        step=printed_step(distinct[:: max(1, len(distinct) // DISTINCT)].tolist()),
        binary=bool(np.isin(distinct, (0.0, 1.0)).all()),
        deterministic=flat and free >= ENOUGH,
        sd=0.0 if flat else math.sqrt(float(sums.deviations().sum()) / free),
    )


def _held(points: pl.DataFrame) -> pl.DataFrame:
    """Return points with another one just before each change: a line through them holds each value until the next."""
    after = points.shift(-1)
    shown = ("y", "low", "high")
    changes = pl.any_horizontal(points[name].ne_missing(after[name]).alias(name) for name in shown)
    ends = points.with_row_index().with_columns(x=after["x"] - (after["x"] - points["x"]) * NARROW)
    ends = ends.filter(changes & pl.col("x").is_not_null())
    return pl.concat([points.with_row_index(), ends]).sort("index", maintain_order=True).drop("index")


def _since(points: pl.DataFrame, span: tuple[float, float]) -> pl.Series:
    """Return the times in the unit that fits the span, since it began."""
    return ((points["time"] - span[0]) / _unit(span[1] - span[0])[1]).alias("time")


def _over_time(points: pl.DataFrame, span: tuple[float, float], y: str, hue: str | None) -> Chart | None:
    """Return lines over the seconds, minutes or hours of a span."""
    unit, seconds = _unit(span[1] - span[0])
    name = f"time ({unit})"
    rows = points.with_columns(_since(points, span).alias(name))
    columns = {"x": name, "y": y} | ({"hue": hue} if hue else {})
    try:
        chart = make(Request(CURVES, columns, error="none"), Source(rows, (name, *([hue] if hue else [])), (y,)))  # type: ignore[arg-type]
    except ChartError:
        return None
    return replace(chart, x=replace(chart.x, range=(0.0, (span[1] - span[0]) / seconds)))


def _unit(span: float) -> tuple[str, float]:
    """Return the unit in which a span of seconds is a number that one can read, and its seconds."""
    units = (("s", 1.0), ("min", 60.0), ("h", 3600.0), ("days", 86400.0))
    return next((one for one in units if span < 120 * one[1]), units[-1])


def _said(table: TaskTable) -> dict[int, str]:
    """Return what is worth a word of the tasks that ended last."""
    frame = table.frame
    at = _seconds(frame, "ended_at")
    known = np.flatnonzero(~np.isnan(at))
    known = known[latest(at[known], LATEST)]
    names = _labels(table)
    metric = next(iter(table.metrics), None)
    found = {}
    for row in frame[known.tolist()].iter_rows(named=True):
        words = [f"{name}={brief(row[name])}" for name in names if row[name] is not None]
        if row["state"] == "done" and metric is not None and row[metric] is not None:
            value = row[metric]
            words.insert(0, f"{metric} {value:.4g}" if isinstance(value, float) else f"{metric} {value}")
        found[row["task_id"]] = "  ".join(words)
    return found
