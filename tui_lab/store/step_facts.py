"""Facts of the steps of tasks: how the last run of each step ended. They are columns, as in the fold; only experiments
whose tasks have several steps have any."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, Final

from tui_lab.store.events import StepEnd

NONE: Final = -1  # an integer fact that is not known
_UNKNOWN: Final = float("nan")

# name -> (array type code, value before the step has ended)
COLUMNS: Final[dict[str, tuple[str, float]]] = {
    "attempt": ("i", NONE),  # that ran it
    "exit_code": ("i", NONE),
    "duration": ("d", _UNKNOWN),
    "cpu_time": ("d", _UNKNOWN),
    "peak_rss": ("q", NONE),
    "stdout": ("q", NONE),  # bytes of the outputs when it ended; NONE where that is not known
    "stderr": ("q", NONE),
    "metrics": ("q", NONE),
}


class StepFacts:
    """The facts of each step, by its place among the steps of a task."""

    def __init__(self) -> None:
        self.columns: list[dict[str, array[Any]]] = []

    def grow(self, size: int) -> None:
        """Make room for tasks with ids below `size`."""
        for columns in self.columns:
            for name, (code, empty) in COLUMNS.items():
                more = size - len(columns[name])
                columns[name].extend(array(code, [empty if code == "d" else int(empty)]) * more)

    def add(self, step: int, size: int) -> None:
        """Make room for a step of tasks with ids below `size`."""
        while len(self.columns) <= step:
            self.columns.append({name: array(code) for name, (code, _) in COLUMNS.items()})
            self.grow(size)

    def set(self, task: int, step: int, code: int | None, duration: float | None, end: StepEnd) -> None:
        """Set the facts of a step of a task; there must be room for it."""
        columns = self.columns[step]
        columns["attempt"][task] = end.attempt
        columns["exit_code"][task] = NONE if code is None else code
        columns["duration"][task] = _UNKNOWN if duration is None else duration
        columns["cpu_time"][task] = _UNKNOWN if end.cpu_time is None else end.cpu_time
        columns["peak_rss"][task] = NONE if end.peak_rss is None else end.peak_rss
        columns["stdout"][task], columns["stderr"][task], columns["metrics"][task] = end.sizes

    def clear(self, task: int, step: int = 0) -> None:
        """Forget the facts of a task, from a step on."""
        for columns in self.columns[step:]:
            for name, (code, empty) in COLUMNS.items():
                columns[name][task] = empty if code == "d" else int(empty)

    def __repr__(self) -> str:
        return f"StepFacts({self.columns!r})"

    def runs(self, task: int) -> list[tuple[int, int | None, float | None]]:
        """Return the last run of each of the first steps of a task: its attempt, exit status and duration."""
        found: list[tuple[int, int | None, float | None]] = []
        for columns in self.columns:
            if columns["attempt"][task] == NONE:
                break
            code, duration = columns["exit_code"][task], columns["duration"][task]
            found.append((columns["attempt"][task], _known(code), _known(duration)))
        return found

    def ends(self, task: int) -> tuple[list[tuple[int | None, float | None]], list[StepEnd]]:
        """Return exit status and duration of the first steps of a task, and the further facts of each: as many as are
        known whole."""
        steps, ends = [], []
        for columns in self.columns:
            facts = {name: column[task] for name, column in columns.items()}
            if facts["attempt"] == NONE or facts["stdout"] == NONE:
                break
            steps.append((_known(facts["exit_code"]), _known(facts["duration"])))
            sizes = (facts["stdout"], facts["stderr"], facts["metrics"])
            ends.append(StepEnd(facts["attempt"], sizes, _known(facts["cpu_time"]), _known(facts["peak_rss"])))
        return steps, ends


def _known(fact: Any) -> Any:
    return None if fact in (NONE, None) or fact != fact else fact


def added(known: float, more: Sequence[float | None]) -> float:
    """Return a sum, unknown where a part of it is."""
    for part in more:
        known += _UNKNOWN if part is None else part
    return known
