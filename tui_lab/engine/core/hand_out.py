"""What a node gets from the queue of a run, and which runs of its own it is to make before."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container
from functools import partial
from typing import Final, Literal

from tui_lab.engine.agent.resources import Resources
from tui_lab.engine.core.copies import Copies
from tui_lab.engine.core.dependencies import Dependencies
from tui_lab.engine.core.lanes import Lanes
from tui_lab.engine.core.model import AttemptKey, Moment
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.node_runs import Edges, NodeRuns
from tui_lab.engine.core.run_needs import RunNeeds
from tui_lab.engine.core.times import RunTimes
from tui_lab.engine.core.waiting import WaitingTasks
from tui_lab.store.events import KnownEvent
from tui_lab.store.events import NodeRuns as NodeRunsNeeded
from tui_lab.store.fold import State

LOOK_AHEAD: Final = 256  # tasks of the queue that are looked at for one that fits a node
Inputs = Literal["any", "there", "not far"]
"""Which attempts a node takes: all; those that depend on outputs, which it has; all but those that need outputs that it
does not have."""


class HandOut:
    """Of a run. on_node: as of `RunSettings`."""

    def __init__(
        self,
        state: State,
        on_node: Edges,
        waiting: WaitingTasks,
        dependencies: Dependencies,
        copies: Copies,
        node_runs: NodeRuns,
        lanes: Lanes,
        needs: RunNeeds,
        times: RunTimes,
    ) -> None:
        self._state = state
        self._on_node = on_node
        self._waiting = waiting
        self._dependencies = dependencies
        self._copies = copies
        self._node_runs = node_runs
        self._lanes = lanes
        self._needs = needs
        self._times = times
        self._to_make: dict[str, dict[int, None]] = {}  # node -> runs of the plan that it is to have runs of its own of

    def take(
        self,
        most: int,
        node: NodeState,
        resources: Resources | None = None,
        *,
        now: bool = False,
        inputs: Inputs = "any",
    ) -> list[AttemptKey]:
        """Take up to `most` attempts from the queue for a node. resources: those that count, where tasks need some.
        now: only those that fit at present; `resources` then counts what they use."""
        passes: Callable[[int], bool] | None = None
        if self._dependencies and not node.shared and inputs != "any":
            passes = partial(self._copies.are_far if inputs == "not far" else self._copies.are_not_at, node.name)
        elif inputs == "there" and not self._node_runs:
            return []
        open_ = self._node_runs.open_on(node.name) if self._node_runs else None
        to_make = self._to_make.setdefault(node.name, {}) if inputs == "any" and open_ is not None else {}
        making = 0
        taken: list[AttemptKey] = []
        attempts = self._state.columns["attempts"]
        passed: list[int] = []
        twice = set[int]()
        is_ready = self._dependencies.is_ready if self._dependencies else None
        lanes = self._lanes.open_to(node, self._waiting.order)
        ends = node.ends_at is not None
        own = [lane for lane in lanes or () if isinstance(lane, tuple)]  # runs for this node come first
        while len(taken) + making < most and len(passed) < LOOK_AHEAD:
            if now and resources is not None and not resources.free:
                break
            task = self._waiting.order.popleft(own) if own else None
            task = self._waiting.order.popleft(lanes) if task is None else task
            if task is None:
                break
            if not self._waiting.is_wanted(task) or task in twice or (is_ready is not None and not is_ready(task)):
                continue
            key = (task, attempts[task] + 1)
            first = None if open_ is None else open_(task)
            if (passes is not None and passes(task)) or (
                ends and not self._times.fits(key, node, behind=inputs == "not far")
            ):
                passed.append(task)
            elif first is not None:  # the node lacks runs of its own
                passed.append(task)
                if inputs == "any" and not (
                    resources and node.resources and self._needs.why_impossible(key, node.resources)
                ):
                    new = [run for run in first if run not in to_make][: most - len(taken) - making]
                    to_make.update(dict.fromkeys(new))
                    making += len(new)
            elif inputs == "there" and passes is None and not self._on_node.get(task):
                passed.append(task)
            elif resources is None or self._needs.grant(key, resources, now=now):
                taken.append(key)
                twice.add(task)
            else:
                passed.append(task)
                making += task in self._state.run_for
        self._waiting.order.extendleft(reversed(passed))
        return taken

    def fits_any(self, node: NodeState) -> bool:
        """Return whether a node can run a task at the head of the queue."""
        attempts, offered, order = self._state.columns["attempts"], node.resources, self._waiting.order
        if offered is None:
            return False
        heads = itertools.islice(order.each(self._lanes.open_to(node, order)), LOOK_AHEAD)
        keys = ((task, attempts[task] + 1) for task in heads)
        return any(self._times.fits(key, node) and not self._needs.why_impossible(key, offered) for key in keys)

    @property
    def lacks_some(self) -> bool:
        """Whether nodes lack runs of their own that they are to make."""
        return any(self._to_make.values())

    def make_on_nodes(
        self, useful: Container[str], there: Container[str], first_free: int, now: Moment
    ) -> list[KnownEvent]:
        """Return the events with which nodes get the runs of their own that they lack for what they would take, and
        lose those that have not begun and that nothing needs any more. useful: nodes for which a run need wait. there:
        nodes that have not gone for good. first_free: ids before are in use."""
        found: list[KnownEvent] = []
        size = max(self._state.size, first_free)
        for node, runs in self._to_make.items():
            pairs: list[tuple[int, int]] = []
            for run in filter(self._node_runs.is_needed, runs):
                known = self._state.node_runs.get(run, {}).get(node)
                pairs.append((run, size if known is None else known))
                size += known is None
            if pairs:
                found.append(NodeRunsNeeded(now.at(), node, pairs))
        self._to_make = {}
        order = self._waiting.order
        waiting = [one for lane in order.lanes if isinstance(lane, tuple) for one in order.each([lane])]
        waiting += [one for _, one in self._waiting.later if self._node_runs.node_of(one) is not None]
        nodes = self._state.run_for
        over = [
            one
            for one in dict.fromkeys(waiting)
            if nodes[one][1] not in there or not self._is_needed_on_node(one, useful)
        ]
        if over:
            self._waiting.keep(lambda one: one not in over)
        for one in over:
            run, node = self._state.run_for[one]
            found.append(NodeRunsNeeded(now.at(), node, [(run, one)], needed=False))
        return found

    def _is_needed_on_node(self, one: int, useful: Container[str]) -> bool:
        """Return whether a run on a node is to run: something waits for it, or it is tried again, also by a person."""
        run, node = self._state.run_for[one]
        again = self._state.columns["attempts"][one] and not self._state.columns["losses"][one]
        return self._waiting.is_wanted(one) and (self._node_runs.is_needed(run) or bool(again and node in useful))
