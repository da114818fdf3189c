"""A pool as the scheduler sees it: the nodes that an engine has granted for one entry of a submission, and whether
there may be more."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from tui_lab.engine.agent.resources import Resources
from tui_lab.engine.core.model import NodeLimits
from tui_lab.engine.core.node import NodeState

FRESH: Final = 0.9  # of the walltime: a node that has so much was just granted
CARDS: Final = 64  # GPUs that a node may have of which nothing is known
LAST: Final = 8  # nodes from which is known how much time tasks have


class PoolState:
    """Changes only while the scheduler handles an event."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: dict[str, NodeState] = {}
        self.hopeless = ""  # why it can grant nothing; empty while there may be more nodes
        self.drained = False  # by command: nothing new starts on its nodes
        self.wanted_slots = 0  # of each node; 0: as many as it has cores
        self.resources: Mapping[str, int] = {}  # that each node offers besides, by name
        self.limits = NodeLimits()
        self.as_needed = False  # a node has what tasks need that waited for it, within these limits
        self.walltime: float | None = None  # seconds that an allocation has, if that is known
        self._last: Resources | None = None  # of the node that answered last
        self._lefts: dict[str, float] = {}  # node that was just granted -> seconds that its first task had
        self._first: float | None = None  # seconds that one had when its agent answered first

    @property
    def has_hope(self) -> bool:
        """Whether a node may come that is not there yet."""
        return not self.hopeless and not self.drained

    @property
    def is_known(self) -> bool:
        """Whether a node of it has told what it offers."""
        return any(node.resources is not None for node in self.nodes.values())

    def note_offer(self, node: NodeState) -> None:
        """Take up what a node of it offers."""
        self._last = node.resources

    @property
    def slots(self) -> int:
        """Tasks that a node takes at a time; 0 where that is not known yet."""
        return self.wanted_slots or (0 if self._last is None else self._last.slots)

    @property
    def offer(self) -> Resources:
        """What a node of it offers, as the last one did; else at most, as far as that is known. The next one may have
        more where each has what tasks need."""
        one = self._last
        if one is not None and not self.as_needed:
            return Resources(self.slots, one.cpus, one.memory, one.gpus, self.resources)
        cpus, memory, gpus = (sys.maxsize if limit is None else int(limit) for limit in self.limits)
        return Resources(self.slots or 1, cpus, memory, range(min(gpus, CARDS)), self.resources)

    @property
    def reach(self) -> float | None:
        """The seconds that a task can have in an allocation at most, if that is known."""
        if self._lefts:
            return max(self._lefts.values())
        return self.walltime if self._first is None else self._first

    def note_left(self, node: NodeState, now: float, *, measured: bool) -> None:
        """Take up how much time a node has left that was just granted. measured: a task has begun, or could have."""
        left = node.left(now)
        if left is None or node.measured or self.walltime is None or node.granted < FRESH * self.walltime:
            return
        before, left = self.reach, max(0.0, left)
        if measured:
            node.measured = True
            self._lefts[node.name] = left
            while len(self._lefts) > LAST:
                del self._lefts[next(iter(self._lefts))]
        elif self._first is None:
            self._first = left
        for one in self.nodes.values() if self.reach != before else ():
            self.set_whole(one)

    def set_whole(self, node: NodeState) -> None:
        """Take over for a node how much of its time tasks can have."""
        node.whole = node.granted if self.reach is None else min(node.granted, self.reach)


def home_of(node: NodeState) -> str:
    """Return the name of the entry that a node belongs to: its pool's, or its own."""
    return node.pool or node.name
