"""One experiment as the scheduler sees it: its settings, its queue, and its attempts."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Container, Hashable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, Literal

import numpy as np
from msgspec import structs

from tui_lab.engine.agent.resources import Resources
from tui_lab.engine.core.dependencies import Dependencies
from tui_lab.engine.core.health import NodeHealth
from tui_lab.engine.core.model import AttemptKey, AttemptNeeds, Moment, RunSettings
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.node_runs import NodeRuns
from tui_lab.engine.core.queue import TaskQueue
from tui_lab.experiment.cluster.tags import fit
from tui_lab.protocol.agent import Finished, Needs, OutputFile
from tui_lab.protocol.agent import StepEnded as StepMessage
from tui_lab.store import ranges
from tui_lab.store.events import (
    AgentKnown,
    Assigned,
    Cleaned,
    DependencyRevived,
    EndState,
    KnownEvent,
    LeftFile,
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
from tui_lab.store.fold import DONE, FAILED, LOST, REASONS, STOPPED, State

LOOK_AHEAD: Final = 256  # tasks of the queue that are looked at for one that fits a node
Inputs = Literal["any", "there", "not far"]
"""Which attempts a node takes: all; those that depend on outputs, which it has; all but those that need outputs that it
does not have."""
FEW: Final = 1000  # tasks that are looked through at once
LOSS_BUDGET: Final = 3  # lost attempts of a task that use none of its retries
FIRST_FAILURES: Final = 10  # so many tasks that all fail, and the run pauses
BACKOFF: Final = 1.0  # seconds before the first retry; doubles
BACKOFF_LIMIT: Final = 60.0
GRACE: Final = 10.0  # seconds between TERM and KILL where the experiment can't be read
NAMED: Final = 3  # files that a note names


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
        self.order = TaskQueue()
        self.later: list[tuple[float, int]] = []  # (monotonic time, task): retries that wait
        self.in_flight: dict[AttemptKey, str] = {}  # open attempts -> node
        self.stopping: dict[AttemptKey, str] = {}  # open attempts that are to be stopped -> why
        self.changed: dict[AttemptKey, str] = {}  # open attempts whose program was changed -> the note
        self.finished_since = [0, 0]  # done, failed since the submission
        self.failed_first = 0  # of those that failed: tasks that no earlier submission or retry had run
        self.health = NodeHealth()
        self.extending = False  # the answer to `Extend` is still to come
        self.noted = False  # a note of `Extension` was recorded since the newest submission
        self.tokens: dict[AttemptKey, Mapping[str, int]] = {}  # of the limits, held by open attempts
        self.sharing: Callable[[], Iterable[RunState]] = lambda: (self,)  # the runs that take tokens of the same limits
        self.next_start = 0.0  # monotonic: nothing starts before
        self.last_assigned: AttemptKey | None = None  # the attempt that was assigned last, until it starts
        self.first_free = 0  # ids before may be in use on a node, though the disk has lost what says so
        self._needs: dict[AttemptKey, AttemptNeeds] = {}
        self._to_make: dict[str, dict[int, None]] = {}  # node -> runs of the plan that it is to have runs of its own of
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
    def limits(self) -> Mapping[str, int]:
        """How many of each token all tasks together may hold."""
        return self.settings.limits if self.settings is not None else {}

    @property
    def grace(self) -> float:
        """Seconds between TERM and KILL."""
        return self.settings.grace if self.settings is not None else GRACE

    @property
    def has_needs(self) -> bool:
        """Whether its tasks need more of a node than a slot."""
        return self.settings is not None and (self.settings.has_needs or bool(self.state.changes))

    @property
    def node_names(self) -> list[str]:
        """The nodes of the newest submission."""
        if not self.state.submissions:
            return []
        return [entry["name"] for entry in (self.state.placement or self.state.submissions[-1]).nodes]

    # --- What is next

    def queue_up(self) -> None:
        """Queue the requested tasks, in the order that the experiment sets."""
        assert self.settings is not None
        columns = self.state.columns
        ids = self.settings.tasks
        queued = np.frombuffer(columns["queued"], dtype=np.int8)[ids]
        assigned = np.frombuffer(columns["assigned"], dtype=np.int8)[ids]
        chosen = (queued == 1) & (assigned == 0)
        wanted = ids[chosen]
        if self.settings.order == "interleaved":
            wanted = wanted[np.argsort(self.settings.repeats[chosen], kind="stable")]
        elif self.settings.order == "shuffled-rounds":
            mixed = np.random.default_rng(self.state.plan).permutation(len(wanted))
            wanted = wanted[mixed[np.argsort(self.settings.repeats[chosen][mixed], kind="stable")]]
        elif self.settings.order == "shuffled":
            wanted = np.array(random.Random(self.state.plan).sample(wanted.tolist(), len(wanted)), dtype=np.int64)
        self._take_graph(self.settings)
        on_nodes = [
            one for one, _ in self.node_runs.planned() if columns["queued"][one] and not columns["assigned"][one]
        ]
        ready: Iterable[int] = [*on_nodes, *wanted.tolist()]
        if self._dependencies:
            ready = filter(self._dependencies.is_ready, ready)
        self.order = TaskQueue(ready, self._lane_of if self.placed else None)
        self.later = []
        self._needs.clear()
        self.hold_open_tokens()
        states = np.frombuffer(columns["state"], dtype=np.int8)
        mine = np.frombuffer(columns["submission"], dtype=np.int32) == self.submission
        over = mine & (np.frombuffer(columns["queued"], dtype=np.int8) == 0)
        over &= np.frombuffer(columns["reason"], dtype=np.int8) != REASONS.index("dependency")
        self.finished_since = [
            int((over & (states == DONE)).sum()),
            int((over & ((states == FAILED) | (states == LOST))).sum()),
        ]
        new = np.frombuffer(columns["base"], dtype=np.int32) == 0
        self.failed_first = int((over & new & ((states == FAILED) | (states == LOST))).sum())

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

    @property
    def lacks_some(self) -> bool:
        """Whether nodes lack runs of their own that they are to make."""
        return any(self._to_make.values())

    def make_on_nodes(self, useful: Container[str], now: Moment) -> list[KnownEvent]:
        """Return the events with which nodes get the runs of their own that they lack for what they would take, and
        lose those that have not begun and that nothing needs any more. useful: nodes for which a run need wait."""
        found: list[KnownEvent] = []
        size = max(self.state.size, self.first_free)
        for node, runs in self._to_make.items():
            pairs: list[tuple[int, int]] = []
            for run in filter(self.node_runs.is_needed, runs):
                known = self.state.node_runs.get(run, {}).get(node)
                pairs.append((run, size if known is None else known))
                size += known is None
            if pairs:
                found.append(NodeRunsNeeded(now.at(), node, pairs))
        self._to_make = {}
        waiting = [one for lane in self.order.lanes if isinstance(lane, tuple) for one in self.order.each([lane])]
        waiting += [one for _, one in self.later if self.node_runs.node_of(one) is not None]
        over = [one for one in dict.fromkeys(waiting) if not self._is_needed_on_node(one, useful)]
        if over:
            self.order = self.order.kept(lambda one: one not in over)
            self.later = [(due, one) for due, one in self.later if one not in over]
            heapq.heapify(self.later)
        for one in over:
            run, node = self.state.run_for[one]
            found.append(NodeRunsNeeded(now.at(), node, [(run, one)], needed=False))
        return found

    def _is_needed_on_node(self, one: int, useful: Container[str]) -> bool:
        """Return whether a run on a node is to run: something waits for it, or it is tried again, also by a person."""
        run, node = self.state.run_for[one]
        again = self.state.columns["attempts"][one] and not self.state.columns["losses"][one]
        return self._wanted(one) and (self.node_runs.is_needed(run) or bool(again and node in useful))

    def fail_blocked(self, nodes: Sequence[NodeState], now: Moment) -> list[KnownEvent]:
        """Return the events of what can't run, because runs that it needs have failed on all of these nodes to which it
        may go."""
        attempts = self.state.columns["attempts"]

        def ways(one: int) -> list[str]:
            key = (one, attempts[one] + 1)
            return [
                node.name
                for node in nodes
                if self.may_go(one, node) and not (node.resources and self.why_impossible(key, node.resources))
            ]

        found = self.node_runs.blocked(ways)
        if not found:
            return []
        return self._dependencies.blocked(found, STOPPED if set(found.values()) == {STOPPED} else FAILED, now)

    def queue_due_retries(self, now: Moment) -> None:
        """Put retries that are due at the head of the queue."""
        while self.later and self.later[0][0] <= now.monotonic:
            self.order.appendleft(heapq.heappop(self.later)[1])
        if not self.in_flight and len(self.order) + len(self.later) < FEW and not self.disk_full:
            # Tasks that have ended in another way must not keep the run open.
            self.order = self.order.kept(self._wanted)
            self.later = [(due, task) for due, task in self.later if self._wanted(task)]
            heapq.heapify(self.later)

    def _wanted(self, task: int) -> bool:
        """Whether a task is requested, and not assigned to a node, and does not only wait for others to be done."""
        columns = self.state.columns
        wanted = columns["queued"][task] and columns["planned"][task] and not columns["assigned"][task]
        return bool(wanted and not columns["waits"][task])

    # --- Where it may run

    @property
    def placed(self) -> bool:
        """Whether not every node may take everything."""
        return self.settings is not None and bool(self.settings.run_on or self.settings.on_node)

    def may_go(self, one: int, node: NodeState) -> bool:
        """Return whether a task, or a run of a stage, may run on a node."""
        return not self.placed or self._takes(node, self._lane_of(one))

    def _lane_of(self, one: int) -> Hashable:
        """Return what decides which nodes may take a task."""
        stage, node = self.state.stage(one) or "", self.node_runs.node_of(one)
        return stage if node is None else (stage, node)

    def _takes(self, node: NodeState, lane: Hashable) -> bool:
        assert self.settings is not None
        if isinstance(lane, tuple):
            return bool(lane[1] == node.name)
        entries = (self.state.placement or self.state.submissions[-1]).nodes
        tags = next((entry.get("tags", []) for entry in entries if entry["name"] == node.name), [])
        return fit(self.settings.run_on.get(str(lane), ()), tags)

    def _lanes_of(self, node: NodeState) -> list[Hashable] | None:
        """Return the lanes of the queue from which a node may take; None for all."""
        return [lane for lane in self.order.lanes if self._takes(node, lane)] if self.placed else None

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
        elif inputs == "there" and not self.node_runs:
            return []
        open_ = self.node_runs.open_on(node.name) if self.node_runs else None
        to_make = self._to_make.setdefault(node.name, {}) if inputs == "any" and open_ is not None else {}
        making = 0
        taken: list[AttemptKey] = []
        if self.held or self.settings is None:
            return taken
        attempts = self.state.columns["attempts"]
        passed: list[int] = []
        twice = set[int]()
        is_ready = self._dependencies.is_ready if self._dependencies else None
        lanes = self._lanes_of(node)
        own = [lane for lane in lanes or () if isinstance(lane, tuple)]  # runs for this node come first
        while len(taken) + making < most and len(passed) < LOOK_AHEAD:
            if now and resources is not None and not resources.free:
                break
            task = self.order.popleft(own) if own else None
            task = self.order.popleft(lanes) if task is None else task
            if task is None:
                break
            if not self._wanted(task) or task in twice or (is_ready is not None and not is_ready(task)):
                continue
            key = (task, attempts[task] + 1)
            first = None if open_ is None else open_(task)
            if passes is not None and passes(task):
                passed.append(task)
            elif first is not None:  # the node lacks runs of its own
                passed.append(task)
                if inputs == "any" and not (resources and node.resources and self.why_impossible(key, node.resources)):
                    new = [run for run in first if run not in to_make][: most - len(taken) - making]
                    to_make.update(dict.fromkeys(new))
                    making += len(new)
            elif inputs == "there" and passes is None and not self.settings.on_node.get(task):
                passed.append(task)
            elif resources is None or self._fits(key, resources, now):
                taken.append(key)
                twice.add(task)
            else:
                passed.append(task)
                making += task in self.state.run_for
        self.order.extendleft(reversed(passed))
        return taken

    def put_back(self, keys: Iterable[AttemptKey]) -> None:
        """Put attempts from `take`, or that had not begun, back at the head of the queue."""
        for key in reversed(list(keys)):
            self.tokens.pop(key, None)
            self.order.appendleft(key[0])

    def assigned(self, keys: list[AttemptKey], node: str, spool: str, now: Moment) -> list[KnownEvent]:
        """Assign attempts to a node; return the events to write ahead. spool: identity of the agent's ledger; an agent
        with another one does not know these attempts."""
        events: list[KnownEvent] = [Assigned(now.at(), node, keys, self._go_on(keys))]
        if self.state.spools.get(node) != spool:
            events.insert(0, AgentKnown(now.at(), node, spool))
        for key in keys:
            self.in_flight[key] = node
            self._copies.assigned(key[0], node)
        return events

    def _go_on(self, keys: Iterable[AttemptKey]) -> list[tuple[int, int]]:
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
            return not (self.order or self.later)
        return self.held or not (self.order or self.later)

    def may_start(self, now: Moment) -> bool:
        """Return whether `stagger` allows a start now. Not while the last one is unreported: its node may run setup
        lines, or wait for room."""
        return self.last_assigned not in self.in_flight and now.monotonic >= self.next_start

    def due(self, now: Moment) -> list[float]:
        """Return when retries and staggered starts are due, in monotonic seconds."""
        if self.held:
            return []
        staggered = self.stagger and self.order and self.next_start > now.monotonic
        return [*([self.later[0][0]] if self.later else []), *([self.next_start] if staggered else [])]

    # --- Needs

    def needs(self, key: AttemptKey) -> AttemptNeeds:
        """Return what an attempt needs; nothing where that can't be computed: its start reports the error."""
        if not self.has_needs:
            return {}
        if key not in self._needs:
            assert self.settings is not None
            try:
                self._needs[key] = self.settings.needs(key, self.state.changes.get(key[0]))
            except ValueError:
                self._needs[key] = {}
        return self._needs[key]

    def needs_of_node(self, key: AttemptKey) -> Needs:
        """Return what an attempt needs of its node, besides a slot."""
        if not self.has_needs:
            return {}
        needs = self.needs(key).copy()
        needs.pop("tokens", None)
        return needs

    def _fits(self, key: AttemptKey, resources: Resources, now: bool) -> bool:
        """Return whether an attempt may go to a node. If so, it holds its tokens and its resources."""
        needs = self.needs_of_node(key)
        if resources.why_impossible(needs) or (now and not resources.has_room(needs)) or not self.hold_tokens(key):
            return False
        if now:
            resources.grant(needs)
        return True

    def why_impossible(self, key: AttemptKey, resources: Resources) -> str:
        """Return why a node with these resources can never run an attempt; empty where it can."""
        return resources.why_impossible(self.needs_of_node(key))

    def fits_any(self, node: NodeState) -> bool:
        """Return whether a node can run a task at the head of the queue."""
        attempts, offered = self.state.columns["attempts"], node.resources
        if offered is None:
            return False
        heads = itertools.islice(self.order.each(self._lanes_of(node)), LOOK_AHEAD)
        return any(not self.why_impossible((task, attempts[task] + 1), offered) for task in heads)

    def hold_open_tokens(self) -> None:
        """Count the tokens of open attempts, also before the run is resumed."""
        if self.limits:
            for key in self.in_flight:
                self.hold_tokens(key)

    def hold_tokens(self, key: AttemptKey) -> bool:
        """Take all of an attempt's tokens, which all runs of a lab share; False if some are in use. If experiments set
        different limits, the smallest counts; an attempt that needs more than that runs when no other has any."""
        wanted = self.needs(key).get("tokens")
        if not wanted:
            return True
        runs = [run for run in {self, *self.sharing()} if run is self or run.limits]
        for name, count in wanted.items() if key not in self.in_flight else ():
            held = sum(tokens.get(name, 0) for run in runs for tokens in run.tokens.values())
            if held and held + count > min(run.limits[name] for run in runs if name in run.limits):
                return False
        self.tokens[key] = wanted
        return True

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
        self.order = self.order.kept(lambda task: task not in gone)
        self.later = [(moment, task) for moment, task in self.later if task not in gone]
        heapq.heapify(self.later)
        return Stopped(now.at(), ranges.to_ranges(waiting))

    def reset_health(self) -> None:
        """Forget failures of nodes: there is a new submission."""
        self.health = NodeHealth()
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
        if attempt == columns["attempt"][task] and REASONS[columns["reason"][task]] != "node-lost":
            return []
        self.in_flight[key] = node
        self.hold_tokens(key)
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
        self.tokens.pop(key, None)
        self._needs.pop(key, None)
        if self.state.has_result(task):
            return structs.replace(event, duplicate=True)
        again = None if wanted == "stopped" else self._again(key, event, interrupted)
        if again is not None:
            event = structs.replace(event, again=again)
            heapq.heappush(self.later, (now.monotonic + again, task))
        elif event.state == "done":
            event = self.done(event)
            self._copies.made(task, node)
        elif event.state in ("failed", "lost"):
            self.finished_since[1] += 1
            self.failed_first += self.state.columns["base"][task] == 0
        if node:
            self.health.note(node, task, event.state)
        return event

    def done(self, event: AttemptFinished) -> AttemptFinished:
        """Return the event of an attempt that ended well, which may be late; it is counted."""
        self.finished_since[0] += 1
        return structs.replace(event, waits=self._dependencies.is_waiting_for_others(event.task))

    def failed_to_start(self, key: AttemptKey, message: str, now: Moment) -> AttemptFinished:
        """Return the event of an attempt that can't be started."""
        return self.finished(key, structs.replace(ended_event(key, "failed", "start", now), message=message), now)

    def lost(self, key: AttemptKey, now: Moment) -> AttemptFinished:
        """Return the event of an attempt whose node is lost, or does not know it any more."""
        return self.finished(key, ended_event(key, "lost", "node-lost", now), now)

    def lose(self, node: str, now: Moment) -> list[KnownEvent]:
        """Return the events of all attempts that were open on a lost node."""
        keys = [key for key, where in self.in_flight.items() if where == node]
        return [self.lost(key, now) for key in keys]

    def late_result_counts(self, key: AttemptKey, state: str) -> bool:
        """Return whether the result of a lost attempt counts, because it came before that of its replacement."""
        columns, (task, attempt) = self.state.columns, key
        if state != "done" or not 0 <= task < self.state.size or self.state.has_result(task):
            return False
        return 0 < attempt < columns["attempts"][task] and bool(columns["queued"][task])

    def _again(self, key: AttemptKey, event: AttemptFinished, interrupted: bool) -> float | None:
        """Return the seconds until the task's next attempt; None if there is none."""
        task, attempt = key
        columns = self.state.columns
        if interrupted:
            return 0.0
        if not columns["planned"][task] or not columns["queued"][task] or event.state == "stopped":
            return None
        if event.state == "lost":
            return BACKOFF if columns["losses"][task] < LOSS_BUDGET else None
        if event.state != "failed" or self.settings is None:
            return None
        tries = attempt - columns["base"][task] - columns["losses"][task]
        status = event.exit_code if event.reason in ("exit", "signal", "exception") else None
        own = (self.settings.retries, self.settings.retry_on)
        retries, retry_on = self.settings.stage_retries.get(self.state.stage(task) or "", own)
        if (event.reason in retry_on or status in retry_on) and tries <= retries:
            delay: float = min(BACKOFF_LIMIT, BACKOFF * 2 ** (tries - 1))
            return delay
        return None

    def unplaceable(self, nodes: Sequence[NodeState], now: Moment) -> list[KnownEvent]:
        """Fail the task at the head of the queue if none of the nodes can ever run it."""
        task = next(iter(self.order))
        key = (task, self.state.columns["attempts"][task] + 1)
        offers = [(one.name, one.resources) for one in nodes if one.resources is not None and self.may_go(task, one)]
        whys = [f"{name}: {why}" for name, resources in offers if (why := self.why_impossible(key, resources))]
        if len(whys) < len(offers) or not whys:
            return []
        self.order.popleft()
        self.in_flight[key] = ""
        return [
            Assigned(now.at(), offers[0][0], [key], self._go_on([key])),
            self.failed_to_start(key, "no node can run it: " + "; ".join(whys), now),
        ]

    def replaced(self, task: int) -> AttemptKey | None:
        """Return the open attempt of a task, None where there is none."""
        key = (task, self.state.columns["attempts"][task])
        return key if key in self.in_flight else None

    def quarantine(self, now: Moment) -> list[Quarantined]:
        """Quarantine nodes that fail tasks that others complete; their failed tasks are queued again."""
        events: list[Quarantined] = []
        for node, ids in self.health.to_quarantine(self.state.quarantined):
            failed = [one for one in ids if self.node_runs.node_of(one) is None]
            events.append(Quarantined(now.at(), node, ranges.to_ranges(failed)))
            self.finished_since[1] = max(0, self.finished_since[1] - len(failed))
            new = sum(self.state.columns["base"][one] == 0 for one in failed)
            self.failed_first = max(0, self.failed_first - new)
            self.order.extendleft(reversed(failed))
        return events

    def pause_after_failures(self, now: Moment) -> Paused | None:
        """Return the event that pauses the run if too much has failed."""
        done, failed = self.finished_since
        suspect = self.health.suspect_failures
        failed -= suspect
        if failed <= 0 or self.state.paused is not None or not self.state.submissions or self.settings is None:
            return None
        limit = self.settings.max_failures
        if limit is not None and failed - self.state.accepted_failures >= limit:
            return Paused(now.at(), "max_failures", failed)
        return Paused(now.at(), "first_failures", failed) if self._fails_from_the_start(done, suspect) else None

    def _fails_from_the_start(self, done: int, suspect: int) -> bool:
        """Return whether the first tasks have all failed, and others would follow. Tasks that were run before say
        nothing of the others, and where one is done the program works, whenever that was."""
        if self.state.submissions[-1].keep_going or self.state.accepted_failures:
            return False
        if done or self.state.counts[DONE]:
            return False
        return self.failed_first - suspect >= FIRST_FAILURES and bool(self.order or self.later)

    def counts(self) -> dict[str, int]:
        """Return how many planned tasks are in each state."""
        return self.state.counts_by_name()


