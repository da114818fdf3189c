"""The facts of all tasks in blocks: only those are made again in which something has happened since."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.store import facts
from tui_lab.store.events import (
    AgentKnown,
    Assigned,
    Cleaned,
    DependencyDone,
    DependencyFailed,
    DependencyRevived,
    Drained,
    Ended,
    EnvironmentCaptured,
    Event,
    Extended,
    FilesRemoved,
    Finished,
    OutputsDiscarded,
    Paused,
    PlanRestored,
    Prioritized,
    Quarantined,
    Requeued,
    Resumed,
    Returned,
    Started,
    StepEnded,
    Stopped,
    Stopping,
)
from tui_lab.store.fold import State

SIZE: Final = 1 << 16
"""Ids of a block."""


@dataclass(frozen=True, eq=False)
class Block:
    """Tasks with ids that follow each other. still: the columns with one value, and that. rows: which of all tasks."""

    rows: slice
    frame: pl.DataFrame
    still: Mapping[str, Any]
    running: int
    planned: int


class Blocks:
    """All tasks of an experiment. It belongs in one thread at a time."""

    def __init__(self) -> None:
        self._blocks: dict[int, Block] = {}
        self._changed: set[int] = set()
        self._about: object = None

    def hear(self, event: Event) -> None:
        """Note what an event changes. Of an event of another kind, that is everything."""
        match event:
            case Finished() | Started() | StepEnded():
                self._changed.add(event.task // SIZE)
            case Assigned() | Returned():
                self._changed.update(task // SIZE for task, _ in event.attempts)
            case Requeued() | Extended():
                self._change(event.queued)
            case (
                Stopped()
                | DependencyFailed()
                | DependencyRevived()
                | DependencyDone()
                | Cleaned()
                | FilesRemoved()
                | Quarantined()
            ):
                self._change(event.tasks)
            case Paused() | Resumed() | Drained() | Prioritized() | Ended() | Stopping():
                pass
            case AgentKnown() | EnvironmentCaptured() | OutputsDiscarded() | PlanRestored():
                pass
            case _:
                self._blocks.clear()

    def _change(self, tasks: Iterable[Sequence[int]]) -> None:
        for first, last in tasks:
            self._changed.update(range(first // SIZE, last // SIZE + 1))

    def read(self, state: State, ids: npt.NDArray[np.int64]) -> tuple[Block, ...]:
        """Return the tasks with some ids, which ascend. Blocks that are as they were are the same objects."""
        if len(ids) and ids[-1] >= state.size:
            ids = ids[ids < state.size]
        about = (tuple(state.nodes), len(ids), ids[-1:].tobytes())  # names of nodes are part of a column's type
        if about != self._about:
            self._blocks.clear()
            self._about = about
        now = time.time()
        numbers = range(int(ids[-1]) // SIZE + 1) if len(ids) else range(1)
        bounds = np.searchsorted(ids, [number * SIZE for number in (*numbers, len(numbers))]).tolist()
        found = {}
        for number, start, stop in zip(numbers, bounds, bounds[1:], strict=False):
            block = self._blocks.get(number)
            if block is None or number in self._changed or block.running:  # what runs lasts longer now
                block = _made(state, slice(start, stop), ids[start:stop], now)
            if start < stop or len(numbers) == 1:
                found[number] = block
        self._blocks = found
        self._changed.clear()
        return tuple(found.values())


def _made(state: State, rows: slice, ids: npt.NDArray[np.int64], now: float) -> Block:
    frame = facts.frame(facts.FoldedTasks(state, ids, now)).drop("task_id")
    running = int((frame["state"] == "running").sum())
    return Block(rows, frame, still(frame), running, int(frame["planned"].sum()))


def still(frame: pl.DataFrame) -> dict[str, Any]:
    """Return the columns that have one value in all rows, and that value."""
    found = {}
    for series in frame:
        first = series[0] if series.len() else None
        if not series.len() or bool(series.eq_missing(series.head(1)).all()):
            found[series.name] = first
    return found


def still_in_all(blocks: Sequence[Block]) -> frozenset[str]:
    """Return the columns that have one value in all blocks."""
    first, *others = [block.still for block in blocks]
    return frozenset(name for name in first if all(name in one and one[name] == first[name] for one in others))
