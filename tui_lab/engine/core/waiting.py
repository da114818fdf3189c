"""The tasks of a run that wait: those in the queue, and retries whose time has not come."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Hashable, Iterable
from typing import Final

import numpy as np

from tui_lab.engine.core.model import Moment, RunSettings
from tui_lab.engine.core.queue import TaskQueue
from tui_lab.store.fold import State

FEW: Final = 1000  # tasks that are looked through at once


class WaitingTasks:
    """Of a run. later: retries by the monotonic time at which they are due."""

    def __init__(self, state: State) -> None:
        self._state = state
        self.order = TaskQueue()
        self.later: list[tuple[float, int]] = []

    def __bool__(self) -> bool:
        return bool(self.order or self.later)

    def begin(self, ids: Iterable[int], lane_of: Callable[[int], Hashable] | None) -> None:
        """Let these wait, in this order, and nothing else. lane_of: as of `TaskQueue`."""
        self.order = TaskQueue(ids, lane_of)
        self.later = []

    def is_wanted(self, task: int) -> bool:
        """Return whether a task is requested, and not assigned to a node, and does not only wait for others to be
        done."""
        columns = self._state.columns
        wanted = columns["queued"][task] and columns["planned"][task] and not columns["assigned"][task]
        return bool(wanted and not columns["waits"][task])

    def retry(self, task: int, due: float) -> None:
        """Queue a task at a monotonic time."""
        heapq.heappush(self.later, (due, task))

    def queue_due_retries(self, now: Moment) -> None:
        """Put retries that are due at the head of the queue."""
        while self.later and self.later[0][0] <= now.monotonic:
            self.order.appendleft(heapq.heappop(self.later)[1])

    def drop_ended(self) -> None:
        """Forget tasks that have ended in another way, if that is quick: they must not keep the run open."""
        if len(self.order) + len(self.later) < FEW:
            self.keep(self.is_wanted)

    def keep(self, wanted: Callable[[int], bool]) -> None:
        """Forget all other tasks."""
        self.order = self.order.kept(wanted)
        self.later = [(due, task) for due, task in self.later if wanted(task)]
        heapq.heapify(self.later)


def in_order(state: State, settings: RunSettings) -> list[int]:
    """Return the requested tasks that are not assigned, in the order that an experiment sets."""
    columns, ids = state.columns, settings.tasks
    queued = np.frombuffer(columns["queued"], dtype=np.int8)[ids]
    assigned = np.frombuffer(columns["assigned"], dtype=np.int8)[ids]
    chosen = (queued == 1) & (assigned == 0)
    wanted, repeats = ids[chosen], settings.repeats[chosen]
    if settings.order == "interleaved":
        wanted = wanted[np.argsort(repeats, kind="stable")]
    elif settings.order == "shuffled-rounds":
        mixed = np.random.default_rng(state.plan).permutation(len(wanted))
        wanted = wanted[mixed[np.argsort(repeats[mixed], kind="stable")]]
    found: list[int] = wanted.tolist()
    return random.Random(state.plan).sample(found, len(found)) if settings.order == "shuffled" else found
