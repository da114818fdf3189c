"""How many more nodes of a pool the tasks that wait ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from math import ceil
from typing import Any, Final

from tui_lab.engine.agent.resources import Resources
from tui_lab.engine.core.model import AttemptKey
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.pools import PoolState
from tui_lab.engine.core.run import RunState
from tui_lab.engine.core.state import SchedulerState

CONSIDERED: Final = 1000
"""Tasks at the head of a queue that are looked at: further ones are taken to be like them."""
SOON: Final = 10.0  # seconds in which a node gets through what waits there: no other is asked for


def missing(state: SchedulerState, pool: PoolState, most: int, *, settling: bool) -> int:
    """Return how many nodes of a pool would have work besides those that are up, at most so many. settling: nodes that
    entries name may still be about to connect."""
    fresh = _Fresh(pool, most)
    free: dict[str, int] = {}  # by node: several runs share it
    seen: set[str] = set()  # nodes whose backlog is counted
    runs = [run for run in state.in_order() if pool.name in run.homes and not run.held]
    for run in runs if pool.has_hope and not state.outputs_blocked else ():
        nodes = state.nodes_of(run)
        if settling and any(node.state == "connecting" and not node.pool for node in nodes):
            return 0
        found = _Waiting(run, pool)
        if not run.lanes.matter:
            found.count += sum(_behind(run, node) for node in nodes if node.name not in seen)
            seen.update(node.name for node in nodes)
        for node in nodes:
            left = free.setdefault(node.name, node.free)
            if left and found.count and _covers(run, node):
                free[node.name] = left - found.leave(left)
        fresh.take(found)
    return fresh.count


def _covers(run: RunState, node: NodeState) -> bool:
    """Whether a node takes some of the tasks that wait as soon as it can: unless it is still being prepared, what fits
    it is there by the next plan."""
    if node.name in run.state.quarantined or run.health.is_suspect(node.name):
        return False
    if not run.is_choosy:
        return node.ends_at is None or run.hand_out.fits_any(node)
    makes = run.node_runs and not run.node_runs.has_failed(node.name)
    preparing = makes or (run.wire_name, run.submission) not in node.staged
    return preparing and run.hand_out.fits_any(node)


def _behind(run: RunState, node: NodeState) -> int:
    """Attempts that wait on a node, and could as well run on another."""
    waiting = len(node.open) - node.slots
    if run.needs.matter and node.resources is not None:
        waiting = len(node.room()[1])
    if waiting <= 0 or (node.pace is not None and node.pace * waiting < SOON * node.slots):
        return 0
    return waiting


class _Waiting:
    """Tasks of a run that wait, and that a pool may take: so many, and the needs of the first of them."""

    def __init__(self, run: RunState, pool: PoolState) -> None:
        order = run.order
        lanes = run.lanes.of_pool(pool.name, order)
        total = order.count(lanes)
        self.needs: list[Mapping[str, Any]] | None = None
        if run.needs.matter or pool.reach is not None:
            heads = islice(order.each(lanes), CONSIDERED)
            keys = [(task, run.state.columns["attempts"][task] + 1) for task in heads]
            offered = pool.offer
            fitting = [key for key in keys if not offered.why_impossible(run.needs.of_node(key))]
            fitting = [key for key in fitting if run.times.fits_pool(key, pool)]
            self.needs = [run.needs.of_node(key) for key in _with_tokens(run, fitting)]
            total = len(self.needs) if run.needs.limits or not keys else ceil(total * len(self.needs) / len(keys))
        self.count = min(total, 1) if run.stagger else total

    def leave(self, most: int) -> int:
        """Leave the first ones to a node that is up; return how many."""
        count = min(most, self.count)
        self.count -= count
        if self.needs is not None:
            self.needs = self.needs[count:]
        return count


def _with_tokens(run: RunState, keys: list[AttemptKey]) -> Iterator[AttemptKey]:
    """Those that can run at the same time by the limits that all runs share."""
    left = run.needs.free_tokens()
    for key in keys:
        wanted = run.needs.of(key).get("tokens", {}) if left else {}
        if all(left[name] >= count for name, count in wanted.items() if name in left):
            left |= {name: left[name] - count for name, count in wanted.items() if name in left}
            yield key


class _Fresh:
    """Nodes that a pool would have to grant, as they fill with tasks."""

    def __init__(self, pool: PoolState, most: int) -> None:
        self.count = 0
        self._pool = pool
        self._most = most
        self._room: Resources | None = None

    def take(self, waiting: _Waiting) -> None:
        """Fill nodes with what waits."""
        if not waiting.needs:
            self.take_slots(waiting.count)
            return
        placed, before = 0, self.count
        for needs in islice(waiting.needs, waiting.count):
            if self.count > self._most:
                break
            if self._room is None or self._room.grant(needs) is None:
                self._add().grant(needs)
            placed += 1
        if waiting.count > placed:  # the others are like these
            share = max(1, self.count - before) / max(1, placed)
            self.count += ceil(share * (waiting.count - placed))
        self.count = min(self._most, self.count)

    def take_slots(self, count: int) -> None:
        """Fill nodes with tasks of a slot each."""
        while count > 0 and self.count <= self._most:
            room = self._room if self._room is not None and self._room.free else self._add()
            some = min(count, max(1, room.free))
            room.used_slots += some
            count -= some
        self.count = min(self._most, self.count)

    def _add(self) -> Resources:
        if not self._pool.slots:  # the first one shows how many tasks one takes
            self._most = 1
        self.count += 1
        self._room = self._pool.offer
        return self._room
