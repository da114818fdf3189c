"""One experiment as the scheduler sees it: what its commands, and the ends of its attempts, lead to."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final

import numpy as np
from msgspec import structs

from tui_lab.engine.core.dependencies import Dependencies
from tui_lab.engine.core.ends import ended_event
from tui_lab.engine.core.failures import RunFailures
from tui_lab.engine.core.hand_out import HandOut
from tui_lab.engine.core.health import NodeHealth
from tui_lab.engine.core.lanes import Lanes
from tui_lab.engine.core.model import AttemptKey, Moment, RunSettings
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.node_runs import NodeRuns
from tui_lab.engine.core.open_attempts import OpenAttempts
from tui_lab.engine.core.pools import PoolState
from tui_lab.engine.core.queue import TaskQueue
from tui_lab.engine.core.retries import next_attempt_in
from tui_lab.engine.core.roster import Roster
from tui_lab.engine.core.run_needs import RunNeeds
from tui_lab.engine.core.times import RunTimes
from tui_lab.engine.core.waiting import WaitingTasks, in_order
from tui_lab.protocol.agent import StepEnded as StepMessage
from tui_lab.store import ranges
from tui_lab.store.events import (
    AgentKnown,
    Assigned,
    Cleaned,
    DependencyRevived,
    KnownEvent,
    Paused,
    Quarantined,
    Returned,
    Started,
    StepEnded,
    Stopped,
    Stopping,
    StopReason,
)
from tui_lab.store.events import Finished as AttemptFinished
from tui_lab.store.events import NodeRuns as NodeRunsNeeded
from tui_lab.store.fold import DONE, FAILED, REASONS, STOPPED, State

NODE_LOST: Final = "node-lost"
TRIED: Final = 3  # nodes of a pool on which runs of their own have failed, and no others are waited for
GRACE: Final = 10.0  # seconds between TERM and KILL where the experiment can't be read


class RunState:
    """Decides what the end of an attempt means. Methods return the events of what they decide, and don't apply them."""

    def __init__(self, name: str, state: State, settings: RunSettings | None = None) -> None:
        """settings: None while nothing is requested."""
        self.name = name
        self.state = state
        self.settings = settings
        self.supplied = False  # a client has supplied the environment; without it nothing starts
        self.disk_full = False  # the disk has no room for events
        self.arrival = 0
        self.waiting = WaitingTasks(state)
        self.in_flight = OpenAttempts()
        self.stopping: dict[AttemptKey, str] = {}  # open attempts that are to be stopped -> why
        self.changed: dict[AttemptKey, str] = {}  # open attempts whose program was changed -> the note
        self.failures = RunFailures(state)
        self.extending = False  # the answer to `Extend` is still to come
        self.roster = Roster()
        self.noted = False  # a note of `Extension` was recorded since the newest submission
        self.needs = RunNeeds(state, settings, self.in_flight)
        self.next_start = 0.0  # monotonic: nothing starts before
        self.last_assigned: AttemptKey | None = None  # the attempt that was assigned last, until it starts
        self._entries: object = None  # those of which `_homes` are
        self._homes: frozenset[str] = frozenset()
        self.first_free = 0  # ids before may be in use on a node, though the disk has lost what says so
        self._take_graph(settings or RunSettings(np.array([], dtype=np.int64), np.array([], dtype=np.int64)))
        columns = state.columns
        for task in np.flatnonzero(np.frombuffer(columns["assigned"], dtype=np.int8)).tolist():
            self.in_flight[task, columns["attempts"][task]] = state.nodes[columns["node"][task]]
        self.stopping |= {key: why for key, why in state.stopping.items() if key in self.in_flight}

    def _take_graph(self, settings: RunSettings) -> None:
        """Take up what depends on what."""
        self._dependencies = Dependencies(self.state, settings)
        self.node_runs = NodeRuns(self.state, settings.on_node, settings.before, settings.rounds)
        for one, run in self.node_runs.planned():
            self._dependencies.add(one, settings.before.get(run, ()))
        self._copies = self._dependencies.copies(settings.on_node)
        self.lanes = Lanes(self.state, settings, self.node_runs)
        self.times = RunTimes(self.state, settings)
        self.hand_out = HandOut(
            self.state,
            settings.on_node,
            self.waiting,
            self._dependencies,
            self._copies,
            self.node_runs,
            self.lanes,
            self.needs,
            self.times,
        )

    # --- What the file says

    @property
    def wire_name(self) -> str:
        """The experiment's name on the wire. A later experiment in a folder of the same name gets another one."""
        return f"{self.name}@{self.state.identity[:8]}"

    @property
    def submission(self) -> int:
        """The number of the newest submission."""
        return len(self.state.submissions) - 1

    @property
    def priority(self) -> int:
        """The priority that the user gave last: by command, else by the file of the submission."""
        if self.state.prioritized is not None:
            return self.state.prioritized.priority
        return self.settings.priority if self.settings is not None else 0

    @property
    def stagger(self) -> float:
        """Seconds between two starts."""
        return self.settings.stagger if self.settings is not None else 0.0

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL."""
        return self.settings.grace if self.settings is not None else GRACE

    @property
    def node_names(self) -> list[str]:
        """The nodes of the newest submission."""
        if not self.state.submissions:
            return []
        return [entry["name"] for entry in (self.state.placement or self.state.submissions[-1]).nodes]

    @property
    def homes(self) -> frozenset[str]:
        """The same, to look names up."""
        entries = (self.state.placement or self.state.submissions[-1]).nodes if self.state.submissions else ()
        if entries is not self._entries:
            self._entries, self._homes = entries, frozenset(entry["name"] for entry in entries)
        return self._homes

    # --- What is next

    @property
    def is_choosy(self) -> bool:
        """Whether some nodes can't run some of its tasks, or not at once."""
        return bool(self.stagger or self.needs.matter or self.lanes.matter or self.node_runs)

    @property
    def order(self) -> TaskQueue:
        """The tasks that wait for a node."""
        return self.waiting.order

    @property
    def health(self) -> NodeHealth:
        """How nodes do with its tasks."""
        return self.failures.health

    def queue_up(self) -> None:
        """Queue the requested tasks, in the order that the experiment sets."""
        assert self.settings is not None
        columns = self.state.columns
        wanted = in_order(self.state, self.settings)
        self._take_graph(self.settings)
        on_nodes = [
            one for one, _ in self.node_runs.planned() if columns["queued"][one] and not columns["assigned"][one]
        ]
        ready: Iterable[int] = [*on_nodes, *wanted]
        if self._dependencies:
            ready = filter(self._dependencies.is_ready, ready)
        self.waiting.begin(ready, self.lanes.of if self.lanes.matter else None)
        self.needs.begin(self.settings)
        self.failures.recount(self.submission)

    def on_recorded(self, events: Sequence[KnownEvent], now: Moment) -> list[KnownEvent]:
        """Take up what can run after these events, which have been applied; return the events that follow from them."""
        if not self._dependencies and not self.node_runs:
            return []
        self.node_runs.note(events)
        for event in events:
            for run, one in event.runs if isinstance(event, NodeRunsNeeded) and event.needed else ():
                assert self.settings is not None
                self._dependencies.add(one, self.settings.before.get(run, ()))
                self.order.appendleft(one)
        self.order.extendleft(reversed(self._dependencies.ready_after(events)))
        return self._dependencies.consequences(events, now)

    def settle_dependencies(self, now: Moment, *, again: bool) -> list[KnownEvent]:
        """Return the events with which all is to be run that the requested tasks depend on. again: tasks were requested
        anew."""
        if not self._dependencies or self.settings is None:
            return []
        return self._dependencies.settled(now, again=again)

    def settle_node_runs(self, now: Moment, *, again: bool) -> list[KnownEvent]:
        """Return the events with which runs on nodes are to be run again that requested tasks need: they did not end
        well, or their outputs are gone. again: tasks were requested anew."""
        if not self.node_runs or self.settings is None:
            return []
        states, gone = self.state.columns["state"], self.settings.gone
        lost = [one for one, run in self.node_runs.planned() if one in gone and self.node_runs.is_needed(run)]
        lost = [one for one in lost if states[one] == DONE]
        found: list[KnownEvent] = [Cleaned(now.at(), ranges.to_ranges(lost))] if lost else []
        revived = self.node_runs.to_revive(self.node_names) if again else []
        return [*found, DependencyRevived(now.at(), ranges.to_ranges(sorted(revived)))] if revived else found

    def fail_blocked(self, nodes: Sequence[NodeState], hopes: Sequence[PoolState], now: Moment) -> list[KnownEvent]:
        """Return the events of what can't run: runs that it needs have failed on all of these nodes to which it may go.
        hopes: pools that may grant another, which counts while they have failed on few."""
        attempts = self.state.columns["attempts"]
        pools = [pool for pool in hopes if self.node_runs.failures_in(pool.name) < TRIED]

        def ways(one: int) -> list[str]:
            key = (one, attempts[one] + 1)
            mine = (node for node in nodes if self.lanes.may_go(one, node))
            found = [n.name for n in mine if not (n.resources and self.needs.why_impossible(key, n.resources))]
            return [*found, *(pool.name for pool in pools if self.lanes.may_go_to(one, pool.name))]

        found = self.node_runs.blocked(ways)
        if not found:
            return []
        return self._dependencies.blocked(found, STOPPED if set(found.values()) == {STOPPED} else FAILED, now)

    def has_use_for(self, node: NodeState, now: float) -> bool:
        """Return whether a node may take some of the tasks that wait, as far as its time and its failures go. now:
        monotonic."""
        if node.name in self.state.quarantined or self.node_runs.has_failed(node.name):
            return False
        return node.ends_at is None or self.times.shortest(self.order).fits(node, now)

    def queue_due_retries(self, now: Moment) -> None:
        """Put retries that are due at the head of the queue."""
        self.waiting.queue_due_retries(now)
        if not self.in_flight and not self.disk_full:
            self.waiting.drop_ended()

    def keeps_copy(self, one: int) -> bool:
        """Return whether a node is to keep the outputs of a run of a stage, for something after it may run there."""
        return self._copies.needed(one)

    def dropped_copies(self, events: Sequence[KnownEvent], shares: Callable[[str], bool]) -> list[tuple[int, str]]:
        """Return the runs, and nodes, whose copy of the outputs nothing needs any more after these events. shares:
        whether a node sees the lab's folder."""
        if not self._dependencies:
            return []
        ended = [event.task for event in events if isinstance(event, AttemptFinished)]
        return self._copies.dropped(ended, shares)

    def put_back(self, keys: Iterable[AttemptKey]) -> None:
        """Put attempts that were handed out, or that had not begun, back at the head of the queue."""
        for key in reversed(list(keys)):
            self.needs.drop_tokens(key)
            self.order.appendleft(key[0])

    def assigned(self, keys: list[AttemptKey], node: str, spool: str, now: Moment) -> list[KnownEvent]:
        """Assign attempts to a node; return the events to write ahead. spool: identity of the agent's ledger; an agent
        with another one does not know these attempts."""
        events: list[KnownEvent] = [Assigned(now.at(), node, keys, self.go_on(keys))]
        if self.state.spools.get(node) != spool:
            events.insert(0, AgentKnown(now.at(), node, spool))
        for key in keys:
            self.in_flight[key] = node
            self._copies.assigned(key[0], node)
        return events

    def go_on(self, keys: Iterable[AttemptKey]) -> list[tuple[int, int]]:
        """Return the attempts that begin at a later step than the first, with that step."""
        go_on = self.state.columns["go_on"]
        return [(task, go_on[task]) for task, _ in keys if go_on[task]]

    def unassign(self, keys: Iterable[AttemptKey]) -> None:
        """Undo `assigned`: it could not be written."""
        kept = [key for key in keys if key in self.in_flight]
        for key in kept:
            del self.in_flight[key]
            self.stopping.pop(key, None)
        self.state.apply(Returned(0.0, kept))
        self.put_back(kept)

    # --- Whether it continues

    @property
    def pause_requested(self) -> bool:
        """Whether it was paused by command: it waits for `resume`, and is not over."""
        return self.state.paused is not None and self.state.paused.reason == "asked"

    @property
    def held(self) -> bool:
        """Whether nothing new may start."""
        return self.state.drained or self.state.paused is not None or not self.supplied or self.disk_full

    @property
    def over(self) -> bool:
        """Whether nothing is open, and nothing will start."""
        if self.in_flight or self.disk_full:
            return False
        if self.pause_requested and not self.state.drained and self.supplied:
            return not self.waiting
        return self.held or not self.waiting

    def may_start(self, now: Moment) -> bool:
        """Return whether `stagger` allows a start now. Not while the last one is unreported: its node may run setup
        lines, or wait for room."""
        return self.last_assigned not in self.in_flight and now.monotonic >= self.next_start

    def due(self, now: Moment) -> list[float]:
        """Return when retries and staggered starts are due, in monotonic seconds."""
        if self.held:
            return []
        staggered = self.stagger and self.order and self.next_start > now.monotonic
        later = self.waiting.later
        return [*([later[0][0]] if later else []), *([self.next_start] if staggered else [])]

    # --- Commands

    def stop_open(
        self, tasks: Container[int] | None, why: StopReason, now: Moment
    ) -> tuple[list[AttemptKey], list[KnownEvent]]:
        """Mark open attempts as to be stopped, all or those of some tasks. Return them, and the event: a node may be
        away for longer than this engine lives. `stopped` outweighs `interrupted`."""
        keys = [key for key in self.in_flight if tasks is None or key[0] in tasks]
        new = [key for key in keys if self.stopping.get(key) not in (why, "stopped")]
        self.stopping.update(dict.fromkeys(new, why))
        return keys, [Stopping(now.at(), new, why)] if new else []

    def cancel_interrupts(self, notified: Container[str], now: Moment) -> list[KnownEvent]:
        """Let interrupted attempts continue, because they are requested again; not on nodes that have the message to
        stop them (`notified`)."""
        spared = [
            key for key, why in self.stopping.items() if why == "interrupted" and self.in_flight[key] not in notified
        ]
        for key in spared:
            del self.stopping[key]
        return [Stopping(now.at(), spared, None)] if spared else []

    def stop_waiting(self, tasks: Iterable[int] | None, now: Moment) -> Stopped | None:
        """Stop tasks that are not assigned: all, or some. None where there are none."""
        columns = self.state.columns
        candidates: Iterable[int] = range(self.state.size) if tasks is None else sorted(tasks)
        waiting = [
            task
            for task in candidates
            if 0 <= task < self.state.size and columns["queued"][task] and not columns["assigned"][task]
        ]
        if tasks is not None and self._dependencies:
            # In one event: a part of it must not outlive the rest.
            named = {task for task in tasks if task in waiting or self.replaced(task) is not None}
            waiting = sorted({*waiting, *self._dependencies.stopped_with(named)})
        if not waiting:
            return None
        gone = set(waiting)
        self.waiting.keep(lambda task: task not in gone)
        return Stopped(now.at(), ranges.to_ranges(waiting))

    def reset_health(self) -> None:
        """Forget failures of nodes: there is a new submission."""
        self.failures.forget_nodes()
        self.noted = False

    # --- What happens to attempts

    def reclaim(self, key: AttemptKey, node: str, now: Moment) -> list[KnownEvent]:
        """Return the events that take up a lost attempt again: its node is back, and no other attempt has begun. None
        if it is too late, or the run was interrupted meanwhile."""
        columns, (task, attempt) = self.state.columns, key
        if self.state.drained and self.state.ended is not None:
            return []
        if not 0 <= task < self.state.size or columns["assigned"][task] or not columns["queued"][task]:
            return []
        known = columns["attempts"][task]
        # One more than known: the machine went down before `assigned` was durable.
        if self.state.has_result(task) or attempt not in (known, known + 1) or attempt == columns["base"][task]:
            return []
        # Its end is recorded, but the agent has not got the `ack`.
        if attempt == columns["attempt"][task] and REASONS[columns["reason"][task]] != NODE_LOST:
            return []
        self.in_flight[key] = node
        self.needs.hold_tokens(key)
        return [Assigned(now.at(), node, [key])]

    def started(self, key: AttemptKey, ago: float, now: Moment, first_step: int = 0) -> Started:
        """Return the event of an attempt whose first step runs."""
        if self.stagger:
            self.next_start = max(self.next_start, now.monotonic - ago + self.stagger)
            if key == self.last_assigned:
                self.last_assigned = None
        return Started(now.at(ago), *key, first_step)

    def step_ended(self, key: AttemptKey, message: StepMessage, now: Moment) -> list[KnownEvent]:
        """Return the event of a step that ended well; none where it is known already."""
        if message.step != self.state.columns["go_on"][key[0]]:
            return []
        at = now.at(message.ago)
        return [StepEnded(at, *key, message.step, message.exit_code, message.duration, message.end)]

    def returned(self, keys: list[AttemptKey], now: Moment) -> list[KnownEvent]:
        """Return the events of attempts that had not begun: their tasks are queued again, or were stopped."""
        events: list[KnownEvent] = [Returned(now.at(), keys)]
        stopped = [key[0] for key in keys if self.stopping.get(key) == "stopped"]
        if stopped:
            # First, so that the stop is recorded even if the disk loses the rest.
            events.insert(0, Stopped(now.at(), ranges.to_ranges(stopped)))
        for key in keys:
            self.in_flight.pop(key, None)
            self.stopping.pop(key, None)
        self.put_back(keys)
        return events

    def finished(self, key: AttemptKey, event: AttemptFinished, now: Moment) -> AttemptFinished:
        """Return the event of an attempt that ended, with `again` if the task is queued again. event: of
        `finished_event`."""
        task = key[0]
        if changed := self.changed.pop(key, ""):
            event = structs.replace(event, note="; ".join(filter(None, (event.note, changed))))
        wanted = self.stopping.get(key)  # the last command; the agent reports the first
        interrupted = event.reason == "interrupted" and wanted != "stopped"
        if event.reason == "interrupted":
            event = structs.replace(event, reason="stopped")
        elif event.state == "lost" and wanted == "stopped":
            event = structs.replace(event, state="stopped", reason="stopped")  # it does not run again
        elif event.state == "lost":
            interrupted = wanted == "interrupted"
        node = self.in_flight.pop(key, "")
        self.stopping.pop(key, None)
        self.needs.forget(key)
        if self.state.has_result(task):
            return structs.replace(event, duplicate=True)
        again = (
            None if wanted == "stopped" else next_attempt_in(self.state, self.settings, event, interrupted=interrupted)
        )
        if again is not None:
            event = structs.replace(event, again=again)
            self.waiting.retry(task, now.monotonic + again)
        elif event.state == "done":
            event = self.done(event)
            self._copies.made(task, node)
        elif event.state in ("failed", "lost"):
            self.failures.note_failed(task)
        self.times.note(event)
        if node:
            self.failures.health.note(node, task, event.state)
        return event

    def done(self, event: AttemptFinished) -> AttemptFinished:
        """Return the event of an attempt that ended well, which may be late; it is counted."""
        self.failures.done += 1
        return structs.replace(event, waits=self._dependencies.is_waiting_for_others(event.task))

    def failed_to_start(self, key: AttemptKey, message: str, now: Moment) -> AttemptFinished:
        """Return the event of an attempt that can't be started."""
        return self.finished(key, structs.replace(ended_event(key, "failed", "start", now), message=message), now)

    def lost(self, key: AttemptKey, now: Moment, reason: str = NODE_LOST) -> AttemptFinished:
        """Return the event of an attempt whose node is lost, or does not know it any more."""
        return self.finished(key, ended_event(key, "lost", reason, now), now)

    def lose(self, node: str, now: Moment, reason: str = NODE_LOST) -> list[KnownEvent]:
        """Return the events of all attempts that were open on a lost node."""
        return [self.lost(key, now, reason) for key in self.in_flight.on(node)]

    def late_result_counts(self, key: AttemptKey, state: str) -> bool:
        """Return whether the result of a lost attempt counts, because it came before that of its replacement."""
        columns, (task, attempt) = self.state.columns, key
        if state != "done" or not 0 <= task < self.state.size or self.state.has_result(task):
            return False
        return 0 < attempt < columns["attempts"][task] and bool(columns["queued"][task])

    def replaced(self, task: int) -> AttemptKey | None:
        """Return the open attempt of a task, None where there is none."""
        key = (task, self.state.columns["attempts"][task])
        return key if key in self.in_flight else None

    def quarantine(self, now: Moment) -> list[Quarantined]:
        """Quarantine nodes that fail tasks that others complete; their failed tasks are queued again."""
        events: list[Quarantined] = []
        for node, ids in self.failures.health.to_quarantine(self.state.quarantined):
            failed = [one for one in ids if self.node_runs.node_of(one) is None]
            events.append(Quarantined(now.at(), node, ranges.to_ranges(failed)))
            self.failures.forgive(failed)
            self.order.extendleft(reversed(failed))
        return events

    def pause_after_failures(self, now: Moment) -> Paused | None:
        """Return the event that pauses the run if too much has failed."""
        return self.failures.pause(self.settings, now, waiting=bool(self.waiting))

    def counts(self) -> dict[str, int]:
        """Return how many planned tasks are in each state."""
        return self.state.counts_by_name()
