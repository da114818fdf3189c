"""How the tasks of a submission have ended so far, and when a run pauses because too much has failed."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np

from tui_lab.engine.core.health import NodeHealth
from tui_lab.engine.core.model import Moment, RunSettings
from tui_lab.store.events import Paused
from tui_lab.store.fold import DONE, FAILED, LOST, REASONS, State

FIRST_FAILURES: Final = 10  # so many tasks that all fail, and the run pauses
_DEPENDENCY: Final = REASONS.index("dependency")


class RunFailures:
    """Counts of the newest submission, and the health of the nodes that they come from.

    first: of those that failed, the tasks that no earlier submission or retry had run.
    """

    def __init__(self, state: State) -> None:
        self._state = state
        self.done = 0
        self.failed = 0
        self.first = 0
        self.health = NodeHealth()

    def recount(self, submission: int) -> None:
        """Count what has ended of a submission."""
        columns = self._state.columns
        states = np.frombuffer(columns["state"], dtype=np.int8)
        over = np.frombuffer(columns["submission"], dtype=np.int32) == submission
        over &= np.frombuffer(columns["queued"], dtype=np.int8) == 0
        over &= np.frombuffer(columns["reason"], dtype=np.int8) != _DEPENDENCY
        badly = over & ((states == FAILED) | (states == LOST))
        self.done = int((over & (states == DONE)).sum())
        self.failed = int(badly.sum())
        self.first = int((badly & (np.frombuffer(columns["base"], dtype=np.int32) == 0)).sum())

    def forget_nodes(self) -> None:
        """Forget on which nodes attempts have failed: there is a new submission."""
        self.health = NodeHealth()

    def note_failed(self, task: int) -> None:
        """Count a task that failed, and is not tried again."""
        self.failed += 1
        self.first += self._state.columns["base"][task] == 0

    def forgive(self, tasks: Collection[int]) -> None:
        """Don't count failures that were the fault of a node."""
        new = sum(self._state.columns["base"][task] == 0 for task in tasks)
        self.failed = max(0, self.failed - len(tasks))
        self.first = max(0, self.first - new)

    def pause(self, settings: RunSettings | None, now: Moment, *, waiting: bool) -> Paused | None:
        """Return the event that pauses the run if too much has failed. waiting: tasks are still to run."""
        state, suspect = self._state, self.health.suspect_failures
        failed = self.failed - suspect
        if failed <= 0 or state.paused is not None or not state.submissions or settings is None:
            return None
        limit = settings.max_failures
        if limit is not None and failed - state.accepted_failures >= limit:
            return Paused(now.at(), "max_failures", failed)
        if waiting and self._fails_from_the_start(suspect):
            return Paused(now.at(), "first_failures", failed)
        return None

    def _fails_from_the_start(self, suspect: int) -> bool:
        """Return whether the first tasks have all failed. Tasks that were run before say nothing of the others, and
        where one is done the program works, whenever that was."""
        if self._state.submissions[-1].keep_going or self._state.accepted_failures:
            return False
        if self.done or self._state.counts[DONE]:
            return False
        return self.first - suspect >= FIRST_FAILURES
