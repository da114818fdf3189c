"""One experiment as the engine runs it: what is asked for, and what becomes of its attempts."""

from __future__ import annotations

import heapq
import time
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import structs

from tui_lab.engine.agent.resources import Resources
from tui_lab.engine.drift import Drift
from tui_lab.engine.health import NodeHealth
from tui_lab.engine.queue import Queue
from tui_lab.engine.records import Key as Key
from tui_lab.engine.records import now as now
from tui_lab.store import journal, ranges
from tui_lab.store.errors import LabError
from tui_lab.store.events import (
    Assigned,
    Ended,
    Extended,
    Finished,
    KnownEvent,
    Paused,
    Quarantined,
    Requeued,
    Resumed,
    Returned,
    Started,
    Stopped,
    Stopping,
    StopReason,
    Submitted,
)
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import DONE, REASONS

LOSS_BUDGET: Final = 3  # lost attempts of a task that use none of its retries
FIRST_FAILURES: Final = 10  # so many tasks that all fail, and the run pauses
BACKOFF: Final = 1.0  # seconds before the first retry; doubles
BACKOFF_LIMIT: Final = 60.0

# What an agent says of an ended attempt, and the journal records.
_FACTS: Final = (
    *("state", "reason", "exit_code", "signal", "step", "steps", "duration"),
    *("cpu_time", "peak_rss", "leftover", "message", "left", "left_more"),
)
_NAMED: Final = 3  # files that a note names


