"""Runs of stages of which each node has one of its own: what runs on a node uses those of that node.

A run of the plan stands for the runs of all nodes, and is never run itself. A node gets a run when it has a free slot
for something that needs it. That has an id of its own, and is treated like another run of a stage, but only that node
may take it. Where such a run fails, its node takes nothing that needs it; where it fails on all nodes, what needs it
fails.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tui_lab.store import ranges
from tui_lab.store.events import DependencyRevived, Finished, KnownEvent, Stopped
from tui_lab.store.events import NodeRuns as NodeRunsNeeded
from tui_lab.store.fold import DONE, FAILED, LOST, STOPPED, State

_BADLY: Final = (FAILED, STOPPED, LOST)

Edges = Mapping[int, Sequence[int]]


class NodeRuns:
    """Of a run. on_node: the runs of the plan that each id uses on the node where it runs. before: what each id depends
    on. rounds: as of `RunSettings`; a node takes nothing of a round before it has made all of earlier ones."""

    def __init__(
        self,
        state: State,
        on_node: Edges,
        before: Edges,
        rounds: Sequence[npt.NDArray[np.int64]] = (),
    ) -> None:
        self._state = state
        self._on_node = on_node
        self._before = before
        self._round_of = {one: number for number, ids in enumerate(rounds) for one in ids.tolist()}
        self._after: dict[int, list[int]] = {}
        for one, runs in on_node.items():
            for run in runs:
                self._after.setdefault(run, []).append(one)
        self._place: dict[int, int] = {}  # in `after`: what stands before it does not wait
        self._bad = {one for one, _ in self.planned() if self._ended_badly(one)}

    def __bool__(self) -> bool:
        return bool(self._on_node)

    def node_of(self, one: int) -> str | None:
        """Return the only node that may take an id; None where all may."""
        found = self._state.run_for.get(one)
        return None if found is None else found[1]

    def planned(self) -> Iterator[tuple[int, int]]:
        """Yield the runs on nodes that the plan has, and the run of the plan of each."""
        for one, (run, _) in self._state.run_for.items():
            if run in self._after:
                yield one, run

    def missing(self, one: int, node: str) -> bool:
        """Return whether an id uses runs that are not done on a node."""
        return any(not self._is_done(run, node) for run in self._used(one))

    def open_on(self, node: str) -> Callable[[int], list[int] | None]:
        """Return a function of an id: None where it can run on the node now, else the runs of the plan that the node is
        to make first, as far as that is not under way and did not fail."""
        every: list[int] = []
        if self._round_of:
            open_ = (run for run in self._after if not self._has_ended(run, node))
            every = [run for run in open_ if self._is_known(run, node) or self.is_needed(run)]

        def first(one: int) -> list[int] | None:
            wanted = [run for run in self._used(one) if not self._is_done(run, node)]
            number = self._round_of.get(one, 0)
            wanted += [run for run in every if self._round_of[run] < number]
            return self._to_make(wanted, node) if wanted else None

        return first

    def _to_make(self, runs: Sequence[int], node: str) -> list[int]:
        states = self._state.columns["state"]
        found: dict[int, None] = {}
        open_ = list(runs)
        while open_:
            run = open_.pop(0)
            deeper = [other for other in self._on_node.get(run, ()) if not self._is_done(other, node)]
            open_ += deeper
            ready = all(states[other] == DONE for other in self._before.get(run, ()))
            if not deeper and ready and not self._is_known(run, node):
                found[run] = None
        return list(found)

    def failed_on(self, run: int, node: str) -> bool:
        """Return whether the run of a node did not end well, or one that it uses there."""
        one = self._of(run, node)
        if one is not None and self._ended_badly(one):
            return True
        return any(self.failed_on(other, node) for other in self._on_node.get(run, ()))

    def has_failed(self, node: str) -> bool:
        """Return whether a run of a node did not end well."""
        return any(self._state.run_for[one][1] == node for one in self._bad)

    def failures_in(self, pool: str) -> int:
        """Return on how many nodes of a pool runs have failed, also on those that are gone."""
        nodes = {self._state.run_for[one][1] for one in self._bad}
        return sum(node.startswith(f"{pool}.") for node in nodes)

    def note(self, events: Iterable[KnownEvent]) -> None:
        """Take up which runs on nodes did not end well, after events that have been applied."""
        for event in events:
            if isinstance(event, Finished) and event.task in self._state.run_for:
                self._note([event.task])
            elif isinstance(event, Stopped | DependencyRevived):
                self._note(set(ranges.each(event.tasks)) & self._state.run_for.keys())
            elif isinstance(event, NodeRunsNeeded):
                self._note(one for _, one in event.runs)

    def _note(self, ids: Iterable[int]) -> None:
        for one in ids:
            (self._bad.add if self._ended_badly(one) else self._bad.discard)(one)

    def to_revive(self, nodes: Container[str]) -> list[int]:
        """Return the runs on some nodes that did not end well, and that something needs again."""
        runs = self._state.run_for
        return [one for one in self._bad if runs[one][1] in nodes and self.is_needed(runs[one][0])]

    def blocked(self, ways: Callable[[int], Collection[str]]) -> dict[int, int]:
        """Return what waits for runs that have failed on all nodes to which it may go, and how they have ended: FAILED,
        or STOPPED. ways: these nodes; if there are none, it waits."""
        runs = dict.fromkeys(self._state.run_for[one][0] for one in self._bad)
        open_ = list(runs)
        while open_:
            new = [one for one in self._after.get(open_.pop(), ()) if one in self._after and one not in runs]
            runs.update(dict.fromkeys(new))
            open_ += new
        found: dict[int, int] = {}
        for one in (one for run in runs for one in self._after.get(run, ()) if self._waits(one)):
            nodes = ways(one)
            if nodes and all(any(self.failed_on(run, node) for run in self._used(one)) for node in nodes):
                states = {self._state.columns["state"][bad] for bad in self._bad}
                found[one] = STOPPED if states == {STOPPED} else FAILED
        return found

    def is_needed(self, run: int) -> bool:
        """Return whether something waits for a run of the plan on any node."""
        after = self._after.get(run, ())
        for start in (self._place.get(run, 0), 0):
            for place in range(start, len(after)):
                one = after[place]
                if self._waits(one) or (one in self._after and self.is_needed(one)):
                    self._place[run] = place
                    return True
        return False

    def _used(self, one: int) -> Sequence[int]:
        return self._on_node.get(self._state.planned_run(one), ())

    def _of(self, run: int, node: str) -> int | None:
        return self._state.node_runs.get(run, {}).get(node)

    def _is_done(self, run: int, node: str) -> bool:
        one = self._of(run, node)
        return one is not None and self._state.columns["state"][one] == DONE

    def _has_ended(self, run: int, node: str) -> bool:
        return self._is_done(run, node) or self.failed_on(run, node)

    def _is_known(self, run: int, node: str) -> bool:
        """Return whether the run of a node is requested, or has ended."""
        one = self._of(run, node)
        if one is None:
            return False
        columns = self._state.columns
        return bool(columns["queued"][one] or columns["state"][one] == DONE or self._ended_badly(one))

    def _waits(self, one: int) -> bool:
        columns = self._state.columns
        waits = columns["queued"][one] and columns["planned"][one]
        return bool(waits and not columns["assigned"][one] and not columns["waits"][one])

    def _ended_badly(self, one: int) -> bool:
        columns = self._state.columns
        return columns["state"][one] in _BADLY and not columns["queued"][one]


def split(after: Edges, per_node: Container[int]) -> tuple[Edges, Edges]:
    """Return what each id depends on, and the runs of which it uses those of its node. What such a run depends on must
    be done before what uses it goes to a node. after: both together. per_node: runs that stand for those of all
    nodes."""

    def others(one: int) -> dict[int, None]:
        found: dict[int, None] = {}
        for run in after.get(one, ()):
            found.update(others(run) if run in per_node else {run: None})
        return found

    before = {one: tuple(others(one)) for one in after}
    on_node = {one: tuple(run for run in runs if run in per_node) for one, runs in after.items()}
    return {one: runs for one, runs in before.items() if runs}, {one: runs for one, runs in on_node.items() if runs}
