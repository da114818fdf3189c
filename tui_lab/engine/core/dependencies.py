"""What follows for tasks that depend on runs of stages when those end, are removed, or are to be run again."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Sequence, Set
from typing import Final

import numpy as np
import numpy.typing as npt

from tui_lab.engine.core.copies import Copies
from tui_lab.engine.core.model import Moment, RunSettings
from tui_lab.engine.core.retention import Edges, Retention
from tui_lab.store import ranges
from tui_lab.store.events import (
    Cleaned,
    DependencyDone,
    DependencyFailed,
    DependencyRevived,
    Extended,
    Finished,
    KnownEvent,
    Quarantined,
    Returned,
    Stopped,
)
from tui_lab.store.fold import DONE, FAILED, LOST, REASONS, STOPPED, State

_DEPENDENCY: Final = REASONS.index("dependency")


class Dependencies:
    """The graph of a run, as its settings have it. Both tasks and runs of stages are meant by ids.

    A task waits for what is beside it once its own run has ended well (`waits` in the fold).
    """

    def __init__(self, state: State, settings: RunSettings | None) -> None:
        self._state = state
        self._before = {} if settings is None else dict(settings.before)
        self._beside: Edges = {} if settings is None else settings.beside
        self._collecting: Edges = {} if settings is None else settings.collecting
        self._gone: Set[int] = frozenset() if settings is None else settings.gone
        self._rounds: Sequence[npt.NDArray[np.int64]] = () if settings is None else settings.rounds
        self._round_of = {one: number for number, ids in enumerate(self._rounds) for one in ids.tolist()}
        self._round = self._first_open(0)
        self._after = _turned(self._before)
        self._tasks = _turned(self._beside)  # the tasks that each run is beside of
        until_done = () if settings is None else settings.until_done
        self._retention = Retention(state, self._before, self._after, self._tasks, self._collecting, until_done)

    def __bool__(self) -> bool:
        return bool(self._before or self._beside)

    def copies(self, on_node: Edges) -> Copies:
        """Return what is to be known of where the outputs of runs are. on_node: the runs that ids use on their node."""
        return Copies(self._state, self._before, self._after, on_node)

    def add(self, one: int, before: Sequence[int]) -> None:
        """Take up an id that was not in the plan."""
        if before and one not in self._before:
            self._before[one] = before
            for other in before:
                self._after.setdefault(other, []).append(one)

    def is_ready(self, one: int) -> bool:
        """Return whether all that must be done before an id is done, and its round has come."""
        if self._state.columns["waits"][one] or (self._rounds and self._round_of.get(one, 0) > self._round):
            return False
        return all(map(self._retention.has_files, self._before.get(one, ())))

    def is_waiting_for_others(self, task: int) -> bool:
        """Return whether a task that ends well itself is not done by that."""
        states = self._state.columns["state"]
        return any(states[other] != DONE for other in self._beside.get(task, ()))

    def ready_after(self, events: Iterable[KnownEvent]) -> list[int]:
        """Return the ids that wait for nothing any more after these events, which have been applied, or that are to be
        run again."""
        found: dict[int, None] = {}
        if self._rounds:
            found.update(dict.fromkeys(self._next_round(events)))
        for event in events:
            if isinstance(event, Finished) and self._state.has_result(event.task):
                found.update(dict.fromkeys(one for one in self._after.get(event.task, ()) if self._is_queued(one)))
            elif isinstance(event, DependencyRevived):
                found.update(dict.fromkeys(ranges.each(event.tasks)))
        return [one for one in found if self.is_ready(one)]

    def _next_round(self, events: Iterable[KnownEvent]) -> list[int]:
        """Return the ids that wait in a round that has just come."""
        again = any(isinstance(event, DependencyRevived) for event in events)
        before, self._round = self._round, self._first_open(0 if again else self._round)
        if self._round <= before or self._round == len(self._rounds):
            return []
        return [one for one in self._rounds[self._round].tolist() if self._is_queued(one)]

    def _first_open(self, start: int) -> int:
        """Return the first round, from one on, of which something is requested."""
        queued = np.frombuffer(self._state.columns["queued"], dtype=np.int8)
        for number in range(start, len(self._rounds)):
            if queued[self._rounds[number]].any():
                return number
        return len(self._rounds)

    # --- What follows

    def consequences(self, events: Iterable[KnownEvent], now: Moment) -> list[KnownEvent]:
        """Return the events that follow from these events, which have been applied."""
        found: list[KnownEvent] = []
        for event in events:
            match event:
                case Finished(task=task):
                    found += self._on_end(task, now)
                case Stopped(tasks=tasks):
                    found += self._on_stopped(tasks, now)
                case Cleaned() | Extended():
                    found += self._requested(self._needed(), now)
                case Returned(attempts=attempts):
                    found += self._made_again([task for task, _ in attempts], now)
                case Quarantined(tasks=tasks):
                    found += self._revival(self._failed_because_of(ranges.each(tasks)), now)
                case DependencyRevived(tasks=tasks):
                    found += self._revival(self._done_beside(ranges.each(tasks)), now)
                case _:
                    pass
        return [*found, *self._retention.discarded_after(events, now)]

    def settled(self, now: Moment, *, again: bool) -> list[KnownEvent]:
        """Return the events with which all is to be run that the requested tasks need, and what collects them; and with
        which those end that wait for nothing any more. again: tasks were requested anew, and so is what failed beside
        them, or collects them."""
        columns = self._state.columns
        needed = self._needed(self._to_collect(again=again), self._gone, again=again)
        found = self._requested(needed, now)
        queued = {*needed, *(one for one in self._tasks if columns["queued"][one])}
        found += self._revival(self._done_beside(queued), now)
        for task, others in self._beside.items():
            if self._awaits(task) and queued.isdisjoint(others):
                found += self._on_own_end(task, now) or self._completion([task], now)
        return [*found, *self._retention.discarded(self._retention.needless(), now, found)]

    def _requested(self, runs: Iterable[int], now: Moment) -> list[KnownEvent]:
        """Return the events with which runs are requested; those that are done are cleaned first, for their outputs are
        gone."""
        runs = list(runs)
        removed = [one for one in runs if self._state.columns["state"][one] == DONE]
        found: list[KnownEvent] = [Cleaned(now.at(), ranges.to_ranges(removed))] if removed else []
        return [*found, *self._revival(runs, now)]

    @staticmethod
    def _revival(ids: Iterable[int], now: Moment) -> list[KnownEvent]:
        found = ranges.to_ranges(sorted(set(ids)))
        return [DependencyRevived(now.at(), found)] if found else []

    @staticmethod
    def _completion(tasks: Iterable[int], now: Moment) -> list[KnownEvent]:
        found = ranges.to_ranges(sorted(tasks))
        return [DependencyDone(now.at(), found)] if found else []

    def _is_queued(self, one: int) -> bool:
        """Return whether an id is requested, and has neither been assigned nor ended well."""
        columns = self._state.columns
        return bool(columns["queued"][one] and columns["planned"][one]) and not (
            columns["assigned"][one] or columns["waits"][one]
        )

    def _awaits(self, task: int) -> bool:
        """Return whether a task is requested, has ended well itself, and waits for its other last stages."""
        columns = self._state.columns
        return bool(columns["waits"][task] and columns["queued"][task] and columns["planned"][task])

    def _behind(self, ids: Collection[int]) -> Iterator[int]:
        """Yield what waits for the ids, or for what does; each once."""
        seen = set(ids)
        open_ = list(seen)
        while open_:
            for one in self._after.get(open_.pop(), ()):
                if one not in seen and self._is_queued(one):
                    seen.add(one)
                    open_.append(one)
                    yield one

    def _with_tasks_beside(self, ids: Iterable[int]) -> set[int]:
        """Return the ids, and the tasks that wait only for them."""
        found = set(ids)
        return found | {task for one in found for task in self._tasks.get(one, ()) if self._awaits(task)}

    def _on_end(self, one: int, now: Moment) -> list[KnownEvent]:
        columns = self._state.columns
        if self._awaits(one):
            return self._on_own_end(one, now)
        if columns["queued"][one]:
            return self._made_again([one], now)
        if columns["state"][one] == DONE:
            # Also what had failed because of this run, which was requested again for another task.
            columns_of = (columns["waits"], columns["planned"])
            waiting = [task for task in self._tasks.get(one, ()) if all(column[task] for column in columns_of)]
            return self._completion([task for task in waiting if not self.is_waiting_for_others(task)], now)
        # Nothing that depends on what did not end well can run.
        failed = self._with_tasks_beside([one, *self._behind([one])]) - {one}
        return self._failure(failed, columns["state"][one], now)

    def _made_again(self, ids: Iterable[int], now: Moment) -> list[KnownEvent]:
        """Request again what these need, which are back in the queue: it may have been removed meanwhile."""
        if all(self._retention.has_files(other) for one in ids for other in self._before.get(one, ())):
            return []
        return self._requested(self._needed(), now)

    def _on_own_end(self, task: int, now: Moment) -> list[KnownEvent]:
        """Fail a task that has ended well, if another of its last stages has ended otherwise."""
        columns = self._state.columns
        ends = {columns["state"][other] for other in self._beside[task] if not columns["queued"][other]}
        return self._failure([task], STOPPED if STOPPED in ends else FAILED, now) if ends & _BADLY else []

    @staticmethod
    def _failure(ids: Iterable[int], state: int, now: Moment) -> list[KnownEvent]:
        found = ranges.to_ranges(sorted(ids))
        if not found:
            return []
        return [Stopped(now.at(), found) if state == STOPPED else DependencyFailed(now.at(), found)]

    def blocked(self, ids: Collection[int], state: int, now: Moment) -> list[KnownEvent]:
        """Return the events with which ids end that can't run any more, and what waits for them. state: how what they
        need has ended."""
        return self._failure(self._with_tasks_beside([*ids, *self._behind(ids)]), state, now)

    def _on_stopped(self, tasks: ranges.Ranges, now: Moment) -> list[KnownEvent]:
        return self._failure(self.stopped_with(set(ranges.each(tasks))), STOPPED, now)

    def stopped_with(self, ids: Set[int]) -> set[int]:
        """Return what stops with some ids: what depends on them, and runs that nothing needs any more."""
        over = self._with_tasks_beside([*ids, *self._behind(ids)])
        open_ = list(over)
        while open_:
            one = open_.pop()
            for other in (*self._before.get(one, ()), *self._beside.get(one, ())):
                if other not in over and self._is_queued(other) and not self._is_needed(other, over):
                    over.add(other)
                    open_.append(other)
        return over - ids

    def _is_needed(self, run: int, but_for: Container[int]) -> bool:
        """Return whether something that is requested can't begin, or be done, without a run."""
        columns = self._state.columns
        if run in self._collecting or self._state.stage(run) is None:
            return True  # for itself
        if any(self._is_queued(one) and one not in but_for for one in self._after.get(run, ())):
            return True
        tasks = self._tasks.get(run, ())
        return any(columns["queued"][task] and columns["planned"][task] and task not in but_for for task in tasks)

    def _to_collect(self, *, again: bool) -> set[int]:
        """Return the runs that collect what is done or requested, and that are neither. again: also those that have not
        ended well."""
        columns = self._state.columns
        found = set[int]()
        for one, tasks in self._collecting.items():
            ended = columns["state"][one] in _BADLY and not again
            done = self._state.has_result(one) and one not in self._gone
            if ended or done or columns["queued"][one] or not columns["planned"][one]:
                continue
            if all(columns["queued"][task] or self._state.has_result(task) for task in tasks):
                found.add(one)
        return found

    def _needed(self, wanted: Set[int] = frozenset(), gone: Container[int] = (), *, again: bool = False) -> list[int]:
        """Return some runs, and those that are not requested and that something needs which is: they are not done, or
        are gone. again: also those that have failed beside a task."""
        columns = self._state.columns
        found = set(wanted)
        open_ = [*wanted, *(one for one in self._before.keys() | self._beside.keys() if columns["queued"][one])]
        while open_:
            one = open_.pop()
            if not columns["planned"][one]:
                continue
            begins = one in found or self._is_queued(one)
            others = [other for other in self._before.get(one, ()) if begins and not self._is_there(other, gone)]
            for other in self._beside.get(one, ()):
                if columns["state"][other] != DONE or other in gone:
                    others += [other] if again or columns["state"][other] not in _BADLY else []
            for other in others:
                if other not in found and not columns["queued"][other]:
                    found.add(other)
                    open_.append(other)
        return sorted(one for one in found if columns["planned"][one])

    def _is_there(self, one: int, gone: Container[int]) -> bool:
        return self._retention.has_files(one) and one not in gone

    def _failed_because_of(self, ids: Iterable[int]) -> set[int]:
        """Return what failed only because of these, which are to be run again."""
        columns = self._state.columns
        seen = set(ids)
        open_ = list(seen)
        found = set[int]()
        while open_:
            one = open_.pop()
            for other in (*self._after.get(one, ()), *self._tasks.get(one, ())):
                failed = columns["state"][other] == FAILED and columns["reason"][other] == _DEPENDENCY
                if other not in seen and failed and columns["planned"][other]:
                    seen.add(other)
                    found.add(other)
                    open_.append(other)
        return found

    def _done_beside(self, ids: Iterable[int]) -> set[int]:
        """Return the tasks that are done, though runs beside them are to be run again."""
        columns = self._state.columns
        tasks = (task for one in ids for task in self._tasks.get(one, ()))
        return {task for task in tasks if columns["state"][task] == DONE and columns["planned"][task]}


_BADLY: Final = {FAILED, STOPPED, LOST}


def _turned(edges: Edges) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for one, ids in edges.items():
        for other in ids:
            found.setdefault(other, []).append(one)
    return found
