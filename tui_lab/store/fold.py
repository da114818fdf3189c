"""The fold: from an experiment's events to the state of its tasks.

Columns, not objects: task ids are dense, so each fact is an array indexed by task id (about 70 bytes a task).
The engine applies every event that it appends; a reader applies what it reads. Both therefore agree by
construction.
"""

from __future__ import annotations

import logging
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, assert_never

import numpy as np
import numpy.typing as npt
from msgspec import structs

from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.store import journal, ranges
from tui_lab.store.events import (
    AgentKnown,
    Assigned,
    Changes,
    Cleaned,
    DependencyDone,
    DependencyFailed,
    DependencyRevived,
    Drained,
    Ended,
    EnvironmentCaptured,
    Event,
    Extended,
    FilesRemoved,
    Finished,
    JournalBegun,
    NodeRuns,
    NodesChanged,
    OutputsDiscarded,
    Paused,
    PlanRestored,
    Prioritized,
    Quarantined,
    Raised,
    Requeued,
    Resumed,
    Returned,
    Started,
    StepEnd,
    StepEnded,
    Stopped,
    Stopping,
    Submitted,
    Unknown,
)
from tui_lab.store.journal import Damage
from tui_lab.store.step_facts import StepFacts, added

log = logging.getLogger(__name__)

# Codes are the index. The first state is what a task is before anything happened to it.
STATES: Final = ("pending", "running", "done", "failed", "stopped", "lost")
PENDING, RUNNING, DONE, FAILED, STOPPED, LOST = range(6)
REASONS: Final = (
    "",
    "exit",
    "signal",
    "timeout",
    "oom",
    "node-lost",
    "walltime",
    "dependency",
    "stopped",
    "start",
    "exception",
    "outs",
    "preempted",
    "cancelled",
)
FAULTLESS: Final = ("walltime", "preempted", "cancelled")  # reasons of a loss that is nobody's fault
TOO_MANY_FAILED: Final = ("first_failures", "max_failures")  # reasons of a pause
EXPLAINED: Final = ("start", "outs", "walltime")  # reasons of failures of which the event has a `message`
_STATE_CODE: Final = {name: code for code, name in enumerate(STATES)}
_REASON_CODE: Final = {name: code for code, name in enumerate(REASONS)}

# In the column `planned`; PER_NODE stands for the runs of all nodes, and is never run itself.
TASK, STAGE_RUN, PER_NODE = 1, 2, 3

NONE: Final = -1  # an integer fact that is not known
NOTES: Final = 1000  # tasks whose notes are at hand; the journal has all
_UNKNOWN: Final = float("nan")  # a measured fact that is not known

# name -> (array type code, value before anything happened)
COLUMNS: Final[dict[str, tuple[str, float]]] = {
    "state": ("b", PENDING),
    "reason": ("b", 0),
    "planned": ("b", 0),  # in the newest plan: TASK; STAGE_RUN or PER_NODE of a stage before the last
    "stage": ("h", 0),  # of a run of a stage before the last: one more than the index into `State.stages`
    "queued": ("b", 0),  # asked for by a submission, and not yet at its end
    "attempts": ("i", 0),  # numbers given out so far
    "attempt": ("i", NONE),  # the one that counts: the last that ended
    "base": ("i", 0),  # attempts before the submission or retry that asked for the task
    "losses": ("h", 0),  # attempts lost since then
    "spent": ("h", 0),  # those of them that were not faultless
    "waits": ("b", 0),  # the task itself has ended well, but not all runs of its other last stages
    "assigned": ("b", 0),  # handed to a node, not yet ended
    "node": ("i", NONE),  # index into `State.nodes`
    "submission": ("i", NONE),  # under which the last attempt was assigned
    "exit_code": ("i", NONE),
    "signal": ("h", NONE),
    "step": ("h", NONE),  # the step at which the last attempt ended
    "go_on": ("h", 0),  # the step that the next attempt begins at
    "outputs": ("i", NONE),  # the attempt whose outputs begin with those of the steps before it
    "discarded": ("b", 0),  # of a run of a stage: its files were removed, because nothing needed them any more
    "leftover": ("i", NONE),
    "peak_rss": ("q", NONE),
    "duration": ("d", _UNKNOWN),
    "cpu_time": ("d", _UNKNOWN),
    "started": ("d", _UNKNOWN),  # seconds since 1970, UTC
    "ended": ("d", _UNKNOWN),
}


