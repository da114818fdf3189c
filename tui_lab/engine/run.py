"""One experiment as the engine runs it: its queue, its open attempts, and what it writes to its journal."""

from __future__ import annotations

import heapq
import random
import time
from array import array
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

import polars as pl

from tui_lab.engine.recipe import Recipe
from tui_lab.store import ranges
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.journal import Event, Journal

LOSS_BUDGET: Final = 3  # lost attempts of a task that use none of its retries
FIRST_FAILURES: Final = 10  # so many tasks that all fail, and the run pauses
BACKOFF: Final = 1.0  # seconds before the first retry; doubles
BACKOFF_LIMIT: Final = 60.0

Key = tuple[int, int]  # task, attempt


class ExperimentRun:
    """Decides what is next for one experiment, and what an ended attempt means. Does no talking."""

    def __init__(self, folder: ExperimentFolder) -> None:
        """Raises LabError, StorageError."""
        self.folder = folder
        self.name = folder.name
        self.journal = Journal(folder.journal)
        self.state = folder.state()
        self.state.offset = self.journal.end
        self.environment: dict[str, str] | None = None  # of whoever submitted; without it nothing starts
        self.order: deque[int] = deque()
        self.later: list[tuple[float, int]] = []  # (monotonic time, task): retries that wait
        self.flight: dict[Key, str] = {}  # open attempts -> node
        self.interrupted: set[Key] = set()
        self.unwritten: list[Event] = []
        self.unacknowledged: list[tuple[str, Key]] = []  # (node, key) of events in the journal, not yet durable
        self.finished_since = [0, 0]  # done, failed since the submission
        self.keep_going = False
        self.recipes: dict[int, Recipe] = {}
        self.priority = 0
        self.arrival = 0
        for task, given in enumerate(self.state.columns["assigned"]):
            if given:
                self.flight[task, self.state.columns["attempts"][task]] = self.node_of(task)

    def node_of(self, task: int) -> str:
        return self.state.nodes[self.state.columns["node"][task]]

    # Writing.

    def record(self, events: Iterable[Event]) -> bool:
        """Append events and apply them. False where the disk would not take them: they are kept for `write_again`."""
        events = list(events)
        if self.unwritten:
            self.unwritten += events
            return False
        try:
            self.journal.append(events)
        except OSError:
            self.unwritten += events
            return False
        for event in events:
            self.state.apply(event)
        self.state.offset = self.journal.end
        return True

    def write_again(self) -> bool:
        """Try once more to write what the disk did not take."""
        events, self.unwritten = self.unwritten, []
        return self.record(events)

    # Submissions.

    @property
    def submission(self) -> int:
        return len(self.state.submissions) - 1

    def recipe(self, submission: int | None = None) -> Recipe:
        """How tasks of a submission are run, by default of the newest. Raises LabError, SpecError."""
        number = self.submission if submission is None else submission
        if number not in self.recipes:
            plan = self.state.submissions[number]["plan"]
            spec = self.folder.spec(plan)
            self.recipes[number] = Recipe(spec, self.folder.plan(plan), self.folder.path, f"{self.name}/{number}")
        return self.recipes[number]

    def submit(self, event: Event, environment: dict[str, str], arrival: int) -> None:
        """Take a submission: `event` names a plan on disk and the tasks asked for. Raises LabError, SpecError."""
        self.environment = environment
        self.arrival = arrival
        self.keep_going = bool(event.get("keep_going"))
        self.record([event])
        self.priority = self.recipe().experiment.priority
        self.finished_since = [0, 0]
        self.queue_up()

    def requeue(
        self, tasks: ranges.Ranges, environment: dict[str, str], changes: dict[str, Any], arrival: int
    ) -> None:
        """Ask for tasks again, whatever became of them."""
        self.environment = environment
        self.arrival = arrival
        self.finished_since = [0, 0]
        self.record([{"event": "requeued", "at": now(), "queued": tasks, "changes": changes}])
        self.priority = self.recipe().experiment.priority
        self.queue_up()

    def resume(self, environment: dict[str, str], arrival: int) -> None:
        """Go on with what was asked for and has not ended."""
        if not self.state.submissions:
            raise LabError(f'nothing of "{self.name}" was submitted yet')
        self.environment = environment
        self.arrival = arrival
        self.finished_since = [0, 0]
        self.record([{"event": "resumed", "at": now()}])
        self.priority = self.recipe().experiment.priority
        self.queue_up()

    def queue_up(self) -> None:
        """Bring the tasks that were asked for into the order of the experiment."""
        columns = self.state.columns
        tasks = self.recipe().plan.tasks.select("task_id", "repeat")
        queued = pl.Series(columns["queued"], dtype=pl.Int8)
        assigned = pl.Series(columns["assigned"], dtype=pl.Int8)
        wanted = tasks.filter((queued.gather(tasks["task_id"]) == 1) & (assigned.gather(tasks["task_id"]) == 0))
        order = self.recipe().experiment.order
        if order == "interleaved":
            wanted = wanted.sort("repeat", maintain_order=True)
        ids = wanted["task_id"].to_list()
        if order == "shuffled":
            random.Random(self.state.plan).shuffle(ids)
        self.order = deque(array("i", ids))
        self.later = []

    # What is next.

    @property
    def held(self) -> bool:
        """Nothing new may start."""
        return self.state.drained or self.state.paused is not None or self.environment is None or bool(self.unwritten)

    def take(self, most: int) -> list[Key]:
        """Up to `most` attempts to start now."""
        taken: list[Key] = []
        if self.held:
            return taken
        columns = self.state.columns
        moment = time.monotonic()
        while self.later and self.later[0][0] <= moment:
            self.order.appendleft(heapq.heappop(self.later)[1])
        while self.order and len(taken) < most:
            task = self.order.popleft()
            if columns["queued"][task] and not columns["assigned"][task]:
                taken.append((task, columns["attempts"][task] + 1))
        return taken

    def put_back(self, keys: Iterable[Key]) -> None:
        self.order.extendleft(task for task, _ in reversed(list(keys)))

    @property
    def next_retry(self) -> float | None:
        """Monotonic time of the next retry that waits."""
        return self.later[0][0] if self.later and not self.held else None

    @property
    def over(self) -> bool:
        """Nothing is open, and nothing will start."""
        return not self.flight and not self.unwritten and (self.held or not (self.order or self.later))

    def assign(self, keys: list[Key], node: str, spool: str) -> bool:
        """Write ahead that a node gets these attempts. False where the disk is full: then it does not.

        spool: identity of the agent's ledger; an agent with another one knows nothing of these attempts.
        """
        events: list[Event] = [{"event": "assigned", "at": now(), "node": node, "attempts": keys}]
        if self.state.spools.get(node) != spool:
            events.insert(0, {"event": "node", "at": now(), "node": node, "spool": spool})
        if not self.record(events):
            del self.unwritten[-len(events) :]
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
        self.put_back(keys)
        return {"event": "returned", "at": now(), "attempts": keys}

    def on_finished(self, key: Key, message: dict[str, Any]) -> Event:
        """The event of an attempt that ended, with `again` where the task goes back to the queue."""
        task, attempt = key
        event: Event = {"event": "finished", "at": now(message.get("ago", 0.0)), "task": task, "attempt": attempt}
        for name in ("state", "reason", "exit_code", "signal", "step", "steps", "duration", "cpu_time", "peak_rss", "leftover", "message"):
            if name in message:
                event[name] = message[name]
        self.flight.pop(key, None)
        again = self.again(key, event)
        if again is not None:
            event["again"] = again
            heapq.heappush(self.later, (time.monotonic() + again, task))
        elif event["state"] == "done":
            self.finished_since[0] += 1
        elif event["state"] in ("failed", "lost"):
            self.finished_since[1] += 1
        self.interrupted.discard(key)
        return event

    def again(self, key: Key, event: Event) -> float | None:
        """Seconds until the task's next attempt; None where this one decides."""
        task, attempt = key
        columns = self.state.columns
        if not columns["planned"][task] or not columns["queued"][task]:
            return None
        if event["state"] == "stopped":
            return 0.0 if key in self.interrupted else None
        if event["state"] == "lost":
            return BACKOFF if columns["losses"][task] + 1 < LOSS_BUDGET else None
        if event["state"] != "failed":
            return None
        spec = self.recipe().experiment
        tries = attempt - columns["base"][task] - columns["losses"][task]
        if event["reason"] in spec.retry_on and tries <= spec.retries:
            delay: float = min(BACKOFF_LIMIT, BACKOFF * 2 ** (tries - 1))
            return delay
        return None

    def pause_after_failures(self) -> Event | None:
        """The event that pauses the run where too much has failed."""
        done, failed = self.finished_since
        if not failed or self.state.paused is not None:
            return None
        limit = self.recipe().experiment.max_failures
        if limit is not None and failed >= limit:
            return {"event": "paused", "at": now(), "reason": "max_failures", "failed": failed}
        if not self.keep_going and done == 0 and failed >= FIRST_FAILURES and (self.order or self.later):
            return {"event": "paused", "at": now(), "reason": "first_failures", "failed": failed}
        return None

    def pause_asked(self) -> Event:
        """The event that pauses the run because a person wants it."""
        return {"event": "paused", "at": now(), "reason": "asked", "failed": self.finished_since[1]}

    def stop_waiting(self, tasks: set[int] | None) -> Event | None:
        """Stop tasks that have not begun: all, or some."""
        columns = self.state.columns
        waiting = [
            task
            for task in (range(self.state.size) if tasks is None else tasks)
            if columns["queued"][task] and not columns["assigned"][task]
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
        return {"event": "ended", "at": now(), "counts": self.state.counts_by_name()}

    def counts(self) -> dict[str, int]:
        return self.state.counts_by_name()


def now(ago: float = 0.0) -> float:
    """Seconds since 1970, in milliseconds' steps."""
    return round(time.time() - ago, 3)


