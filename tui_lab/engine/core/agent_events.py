"""Messages of agents, and what follows from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tui_lab.engine.core.effects import Fetch
from tui_lab.engine.core.ends import finished_event
from tui_lab.engine.core.events import AgentMessages, FetchedAttempt, NodeWelcomed
from tui_lab.engine.core.model import AttemptKey
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.planner import Planner
from tui_lab.engine.core.run import RunState
from tui_lab.engine.core.state import SchedulerState, isolated
from tui_lab.protocol.agent import Ack, Ending, Finished, OutputFile, Returned, Setup, Started, StepEnded, WireKey
from tui_lab.store.events import KnownEvent

QUIET: Final = 1.0  # seconds before a node that had nothing to return is asked again


class AgentEventHandler:
    """Settles open attempts after a handshake, and records what happens on nodes."""

    def __init__(self, state: SchedulerState, planner: Planner) -> None:
        self._state = state
        self._planner = planner

    # --- After a handshake

    def on_welcome(self, node: NodeState, event: NodeWelcomed) -> bool:
        """Settle every attempt that is open on a node: known to the agent, never arrived there, or lost. Return whether
        some wait for an environment that no client has supplied."""
        state = self._state
        node.on_welcome(event.welcome, event.memory, state.now.monotonic, event.resources)
        known = {(name, task, attempt) for name, task, attempt in event.welcome.open}
        for wire_key in sorted(known):
            run, key = self._of(node, wire_key)
            if run is not None:
                run.first_free = max(run.first_free, key[0] + 1)
            if run is not None and key in run.in_flight:
                continue
            reclaimed = [] if run is None else run.reclaim(key, node.name, state.now)
            if run is not None and reclaimed:
                state.record(run, reclaimed)
            else:
                # Not needed: its experiment is gone, or it was lost and ran elsewhere. If it has ended, its end comes
                # next, and may still be the first result.
                state.end_unwanted(node, wire_key)
        for run in list(state.runs.values()):
            isolated(state, run, lambda one: self._settle(one, node, known), self._planner.fail)
        state.plan()
        return any(not run.supplied and run.in_flight for run in state.runs.values())

    def _settle(self, run: RunState, node: NodeState, known: set[WireKey]) -> None:
        state = self._state
        same_spool = run.state.spools.get(node.name) == node.spool
        events: list[KnownEvent] = []
        for key in run.in_flight.on(node.name):
            wire_key = (run.wire_name, *key)
            if wire_key in known:
                node.open[wire_key] = run.needs.of_node(key) if run.supplied else {}
                self._planner.send_context(run, node, run.state.columns["submission"][key[0]])
                if key in run.stopping:
                    state.stop(run, node, key)
                elif run.state.has_result(key[0]):
                    state.end_unwanted(node, wire_key)  # another attempt was the first
            elif same_spool:
                events += run.returned([key], state.now)  # it never arrived
            else:
                events.append(run.lost(key, state.now))
        state.record(run, events)

    # --- Messages

    def on_messages(self, node: NodeState, event: AgentMessages) -> None:
        """Record the messages; they are acknowledged once that is durable."""
        state = self._state
        ended: dict[str, RunState] = {}
        durations: list[float] = []
        for message in event.messages:
            match message:
                case Started():
                    self._on_started(node, message, event.changed)
                    self._note_left(node)
                case StepEnded(key=wire_key):
                    run, key = self._of(node, wire_key)
                    if run is not None and key in run.in_flight:
                        state.record(run, run.step_ended(key, message, state.now))
                case Finished():
                    durations.append(message.duration or 0.0)
                    node.open.pop(message.key, None)
                    run = self._on_finished(node, message)
                    if run is not None:
                        ended[run.name] = run
                case Returned(keys=keys):
                    self._on_returned(node, keys)
                case Ending():
                    node.ending = True  # it gives back by itself what has not begun
                case Setup(running_for=running_for):
                    node.on_setup(running_for, state.now.monotonic)
                case _:
                    pass  # shown only: nothing to decide
        if durations:
            node.measure(durations, state.now.monotonic)
        self._handle_failures(ended.values())

    def _handle_failures(self, ended: Iterable[RunState]) -> None:
        for run in ended:
            isolated(self._state, run, self._planner.handle_failures, self._planner.fail)
        self._state.plan()

    def _of(self, node: NodeState | None, wire_key: WireKey) -> tuple[RunState | None, AttemptKey]:
        """Return the run of an attempt; None where it is gone, or where the id is that of a run of another node: the
        machine went down before the disk had what this node was given."""
        name, task, attempt = wire_key
        run = self._state.run_of(name)
        if run is not None and node is not None and run.node_runs.node_of(task) not in (None, node.name):
            run = None
        return run, (task, attempt)

    def _on_started(self, node: NodeState, message: Started, changed: Mapping[WireKey, str]) -> None:
        run, key = self._of(node, message.key)
        if run is not None and key in run.in_flight:
            self._state.record(run, [run.started(key, message.ago, self._state.now, message.first_step)])
            if message.key in changed:
                run.changed[key] = changed[message.key]

    def _note_left(self, node: NodeState) -> None:
        """The setup of a node is done: it shows how much of its time tasks have."""
        if node.pool in self._state.pools and not node.measured:
            self._state.pools[node.pool].note_left(node, self._state.now.monotonic, measured=True)

    def _on_returned(self, node: NodeState, keys: Sequence[WireKey]) -> None:
        some = False
        for wire_key in keys:
            node.open.pop(wire_key, None)
            run, key = self._of(node, wire_key)
            if run is not None and key in run.in_flight:
                run.times.now = self._state.now.monotonic
                if not run.times.fits(key, node):
                    self._note_left(node)
                self._state.record(run, run.returned([key], self._state.now))
                some = True
        node.no_return_before = 0.0 if some else self._state.now.monotonic + QUIET

    def _on_finished(self, node: NodeState, message: Finished) -> RunState | None:
        """Record the end of an attempt, or fetch its files first. Return its run if it was recorded."""
        run, key = self._of(node, message.key)
        if run is None:
            self._state.send(node, Ack([message.key]))  # of an experiment that is gone
            return None
        home = message.files or (message.folder is not None and message.folder_link is not None)
        if home and (key in run.in_flight or run.late_result_counts(key, message.state)):
            self._state.emit(Fetch(run.name, node.name, message))
            return None
        self._record_end(run, node, key, message)
        return run

    def on_fetched(self, arrivals: Sequence[FetchedAttempt]) -> None:
        """Record the ends of attempts whose files are here and durable."""
        state = self._state
        ended: dict[str, RunState] = {}
        for one in arrivals:
            node = state.nodes.get(one.node)
            run, key = self._of(node, one.message.key)
            if run is not None:  # else its folder has gone meanwhile
                self._record_end(run, node, key, one.message, one.not_fetched, one.trouble)
                ended[run.name] = run
        self._handle_failures(ended.values())

    def _record_end(
        self,
        run: RunState,
        node: NodeState | None,
        key: AttemptKey,
        message: Finished,
        not_fetched: Sequence[OutputFile] = (),
        trouble: str = "",
    ) -> None:
        state = self._state
        if node is not None:
            stay = [one["name"] for one in not_fetched]
            kept = bool(message.files) and message.state == "done" and key in run.in_flight and run.keeps_copy(key[0])
            if kept and not node.shared:
                stay = [one["name"] for one in message.files or ()]
            state.acknowledge(run, node, key, stay, kept=kept and not node.shared)
        if key in run.in_flight:
            event = finished_event(key, message, state.now, not_fetched, trouble)
            state.record(run, [run.finished(key, event, state.now)])
        elif run.late_result_counts(key, message.state):
            state.record(run, [run.done(finished_event(key, message, state.now, not_fetched, trouble, late=True))])
            replaced = run.replaced(key[0])
            other = None if replaced is None else state.nodes.get(run.in_flight[replaced])
            if replaced is not None and other is not None:
                state.end_unwanted(other, (run.wire_name, *replaced))
