"""The scheduler: events in, effects out."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from tui_lab.engine.core.agent_events import AgentEventHandler
from tui_lab.engine.core.demand import missing
from tui_lab.engine.core.effects import DropOutputs, Effect, Stopped
from tui_lab.engine.core.events import (
    AgentMessages,
    AllocationEnded,
    AssignRefused,
    DeadlineMoved,
    DiskFree,
    DiskFull,
    DrainRequested,
    Event,
    Extension,
    InputsGone,
    LatencyMeasured,
    NodeAdded,
    NodeDisconnected,
    NodeDrained,
    NodeRemoved,
    NodeRetried,
    NodeWelcomed,
    OutputsBlocked,
    OutputsFetched,
    PauseRequested,
    PoolAdded,
    PoolDrained,
    PoolSurveyed,
    PriorityRequested,
    Recorded,
    RunBegun,
    RunFailed,
    RunLoaded,
    RunRemoved,
    SlotsSet,
    Staged,
    StartSent,
    StartsRefused,
    StopRequested,
    Tick,
    UnstartedAbandoned,
    Woken,
)
from tui_lab.engine.core.model import Moment
from tui_lab.engine.core.node import LOST_AFTER, NodeState
from tui_lab.engine.core.planner import UNREACHABLE, Planner
from tui_lab.engine.core.pools import PoolState, home_of
from tui_lab.engine.core.run import NODE_LOST, RunState
from tui_lab.engine.core.state import SchedulerState
from tui_lab.protocol.agent import AbandonUnstarted, Deadline, Slots, WireKey
from tui_lab.store import ranges
from tui_lab.store.events import Cleaned, Drained, NodesChanged, Paused, Prioritized

log = logging.getLogger(__name__)

TICK: Final = 1.0  # seconds between ticks
ASLEEP: Final = 5.0  # seconds between two ticks, from which on they don't count against nodes
SUPPLIED_IN: Final = 10.0  # seconds within which a client resumes what an earlier engine left, if there is one


class Scheduler:
    """Decides which task runs on which node, what its end means, and when a run is over.

    Public attributes are for reading. Events of unknown experiments or nodes are ignored.
    """

    def __init__(self, now: Moment) -> None:
        self._state = SchedulerState()
        self._planner = Planner(self._state)
        self._agents = AgentEventHandler(self._state, self._planner)
        self._begun = self._ticked = now.monotonic
        self._arrivals = 0
        self.runs = self._state.runs
        self.nodes = self._state.nodes
        self.pools = self._state.pools
        self.active = self._state.active

    def handle(self, event: Event, now: Moment) -> list[Effect]:
        """Take an event; return its effects, in order."""
        self._state.now = now
        match event:
            case Woken():
                self._state.woken_at = float("inf")
                self._state.plan_wanted = False
                self._planner.plan()
            case Tick():
                self._on_tick()
            case OutputsFetched(arrivals=arrivals):
                self._agents.on_fetched(arrivals)
            case OutputsBlocked(blocked=blocked):
                self._state.outputs_blocked = blocked
                self._state.plan()
            case UnstartedAbandoned():
                self._abandon_unstarted()
            case RunLoaded(experiment=name, state=state, settings=settings):
                self._on_run_loaded(RunState(name, state, settings))
            case NodeAdded():
                self._on_node_added(event)
            case PoolAdded(pool=name, slots=slots, resources=resources):
                pool = self._state.pools.setdefault(name, PoolState(name))
                pool.wanted_slots, pool.resources = slots, resources
            case PoolSurveyed(pool=name) | PoolDrained(pool=name):
                if name in self.pools:
                    self._on_pool_event(self.pools[name], event)
            case (
                AgentMessages(node=name)
                | AllocationEnded(node=name)
                | DeadlineMoved(node=name)
                | NodeWelcomed(node=name)
                | NodeDisconnected(node=name)
                | NodeRemoved(node=name)
                | NodeRetried(node=name)
                | SlotsSet(node=name)
                | NodeDrained(node=name)
                | LatencyMeasured(node=name)
            ):
                node = self.nodes.get(name)
                if node is not None:
                    self._on_node_event(node, event)
            case _:
                run = self.runs.get(event.experiment)
                if run is not None:
                    self._on_run_event(run, event)
        self._touch(event)
        return self._state.drained_effects()

    def _touch(self, event: Event) -> None:
        """Have the next plan look at the node that an event is about, or at all."""
        match event:
            case Woken() | OutputsFetched() | StartSent():
                pass
            case (
                AgentMessages(node=name)
                | AllocationEnded(node=name)
                | AssignRefused(node=name)
                | DeadlineMoved(node=name)
                | InputsGone(node=name)
                | LatencyMeasured(node=name)
                | NodeAdded(node=name)
                | NodeDisconnected(node=name)
                | NodeDrained(node=name)
                | NodeRemoved(node=name)
                | NodeRetried(node=name)
                | NodeWelcomed(node=name)
                | SlotsSet(node=name)
                | Staged(node=name)
                | StartsRefused(node=name)
            ):
                self._state.touch(name)
            case _:
                self._state.touch_all()

    # --- Questions

    def run_of(self, wire_name: str) -> RunState | None:
        """Return the run with this name on the wire; None if its folder is gone."""
        return self._state.run_of(wire_name)

    def nodes_of(self, run: RunState) -> list[NodeState]:
        """Return the nodes of a run's newest submission."""
        return self._state.nodes_of(run)

    def is_open(self, key: WireKey, node: str) -> bool:
        """Return whether an attempt is assigned to a node and has not ended."""
        run = self.run_of(key[0])
        if run is None or run.in_flight.get(key[1:]) != node or node not in self.nodes:
            return False
        return key in self.nodes[node].open

    def is_stopping(self, key: WireKey) -> bool:
        """Return whether an attempt is to be stopped."""
        run = self.run_of(key[0])
        return run is not None and key[1:] in run.stopping

    def uses(self, node: str) -> bool:
        """Return whether an active run needs a node."""
        home = home_of(self.nodes[node]) if node in self.nodes else node
        return any(run.in_flight.uses(node) for run in self.runs.values()) or any(
            home in self.runs[name].homes for name in self.active
        )

    def missing(self, pool: str, most: int, *, settling: bool) -> int:
        """Return how many nodes of a pool would have work besides those that are up, at most so many. settling: nodes
        that entries name may still be about to connect."""
        return missing(self._state, self.pools[pool], most, settling=settling)

    def is_of_no_use(self, node: NodeState, now: float) -> bool:
        """Return whether tasks wait, and a node can't take any of them: it ends too soon, or failed. now: monotonic."""
        home = home_of(node)
        runs = [run for name in self.active if home in (run := self.runs[name]).homes]
        waiting = [run for run in runs if run.order and not run.held]
        return bool(waiting) and not any(run.has_use_for(node, now) for run in waiting)

    def working(self) -> set[str]:
        """Return the nodes that have attempts."""
        return {name for run in self.runs.values() for name in run.in_flight.nodes}

    def busy(self, now: Moment) -> bool:
        """Return whether there is work, or will be."""
        return bool(self.active) or any(
            run.disk_full
            or any(
                self.nodes[name].failing_for(now.monotonic) < UNREACHABLE
                for name in run.in_flight.nodes
                if name in self.nodes
            )
            for run in self.runs.values()
        )

    def lost_in(self, node: NodeState, now: Moment) -> float:
        """Return the seconds until a node that is away becomes lost. If all nodes are away at once, the cause is
        probably this machine, and they have twice the time."""
        return node.lost_after * self._patience() - node.failing_for(now.monotonic)

    def _patience(self) -> int:
        far = any(one.remote for one in self.nodes.values())
        return 1 if any(not one.away for one in self.nodes.values() if one.remote or not far) else 2

    # --- Experiments

    def _on_run_loaded(self, run: RunState) -> None:
        run.needs.sharing = lambda: (one.needs for one in self._state.active_runs())
        self.runs[run.name] = run
        run.needs.hold_open_tokens()

    def _on_run_event(self, run: RunState, event: Event) -> None:
        state, now = self._state, self._state.now
        match event:
            case Recorded(events=events):
                for one in events:
                    run.state.apply(one)
                    if isinstance(one, NodesChanged):
                        for name in one.released:
                            run.health.forget(name)
                state.record(run, run.on_recorded(events, now))
                state.plan()
            case RunBegun():
                self._on_begun(run, event)
            case PauseRequested():
                if run.state.paused is None:
                    state.record(run, [Paused(now.at(), "asked", run.failures.failed)])
                self._planner.take_back(run)
                state.plan()
            case DrainRequested():
                self._drain(run)
            case PriorityRequested(priority=priority):
                if priority != run.priority:
                    state.record(run, [Prioritized(now.at(), priority)])
                    self._planner.make_way()
                    state.plan()
            case StopRequested(tasks=tasks, interrupt=interrupt):
                self._stop(run, tasks, interrupt)
            case RunFailed(message=message):
                run.extending = False
                self._planner.fail(run, message)
            case RunRemoved():
                self._on_removed(run)
            case Extension(tasks=further, note=note):
                self._planner.on_extension(run, further, note)
            case DiskFull():
                run.disk_full = True
            case DiskFree():
                run.disk_full = False
                state.plan()
            case AssignRefused(node=name, keys=keys):
                self._planner.on_assign_refused(run, self.nodes.get(name), keys)
                state.plan()
            case StartSent(node=name, key=key):
                if key in run.stopping and name in self.nodes:
                    state.stop(run, self.nodes[name], key)
            case StartsRefused(node=name, attempts=attempts):
                for key, message in attempts:
                    if name in self.nodes:
                        self.nodes[name].open.pop((run.wire_name, *key), None)
                    if key in run.in_flight:
                        state.record(run, [run.failed_to_start(key, message, now)])
                self._planner.handle_failures(run)
                state.plan()
            case InputsGone(node=name, key=key, runs=runs):
                if name in self.nodes:
                    self.nodes[name].open.pop((run.wire_name, *key), None)
                if key in run.in_flight:
                    state.record(run, [Cleaned(now.at(), ranges.to_ranges(runs))])  # so they run again
                    state.record(run, run.returned([key], now))
                state.plan()
            case Staged(node=name, submission=submission):
                self._on_staged(run, self.nodes.get(name), submission)
            case _:
                raise TypeError(f"{event!r} is no event of an experiment")

    def _on_begun(self, run: RunState, event: RunBegun) -> None:
        state = self._state
        run.settings = event.settings
        if event.fresh:
            run.reset_health()
        run.queue_up()
        self._arrivals += 1
        run.supplied, run.arrival = True, self._arrivals
        state.record(run, run.cancel_interrupts({node.name for node in self.nodes.values() if node.ready}, state.now))
        state.record(run, run.settle_dependencies(state.now, again=event.again))
        state.record(run, run.settle_node_runs(state.now, again=event.again))
        drained = [] if run.state.placement is None else run.state.placement.drained
        for pool in state.pools_of(run):
            pool.drained = pool.name in drained
        for node in state.nodes_of(run):
            node.drained = home_of(node) in drained
            self._planner.count_needs(run, node)
            self._planner.send_contexts(run, node)
        self.active.add(run.name)
        state.plan()

    def _drain(self, run: RunState) -> None:
        state = self._state
        if not run.state.drained:
            state.record(run, [Drained(state.now.at())])
        self._planner.take_back(run)
        if run.state.ended is None:
            self.active.add(run.name)
        state.plan()

    def _stop(self, run: RunState, tasks: frozenset[int] | None, interrupt: bool) -> None:
        state = self._state
        count = 0
        if interrupt:
            self._drain(run)
        else:
            waiting = run.stop_waiting(tasks, state.now)
            if waiting is not None:
                state.record(run, [waiting])
                # Runs of stages count where they are named.
                count += sum(tasks is not None or run.state.stage(one) is None for one in ranges.each(waiting.tasks))
        keys, events = run.stop_open(tasks, "interrupted" if interrupt else "stopped", state.now)
        state.record(run, events)
        for key in keys:
            node = self.nodes.get(run.in_flight[key])
            if node is not None:
                state.stop(run, node, key)
        count += sum(tasks is not None or run.state.stage(key[0]) is None for key in keys)
        state.emit(Stopped(count))
        state.plan()

    def _on_removed(self, run: RunState) -> None:
        """Stop the tasks of an experiment whose folder was removed."""
        log.warning("%s: its journal was removed; its tasks are stopped", run.name)
        for key, name in run.in_flight.items():
            if name in self.nodes:
                self._state.end_unwanted(self.nodes[name], (run.wire_name, *key))
        self._state.forget_run(run)

    def _on_staged(self, run: RunState, node: NodeState | None, submission: int) -> None:
        if node is not None and node.ready:
            node.staging.discard((run.wire_name, submission))
            node.staged.add((run.wire_name, submission))
            self._planner.send_contexts(run, node)
            self._state.plan()

    def _abandon_unstarted(self) -> None:
        """Give up attempts of an earlier engine that have not started: no client has supplied their environment."""
        for run in self.runs.values():
            if not run.supplied and run.in_flight:
                submissions = {run.state.columns["submission"][task] for task, _ in run.in_flight}
                contexts = [f"{run.wire_name}/{number}" for number in sorted(submissions)]
                contexts += [f"{context}:{stage}" for context in contexts for stage in run.state.stages]
                for node in self.nodes.values():
                    self._state.send(node, AbandonUnstarted(contexts))

    # --- Nodes

    def _on_node_added(self, event: NodeAdded) -> None:
        node = self.nodes.get(event.node)
        if node is None:
            node = NodeState(event.node, remote=event.remote, slots=event.slots, pool=event.pool)
            self.nodes[event.node] = node
            if node.pool:
                pool = self.pools.setdefault(node.pool, PoolState(node.pool))
                pool.nodes[node.name], node.drained = node, pool.drained
        node.wanted_slots = event.slots
        node.ahead, node.ahead_seconds = event.ahead, event.ahead_seconds
        node.lost_after = LOST_AFTER if event.lost_after is None else event.lost_after

    def _on_node_event(self, node: NodeState, event: Event) -> None:
        state, now = self._state, self._state.now.monotonic
        match event:
            case AgentMessages():
                self._agents.on_messages(node, event)
            case NodeWelcomed():
                unsupplied = self._agents.on_welcome(node, event)
                if node.pool in self.pools:
                    self.pools[node.pool].note_offer(node)
                if node.wanted_slots and node.wanted_slots != node.slots:
                    self._set_slots(node, node.wanted_slots)  # they were changed since `hello`
                if node.ends_at is not None:  # it may have moved since then, too
                    state.send(node, Deadline(max(0.0, node.ends_at - now), node.ends_for or None))
                if unsupplied and now - self._begun > SUPPLIED_IN:
                    self._abandon_unstarted()
            case NodeDisconnected(why=why, fatal=fatal, silent=silent, tries=tries):
                node.on_disconnected(why, fatal=fatal, silent=silent, tries=tries, now=now)
                self._check_nodes([node])
                state.plan()
            case NodeRemoved():
                del self.nodes[node.name]
                if node.pool in self.pools:
                    self.pools[node.pool].nodes.pop(node.name, None)
            case AllocationEnded(reason=reason):
                node.ready = False
                self._lose(node, reason)
            case DeadlineMoved(ends_in=ends_in, reason=reason):
                if node.move_deadline(ends_in, now, reason):
                    state.send(node, Deadline(ends_in, node.ends_for or None))
                    if node.pool in self.pools:
                        self.pools[node.pool].set_whole(node)
                    state.plan()
            case NodeRetried():
                node.on_retried()
            case SlotsSet(slots=slots):
                self._set_slots(node, slots)
                state.plan()
            case NodeDrained(drained=drained):
                self._drain_node(node, drained)
                state.plan()
            case LatencyMeasured(seconds=seconds):
                node.latency = seconds
            case _:
                raise TypeError(f"{event!r} is no event of a node")

    def _drain_node(self, node: NodeState, drained: bool) -> None:
        node.drained = drained
        if drained:
            for run in self.runs.values():
                self._planner.take_back(run, node.name)

    def _on_pool_event(self, pool: PoolState, event: PoolSurveyed | PoolDrained) -> None:
        match event:
            case PoolSurveyed(hopeless=hopeless, walltime=walltime, limits=limits, as_needed=as_needed):
                pool.hopeless, pool.walltime, pool.limits, pool.as_needed = hopeless, walltime, limits, as_needed
                self._check_nodes(pool.nodes.values())
            case PoolDrained(drained=drained):
                pool.drained = drained
                for node in pool.nodes.values():
                    self._drain_node(node, drained)
        self._state.plan()

    def _set_slots(self, node: NodeState, slots: int) -> None:
        node.slots = node.wanted_slots = slots
        self._state.send(node, Slots(slots))

    # --- Time

    def _on_tick(self) -> None:
        now = self._state.now.monotonic
        passed, self._ticked = now - self._ticked, now
        if passed > ASLEEP:
            for node in self.nodes.values():
                node.discount_pause(passed - TICK, now)
        self._check_nodes(self.nodes.values())
        if any(self.runs[name].roster.owes for name in self.active):
            self._state.plan()

    def _check_nodes(self, nodes: Iterable[NodeState]) -> None:
        """Find out which of these nodes are lost, and the runs that have no node left."""
        now = self._state.now.monotonic
        away = [node for node in nodes if node.away and not node.lost]
        patience = self._patience() if away else 1
        for node in away:
            if node.failing_for(now) > node.lost_after * patience:
                self._lose(node)
        for name in sorted(self.active):
            why = self._planner.why_stuck(self.runs[name])
            if why:
                self._planner.give_up(self.runs[name], "no_node", why)

    def _lose(self, node: NodeState, reason: str = NODE_LOST) -> None:
        """Run the open attempts of a lost node elsewhere."""
        node.lost = True
        self._state.emit(DropOutputs(node.name))
        for run in self.runs.values():
            self._state.record(run, run.lose(node.name, self._state.now, reason))
        self._state.plan()
