"""What the parts of the scheduler share: the runs, the nodes, and the effects of the event that is being handled."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from tui_lab.engine.core.effects import Acknowledge, Commit, Discard, DropCopy, Effect, Send, WakeAt
from tui_lab.engine.core.model import AttemptKey, Moment
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.pools import PoolState
from tui_lab.engine.core.run import RunState
from tui_lab.protocol.agent import Stop, ToAgent, WireKey
from tui_lab.store.events import KnownEvent, OutputsDiscarded
from tui_lab.store.fold import RUNNING

log = logging.getLogger(__name__)


class SchedulerState:
    """Changes only while an event is handled. What must outlive the engine is recorded."""

    def __init__(self) -> None:
        self.runs: dict[str, RunState] = {}
        self.nodes: dict[str, NodeState] = {}
        self.pools: dict[str, PoolState] = {}
        self.active: set[str] = set()  # experiments with a run that has not ended
        self.outputs_blocked = False  # the disk has no room for outputs that are fetched
        self.now = Moment(0.0, 0.0)  # of the event that is being handled
        self.effects: list[Effect] = []
        self.acknowledged: list[Acknowledge] = []  # they follow the other effects
        self.plan_wanted = False
        self.woken_at = float("inf")  # what the last `WakeAt` said
        self._by_wire_name: dict[str, RunState] = {}

    # --- Questions

    def run_of(self, wire_name: str) -> RunState | None:
        """Return the run with this name on the wire; None if its folder is gone."""
        run = self._by_wire_name.get(wire_name)
        if run is None:
            run = self.runs.get(wire_name.partition("@")[0])
            if run is None or run.wire_name != wire_name:
                return None
            self._by_wire_name[wire_name] = run
        return run

    def nodes_of(self, run: RunState) -> list[NodeState]:
        """Return the nodes of a run's newest submission, also those that its pools were granted."""
        found: list[NodeState] = []
        for name in run.node_names:
            if name in self.pools:
                found += self.pools[name].nodes.values()
            elif name in self.nodes:
                found.append(self.nodes[name])
        return found

    def pools_of(self, run: RunState) -> list[PoolState]:
        """Return the pools of a run's newest submission."""
        return [self.pools[name] for name in run.node_names if name in self.pools] if self.pools else []

    def hopes(self, run: RunState) -> list[PoolState]:
        """Return those of them that may grant another node."""
        return [pool for pool in self.pools_of(run) if pool.has_hope]

    def active_runs(self) -> list[RunState]:
        """Return the runs that have attempts, or will have: they share tokens."""
        return [run for run in self.runs.values() if run.in_flight or run.name in self.active]

    def in_order(self) -> list[RunState]:
        """Return the active runs, those that go first before the others."""
        runs = (run for run in self.runs.values() if run.name in self.active)
        return sorted(runs, key=lambda run: (-run.priority, run.arrival))

    def unstarted(self, run: RunState, node: NodeState) -> list[AttemptKey]:
        """Return the attempts of a run that a node has and has not reported as started."""
        states = run.state.columns["state"]
        return [key for key in run.in_flight.on(node.name) if states[key[0]] != RUNNING]

    # --- What is done

    def emit(self, effect: Effect) -> None:
        """Add an effect."""
        self.effects.append(effect)

    def send(self, node: NodeState, message: ToAgent) -> None:
        """Send a message to an agent, if it is connected."""
        if node.ready:
            self.effects.append(Send(node.name, message))

    def record(self, run: RunState, events: Iterable[KnownEvent]) -> None:
        """Apply events to a run, and commit them."""
        events = list(events)
        if not events:
            return
        for event in events:
            run.state.apply(event)
        last = self.effects[-1] if self.effects else None
        if isinstance(last, Commit) and last.experiment == run.name:
            last.events.extend(events)
        else:
            self.effects.append(Commit(run.name, events))
        for event in events:
            if isinstance(event, OutputsDiscarded):
                self.emit(Discard(run.name, event.runs))
        self.record(run, run.on_recorded(events, self.now))
        for one, node in run.dropped_copies(events, self._shares):
            self.emit(DropCopy(run.name, node, one))

    def _shares(self, node: str) -> bool:
        return node not in self.nodes or self.nodes[node].shared

    def acknowledge(
        self, run: RunState, node: NodeState, key: AttemptKey, stay: list[str], *, kept: bool = False
    ) -> None:
        """Let an agent forget an attempt, once its event is durable. stay: files that it must not remove. kept: they
        are all of its outputs."""
        self.acknowledged.append(Acknowledge(run.name, node.name, key, stay, kept))

    def stop(self, run: RunState, node: NodeState, key: AttemptKey) -> None:
        """Send the message that stops an attempt, with the recorded reason."""
        self.send(node, Stop((run.wire_name, *key), run.stopping[key], run.grace))

    def end_unwanted(self, node: NodeState, key: WireKey, grace: float = 1.0) -> None:
        """Stop an attempt whose result is not needed."""
        self.send(node, Stop(key, "interrupted", grace))

    def forget_run(self, run: RunState) -> None:
        """Drop an experiment."""
        self.runs.pop(run.name, None)
        self._by_wire_name.pop(run.wire_name, None)
        self.active.discard(run.name)

    def touch(self, node: str) -> None:
        """Something of a node has changed that plans look at."""
        for name in self.active:
            self.runs[name].roster.touch(node)

    def touch_all(self) -> None:
        """Have the next plan look at all nodes."""
        for name in self.active:
            self.runs[name].roster.stale = True

    def plan(self) -> None:
        """Plan after the events that have arrived so far."""
        self.plan_wanted = True

    def drained_effects(self) -> list[Effect]:
        """Return all effects of the event, in order."""
        due = [moment for name in self.active for moment in self.runs[name].due(self.now)]
        if self.plan_wanted:
            due.append(self.now.monotonic)
        moment = min(due, default=float("inf"))
        if moment < self.woken_at:
            self.woken_at = moment
            self.effects.append(WakeAt(moment))
        found = [*self.effects, *self.acknowledged] if self.acknowledged else self.effects
        self.effects, self.acknowledged = [], []
        return found


def isolated(
    state: SchedulerState, run: RunState, call: Callable[[RunState], None], on_failure: Callable[[RunState, str], None]
) -> None:
    """Call a function for one run. An error ends that run, and no other."""
    try:
        call(run)
    except Exception as error:
        log.exception("%s", run.name)
        on_failure(run, f"the scheduler failed: {error!r}; engine.log says where")