def ended_event(key: AttemptKey, state: EndState, reason: str, now: Moment) -> AttemptFinished:
    """Return the event of an attempt whose end no agent reports."""
    return AttemptFinished(now.at(), *key, state, reason=reason)


def finished_event(
    key: AttemptKey,
    message: Finished,
    now: Moment,
    not_fetched: Sequence[OutputFile] = (),
    trouble: str = "",
    *,
    late: bool = False,
) -> AttemptFinished:
    """Return the event of an attempt as its agent reports it. not_fetched: files that stayed on the node. trouble: why
    all did. late: it counted as lost before."""
    left = message.left
    missing = left or message.left_more or not_fetched or trouble or message.folder_trouble
    is_whole = not missing and message.folder_link is None
    notes = []
    if message.folder_link is not None:
        notes.append(f"its folder is a symbolic link to {message.folder_link}: the files behind it are not read")
    if trouble := trouble or message.folder_trouble or "":
        notes.append(f"{trouble}; nothing of it was fetched")
    if not_fetched:
        left = [*(left or ()), *(LeftFile(one["name"], one["size"], error=one["error"]) for one in not_fetched)]
        named = "; ".join(f"{one['name']}: {one['error']}" for one in not_fetched[:NAMED])
        notes.append(f"{len(not_fetched)} of its files could not be fetched, and stayed there ({named})")
    return AttemptFinished(
        now.at(message.ago),
        *key,
        message.state,
        reason=message.reason,
        exit_code=message.exit_code,
        signal=message.signal,
        step=message.step,
        steps=message.steps,
        duration=message.duration,
        cpu_time=message.cpu_time,
        peak_rss=message.peak_rss,
        leftover=message.leftover,
        message=message.message,
        note="; ".join(notes) or None,
        left=left,
        left_more=message.left_more,
        late=late,
        first_step=message.first_step,
        raised=message.raised,
        step_ends=message.step_ends if is_whole else None,
    )
