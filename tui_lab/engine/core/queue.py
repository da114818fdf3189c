"""The tasks of a run that wait for a node, in order."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator
from typing import Final

_ALL: Final = None  # the lane of tasks that any node may take


class TaskQueue:
    """Ids in order. Where not every node may take every task, tasks that the same nodes may take have a lane of their
    own, so that a node finds its next one without a look at those of others.

    lane_of: the lane of an id; without it, all have the same.
    """

    def __init__(self, ids: Iterable[int] = (), lane_of: Callable[[int], Hashable] | None = None) -> None:
        self._lane_of = lane_of
        self._ids: dict[Hashable, deque[int]] = {}
        self._ranks: dict[Hashable, deque[int]] = {}  # of the ids in each lane, where there are several
        self._first = self._behind = 0  # ranks
        if lane_of is None:
            self._ids[_ALL] = deque(ids)
            return
        for one in ids:
            ids_of, ranks = self._lane(one)
            ids_of.append(one)
            ranks.append(self._behind)
            self._behind += 1

    def __len__(self) -> int:
        return sum(map(len, self._ids.values()))

    def __bool__(self) -> bool:
        return any(self._ids.values())

    def __iter__(self) -> Iterator[int]:
        return self.each()

    @property
    def lanes(self) -> list[Hashable]:
        """The lanes that are not empty."""
        return [lane for lane, ids in self._ids.items() if ids]

    def each(self, lanes: Collection[Hashable] | None = None) -> Iterator[int]:
        """Yield the ids of some lanes, by default of all, in order."""
        if self._lane_of is None:
            yield from self._ids[_ALL]
            return
        found = self._ids if lanes is None else lanes
        ranked = (zip(self._ranks.get(lane, ()), self._ids.get(lane, ()), strict=True) for lane in found)
        yield from (one for _, one in heapq.merge(*ranked))

    def count(self, lanes: Collection[Hashable] | None = None) -> int:
        """Return how many ids are in some lanes, by default in all."""
        return len(self) if lanes is None else sum(len(self._ids.get(lane, ())) for lane in lanes)

    def popleft(self, lanes: Collection[Hashable] | None = None) -> int | None:
        """Remove the first id of some lanes, by default of all, and return it; None where there is none."""
        if self._lane_of is None:
            return self._ids[_ALL].popleft() if self._ids[_ALL] else None
        filled = [lane for lane in (self._ids if lanes is None else lanes) if self._ids.get(lane)]
        if not filled:
            return None
        lane = min(filled, key=lambda lane: self._ranks[lane][0])
        self._ranks[lane].popleft()
        return self._ids[lane].popleft()

    def appendleft(self, one: int) -> None:
        """Put an id in front of all others."""
        if self._lane_of is None:
            self._ids[_ALL].appendleft(one)
            return
        ids, ranks = self._lane(one)
        self._first -= 1
        ids.appendleft(one)
        ranks.appendleft(self._first)

    def extendleft(self, ids: Iterable[int]) -> None:
        """Put ids in front of all others, one after the other: the last one becomes the first."""
        for one in ids:
            self.appendleft(one)

    def kept(self, wanted: Callable[[int], bool]) -> TaskQueue:
        """Return a queue of the ids that are wanted."""
        return TaskQueue(filter(wanted, list(self)), self._lane_of)

    def _lane(self, one: int) -> tuple[deque[int], deque[int]]:
        assert self._lane_of is not None
        lane = self._lane_of(one)
        return self._ids.setdefault(lane, deque()), self._ranks.setdefault(lane, deque())
