"""How the values of each fact follow from the fold of the journal: one function for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.experiment.facts import FACTS, Fact, FactType
from tui_lab.store import fold, step_facts
from tui_lab.store.events import Raised
from tui_lab.store.fold import State

TYPES: Final[dict[FactType, pl.DataType]] = {
    "int32": pl.Int32(),
    "int64": pl.Int64(),
    "float": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "time": pl.Datetime("us", "UTC"),
}


class FoldedTasks:
    """Some tasks as the fold has them, by default all."""

    def __init__(self, state: State, ids: npt.NDArray[np.int64] | None = None, now: float | None = None) -> None:
        """now: seconds since 1970, by which tasks that run count what they have taken so far; by default that is not
        known."""
        self.state = state
        self.ids: npt.NDArray[np.int64] = np.arange(state.size, dtype=np.int64) if ids is None else ids
        self.now = now
        self._all = ids is None

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a column of the fold."""
        found = np.frombuffer(self.state.columns[name], dtype=fold.COLUMNS[name][0]) if self.state.size else _EMPTY
        return found if self._all else found[self.ids]

    def integers(self, name: str) -> pl.Series:
        """Return whole numbers, null where the fold has none."""
        series = pl.Series(name, self.column(name)).cast(pl.Int64)
        return series.set(series == fold.NONE, None)

    def floats(self, name: str) -> pl.Series:
        """Return numbers, null where the fold has none."""
        return pl.Series(name, self.column(name), dtype=pl.Float64).fill_nan(None)

    def moments(self, name: str) -> pl.Series:
        """Return points in time, null where the fold has none."""
        return (self.floats(name) * 1e6).cast(pl.Int64).cast(TYPES["time"])

    def named(self, name: str, names: Sequence[str], none: int) -> pl.Series:
        """Return the names that codes stand for, null for one."""
        codes = pl.Series(name, self.column(name).astype(np.int64), dtype=pl.Int64)
        valid = codes.set((codes == none) | (codes >= len(names)), None)
        return valid.cast(pl.UInt32).cat.to(pl.Enum([*names])) if names else valid.cast(pl.String)

    @property
    def running(self) -> npt.NDArray[np.bool_]:
        """Which of them run, where `now` is known; else none."""
        found: npt.NDArray[np.bool_] = self.column("state") == fold.RUNNING
        return found if self.now is not None else np.zeros_like(found)


Values: TypeAlias = Callable[[FoldedTasks], pl.Series]
_EMPTY: Final = np.empty(0, dtype=np.int64)


def _duration(tasks: FoldedTasks) -> pl.Series:
    known = tasks.column("duration")
    if tasks.now is not None:
        known = np.where(tasks.running, np.maximum(0.0, tasks.now - tasks.column("started")), known)
    return pl.Series(known, dtype=pl.Float64).fill_nan(None)


def _reason(tasks: FoldedTasks) -> pl.Series:
    reasons = tasks.named("reason", fold.REASONS, 0)
    return reasons if tasks.now is None else reasons.set(pl.Series(tasks.running), None)


def _raised(part: Callable[[Raised], str]) -> Values:
    """Return a part of the exceptions that ended tasks."""

    def values(tasks: FoldedTasks) -> pl.Series:
        raised = tasks.state.raised
        if not raised:
            return pl.repeat(None, len(tasks.ids), dtype=pl.String, eager=True)
        some = np.flatnonzero(np.isin(tasks.ids, np.fromiter(raised, dtype=np.int64, count=len(raised))))
        texts = pl.Series([part(raised[task]) for task in tasks.ids[some].tolist()], dtype=pl.String)
        places = np.full(len(tasks.ids), -1, dtype=np.int64)
        places[some] = np.arange(len(some))
        if tasks.now is not None:
            places[tasks.running] = -1
        wanted = pl.Series(places)
        return texts.gather(wanted.set(wanted < 0, None))

    return values


VALUES: Final[dict[str, Values]] = {
    "planned": lambda tasks: pl.Series(tasks.column("planned") > 0),
    "state": lambda tasks: tasks.named("state", fold.STATES, -1),
    "reason": _reason,
    "attempt": lambda tasks: tasks.integers("attempt"),
    "attempts": lambda tasks: pl.Series(tasks.column("attempts")),
    "duration": _duration,
    "started_at": lambda tasks: tasks.moments("started"),
    "ended_at": lambda tasks: tasks.moments("ended"),
    "node": lambda tasks: tasks.named("node", tasks.state.nodes, fold.NONE),
    "exit_code": lambda tasks: tasks.integers("exit_code"),
    "signal": lambda tasks: tasks.integers("signal"),
    "exception": _raised(lambda raised: raised.type),
    "exception_message": _raised(lambda raised: raised.message),
    "peak_rss": lambda tasks: tasks.integers("peak_rss"),
    "cpu_time": lambda tasks: tasks.floats("cpu_time"),
    "leftover": lambda tasks: tasks.integers("leftover"),
}
"""By the name of the fact; those that a submission decides (`Fact.asked`) come from the plan."""


def dtype(name: str) -> pl.DataType:
    """Return the type of a fact's column."""
    return TYPES[FACTS[name].type]


def asked() -> tuple[str, ...]:
    """Return the names of the facts that only a submission changes."""
    return tuple(fact.name for fact in FACTS.values() if fact.asked)


def of_step(state: State, place: int, fact: Fact, ids: pl.Series) -> pl.Series:
    """Return the values of a fact of a step for some tasks. place: of the step."""
    name = "exit_code" if fact.type == "int32" else "duration"
    code = step_facts.COLUMNS[name][0]
    empty: npt.NDArray[Any] = np.full(len(ids), np.nan if code == "d" else fold.NONE)
    some = ids.to_numpy()
    columns = state.steps.columns
    values = np.frombuffer(columns[place][name], dtype=code)[some] if place < len(columns) else empty
    series = pl.Series(fact.name, values)
    known = series.fill_nan(None) if code == "d" else series.set(series == fold.NONE, None)
    return known.cast(TYPES[fact.type])


def frame(tasks: FoldedTasks) -> pl.DataFrame:
    """Return `task_id` and the facts that change as tasks run, in their order. Names are Enums, which are quick to
    make."""
    columns = {"task_id": pl.Series(tasks.ids, dtype=pl.Int64)}
    for fact in FACTS.values():
        if not fact.asked:
            series = VALUES[fact.name](tasks)
            columns[fact.name] = series if fact.type == "text" else series.cast(TYPES[fact.type])
    return pl.DataFrame(columns)
