"""One experiment as the engine runs it: its queue, its open attempts, and what it writes to its journal."""

from __future__ import annotations

import heapq
import random
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from tui_lab.engine.agent.resources import Resources
from tui_lab.engine.recipe import Recipe
from tui_lab.engine.trials import Trials
from tui_lab.store import journal, ranges
from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import DONE, FAILED, LOST
from tui_lab.store.journal import Event, Journal

LOOK_AHEAD: Final = 256  # tasks of the queue that are looked at for one that fits a node
LOSS_BUDGET: Final = 3  # lost attempts of a task that use none of its retries
FIRST_FAILURES: Final = 10  # so many tasks that all fail, and the run pauses
BACKOFF: Final = 1.0  # seconds before the first retry; doubles
BACKOFF_LIMIT: Final = 60.0

Key = tuple[int, int]  # task, attempt

# What an agent says of an ended attempt, and the journal records.
_FACTS: Final = (
    *("state", "reason", "exit_code", "signal", "step", "steps", "duration"),
    *("cpu_time", "peak_rss", "leftover", "message", "left", "left_more"),
)


class ExperimentRun:
    """Decides what is next for one experiment, and what an ended attempt means. Does no talking."""

    def __init__(self, folder: ExperimentFolder) -> None:
        """Raises LabError, StorageError."""
        self.folder = folder
        self.name = folder.name
        folder.state()  # a newer journal is refused before anything is opened for writing
        self.journal = Journal(folder.journal)
        self.state = folder.state()
        self.environment: dict[str, str] | None = None  # of whoever submitted; without it nothing starts
        self.umask: int | None = None
        self.order: deque[int] = deque()
        self.later: list[tuple[float, int]] = []  # (monotonic time, task): retries that wait
        self.flight: dict[Key, str] = {}  # open attempts -> node
        self.stopping: dict[Key, str] = {}  # of those, the ones to be stopped, and why
        self.unwritten: list[Event] = []  # what the disk would not take
        self.unacknowledged: list[tuple[str, Key]] = []  # (node, key) of events in the journal, not yet durable
        self.finished_since = [0, 0]  # done, failed since the submission
        self.trials = Trials()
        self.tokens: dict[Key, Mapping[str, int]] = {}  # of the limits, held by open attempts
        self.extending = False  # someone finds out which repeats are needed still
        self.recipes: dict[int, Recipe] = {}
        self.priority = 0
        self.arrival = 0
        columns = self.state.columns
        for task in np.flatnonzero(np.frombuffer(columns["assigned"], dtype=np.int8)).tolist():
            self.flight[task, columns["attempts"][task]] = self.state.nodes[columns["node"][task]]

    @property
    def wire_name(self) -> str:
        """What agents call the experiment: another one in a folder of the same name is not taken for it."""
        return f"{self.name}@{self.state.identity[:8]}"

    # Writing.

    def record(self, events: Sequence[Event]) -> bool:
        """Append events and apply them. False where the disk would not take all: the rest is kept for
        `write_again`."""
        if self.unwritten:
            self.unwritten += events
            return False
        written = self.journal.append(events)
        for event in events[:written]:
            self.state.apply(event)
        self.state.offset = self.journal.end
        self.unwritten += events[written:]
        return not self.unwritten

    def decide(self, event: Event) -> None:
        """Record what a person asks for: whole, or not at all. Raises StorageError where the disk does not take it, or
        has not taken yet what happened before."""
        if not self.unwritten and self.record([event]):
            return
        self.unwritten = [earlier for earlier in self.unwritten if earlier is not event]
        raise StorageError(
            f"{self.journal.path}: {self.journal.trouble}", "make room, then give the same command again"
        )

    def write_again(self) -> bool:
        """Try once more to write what the disk did not take."""
        events, self.unwritten = self.unwritten, []
        return self.record(events)

    # Submissions.

    @property
    def submission(self) -> int:
        return len(self.state.submissions) - 1

    def require_submission(self) -> None:
        """Raises LabError where nothing was submitted yet."""
        if not self.state.submissions:
            raise LabError(f'nothing of "{self.name}" was submitted yet')

    @property
    def newest(self) -> Event:
        """The newest submission. Raises LabError where there is none."""
        self.require_submission()
        return self.state.submissions[-1]

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """Where the tasks of the newest submission run, as docs/journal.md has it."""
        nodes: list[dict[str, Any]] = (self.state.placement or self.newest)["nodes"]
        return nodes

    @property
    def drained_nodes(self) -> list[str]:
        """Nodes on which a person wants nothing new to start."""
        drained: list[str] = (self.state.placement or {}).get("drained", [])
        return drained

    def place_on(self, nodes: list[dict[str, Any]], drained: Iterable[str]) -> None:
        """Other nodes from now on, or other slots."""
        self.decide({"event": "nodes", "at": now(), "nodes": nodes, "drained": sorted(drained)})

    def recipe(self, submission: int | None = None) -> Recipe:
        """How tasks of a submission are run, by default of the newest. Raises LabError, SpecError."""
        number = self.submission if submission is None else submission
        if number not in self.recipes:
            about = self.state.submissions[number]
            spec = self.folder.spec(about["plan"])
            identity = f"{self.wire_name}/{number}"
            self.recipes[number] = Recipe(spec, self.folder.plan(about["plan"]), self.folder.path, identity)
        return self.recipes[number]

    def submit(self, event: Event) -> None:
        """Take a submission: `event` names a plan on disk and the tasks asked for. Raises StorageError."""
        event["queued"] = self._not_ended_since(event.pop("seen"), event["queued"])
        self.decide(event)
        self.trials = Trials()
        self.queue_up()

    def extend(self, tasks: Sequence[int]) -> None:
        """Run further repeats, too."""
        self.record([{"event": "extended", "at": now(), "queued": ranges.to_ranges(tasks)}])
        self.queue_up()

    def _not_ended_since(self, offset: int, tasks: ranges.Ranges) -> ranges.Ranges:
        """Those of the tasks that did not come to their end while the submission was made: whoever planned it
        had read the journal as far as `offset`, and asked for them because they were still to run."""
        ended = set[int]()
        for event, _ in journal.read(self.folder.journal, offset):
            if event.get("event") == "finished" and "again" not in event:
                ended.add(event["task"])
            elif event.get("event") == "stopped":
                ended.update(ranges.each(event["tasks"]))
        return ranges.to_ranges([task for task in ranges.each(tasks) if task not in ended]) if ended else tasks

    def requeue(self, tasks: ranges.Ranges, changes: dict[str, Any]) -> None:
        """Ask for tasks again, whatever became of them. Raises LabError, StorageError."""
        if any(not 0 <= first <= last < self.state.size for first, last in tasks):
            raise LabError(f'"{self.name}" has the tasks 0 to {self.state.size - 1:,}')
        self.decide({"event": "requeued", "at": now(), "queued": tasks, "changes": changes})
        self.queue_up()

    def resume(self) -> None:
        """Go on with what was asked for and has not ended. Raises LabError, StorageError."""
        if self.state.paused is not None or self.state.drained or self.state.ended is not None:
            self.decide({"event": "resumed", "at": now()})
        self.queue_up()

    def queue_up(self) -> None:
        """Bring the tasks that were asked for into the order of the experiment. Raises LabError,
        SpecError."""
        columns = self.state.columns
        recipe = self.recipe()
        self.priority = recipe.experiment.priority
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
        if recipe.experiment.limits:
            for key in self.flight:
                self._hold_tokens(key)
        states = np.frombuffer(columns["state"], dtype=np.int8)
        mine = np.frombuffer(columns["submission"], dtype=np.int32) == self.submission
        over = mine & (np.frombuffer(columns["queued"], dtype=np.int8) == 0)
        self.finished_since = [
            int((over & (states == DONE)).sum()),
            int((over & ((states == FAILED) | (states == LOST))).sum()),
        ]

    # What is next.

    @property
    def pause_asked(self) -> bool:
        """A person paused it: it waits for `resume`, and is not over."""
        return self.state.paused is not None and self.state.paused.get("reason") == "asked"

    @property
    def held(self) -> bool:
        """Nothing new may start."""
        return self.state.drained or self.state.paused is not None or self.environment is None or bool(self.unwritten)

    def bring_due(self) -> None:
        """Put the retries whose time has come at the head of the queue."""
        moment = time.monotonic()
        while self.later and self.later[0][0] <= moment:
            self.order.appendleft(heapq.heappop(self.later)[1])

    def take(self, most: int, resources: Resources | None) -> list[Key]:
        """Up to `most` attempts to start now, on a node with these resources."""
        taken: list[Key] = []
        if self.held:
            return taken
        columns = self.state.columns
        passed: list[int] = []
        while self.order and len(taken) < most and len(passed) < LOOK_AHEAD:
            task = self.order.popleft()
            if not (columns["queued"][task] and columns["planned"][task]) or columns["assigned"][task]:
                continue
            key = (task, columns["attempts"][task] + 1)
            if resources is None or (not self.misfit(key, resources) and self._hold_tokens(key)):
                taken.append(key)
            else:
                passed.append(task)
        self.order.extendleft(reversed(passed))
        return taken

    @property
    def needy(self) -> bool:
        """Its tasks need more of a node than a slot."""
        return self.recipe().needy or bool(self.state.changes)

    def needs(self, key: Key) -> dict[str, Any]:
        """What an attempt needs; nothing where that can't be read, for its start will say so."""
        recipe = self.recipe()
        row = recipe.plan.row(key[0])
        try:
            return {} if row is None else recipe.needs(row, key[1], self.state.changes.get(key[0]))
        except ValueError:
            return {}

    def misfit(self, key: Key, resources: Resources) -> str:
        """Why a node with these resources can never run an attempt; empty where it can."""
        needs = self.needs(key)
        needs.pop("tokens", None)
        return resources.fits_ever(needs) if needs else ""

    def _hold_tokens(self, key: Key) -> bool:
        """Take an attempt's tokens of the run's limits: all, or False."""
        wanted = self.needs(key).get("tokens")
        if not wanted:
            return True
        limits = self.recipe().experiment.limits
        for name, count in wanted.items():
            if (
                sum(held.get(name, 0) for held in self.tokens.values()) + count > limits[name]
                and key not in self.flight
            ):
                return False
        self.tokens[key] = wanted
        return True

    def unplaceable(self, offers: Sequence[tuple[str, Resources]]) -> list[Event]:
        """End the tasks at the head of the queue that none of the nodes can ever run."""
        ended = []
        for _ in range(len(self.order)):
            task = self.order[0]
            key = (task, self.state.columns["attempts"][task] + 1)
            whys = [f"{name}: {why}" for name, resources in offers if (why := self.misfit(key, resources))]
            if len(whys) < len(offers) or not whys:
                break
            self.order.popleft()
            message = "no node can run it: " + "; ".join(whys)
            self.flight[key] = ""
            ended.append({"event": "assigned", "at": now(), "node": offers[0][0], "attempts": [key]})
            ended.append(self.on_finished(key, {"state": "failed", "reason": "start", "message": message}))
        return ended

    def put_back(self, keys: Iterable[Key]) -> None:
        for key in reversed(list(keys)):
            self.tokens.pop(key, None)
            self.order.appendleft(key[0])

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

    def regain(self, key: Key, node: str) -> bool:
        """Take back an attempt that counted as lost: its node is here again, and nothing has been started in its
        place. False where it is too late for that."""
        columns, (task, attempt) = self.state.columns, key
        if not 0 <= task < self.state.size or columns["assigned"][task] or not columns["queued"][task]:
            return False
        if columns["attempts"][task] != attempt or attempt == columns["base"][task]:
            return False
        self.flight[key] = node
        return self.record([{"event": "assigned", "at": now(), "node": node, "attempts": [key]}])

    def assign(self, keys: list[Key], node: str, spool: str) -> bool:
        """Write ahead that a node gets these attempts. False where the disk is full: then it does not.

        spool: identity of the agent's ledger; an agent with another one knows nothing of these attempts.
        """
        events: list[Event] = [{"event": "assigned", "at": now(), "node": node, "attempts": keys}]
        if self.state.spools.get(node) != spool:
            events.insert(0, {"event": "node", "at": now(), "node": node, "spool": spool})
        if not self.record(events):
            self.unwritten = []
            self.put_back(keys)
            return False
        for key in keys:
            self.flight[key] = node
        return True

    # What happened.

    def on_started(self, key: Key, ago: float) -> Event:
        return {"event": "started", "at": now(ago), "task": key[0], "attempt": key[1]}

    def on_returned(self, keys: list[Key]) -> Event:
        for key in keys:
            self.flight.pop(key, None)
            self.stopping.pop(key, None)
        self.put_back(keys)
        return {"event": "returned", "at": now(), "attempts": keys}

    def on_finished(self, key: Key, message: dict[str, Any]) -> Event:
        """The event of an attempt that ended, with `again` where the task goes back to the queue."""
        task = key[0]
        event = _finished(key, message)
        interrupted = event.get("reason") == "interrupted"
        if interrupted:
            event["reason"] = "stopped"
        node = self.flight.pop(key, "")
        self.stopping.pop(key, None)
        self.tokens.pop(key, None)
        if self.state.columns["state"][task] == DONE:
            event["duplicate"] = True
            return event
        again = self.again(key, event, interrupted)
        if again is not None:
            event["again"] = again
            heapq.heappush(self.later, (time.monotonic() + again, task))
        elif event["state"] == "done":
            self.finished_since[0] += 1
        elif event["state"] in ("failed", "lost"):
            self.finished_since[1] += 1
        if node:
            self.trials.note(node, task, event["state"])
        return event

    def on_late(self, key: Key, message: dict[str, Any], look: bool = False) -> Event | None:
        """The event of an attempt that counted as lost and has come to a good end after all, before the one in its
        place: the first result counts. None where it does not. look: only find out."""
        columns, (task, attempt) = self.state.columns, key
        if message["state"] != "done" or not 0 <= task < self.state.size or columns["state"][task] == DONE:
            return None
        if not 0 < attempt < columns["attempts"][task] or not columns["queued"][task]:
            return None
        if not look:
            self.finished_since[0] += 1
        return _finished(key, message) | {"late": True}

    def replaced(self, task: int) -> Key | None:
        """The open attempt of a task."""
        key = (task, self.state.columns["attempts"][task])
        return key if key in self.flight else None

    def lose(self, node: str) -> list[Event]:
        """End the attempts that are open on a node which has gone."""
        keys = [key for key, where in self.flight.items() if where == node]
        return [self.on_finished(key, {"state": "lost", "reason": "node-lost"}) for key in keys]

    def again(self, key: Key, event: Event, interrupted: bool) -> float | None:
        """Seconds until the task's next attempt; None where this one decides."""
        task, attempt = key
        columns = self.state.columns
        if not columns["planned"][task] or not columns["queued"][task]:
            return 0.0 if interrupted else None
        if event["state"] == "stopped":
            return 0.0 if interrupted else None
        if event["state"] == "lost":
            return BACKOFF if columns["losses"][task] < LOSS_BUDGET else None
        if event["state"] != "failed":
            return None
        spec = self.recipe().experiment
        tries = attempt - columns["base"][task] - columns["losses"][task]
        if event["reason"] in spec.retry_on and tries <= spec.retries:
            delay: float = min(BACKOFF_LIMIT, BACKOFF * 2 ** (tries - 1))
            return delay
        return None

    def quarantine(self) -> list[Event]:
        """Nodes that fail what others do well: they get nothing more, and their failures run again elsewhere."""
        events: list[Event] = []
        for node, failed in self.trials.condemned(self.state.quarantined):
            events.append({"event": "quarantined", "at": now(), "node": node, "tasks": ranges.to_ranges(failed)})
            self.finished_since[1] = max(0, self.finished_since[1] - len(failed))
            self.order.extendleft(reversed(failed))
        return events

    def pause_after_failures(self) -> Event | None:
        """The event that pauses the run where too much has failed."""
        done, failed = self.finished_since
        failed -= self.trials.doubtful
        if failed <= 0 or self.state.paused is not None or not self.state.submissions:
            return None
        limit = self.recipe().experiment.max_failures
        if limit is not None and failed >= limit:
            return {"event": "paused", "at": now(), "reason": "max_failures", "failed": failed}
        keep_going = self.newest.get("keep_going")
        if not keep_going and done == 0 and failed >= FIRST_FAILURES and (self.order or self.later):
            return {"event": "paused", "at": now(), "reason": "first_failures", "failed": failed}
        return None

    def stop_waiting(self, tasks: set[int] | None) -> Event | None:
        """Stop tasks that have not begun: all, or some."""
        columns = self.state.columns
        candidates: Iterable[int] = range(self.state.size) if tasks is None else sorted(tasks)
        waiting = [
            task
            for task in candidates
            if 0 <= task < self.state.size and columns["queued"][task] and not columns["assigned"][task]
        ]
        if not waiting:
            return None
        gone = set(waiting)
        self.order = deque(task for task in self.order if task not in gone)
        self.later = [(moment, task) for moment, task in self.later if task not in gone]
        heapq.heapify(self.later)
        return {"event": "stopped", "at": now(), "tasks": ranges.to_ranges(waiting)}

    def end(self) -> Event:
        """The event that says this run is over, and how it stands."""
        return {"event": "ended", "at": now(), "counts": self.counts()}

    def counts(self) -> dict[str, int]:
        return self.state.counts_by_name()


def _finished(key: Key, message: Mapping[str, Any]) -> Event:
    event: Event = {"event": "finished", "at": now(message.get("ago", 0.0)), "task": key[0], "attempt": key[1]}
    for name in _FACTS:
        if name in message:
            event[name] = message[name]
    return event


def now(ago: float = 0.0) -> float:
    """Seconds since 1970, in milliseconds' steps."""
    return round(time.time() - ago, 3)
