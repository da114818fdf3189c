"""Which runs of stages keep their files: with `retain: until-done`, those that something waits for."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence, Set

from tui_lab.engine.core.model import Moment
from tui_lab.store import ranges
from tui_lab.store.events import DependencyRevived, Ended, Finished, KnownEvent, OutputsDiscarded
from tui_lab.store.fold import DONE, State

Edges = Mapping[int, Sequence[int]]


class Retention:
    """Of an experiment. before, after: what each id directly depends on, and what depends on it. tasks: the tasks that
    a run of another last stage belongs to. collecting: the runs that collect others. until_done: stages that say so."""

    def __init__(
        self,
        state: State,
        before: Edges,
        after: Edges,
        tasks: Edges,
        collecting: Container[int],
        until_done: Container[str],
    ) -> None:
        self._state = state
        self._before = before
        self._after = after
        self._tasks = tasks
        self._collecting = collecting
        self._until_done = until_done
        self._first_waiting: dict[int, int] = {}  # of what comes after a run: all before that place was done
        self._over: Set[int] = frozenset()  # further repeats that turned out not to be needed

    def has_files(self, one: int) -> bool:
        """Return whether an id has a result, and its files were not removed."""
        return self._state.has_result(one) and not self._state.columns["discarded"][one]

    def discarded_after(self, events: Iterable[KnownEvent], now: Moment) -> list[KnownEvent]:
        """Return the event that nothing needs the files of some runs any more, after events that have been applied."""
        found: set[int] = set()
        for event in events:
            if isinstance(event, Finished) and self._state.has_result(event.task):
                found.update(filter(self._is_needless, self._before.get(event.task, ())))
            elif isinstance(event, Ended):
                found |= self.needless()
        return self.discarded(found, now)

    def needless(self) -> set[int]:
        """Return all runs whose files nothing needs."""
        self._over = self._needless_repeats()
        return set(filter(self._is_needless, self._after))

    def discarded(self, runs: Iterable[int], now: Moment, following: Iterable[KnownEvent] = ()) -> list[KnownEvent]:
        """Return the event that the files of runs are removed. following: events that come before it, and may request
        something that needs one."""
        again = {one for event in following if isinstance(event, DependencyRevived) for one in ranges.each(event.tasks)}
        found = ranges.to_ranges(sorted(one for one in runs if again.isdisjoint(self._after[one])))
        return [OutputsDiscarded(now.at(), found)] if found else []

    def _is_needless(self, one: int) -> bool:
        state = self._state
        return state.stage(one) in self._until_done and self.has_files(one) and not self._is_waited_for(one)

    def _is_waited_for(self, one: int) -> bool:
        """Return whether something that comes after a run may run."""
        after = self._after.get(one, ())
        for start in (self._first_waiting.get(one, 0), 0):
            for place in range(start, len(after)):
                if self._may_run(after[place]):
                    self._first_waiting[one] = place
                    return True
        return any(map(self._may_end, self._tasks.get(one, ())))

    def _may_run(self, one: int) -> bool:
        """Return whether an id is requested, or has no result and may be requested later."""
        if self._state.has_result(one):
            return False
        if self._state.columns["queued"][one]:
            return True
        if self._state.stage(one) is None or one in self._collecting:  # asked for whatever comes after it
            return one not in self._over
        return self._is_waited_for(one) if one in self._after or one in self._tasks else one not in self._over

    def _may_end(self, task: int) -> bool:
        """Return whether a task is not done, be it only because of what is beside it, and may be later."""
        columns = self._state.columns
        return columns["state"][task] != DONE and bool(columns["queued"][task] or task not in self._over)

    def _needless_repeats(self) -> Set[int]:
        """The further repeats of `repeat: {until}` that a run did not need which has ended."""
        state = self._state
        if state.ended is None or state.paused is not None or state.drained or not state.submissions:
            return frozenset()
        return frozenset(ranges.each(state.submissions[-1].spare))