class ExperimentRun(Queue):
    """Decides what an ended attempt means. Does no talking."""

    def __init__(self, folder: ExperimentFolder) -> None:
        """Raises LabError, StorageError."""
        super().__init__(folder)
        self.drifts: dict[int, Drift] = {}  # by submission
        self.drifted: dict[Key, str] = {}  # open attempts that started after a change of their program -> what to note
        # Of the open attempts those to be stopped, and why.
        self.stopping: dict[Key, str] = {k: why for k, why in self.state.stopping.items() if k in self.flight}
        self.health = NodeHealth()
        self.extending = False  # someone finds out which repeats are needed still
        self.noted = False  # a note on these has been told since the newest submission

    # What is asked for.

    def submit(self, event: Submitted, seen: int) -> None:
        """Take a submission: `event` names a plan on disk and the tasks asked for. seen: how far whoever planned it had
        read the journal. Raises StorageError."""
        self.decide(structs.replace(event, queued=self._not_ended_since(seen, event.queued)))
        self.health = NodeHealth()
        self.noted = False
        self.queue_up()

    def extend(self, tasks: Sequence[int], note: str) -> None:
        """Run further repeats, too. note: what a person should know of them; the first of a submission is told."""
        self.record([Extended(now(), ranges.to_ranges(tasks), "" if self.noted else note)])
        self.noted = self.noted or bool(note)
        self.queue_up()

    def _not_ended_since(self, offset: int, tasks: ranges.Ranges) -> ranges.Ranges:
        """Those of the tasks that did not come to their end while the submission was made: whoever planned it
        had read the journal as far as `offset`, and asked for them because they were still to run."""
        ended = set[int]()
        for event, _ in journal.read(self.folder.journal, offset):
            if isinstance(event, Finished) and event.again is None:
                ended.add(event.task)
            elif isinstance(event, Stopped):
                ended.update(ranges.each(event.tasks))
        return ranges.to_ranges([task for task in ranges.each(tasks) if task not in ended]) if ended else tasks

    def requeue(self, tasks: ranges.Ranges, changes: dict[str, Any]) -> None:
        """Ask for tasks again, whatever became of them. Raises LabError, StorageError."""
        if any(not 0 <= first <= last < self.state.size for first, last in tasks):
            raise LabError(f'"{self.name}" has the tasks 0 to {self.state.size - 1:,}')
        self._require_project()
        self.decide(Requeued(now(), tasks, changes))
        self.queue_up()

    def resume(self) -> None:
        """Go on with what was asked for and has not ended. Raises LabError, StorageError."""
        self._require_room()
        if self.state.paused is not None or self.state.drained or self.state.ended is not None:
            self._require_project()
            self.decide(Resumed(now()))
        self.queue_up()

    def _require_project(self) -> None:
        """Raises LabError where the folder that tasks start in has gone: each would fail for that, and lose what it
        failed for."""
        experiment = self.recipe().experiment
        if experiment.workdir is None and not experiment.folder.is_dir():
            raise LabError(
                f'"{self.name}" came from {experiment.file}, and that folder is not there any more',
                "if it was moved, tui-lab --run FILE with its file where it is now goes on with it",
            )

    def stop_open(self, tasks: set[int] | None, why: StopReason) -> list[Key]:
        """Open attempts that are to be stopped, all or those of some tasks. That is written down, for the node of one
        may be away for longer than this engine lives. What a person has stopped for good stays stopped."""
        keys = [key for key in self.flight if tasks is None or key[0] in tasks]
        new = [key for key in keys if self.stopping.get(key) not in (why, "stopped")]
        if new:
            self.stopping.update(dict.fromkeys(new, why))
            self.record([Stopping(now(), new, why)])
        return keys

    def spare(self, told: Container[str]) -> None:
        """What was interrupted is asked for again: it goes on where nobody has been told yet. told: nodes that have."""
        spared = [key for key, why in self.stopping.items() if why == "interrupted" and self.flight[key] not in told]
        if spared:
            for key in spared:
                del self.stopping[key]
            self.record([Stopping(now(), spared, None)])

    # What happened.

    def regain(self, key: Key, node: str) -> bool:
        """Take back an attempt that counted as lost: its node is here again, and nothing has been started in its
        place. False where it is too late for that, or a person has interrupted the run meanwhile."""
        columns, (task, attempt) = self.state.columns, key
        if self.state.drained and self.state.ended is not None:
            return False
        if not 0 <= task < self.state.size or columns["assigned"][task] or not columns["queued"][task]:
            return False
        known = columns["attempts"][task]
        # One more than we know of: the machine went down before the disk had what we wrote of it.
        if columns["state"][task] == DONE or attempt not in (known, known + 1) or attempt == columns["base"][task]:
            return False
        # It has told us of its end, and did not get our word that it is written down.
        if attempt == columns["attempt"][task] and REASONS[columns["reason"][task]] != "node-lost":
            return False
        self.flight[key] = node
        self._hold_tokens(key)
        self.record([Assigned(now(), node, [key])])
        return True

    def on_started(self, key: Key, ago: float) -> Started:
        if self.stagger:
            self.next_start = max(self.next_start, time.monotonic() - ago + self.stagger)
            if key == self.handed_out:
                self.handed_out = None
        return Started(now(ago), *key)

    def look_for_drift(self, key: Key) -> None:
        """Note it where the files that an attempt on this machine reads have changed since it was submitted."""
        number = self.state.columns["submission"][key[0]]
        if number not in self.drifts:
            self.drifts[number] = Drift(self.recipe(number).experiment.folder, self.state.submissions[number])
        if note := self.drifts[number].note():
            self.drifted[key] = note

    def on_returned(self, keys: list[Key]) -> list[KnownEvent]:
        """The events of attempts that had not begun: their tasks go back to the queue, or have been stopped."""
        events: list[KnownEvent] = [Returned(now(), keys)]
        stopped = [key[0] for key in keys if self.stopping.get(key) == "stopped"]
        if stopped:
            events.append(Stopped(now(), ranges.to_ranges(stopped)))
        for key in keys:
            self.flight.pop(key, None)
            self.stopping.pop(key, None)
        self.put_back(keys)
        return events

    def on_finished(self, key: Key, message: dict[str, Any]) -> Finished:
        """The event of an attempt that ended, with `again` where the task goes back to the queue."""
        task = key[0]
        event = _finished(key, message)
        if drifted := self.drifted.pop(key, ""):
            event = structs.replace(event, note="; ".join(filter(None, (event.note, drifted))))
        interrupted = event.reason == "interrupted"
        if interrupted:
            event = structs.replace(event, reason="stopped")
        elif event.state == "lost":
            interrupted = self.stopping.get(key) == "interrupted"
        if event.state == "lost" and self.stopping.get(key) == "stopped":
            # a person wanted it to end: it does not run again
            event = structs.replace(event, state="stopped", reason="stopped")
        node = self.flight.pop(key, "")
        self.stopping.pop(key, None)
        self.tokens.pop(key, None)
        self._needs.pop(key, None)
        if self.state.columns["state"][task] == DONE:
            return structs.replace(event, duplicate=True)
        again = self.again(key, event, interrupted)
        if again is not None:
            event = structs.replace(event, again=again)
            heapq.heappush(self.later, (time.monotonic() + again, task))
        elif event.state == "done":
            self.finished_since[0] += 1
        elif event.state in ("failed", "lost"):
            self.finished_since[1] += 1
        if node:
            self.health.note(node, task, event.state)
        return event

    def on_late(self, key: Key, message: dict[str, Any], look: bool = False) -> Finished | None:
        """The event of an attempt that counted as lost and has come to a good end after all, before the one in its
        place: the first result counts. None where it does not. look: only find out."""
        columns, (task, attempt) = self.state.columns, key
        if message["state"] != "done" or not 0 <= task < self.state.size or columns["state"][task] == DONE:
            return None
        if not 0 < attempt < columns["attempts"][task] or not columns["queued"][task]:
            return None
        if not look:
            self.finished_since[0] += 1
        return structs.replace(_finished(key, message), late=True)

    def unplaceable(self, offers: Sequence[tuple[str, Resources]]) -> list[KnownEvent]:
        """End the tasks at the head of the queue that none of the nodes can ever run."""
        ended: list[KnownEvent] = []
        for _ in range(len(self.order)):
            task = self.order[0]
            key = (task, self.state.columns["attempts"][task] + 1)
            whys = [f"{name}: {why}" for name, resources in offers if (why := self.misfit(key, resources))]
            if len(whys) < len(offers) or not whys:
                break
            self.order.popleft()
            message = "no node can run it: " + "; ".join(whys)
            self.flight[key] = ""
            ended.append(Assigned(now(), offers[0][0], [key]))
            ended.append(self.on_finished(key, {"state": "failed", "reason": "start", "message": message}))
        return ended

    def replaced(self, task: int) -> Key | None:
        """The open attempt of a task."""
        key = (task, self.state.columns["attempts"][task])
        return key if key in self.flight else None

    def lose(self, node: str) -> list[Finished]:
        """End the attempts that are open on a node which has gone."""
        keys = [key for key, where in self.flight.items() if where == node]
        return [self.on_finished(key, {"state": "lost", "reason": "node-lost"}) for key in keys]

    def again(self, key: Key, event: Finished, interrupted: bool) -> float | None:
        """Seconds until the task's next attempt; None where this one decides."""
        task, attempt = key
        columns = self.state.columns
        if interrupted:
            return 0.0
        if not columns["planned"][task] or not columns["queued"][task] or event.state == "stopped":
            return None
        if event.state == "lost":
            return BACKOFF if columns["losses"][task] < LOSS_BUDGET else None
        if event.state != "failed":
            return None
        spec = self.recipe().experiment
        tries = attempt - columns["base"][task] - columns["losses"][task]
        status = event.exit_code if event.reason in ("exit", "signal") else None
        if (event.reason in spec.retry_on or status in spec.retry_on) and tries <= spec.retries:
            delay: float = min(BACKOFF_LIMIT, BACKOFF * 2 ** (tries - 1))
            return delay
        return None

    def quarantine(self) -> list[Quarantined]:
        """Nodes that fail what others do well: they get nothing more, and their failures run again elsewhere."""
        events: list[Quarantined] = []
        for node, failed in self.health.to_quarantine(self.state.quarantined):
            events.append(Quarantined(now(), node, ranges.to_ranges(failed)))
            self.finished_since[1] = max(0, self.finished_since[1] - len(failed))
            self.order.extendleft(reversed(failed))
        return events

    def pause_after_failures(self) -> Paused | None:
        """The event that pauses the run where too much has failed."""
        done, failed = self.finished_since
        failed -= self.health.doubtful
        if failed <= 0 or self.state.paused is not None or not self.state.submissions:
            return None
        limit = self.recipe().experiment.max_failures
        if limit is not None and failed >= limit:
            return Paused(now(), "max_failures", failed)
        if not self.newest.keep_going and done == 0 and failed >= FIRST_FAILURES and (self.order or self.later):
            return Paused(now(), "first_failures", failed)
        return None

    def stop_waiting(self, tasks: set[int] | None) -> Stopped | None:
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
        return Stopped(now(), ranges.to_ranges(waiting))

    def end(self) -> Ended:
        """The event that says this run is over, and how it stands."""
        return Ended(now(), self.counts())

    def counts(self) -> dict[str, int]:
        return self.state.counts_by_name()


def _finished(key: Key, message: Mapping[str, Any]) -> Finished:
    facts = {name: message[name] for name in _FACTS if name in message}
    notes = []
    if "folder_link" in message:
        notes.append(f"its folder is a symbolic link to {message['folder_link']}: what is behind it is not read")
    if message.get("folder_trouble"):
        notes.append(f"{message['folder_trouble']}; nothing of it came home")
    if unkept := message.get("unkept"):
        facts["left"] = [*facts.get("left", ()), *unkept]
        named = "; ".join(f"{one['name']}: {one['error']}" for one in unkept[:_NAMED])
        notes.append(f"{len(unkept)} of its files could not be brought home, and stayed there ({named})")
    if notes:
        facts["note"] = "; ".join(notes)
    return msgspec.convert({"at": now(message.get("ago", 0.0)), "task": key[0], "attempt": key[1], **facts}, Finished)


def entries_of(run: ExperimentRun) -> dict[str, dict[str, Any]]:
    """The nodes of all submissions of an experiment by name, the newest of each."""
    entries: dict[str, dict[str, Any]] = {}
    for submission in run.state.submissions:
        entries |= {entry["name"]: entry for entry in submission.nodes}
    return entries | {entry["name"]: entry for entry in run.nodes}
