"""The default chart of rows, by the types and names of their columns."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from typing import Final

import polars as pl

from tui_lab.experiment.facts import measured
from tui_lab.experiment.model import Experiment
from tui_lab.results.charts.model import ChartKind, Request, Role, Source
from tui_lab.results.charts.natural import is_number
from tui_lab.results.charts.registry import CURVES, DISTRIBUTION, MEANS, MEANS_OF_TEXTS, POINTS, kind_of
from tui_lab.results.charts.sources import geometric
from tui_lab.results.facts import is_fact, of_steps
from tui_lab.tui.charts.source import TASK

FEW: Final = 8
"""Tasks up to which each gets a curve of its own."""
MANY: Final = 60
"""Distinct numbers along x beyond which rows that never share one are points, not a line."""
ROWS: Final = "rows"
"""A column of ones, where there is nothing but texts to be counted."""
_ASIDE: Final = re.compile(r"n|count.*|min.*|max.*|.*(std|stddev|var|sd|ci|ci95|half).*", re.IGNORECASE)
_ERROR: Final = re.compile(r"ci|half|ci95(\(.*\))?|.*_(ci|ci95|half)", re.IGNORECASE)


def described(frame: pl.DataFrame, parameters: Collection[str] = (), metrics: Collection[str] = ()) -> Source:
    """Return which columns of an answer are parameters and which metrics: by the names of an experiment's, or else by
    their values."""
    known = [name for name in frame.columns if name in parameters]
    numbers = [name for name in frame.columns if is_number(frame[name]) and name not in known]
    own = [name for name in numbers if name in metrics]
    steps = of_steps(frame.columns)
    numbers = [name for name in numbers if name not in steps or name.startswith("duration_")]
    others = [name for name in numbers if name not in own and (not is_fact(name) or name in measured())]
    others.sort(key=lambda name: name in steps)  # behind what was measured
    plain = [name for name in others if not _ASIDE.fullmatch(name)]
    if not known and not own and len(plain) > 1:
        plain = [*plain[:0:-1], plain[0]]  # the last is what was measured
    found = [*own, *plain, *(name for name in others if name not in plain)]
    if not known:
        known = [name for name in frame.columns if name not in found[:1] and not is_fact(name) and name not in steps]
        known = known or [name for name in frame.columns if name not in found[:1]]
    return Source(frame, tuple(known), tuple(name for name in found if name not in known[:1] or len(found) == 1))


def of_answer(frame: pl.DataFrame, spec: Experiment | None, name: str) -> Source:
    """Return the rows of an answer, with what the file of the current experiment says of their columns."""
    names = (list(spec.parameter_names), list(spec.metrics)) if spec is not None else ([], [])
    known = geometric(spec) if spec is not None else frozenset[str]()
    return replace(counted(described(frame, *names)), name=name, geometric=known)


def counted(source: Source) -> Source:
    """The rows with a column of ones, where nothing in them is a number."""
    if any(is_number(source.frame[name]) for name in source.frame.columns) or ROWS in source.frame.columns:
        return source
    frame = source.frame.with_columns(pl.lit(1).alias(ROWS))
    return Source(frame, source.parameters or tuple(source.frame.columns), (ROWS,), source.name)


def default_request(source: Source) -> Request:
    """Return the kind of chart, and the columns if they are not the usual ones."""
    frame = source.frame
    metrics = [name for name in source.metrics if name in frame.columns and is_number(frame[name])]
    if "step" in frame.columns and is_number(frame["step"]) and metrics:
        return _steps(frame)
    if ROWS in metrics:
        return Request(MEANS_OF_TEXTS, {}, aggregate="sum", error="none", labels={"y": "rows"}, log=None)
    if not metrics:
        return Request(DISTRIBUTION, log=None)
    x = [name for name in source.parameters if name not in metrics[:1]]
    if not x:
        return Request(POINTS, log=None) if len(metrics) > 1 else Request(DISTRIBUTION, {"x": metrics[0]}, log=None)
    return Request(_over(frame, x), log=None)


def _steps(frame: pl.DataFrame) -> Request:
    if TASK in frame.columns and 1 < frame["task_id"].n_unique() <= FEW:
        return Request(CURVES, {"hue": TASK}, log=None)
    return Request(CURVES, log=None)


def _over(frame: pl.DataFrame, parameters: list[str]) -> str:
    axes = [n for n in parameters if (is_number(frame[n]) or frame[n].dtype.is_temporal()) and frame[n].n_unique() > 2]
    if not axes:
        return MEANS_OF_TEXTS
    distinct = max(frame[name].n_unique() for name in axes)
    return POINTS if distinct == frame.height > MANY else MEANS


def error_column(frame: pl.DataFrame) -> str | None:
    """Return the column that holds half the width of an interval, by its name."""
    return next((name for name in frame.columns if _ERROR.fullmatch(name) and is_number(frame[name])), None)


def measured_role(kind: ChartKind) -> Role:
    """Return the role of the metric."""
    return "z" if "z" in kind.roles else "y" if "y" in kind.roles else "x"


def of_kind(request: Request, kind: ChartKind, used: Collection[Role]) -> Request:
    """Return the same request for another kind of chart; its metric stays the metric. Learning curves are over the
    steps, and the front is of metrics alone."""
    was = kind_of(request.kind)
    before, after = measured_role(was), measured_role(kind)
    columns = {role: name for role, name in request.columns.items() if role in used and role not in (before, after)}
    left = was.of_steps and not kind.connected
    if kind.of_steps or left or kind.of_goals != was.of_goals:
        columns.pop("x", None)
    if left and columns.get("hue") == TASK:
        columns.pop("hue")
    aimless = kind.of_goals and len(request.goals) > 1 and request.columns.get(before) not in request.goals
    if before in request.columns and after in used and not aimless:
        columns[after] = request.columns[before]
    log = None if request.log is None else frozenset(role for role in request.log if role in kind.log)
    ranges = request.ranges if kind.ranges and was.ranges else {}
    return replace(request, kind=kind.name, columns=columns, log=log, ranges=ranges)


def of_kind_again(request: Request, before: Request) -> Request:
    """Return the request that a kind of chart had before, with the metric that is drawn now."""
    role, now = measured_role(kind_of(before.kind)), measured_role(kind_of(request.kind))
    metric = request.columns.get(now, before.columns.get(role))
    if metric is None or metric == before.columns.get(role) or metric in before.columns.values():
        return before
    columns: dict[Role, str] = {**before.columns, role: metric}
    return replace(before, columns=columns, ranges={})
