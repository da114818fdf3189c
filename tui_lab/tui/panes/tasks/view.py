"""Which tasks are shown, and in which order: filter by words or SQL, order, and groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from tui_lab.client.address import matching
from tui_lab.client.errors import UsageError
from tui_lab.experiment.facts import FACTS
from tui_lab.store.fold import STATES
from tui_lab.tui.tasks.frame import TaskTable
from tui_lab.tui.tasks.live import SHARE, SHOWN

_SQL: Final = re.compile(r"[=<>()]|\b(?:is|in|i?like|between|similar)\b", re.IGNORECASE)
_CERTAIN: Final = re.compile(r"[=<>]")
_FIRST: Final = ("task_id", "state")
MOST_PINNED: Final = 256
"""Tasks that stand on top: each parts the rows once more."""
PINNED_AFTER: Final = 2.0
"""Seconds after which a task that runs stands on top: shorter ones would come and go."""
_BEHIND: Final = ("node", "attempts", "duration", "reason")


@dataclass(frozen=True)
class View:
    """What to show. only: these tasks alone, under a name. expanded: the task below which its runs of stages stand.
    metric: the one whose live values are shown; None for the one that says most."""

    text: str = ""
    order: tuple[str, bool] | None = None
    columns: tuple[str, ...] | None = None  # None: those that vary
    only: tuple[str, tuple[int, ...]] | None = None
    expanded: int | None = None
    metric: str | None = None


@dataclass(frozen=True)
class Shown:
    """A view of a table: its rows in order. problem: what is wrong with the filter; then the rows of the part before it
    are shown. pinned: the first rows, of tasks that run; where an order was chosen, these stand with the others.
    unsteady: some have run too shortly for that."""

    frame: pl.DataFrame
    total: int
    problem: str = ""
    pinned: int = 0
    unsteady: bool = False


def shown(table: TaskTable, view: View) -> Shown:
    """Return the tasks that a view shows."""
    frame = table.frame
    problem = ""
    names = list(dict.fromkeys(["task_id", "state", *columns(table, view)]))
    if view.only is not None:
        frame = frame.filter(pl.col("task_id").is_in(pl.Series(view.only[1], dtype=pl.Int64).implode()))
    if view.text.strip():
        try:
            frame = frame.filter(chosen(frame, view.text))
        except UsageError as error:
            problem = str(error)
    if view.order is not None and view.order[0] in frame.columns:
        name, descending = view.order
        by = pl.col(name).fill_nan(None) if frame.schema[name].is_float() else pl.col(name)
        picked = frame.select(*dict.fromkeys([*(one for one in names if one in frame.columns), name]))
        frame = picked.sort(by, "task_id", descending=[descending, False], nulls_last=True)
    found, total = frame.select(name for name in names if name in frame.columns), table.frame.height
    if not table.running:
        return Shown(found, total, problem)
    if view.order is not None:
        return Shown(found, total, problem)
    runs = frame["state"] == "running"
    steady = runs & (frame["duration"] >= PINNED_AFTER).fill_null(False)
    places = steady.arg_true()[:MOST_PINNED]
    if places.len():
        end = places[-1] + 1  # filtered, not gathered, for which the blocks of the table would be copied into one
        found = pl.concat([found[:end].filter(steady[:end]), *_between(found, places.to_list())], rechunk=False)
    return Shown(found, total, problem, places.len(), bool((runs & ~steady).any()))


def _between(rows: pl.DataFrame, places: Sequence[int]) -> list[pl.DataFrame]:
    """Return the rows around those at some places, ascending, as parts: no row is copied."""
    begins, ends = [0, *(place + 1 for place in places)], [*places, rows.height]
    return [rows[begin:end] for begin, end in zip(begins, ends, strict=True) if end > begin]


def chosen(frame: pl.DataFrame, text: str) -> pl.Series:
    """Return the rows that a filter lets through: a SQL condition, else words that must all be in some column. Raises
    UsageError for an invalid condition."""
    if _SQL.search(text):
        used = [name for name in frame.columns if isinstance(frame.schema[name], pl.Enum)]
        try:
            return matching(text.strip(), frame.with_columns(pl.col(used).cast(pl.String)))
        except UsageError:
            if _CERTAIN.search(text):
                raise
    mask = pl.Series([True]).new_from_index(0, frame.height)
    for word in text.lower().split():
        mask &= _anywhere(frame, word)
    return mask


def _anywhere(frame: pl.DataFrame, word: str) -> pl.Series:
    found = pl.Series([False]).new_from_index(0, frame.height)
    for series in frame:
        fact = FACTS.get(series.name)
        if series.dtype.is_temporal() or series.dtype == pl.Boolean or (fact is not None and not fact.searched):
            continue
        if isinstance(series.dtype, pl.Enum):
            hits = [name for name in series.dtype.categories if word in name.lower()]
            if hits:
                found |= series.is_in(hits).fill_null(False)
        elif series.dtype == pl.String:
            found |= series.str.to_lowercase().str.contains(word, literal=True).fill_null(False)
        elif series.dtype.is_numeric() and re.search(r"\d|^(nan|inf)$", word):
            found |= series.cast(pl.String).str.to_lowercase().str.contains(word, literal=True).fill_null(False)
    return found


def columns(table: TaskTable, view: View) -> list[str]:
    """Return the columns to show, in order: those that the user chose, else those that vary."""
    if view.columns is not None:
        known = {*table.frame.columns, *live_columns(table)}
        return [name for name in view.columns if name in known]
    return default_columns(table)


def live_columns(table: TaskTable) -> list[str]:
    """Return the columns of what tasks say that run; there are none where nothing runs."""
    return [name for name in SHOWN if name not in table.frame.columns] if table.running else []


def default_columns(table: TaskTable) -> list[str]:
    """Return task and state, how far those are that run, which left the plan (where some did), what differs between
    tasks, what those that run say, metrics, and facts of the run."""
    few = table.frame.height < 2
    varying = [name for name in table.parameters if few or name not in table.still]
    repeat = ["repeat"] if "repeat" not in table.still else []
    behind = [
        name
        for name in _BEHIND
        if name == "duration" or name not in table.still or (name == "reason" and _any(table.frame, name))
    ]
    left = ["planned"] if table.unplanned else []
    live = live_columns(table)
    far = [name for name in live if name == SHARE]  # beside the state, where a narrow screen has it, too
    said = [name for name in live if name != SHARE]
    return [*_FIRST, *far, *left, *varying, *said, *repeat, *table.metrics, *behind]


def _any(frame: pl.DataFrame, name: str) -> bool:
    return frame[name].null_count() < frame.height


def groupable(table: TaskTable) -> list[str]:
    """Return columns that tasks may be grouped by."""
    facts = [fact.name for fact in FACTS.values() if fact.groups and fact.name in table.frame.columns]
    return [*facts, *table.parameters]


def grouped(frame: pl.DataFrame, by: str, metrics: Sequence[str] = ()) -> pl.DataFrame:
    """Return tasks by the values of a column: how many, in which states, how long they took, the first metric's
    mean."""
    states = [(pl.col("state") == name).sum().alias(name) for name in STATES]
    means = [pl.col("duration").filter(pl.col("state") == "done").mean().alias("mean duration")]
    for name in metrics[:1]:
        if frame.schema[name].is_numeric():
            means.append(pl.col(name).filter(pl.col("state") == "done").fill_nan(None).mean().alias(f"mean {name}"))
    table = frame.group_by(pl.col(by).alias("group")).agg(pl.len().alias("tasks"), *states, *means)
    return table.sort("group", nulls_last=True).select("group", "tasks", pl.exclude("group", "tasks"))
