"""What is next for one experiment: the order of its tasks, which of them fit a node, and who holds what."""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np

from tui_lab.engine.agent.resources import Resources
from tui_lab.engine.node import Node
from tui_lab.engine.records import Key, Records, now
from tui_lab.store.events import AgentKnown, Assigned, KnownEvent
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import DONE, FAILED, LOST

LOOK_AHEAD: Final = 256  # tasks of the queue that are looked at for one that fits a node
FEW: Final = 1000  # tasks that are looked through at once


class Queue(Records):
    """Gives tasks out and takes them back."""

    def __init__(self, folder: ExperimentFolder) -> None:
        """Raises LabError, StorageError."""
        super().__init__(folder)
        self.environment: dict[str, str] | None = None  # of whoever submitted; without it nothing starts
        self.umask: int | None = None
        self.order: deque[int] = deque()
        self.later: list[tuple[float, int]] = []  # (monotonic time, task): retries that wait
        self.flight: dict[Key, str] = {}  # open attempts -> node
        self.finished_since = [0, 0]  # done, failed since the submission
        self.tokens: dict[Key, Mapping[str, int]] = {}  # of the limits, held by open attempts
        self.limits: Mapping[str, int] = {}
        self.sharing: Callable[[], Iterable[Queue]] = lambda: (self,)  # whoever takes tokens of the same limits
        self._needs: dict[Key, dict[str, Any]] = {}
        self.stagger = 0.0  # seconds between two starts
        self.next_start = 0.0  # monotonic: nothing starts before
        self.handed_out: Key | None = None  # the attempt that was to start last, until it has
        self.priority = 0
        self.arrival = 0
        columns = self.state.columns
        for task in np.flatnonzero(np.frombuffer(columns["assigned"], dtype=np.int8)).tolist():
            self.flight[task, columns["attempts"][task]] = self.state.nodes[columns["node"][task]]

    def queue_up(self) -> None:
        """Bring the tasks that were asked for into the order of the experiment. Raises LabError,
        SpecError."""
        columns = self.state.columns
        recipe = self.recipe()
        self.priority = recipe.experiment.priority
        self.stagger = recipe.experiment.stagger or 0.0
        tasks = recipe.plan.tasks.select("task_id", "repeat")
        ids = tasks["task_id"].to_numpy()
        queued = np.frombuffer(columns["queued"], dtype=np.int8)[ids]
        assigned = np.frombuffer(columns["assigned"], dtype=np.int8)[ids]
        chosen = (queued == 1) & (assigned == 0)
        wanted = ids[chosen]
        if recipe.experiment.order == "interleaved":
            wanted = wanted[np.argsort(tasks["repeat"].to_numpy()[chosen], kind="stable")]
        elif recipe.experiment.order == "shuffled":
            wanted = np.array(random.Random(self.state.plan).sample(wanted.tolist(), len(wanted)), dtype=np.int64)
        self.order = deque(wanted.tolist())
        self.later = []
        self._needs.clear()
        self.hold_tokens_in_flight()
        states = np.frombuffer(columns["state"], dtype=np.int8)
        mine = np.frombuffer(columns["submission"], dtype=np.int32) == self.submission
        over = mine & (np.frombuffer(columns["queued"], dtype=np.int8) == 0)
        self.finished_since = [
            int((over & (states == DONE)).sum()),
            int((over & ((states == FAILED) | (states == LOST))).sum()),
        ]

    @property
    def pause_asked(self) -> bool:
        """A person paused it: it waits for `resume`, and is not over."""
        return self.state.paused is not None and self.state.paused.reason == "asked"

    @property
    def held(self) -> bool:
        """Nothing new may start."""
        return self.state.drained or self.state.paused is not None or self.environment is None or bool(self.unwritten)

    def bring_due(self) -> None:
        """Put the retries whose time has come at the head of the queue."""
        moment = time.monotonic()
        while self.later and self.later[0][0] <= moment:
            self.order.appendleft(heapq.heappop(self.later)[1])
        if not self.flight and len(self.order) + len(self.later) < FEW and not self.unwritten:
            # What has come to its end in another way must not keep the run from its own.
            self.order = deque(task for task in self.order if self._wanted(task))
            self.later = [(due, task) for due, task in self.later if self._wanted(task)]
            heapq.heapify(self.later)

    def _wanted(self, task: int) -> bool:
        """It is asked for, and nobody has it."""
        columns = self.state.columns
        return bool(columns["queued"][task] and columns["planned"][task] and not columns["assigned"][task])

    def take(self, most: int, resources: Resources | None, *, now: bool = False) -> list[Key]:
        """Up to `most` attempts for a node with these resources. now: those for which there is room at the moment;
        `resources` then counts what they use."""
        taken: list[Key] = []
        if self.held:
            return taken
        attempts = self.state.columns["attempts"]
        passed: list[int] = []
        twice = set[int]()
        while self.order and len(taken) < most and len(passed) < LOOK_AHEAD:
            if now and resources is not None and not resources.free:
                break
            task = self.order.popleft()
            if not self._wanted(task) or task in twice:
                continue
            key = (task, attempts[task] + 1)
            if resources is None or self._fits(key, resources, now):
                taken.append(key)
                twice.add(task)
            else:
                passed.append(task)
        self.order.extendleft(reversed(passed))
        return taken

    def _fits(self, key: Key, resources: Resources, now: bool) -> bool:
        """Whether an attempt may go to a node; it has its tokens then, and its share of the resources."""
        needs = self.needs_of_node(key)
        if resources.why_impossible(needs) or (now and not resources.has_room(needs)) or not self._hold_tokens(key):
            return False
        if now:
            resources.grant(needs)
        return True

    @property
    def needy(self) -> bool:
        """Its tasks need more of a node than a slot."""
        return self.recipe().needy or bool(self.state.changes)

    def needs(self, key: Key) -> dict[str, Any]:
        """What an attempt needs; nothing where that can't be read, for its start will say so."""
        if not self.needy:
            return {}
        if key not in self._needs:
            recipe = self.recipe()
            row = recipe.plan.row(key[0])
            try:
                found = {} if row is None else recipe.needs(row, key[1], self.state.changes.get(key[0]))
            except ValueError:
                found = {}
            self._needs[key] = found
        return self._needs[key]

    def needs_of_node(self, key: Key) -> dict[str, Any]:
        """What an attempt needs of its node, besides a slot."""
        return {name: amount for name, amount in self.needs(key).items() if name != "tokens"}

    def misfit(self, key: Key, resources: Resources) -> str:
        """Why a node with these resources can never run an attempt; empty where it can."""
        return resources.why_impossible(self.needs_of_node(key))

    def fits_some(self, node: Node) -> bool:
        """Whether a node can run any of the tasks at the head of the queue."""
        attempts = self.state.columns["attempts"]
        heads = itertools.islice(self.order, LOOK_AHEAD)
        offered = node.resources
        return offered is not None and any(not self.misfit((task, attempts[task] + 1), offered) for task in heads)

    def hold_tokens_in_flight(self) -> None:
        """Count the tokens of what is open, also where nobody has resumed the run yet. Raises LabError, SpecError."""
        self.limits = self.recipe().experiment.limits
        if self.limits:
            for key in self.flight:
                self._hold_tokens(key)

    def _hold_tokens(self, key: Key) -> bool:
        """Take an attempt's tokens of the limits, which all runs of a lab share: all, or False. Where the files give a
        limit several numbers, the smallest counts; an attempt that needs more than that runs when no other has any."""
        wanted = self.needs(key).get("tokens")
        if not wanted:
            return True
        runs = [run for run in {self, *self.sharing()} if run is self or run.limits]
        for name, count in wanted.items() if key not in self.flight else ():
            held = sum(tokens.get(name, 0) for run in runs for tokens in run.tokens.values())
            if held and held + count > min(run.limits[name] for run in runs if name in run.limits):
                return False
        self.tokens[key] = wanted
        return True

    def put_back(self, keys: Iterable[Key]) -> None:
        for key in reversed(list(keys)):
            self.tokens.pop(key, None)
            self.order.appendleft(key[0])

    @property
    def may_start(self) -> bool:
        """Whether `stagger` allows a start now. A start that is not reported yet is still to come: its node may run
        setup lines, or wait for room."""
        return self.handed_out not in self.flight and time.monotonic() >= self.next_start

    @property
    def due(self) -> list[float]:
        """When something is to be given out that waits for its time only, in monotonic seconds."""
        staggered = self.stagger and self.order and not self.held and self.next_start > time.monotonic()
        return [moment for moment in (self.next_retry, self.next_start if staggered else None) if moment is not None]

    @property
    def next_retry(self) -> float | None:
        """Monotonic time of the next retry that waits."""
        return self.later[0][0] if self.later and not self.held else None

    @property
    def over(self) -> bool:
        """Nothing is open, and nothing will start."""
        if self.flight or self.unwritten:
            return False
        if self.pause_asked and not self.state.drained and self.environment is not None:
            return not (self.order or self.later)
        return self.held or not (self.order or self.later)

    def assign(self, keys: list[Key], node: str, spool: str) -> bool:
        """Write ahead that a node gets these attempts. False where the disk is full: then it does not.

        spool: identity of the agent's ledger; an agent with another one knows nothing of these attempts.
        """
        events: list[KnownEvent] = [Assigned(now(), node, keys)]
        if self.state.spools.get(node) != spool:
            events.insert(0, AgentKnown(now(), node, spool))
        if not self.record(events):
            self.unwritten = []
            self.put_back(keys)
            return False
        for key in keys:
            self.flight[key] = node
        return True