class State:
    """The state of an experiment after a number of events."""

    def __init__(self) -> None:
        self.columns: dict[str, array[Any]] = {name: array(code) for name, (code, _) in COLUMNS.items()}
        self.steps = StepFacts()
        self.size = 0
        self.identity = ""  # of the journal: agents know an experiment by it
        self.nodes: list[str] = []
        self.stages: list[str] = []  # before the last, of all plans
        self.node_runs: dict[int, dict[str, int]] = {}  # run of the plan -> node -> the run there
        self.run_for: dict[int, tuple[int, str]] = {}  # the run on a node -> run of the plan, node
        self.spools: dict[str, str] = {}  # node -> identity of the agent's ledger that it was last handed tasks with
        self.environments: dict[str, str] = {}  # node -> digest of what was captured of it last
        self.placement: NodesChanged | None = None  # the nodes of the newest submission, where the user changed them
        self.quarantined: set[str] = set()  # nodes that get nothing more of the newest submission
        self.plan = 0  # number of the newest plan
        self.submissions: list[Submitted] = []
        self.note = ""  # on the repeats of the newest submission: that `until` can't become true
        self.paused: Paused | None = None
        self.accepted_failures = 0  # of the newest submission: the user has gone on in spite of so many
        self.drained = False  # the user asked to start nothing more
        self.prioritized: Prioritized | None = None  # of the newest submission, where the user changed it
        self.ended: Ended | None = None  # of the newest submission
        self.continued = 0.0  # when the user last submitted, resumed or retried; seconds since 1970
        self.offset = 0  # of the journal, behind the last event applied
        self.damage: list[Damage] = []  # lines of the journal that were passed over
        self.proof = (0, 0)  # an offset, and the CRC-32 of the journal before it, as a checkpoint had them
        self.changes: dict[int, Changes] = {}  # task -> what a retry changed for it
        self.stopping: dict[tuple[int, int], str] = {}  # open attempts that are to be stopped -> why
        self.notes: dict[int, str] = {}  # task -> what the user should know of its last attempt; of some tasks at most
        self.raised: dict[int, Raised] = {}  # task -> the exception that ended its last attempt
        self.counts = Counter[int]()  # planned tasks by state

    def grow(self, size: int) -> None:
        """Make room for tasks with ids below `size`; they are pending."""
        if size <= self.size:
            return
        for name, (code, empty) in COLUMNS.items():
            filler = array(code, [int(empty) if code != "d" else empty]) * (size - self.size)
            self.columns[name].extend(filler)
        self.steps.grow(size)
        self.size = size

    # --- Reading the journal

    def follow(self, path: Path, listen: Callable[[Event], None] | None = None) -> None:
        """Apply what the journal holds behind `offset`, and pass each event on to `listen`. Damage is kept and logged.

        Begins anew where the journal has become another, shorter one. Raises LabError, StorageError.
        """
        try:
            if path.stat().st_size < self.offset:
                vars(self).update(vars(State()))
        except OSError:
            pass
        found: list[Damage] = []
        for event, offset in journal.read(path, self.offset, damage=found):
            self.apply(event)
            self.offset = offset
            if listen is not None:
                listen(event)
        new = [one for one in found if one not in self.damage]
        if new:
            self.damage += new
            log.warning("%s", journal.damage_text(path, new))

    def apply(self, event: Event) -> None:
        """Take one event. Events of unknown kinds, or that name what does not exist, change nothing."""
        try:
            match event:  # the most frequent ones first
                case Finished():
                    self._finish(event)
                case Started():
                    self._start(event)
                case StepEnded():
                    self._end_step(event)
                case Assigned():
                    self._assign(event)
                case Returned():
                    self._return(event)
                case JournalBegun():
                    self.identity = event.id
                case Submitted():
                    self._submit(event)
                case NodeRuns():
                    self._take_node_runs(event)
                case PlanRestored():
                    self._restore_plan(event)
                case Requeued():
                    self._requeue(event)
                case Extended():
                    if self.submissions:
                        self.note = event.note or self.note
                    self._queue(event.queued)
                case NodesChanged():
                    self.placement = event
                    self._plan_node_runs(event.nodes)
                    self.quarantined -= set(event.released)
                case Quarantined():
                    self._quarantine(event)
                case EnvironmentCaptured():
                    self.environments[event.node] = event.digest
                case AgentKnown():
                    self.spools[event.node] = event.spool
                case Stopping():
                    self._stop_open(event)
                case Stopped():
                    self._stop(event)
                case DependencyFailed():
                    self._fail_dependent(event)
                case DependencyRevived():
                    self._revive(event.tasks)
                case DependencyDone():
                    for task in ranges.each(event.tasks):
                        self._move(task, DONE)
                        self.columns["queued"][task] = self.columns["waits"][task] = 0
                        self.columns["reason"][task] = 0
                case Cleaned():
                    self._clean(event)
                case OutputsDiscarded():
                    self._discard(event)
                case FilesRemoved():
                    for task in ranges.each(event.tasks):
                        self.columns["go_on"][task], self.columns["outputs"][task] = 0, NONE
                case Paused():
                    self.paused = event
                case Resumed():
                    if self.paused is not None and self.paused.reason in TOO_MANY_FAILED:
                        self.accepted_failures = self.paused.failed
                    self.paused, self.drained, self.ended = None, False, None
                    self.continued = event.at
                case Drained():
                    self.drained = True
                case Prioritized():
                    self.prioritized = event
                case Ended():
                    self.ended = event
                case Unknown():
                    pass
                case _:
                    assert_never(event)
        except (LookupError, ValueError, OverflowError):
            pass

    def _move(self, task: int, state: int) -> None:
        column = self.columns["state"]
        if self.columns["planned"][task] == TASK:
            self.counts[column[task]] -= 1
            self.counts[state] += 1
        column[task] = state

    def _submit(self, event: Submitted) -> None:
        planned = event.planned
        self.plan = event.plan
        self.submissions.append(event)
        self.note = ""
        self.drained, self.paused, self.ended, self.continued = False, None, None, event.at
        self.accepted_failures = 0
        self.placement, self.quarantined, self.prioritized = None, set(), None
        staged = [one for ids in event.stages.values() for one in ids]
        self.grow(1 + max((last for _, last in (*planned, *staged)), default=-1))
        self.columns["planned"] = array("b", bytes(self.size))
        for first, last in planned:
            self.columns["planned"][first : last + 1] = array("b", b"\1" * (last - first + 1))
        for name, ids in event.stages.items():
            self._submit_stage(name, ids, PER_NODE if name in event.per_node else STAGE_RUN)
        self._plan_node_runs(event.nodes)
        queued = self._view("queued")
        if event.joins:  # the run before it is still going: what that was asked for stays asked for
            queued[self._view("planned") == 0] = 0
        else:
            queued[:] = 0
            self.changes = {}
        self._queue(event.queued)

    def _submit_stage(self, name: str, ids: ranges.Ranges, kind: int) -> None:
        if name not in self.stages:
            self.stages.append(name)
        code = self.stages.index(name) + 1
        for first, last in ids:
            count = last - first + 1
            self.columns["planned"][first : last + 1] = array("b", [kind]) * count
            self.columns["stage"][first : last + 1] = array("h", [code]) * count

    def _plan_node_runs(self, nodes: Sequence[NodeEntry]) -> None:
        """Count the runs of the nodes that take part as planned, where their runs of the plan are."""
        names = {node["name"] for node in nodes}
        planned = self.columns["planned"]
        for one, (run, node) in self.run_for.items():
            planned[one] = STAGE_RUN if planned[run] and node in names else 0

    def _take_node_runs(self, event: NodeRuns) -> None:
        self.grow(1 + max((one for _, one in event.runs), default=-1))
        for run, one in event.runs:
            self.columns["planned"][one] = STAGE_RUN if self.columns["planned"][run] else 0
            self.columns["stage"][one] = self.columns["stage"][run]
            self.node_runs.setdefault(run, {})[event.node] = one
            self.run_for[one] = (run, event.node)
            if event.needed:
                self._queue([[one, one]])
            elif not self.columns["assigned"][one]:
                self.columns["queued"][one] = 0

    def _fail_dependent(self, event: DependencyFailed) -> None:
        for task in ranges.each(event.tasks):
            self._move(task, FAILED)
            self.columns["queued"][task] = 0
            self.columns["reason"][task] = _REASON_CODE["dependency"]
            if not self.columns["waits"][task]:
                self.columns["ended"][task] = event.at

    def _revive(self, tasks: ranges.Ranges) -> None:
        ids = ranges.to_ids(tasks)
        ids = ids[ids < self.size]
        done = ids[self._view("state")[ids] == DONE]
        self._queue(tasks)
        self._view("waits")[done] = 1

    def _restore_plan(self, event: PlanRestored) -> None:
        """The file of a plan was made again."""
        self.submissions = [
            structs.replace(one, plan_crc=event.plan_crc) if one.plan == event.plan else one for one in self.submissions
        ]

    def _quarantine(self, event: Quarantined) -> None:
        """Quarantine a node: its failures don't count, and it gets nothing more."""
        self.quarantined.add(event.node)
        columns = self.columns
        for task in ranges.each(event.tasks):
            if columns["assigned"][task] or self.has_result(task):
                continue
            self._move(task, PENDING)
            columns["queued"][task] = 1
            columns["base"][task] = columns["attempts"][task]
            columns["go_on"][task] = 0  # the node may have done the steps before badly, too

    def _requeue(self, event: Requeued) -> None:
        self.ended, self.paused, self.drained, self.continued = None, None, False, event.at
        changes = event.changes
        for task in ranges.each(event.queued) if changes or self.changes else ():
            self.changes.pop(task, None)
            if changes:
                self.changes[task] = changes
        for task in ranges.each(event.queued) if event.step is not None else ():
            if not self.columns["assigned"][task]:
                self.columns["go_on"][task] = min(event.step or 0, self.done_steps(task))
                self.columns["waits"][task] = 0
        self._queue(event.queued)

    def _queue(self, wanted: ranges.Ranges) -> None:
        """Queue tasks: each gets all its attempts again. What is running or queued already stays so."""
        ids = ranges.to_ids(wanted)
        ids = ids[ids < self.size]
        queued, attempts, base = self._view("queued"), self._view("attempts"), self._view("base")
        ids = ids[(queued[ids] == 0) | (attempts[ids] == base[ids])]
        ids = ids[self._view("planned")[ids] != PER_NODE]
        queued[ids] = 1
        self._view("discarded")[ids] = 0
        ids = ids[self._view("assigned")[ids] == 0]
        self._view("state")[ids] = PENDING
        base[ids] = attempts[ids]
        self._view("losses")[ids] = self._view("spent")[ids] = 0
        self._recount()

    def _recount(self) -> None:
        states = self._view("state")[self._view("planned") == TASK]
        self.counts = Counter(dict(enumerate(np.bincount(states, minlength=len(STATES)).tolist())))

    def _view(self, name: str) -> npt.NDArray[Any]:
        """A column as a numpy array over the same memory; not to be kept, for the column can't grow
        meanwhile."""
        return np.frombuffer(self.columns[name], dtype=COLUMNS[name][0])

    def _node(self, name: str) -> int:
        if name not in self.nodes:
            self.nodes.append(name)
        return self.nodes.index(name)

    def _assign(self, event: Assigned) -> None:
        node = self._node(event.node)
        columns = self.columns
        for task, attempt in event.attempts:
            if columns["attempts"][task] == attempt == columns["attempt"][task] and columns["losses"][task]:
                columns["losses"][task] -= 1  # its node has come back with it: it was not lost
                columns["spent"][task] -= REASONS[columns["reason"][task]] not in FAULTLESS
            columns["attempts"][task] = attempt
            columns["assigned"][task] = 1
            columns["node"][task] = node
            columns["submission"][task] = len(self.submissions) - 1
            columns["go_on"][task] = 0
        for task, step in event.go_on:
            columns["go_on"][task] = step

    def _return(self, event: Returned) -> None:
        """Attempts taken back before they began: their numbers are given out again."""
        for task, attempt in event.attempts:
            if self.columns["attempts"][task] == attempt:
                self.columns["attempts"][task] = attempt - 1
                self.columns["assigned"][task] = 0
                self.stopping.pop((task, attempt), None)

    def _start(self, event: Started) -> None:
        columns, task = self.columns, event.task
        if columns["attempts"][task] == event.attempt and columns["assigned"][task] and not self.has_result(task):
            if columns["state"][task] != RUNNING:  # else the event comes again, after a reconnect
                columns["go_on"][task] = event.first_step
                columns["outputs"][task] = event.attempt if event.first_step else NONE
            self._move(task, RUNNING)
            columns["started"][task] = event.at

    def _end_step(self, event: StepEnded) -> None:
        columns, task = self.columns, event.task
        current = columns["assigned"][task] and columns["attempts"][task] == event.attempt
        if current and columns["go_on"][task] == event.step:
            self.steps.add(event.step, self.size)
            self.steps.set(task, event.step, event.exit_code, event.duration, event.end)
            columns["go_on"][task] = event.step + 1
            columns["outputs"][task] = event.attempt

    def _finish(self, event: Finished) -> None:
        columns, task = self.columns, event.task
        if event.late:  # of a node that was lost, before the attempt in its place has come to an end
            if self.has_result(task) or not 0 < event.attempt < columns["attempts"][task]:
                return
            columns["started"][task] = event.at - _or_unknown(event.duration)
        elif not columns["assigned"][task] or columns["attempts"][task] != event.attempt:
            return  # a duplicate: the first result of an attempt wins
        else:
            columns["assigned"][task] = 0
            if self.stopping:
                self.stopping.pop((task, event.attempt), None)
            if event.duplicate:
                return
        columns["attempt"][task] = event.attempt
        columns["reason"][task] = _REASON_CODE.get(event.reason or "", 0)
        columns["exit_code"][task] = _or_none(event.exit_code)
        columns["signal"][task] = _or_none(event.signal)
        columns["step"][task] = _or_none(event.step)
        columns["leftover"][task] = event.leftover or 0
        columns["peak_rss"][task] = _or_none(event.peak_rss)
        columns["duration"][task] = _or_unknown(event.duration)
        columns["cpu_time"][task] = _or_unknown(event.cpu_time)
        if event.steps is not None:
            self._take_steps(event, event.steps)
        columns["ended"][task] = event.at
        if self.raised:
            self.raised.pop(task, None)
        if event.raised is not None:
            self.raised[task] = event.raised
        if self.notes:
            self.notes.pop(task, None)
        if event.note is not None and len(self.notes) < NOTES:
            self.notes[task] = event.note
        state = _STATE_CODE[event.state]
        if state == LOST:
            columns["losses"][task] += 1
            columns["spent"][task] += event.reason not in FAULTLESS
        if event.again is not None or event.waits:  # the task goes back to the queue, `again` seconds later
            self._move(task, PENDING)
            columns["waits"][task] = event.waits
        else:
            self._move(task, state)
            columns["queued"][task] = 0

    def _take_steps(self, event: Finished, steps: Sequence[tuple[int | None, float | None]]) -> None:
        """Take the facts of the steps of an attempt that its agent reports. Steps before its first one count as they
        took, so that its duration is that of a task whose attempt ran them all."""
        columns, task, ends = self.columns, event.task, event.step_ends
        self.steps.add(len(steps) - 1, self.size)
        self.steps.clear(task, len(steps))
        unknown = StepEnd(event.attempt, (NONE, NONE, NONE))
        for step, (code, duration) in enumerate(steps):
            self.steps.set(task, step, code, duration, unknown if ends is None else ends[step])
        whole = ends is not None and event.state != "done"
        columns["go_on"][task] = (len(steps) if event.step is None else event.step) if whole else 0
        columns["outputs"][task] = NONE if ends is None else event.attempt
        if event.first_step and ends is not None:
            before = ends[: event.first_step]
            durations = [duration for _, duration in steps[: event.first_step]]
            columns["duration"][task] = added(columns["duration"][task], durations)
            columns["cpu_time"][task] = added(columns["cpu_time"][task], [end.cpu_time for end in before])
            peaks = [columns["peak_rss"][task], *(_or_none(end.peak_rss) for end in before)]
            columns["peak_rss"][task] = max(peaks)

    def _stop_open(self, event: Stopping) -> None:
        """Mark open attempts as to be stopped; without a reason, no longer."""
        columns, reason = self.columns, event.reason
        for task, attempt in event.attempts:
            if reason is None:
                self.stopping.pop((task, attempt), None)
            elif columns["assigned"][task] and columns["attempts"][task] == attempt:
                self.stopping[task, attempt] = reason

    def _stop(self, event: Stopped) -> None:
        """Stop tasks before they begin."""
        for task in ranges.each(event.tasks):
            self._move(task, STOPPED)
            self.columns["queued"][task] = 0
            self.columns["reason"][task] = _REASON_CODE["stopped"]

    def _clean(self, event: Cleaned) -> None:
        """Remove results of tasks: they are pending, but numbers of attempts continue."""
        columns = self.columns
        for task in ranges.each(event.tasks):
            self._move(task, PENDING)
            self.notes.pop(task, None)
            self.raised.pop(task, None)
            for name, (code, empty) in COLUMNS.items():
                if name not in ("state", "planned", "stage", "attempts", "assigned", "node", "submission"):
                    columns[name][task] = empty if code == "d" else int(empty)
            columns["base"][task] = columns["attempts"][task]
            self.steps.clear(task)

    def _discard(self, event: OutputsDiscarded) -> None:
        """The files of runs of stages are removed: another attempt begins at the first step."""
        for run in ranges.each(event.runs):
            self.columns["discarded"][run] = 1
            self.columns["go_on"][run], self.columns["outputs"][run] = 0, NONE

    # --- Questions

    def has_result(self, task: int) -> bool:
        """Return whether an attempt of a task has ended well: nothing of it is to be run again."""
        return bool(self.columns["state"][task] == DONE or self.columns["waits"][task])

    def done_steps(self, task: int) -> int:
        """Return how many of the first steps of a task have ended well, with outputs from which another attempt can go
        on."""
        columns = self.columns
        if columns["outputs"][task] == NONE:
            return 0
        return len(self.steps.ends(task)[0]) if columns["state"][task] == DONE else int(columns["go_on"][task])

    def step_ends(self, task: int) -> tuple[int, list[tuple[int | None, float | None]], list[StepEnd]]:
        """Return what the assigned attempt of a task goes on from: the attempt whose outputs it takes over, exit status
        and duration of each step that is done, and the further facts of these."""
        steps, ends = self.steps.ends(task)
        count = self.columns["go_on"][task]
        return self.columns["outputs"][task], steps[:count], ends[:count]

    def discarded_runs(self) -> list[int]:
        """Return the planned runs of stages whose files were removed, because nothing needed them any more."""
        chosen = (self._view("discarded") == 1) & (self._view("planned") == STAGE_RUN) if self.stages else []
        found: list[int] = np.flatnonzero(chosen).tolist()
        return found

    def plan_crc(self, number: int) -> str | None:
        """CRC-32 of the file of a plan; None where the journal does not have it."""
        named = (event for event in reversed(self.submissions) if event.plan == number)
        return next((event.plan_crc for event in named if event.plan_crc is not None), None)

    def stage(self, task: int) -> str | None:
        """Return the stage of which this is a run; None for a task."""
        code = self.columns["stage"][task] if 0 <= task < self.size else 0
        return self.stages[code - 1] if code else None

    def planned_run(self, one: int) -> int:
        """Return the id that the plan has for this: for the run of a stage on a node, that of the run which stands for
        those of all nodes."""
        return self.run_for[one][0] if one in self.run_for else one

    def runs_on(self, node: str) -> dict[int, int]:
        """Return the runs of its own that a node has, by those of the plan."""
        return {run: found[node] for run, found in self.node_runs.items() if node in found}

    def runs_with(self, one: int) -> dict[int, int]:
        """Return the same of the node where a task, or a run of a stage, ran last; nothing where it has not run."""
        node = self.columns["node"][one] if self.node_runs and one < self.size else NONE
        return self.runs_on(self.nodes[node]) if node >= 0 else {}

    def on_node(self, run: int, task: int) -> int:
        """Return the run that a task, or another run, uses where it depends on a run of the plan: that of the node
        where it ran last, if each node has one. It is the run of the plan itself while that is not known."""
        node = self.columns["node"][task] if 0 <= task < self.size else NONE
        known = self.node_runs.get(run)
        return known.get(self.nodes[node], run) if known and node >= 0 else run

    def task_ids(self) -> npt.NDArray[np.int64]:
        """Return the ids of all tasks ever, without runs of stages."""
        if not self.stages:
            return np.arange(self.size, dtype=np.int64)
        tasks = self._view("stage") == 0
        tasks[list(self.run_for)] = False  # a repair may not know of which stage they are
        return np.flatnonzero(tasks)

    def queued_tasks(self) -> int:
        """Return how many tasks are requested and have not ended, without runs of stages."""
        if not self.size:
            return 0
        queued = self._view("queued")
        return int(np.count_nonzero(queued[self.task_ids()] if self.stages else queued))

    def stage_counts(self) -> dict[str, dict[str, int]]:
        """Return the planned runs of each stage before the last by state, in the order of the newest plan; those that
        only wait for what failed are pending."""
        if not self.stages:
            return {}
        planned, stages = self._view("planned"), self._view("stage")
        # What failed only because of others is, for the user, still to be run.
        blocked = self._view("reason") == _REASON_CODE["dependency"]
        states = np.where(blocked & (self._view("state") == FAILED), PENDING, self._view("state"))
        idle = np.zeros(self.size, dtype=np.bool_)  # runs for a node that no longer needs them
        some = list(self.run_for)
        idle[some] = (states[some] == PENDING) & (self._view("queued")[some] == 0)
        found = {}
        for name in dict.fromkeys((*(self.submissions[-1].stages if self.submissions else ()), *self.stages)):
            code = self.stages.index(name) + 1
            mine = states[(planned == STAGE_RUN) & (stages == code) & ~idle]
            if len(mine):
                found[name] = dict(zip(STATES, np.bincount(mine, minlength=len(STATES)).tolist(), strict=True))
        return found

    def count(self, state: int) -> int:
        """Planned tasks in a state."""
        return self.counts[state]

    @property
    def planned(self) -> int:
        """Number of tasks in the newest plan."""
        return sum(self.counts.values())

    def counts_by_name(self) -> dict[str, int]:
        """Planned tasks by state, in the order of STATES, zeros included."""
        return {name: self.counts[code] for code, name in enumerate(STATES)}


def _or_none(fact: int | None) -> int:
    return NONE if fact is None else fact


def _or_unknown(fact: float | None) -> float:
    return _UNKNOWN if fact is None else fact
