"""What follows for tasks that depend on runs of stages when those end, are removed, or are to be run again."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence, Set
from typing import Final

import numpy as np
import numpy.typing as npt

from tui_lab.engine.core.copies import Copies
from tui_lab.engine.core.model import Moment
from tui_lab.store import ranges
from tui_lab.store.events import (
    Cleaned,
    DependencyFailed,
    DependencyRevived,
    Finished,
    KnownEvent,
    Quarantined,
    Stopped,
)
from tui_lab.store.fold import DONE, FAILED, REASONS, STOPPED, State

_DEPENDENCY: Final = REASONS.index("dependency")


class Dependencies:
    """The graph of a run. before: what each id depends on. Both tasks and runs of stages are meant by ids. rounds: if
    not empty, ids of which none is ready while one of an earlier round is requested."""

    def __init__(
        self, state: State, before: Mapping[int, Sequence[int]], rounds: Sequence[npt.NDArray[np.int64]] = ()
    ) -> None:
        self._state = state
        self._before = before
        self._rounds = rounds
        self._round_of = {one: number for number, ids in enumerate(rounds) for one in ids.tolist()}
        self._round = self._first_open(0)
        self._after: dict[int, list[int]] = {}
        for one, ids in before.items():
            for other in ids:
                self._after.setdefault(other, []).append(one)

    def __bool__(self) -> bool:
        return bool(self._before)

    def copies(self) -> Copies:
        """Return what is to be known of where the outputs of runs are."""
        return Copies(self._state, self._before, self._after)

    def is_ready(self, one: int) -> bool:
        """Return whether all that an id depends on is done, and its round has come."""
        if self._rounds and self._round_of[one] > self._round:
            return False
        states = self._state.columns["state"]
        return all(states[other] == DONE for other in self._before.get(one, ()))

    def ready_after(self, events: Iterable[KnownEvent]) -> list[int]:
        """Return the ids that wait for nothing any more after these events, which have been applied, or that are to be
        run again."""
        found: dict[int, None] = {}
        if self._rounds:
            found.update(dict.fromkeys(self._next_round(events)))
        for event in events:
            if isinstance(event, Finished) and self._state.columns["state"][event.task] == DONE:
                found.update(dict.fromkeys(one for one in self._after.get(event.task, ()) if self._waits(one)))
            elif isinstance(event, DependencyRevived):
                found.update(dict.fromkeys(ranges.each(event.tasks)))
        return [one for one in found if self.is_ready(one)]

    def _next_round(self, events: Iterable[KnownEvent]) -> list[int]:
        """Return the ids that wait in a round that has just come."""
        again = any(isinstance(event, DependencyRevived) for event in events)
        before, self._round = self._round, self._first_open(0 if again else self._round)
        if self._round <= before or self._round == len(self._rounds):
            return []
        return [one for one in self._rounds[self._round].tolist() if self._waits(one)]

    def _first_open(self, start: int) -> int:
        """Return the first round, from one on, of which something is requested."""
        queued = np.frombuffer(self._state.columns["queued"], dtype=np.int8)
        for number in range(start, len(self._rounds)):
            if queued[self._rounds[number]].any():
                return number
        return len(self._rounds)

    def consequences(self, events: Iterable[KnownEvent], now: Moment) -> list[KnownEvent]:
        """Return the events that follow from these events, which have been applied."""
        found: list[KnownEvent] = []
        for event in events:
            match event:
                case Finished(task=task):
                    if not self._state.columns["queued"][task]:
                        found += self._on_end(task, now)
                case Stopped(tasks=tasks):
                    found += self._on_stopped(tasks, now)
                case Cleaned():
                    found += self._on_cleaned(now)
                case Quarantined(tasks=tasks):
                    found += self._revived(ranges.each(tasks), now)
                case _:
                    pass
        return found

    def settled(self, gone: Container[int], now: Moment) -> list[KnownEvent]:
        """Return the events with which all is to be run that the requested tasks need. gone: runs that are done, but
        whose outputs are no longer there."""
        needed = self._needed(gone)
        removed = [one for one in needed if self._state.columns["state"][one] == DONE]
        found: list[KnownEvent] = [Cleaned(now.at(), ranges.to_ranges(removed))] if removed else []
        return [*found, DependencyRevived(now.at(), ranges.to_ranges(needed))] if needed else []

    def _waits(self, one: int) -> bool:
        columns = self._state.columns
        return bool(columns["queued"][one] and columns["planned"][one] and not columns["assigned"][one])

    def _behind(self, ids: Iterable[int], meant: Callable[[int], bool]) -> Iterator[int]:
        """Yield those that are meant of what depends on the ids, or on one of those; each once. What is done already
        does not depend on anything any more."""
        seen = set(ids)
        open_ = list(seen)
        while open_:
            for one in self._after.get(open_.pop(), ()):
                if one not in seen and meant(one):
                    seen.add(one)
                    open_.append(one)
                    yield one

    def _on_end(self, one: int, now: Moment) -> list[KnownEvent]:
        """Nothing that depends on what did not end well can run."""
        state = self._state.columns["state"][one]
        waiting = [] if state == DONE else list(self._behind([one], self._waits))
        if not waiting:
            return []
        found = ranges.to_ranges(sorted(waiting))
        return [Stopped(now.at(), found) if state == STOPPED else DependencyFailed(now.at(), found)]

    def _on_stopped(self, tasks: ranges.Ranges, now: Moment) -> list[KnownEvent]:
        stopped = self.stopped_with(set(ranges.each(tasks)))
        return [Stopped(now.at(), ranges.to_ranges(sorted(stopped)))] if stopped else []

    def stopped_with(self, ids: Set[int]) -> set[int]:
        """Return what stops with some ids: what depends on them, and runs that nothing needs any more."""
        stopped = set(self._behind(ids, self._waits))
        for one in reversed([one for one in self._after if one not in ids]):
            needed = any(self._waits(other) and other not in stopped for other in self._after[one])
            touched = any(other in ids or other in stopped for other in self._after[one])
            if touched and not needed and self._waits(one):
                stopped.add(one)
        return stopped

    def _on_cleaned(self, now: Moment) -> list[KnownEvent]:
        """Runs whose outputs were removed while they are needed run again."""
        needed = self._needed(())
        return [DependencyRevived(now.at(), ranges.to_ranges(needed))] if needed else []

    def _needed(self, gone: Container[int]) -> list[int]:
        """Return the runs that are not requested, and that something needs which is: they are not done, or are gone."""
        columns = self._state.columns
        found: set[int] = set()
        for one in reversed(self._after):  # those behind come first
            done = columns["state"][one] == DONE and one not in gone
            if done or columns["queued"][one] or not columns["planned"][one]:
                continue
            if any(other in found or self._waits(other) for other in self._after[one]):
                found.add(one)
        return sorted(found)

    def _revived(self, ids: Iterable[int], now: Moment) -> list[KnownEvent]:
        """What failed only because of these is to be run, for these run again."""
        columns = self._state.columns

        def failed(one: int) -> bool:
            failed = columns["state"][one] == FAILED and columns["reason"][one] == _DEPENDENCY
            return bool(failed and columns["planned"][one])

        found = sorted(self._behind(ids, failed))
        return [DependencyRevived(now.at(), ranges.to_ranges(found))] if found else []
