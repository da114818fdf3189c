"""The files of one experiment in the engine: journal and plans; and the environment of its tasks."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import polars as pl
from msgspec import structs

from tui_lab.engine.core.effects import Acknowledge
from tui_lab.engine.core.model import AttemptKey, AttemptNeeds, RunSettings
from tui_lab.engine.core.node_runs import split
from tui_lab.engine.tasks.builder import TaskBuilder
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.model import Experiment
from tui_lab.protocol.agent import Resume
from tui_lab.store import collected, journal, ranges
from tui_lab.store.declared_files import file_digest
from tui_lab.store.errors import LabError, OutdatedPlanError, StorageError
from tui_lab.store.events import (
    Changes,
    DependencyDone,
    Finished,
    KnownEvent,
    NodesChanged,
    Requeued,
    Resumed,
    Stopped,
    Submitted,
)
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.journal import Journal
from tui_lab.store.plan import LINK, Plan
from tui_lab.store.program_files import used

_HASHED: Final = 64 << 20  # bytes of a file that is read to tell whether it differs; a larger one counts as changed
_SHARE: Final = 20  # looks take at most one of so many parts of the time
_NAMED: Final = 3  # files that a note names


class RunFiles:
    """One experiment on the disk. Its `state` changes only in the scheduler."""

    def __init__(self, folder: ExperimentFolder) -> None:
        """Raises LabError, StorageError."""
        self.folder = folder
        self.name = folder.name
        folder.require_whole()  # nor is a newer one opened for writing
        self.journal = Journal(folder.journal)
        self.state = folder.state()
        self.unwritten: list[KnownEvent] = []  # what the disk would not take
        self.unacknowledged: list[Acknowledge] = []  # their events are in the journal, not yet durable
        self.to_discard: list[int] = []  # runs of stages whose files go once the journal is durable
        self.environment: dict[str, str] | None = None  # of the client that submitted; None where none has supplied it
        self.umask: int | None = None
        self._builders: dict[int, TaskBuilder] = {}
        self._program_changes: dict[int, ProgramChanges] = {}  # by submission

    @property
    def wire_name(self) -> str:
        """What agents call the experiment."""
        return f"{self.name}@{self.state.identity[:8]}"

    # --- Writing

    def append(self, events: Sequence[KnownEvent]) -> bool:
        """Append events. Return False if the disk has no room for all: the rest waits for `write_again`."""
        if self.unwritten:
            self.unwritten += events
            return False
        self.unwritten += events[self._write(events) :]
        return not self.unwritten

    def append_now(self, events: Sequence[KnownEvent]) -> bool:
        """Append events, or none if the disk has no room. Return whether they were written."""
        return not self.unwritten and self._write(events) == len(events)

    def _write(self, events: Sequence[KnownEvent]) -> int:
        """Write events; return how many. The state has them already, or gets them from the scheduler."""
        written = self.journal.append(events)
        self.state.offset = self.journal.end
        return written

    def decide(self, event: KnownEvent) -> None:
        """Write the events of a command: all or none. Raises StorageError where the disk has no room."""
        self.require_room()
        if not self.append_now([event]):
            raise self._no_room()

    def require_room(self) -> None:
        """Raises StorageError while earlier events wait for room on the disk."""
        if self.unwritten and not self.write_again():
            raise self._no_room()

    def _no_room(self) -> StorageError:
        what = f"{self.journal.path}: {self.journal.trouble}"
        return StorageError(what, "make room, then give the same command again")

    def write_again(self) -> bool:
        """Try again to write the events that wait for room."""
        events, self.unwritten = self.unwritten, []
        return self.append(events)

    # Commands, as events that are written. Each raises LabError, StorageError.

    def submit(self, event: Submitted, seen: int) -> Submitted:
        """Take a submission: `event` names a plan on disk and the queued tasks. seen: how far the client had read the
        journal when it planned."""
        self._require_free_ids(event)
        event = structs.replace(event, queued=self._not_ended_since(seen, event.queued))
        self.decide(event)
        return event

    def _require_free_ids(self, event: Submitted) -> None:
        """Raises OutdatedPlanError where the plan gives ids that nodes have taken since, for runs of their own."""
        for first, last in (*event.planned, *(pair for ids in event.stages.values() for pair in ids)):
            if any(first <= one <= last for one in self.state.run_for):
                what = f'"{self.name}": a node got a run of a stage while this was planned'
                raise OutdatedPlanError(what, "run the same command again")

    def _not_ended_since(self, offset: int, tasks: ranges.Ranges) -> ranges.Ranges:
        """Return those of the tasks that have not ended since the client read the journal, up to `offset`, and
        planned."""
        ended = set[int]()
        for event, _ in journal.read(self.folder.journal, offset):
            if isinstance(event, Finished) and event.again is None and not event.waits:
                ended.add(event.task)
            elif isinstance(event, Stopped | DependencyDone):
                ended.update(ranges.each(event.tasks))
        return ranges.to_ranges([task for task in ranges.each(tasks) if task not in ended]) if ended else tasks

    def requeue(self, tasks: ranges.Ranges, changes: Changes, step: int | None = None) -> Requeued:
        """Queue tasks again, whatever their state. changes: what differs from the file this time. step: the one that
        they begin at."""
        if any(not 0 <= first <= last < self.state.size for first, last in tasks):
            raise LabError(f'"{self.name}" has the tasks 0 to {self.state.size - 1:,}')
        self._require_project()
        event = Requeued(now(), tasks, changes, step)
        self.decide(event)
        return event

    def done_steps(self, task: int) -> Resume | None:
        """Return the steps that the assigned attempt of a task does not run; None where it begins at the first."""
        if not self.state.columns["go_on"][task]:
            return None
        attempt, steps, ends = self.state.step_ends(task)
        return Resume(attempt=attempt, steps=steps, ends=ends)

    def resume(self) -> Resumed | None:
        """Continue what was requested and has not ended; None where it is running already."""
        self.require_room()
        if self.state.paused is None and not self.state.drained and self.state.ended is None:
            return None
        self._require_project()
        event = Resumed(now())
        self.decide(event)
        return event

    def place_on(self, nodes: list[NodeEntry], drained: Iterable[str], released: Sequence[str] = ()) -> NodesChanged:
        """Record other nodes, or other slots. released: nodes whose quarantine is over."""
        event = NodesChanged(now(), nodes, sorted(drained), list(released))
        self.decide(event)
        return event

    def _require_project(self) -> None:
        """Raises LabError where the folder that tasks start in is gone: each would fail, and lose its output."""
        experiment = self.builder().experiment
        if experiment.workdir is None and not experiment.folder.is_dir():
            raise LabError(
                f'"{self.name}" came from {experiment.file}, and that folder no longer exists',
                "if it was moved, continue with tui-lab --run FILE, FILE being its present path",
            )

    # --- Submissions

    @property
    def submission(self) -> int:
        """The number of the newest submission."""
        return len(self.state.submissions) - 1

    def require_submission(self) -> None:
        """Raises LabError where nothing has been submitted yet."""
        if not self.state.submissions:
            raise LabError(f'"{self.name}" has no submission yet')

    @property
    def nodes(self) -> list[NodeEntry]:
        """The nodes of the newest submission, as in docs/journal.md. Raises LabError where there is none."""
        self.require_submission()
        return (self.state.placement or self.state.submissions[-1]).nodes

    @property
    def drained_nodes(self) -> list[str]:
        """Nodes on which nothing new starts, by command."""
        return [] if self.state.placement is None else self.state.placement.drained

    def entries(self) -> dict[str, NodeEntry]:
        """The nodes of all submissions by name, the newest of each."""
        entries: dict[str, NodeEntry] = {}
        for submission in self.state.submissions:
            entries |= {entry["name"]: entry for entry in submission.nodes}
        return entries | {entry["name"]: entry for entry in self.nodes}

    def builder(self, submission: int | None = None) -> TaskBuilder:
        """Return the task builder of a submission, by default the newest. Raises LabError, SpecError."""
        number = self.submission if submission is None else submission
        if number not in self._builders:
            about = self.state.submissions[number]
            spec = self.folder.spec(about.plan)
            identity = f"{self.wire_name}/{number}"
            self._builders[number] = TaskBuilder(
                spec, self.folder.plan(about.plan), self.folder.path, identity, about.code
            )
        return self._builders[number]

    def settings(self, *, extends: bool) -> RunSettings:
        """Return the settings of the newest submission for the scheduler. extends: further repeats can be computed.
        Raises LabError, SpecError."""
        builder = self.builder()
        experiment, plan = builder.experiment, builder.plan

        def needs(key: AttemptKey, changes: Changes | None) -> AttemptNeeds:
            one, row = builder.of(self.state.planned_run(key[0]), self.state.stage(key[0]))
            return {} if row is None else one.needs(row, key[1], changes)

        def timeout(key: AttemptKey, changes: Changes | None) -> float | None:
            one, row = builder.of(self.state.planned_run(key[0]), self.state.stage(key[0]))
            return None if row is None else one.timeout_of(row, key[1], changes)

        rows = listed(plan, experiment) if plan.runs.height else plan.tasks
        after = _before(plan, rows, experiment)
        on_nodes = plan.runs.filter(pl.col("stage").is_in(plan.per_node))["task_id"] if plan.per_node else ()
        before, on_node = split(after, set(on_nodes)) if plan.per_node else (after, {})
        return RunSettings(
            tasks=rows["task_id"].to_numpy().astype(np.int64, copy=False),
            repeats=rows["repeat"].to_numpy().astype(np.int64, copy=False),
            order=experiment.order,
            priority=experiment.priority,
            stagger=experiment.stagger or 0.0,
            retries=experiment.retries,
            retry_on=tuple(experiment.retry_on),
            max_failures=experiment.max_failures,
            grace=experiment.grace,
            limits=experiment.limits,
            has_needs=builder.has_needs,
            needs=needs,
            extends=extends and not isinstance(experiment.repeat, int),
            before=before,
            on_node=on_node,
            beside=_edges(plan, rows, {name: stage.beside for name, stage in experiment.stages.items()}),
            stage_retries={
                one.stage: (one.retries, tuple(one.retry_on)) for one in experiment.per_stage[:-1] if one.stage
            },
            gone=frozenset(self.folder.gone_runs(plan, experiment)),
            rounds=rounds(plan, experiment) if experiment.order == "by-stage" else (),
            collecting=collected.covered(plan, experiment),
            run_on=run_on(experiment),
            combinations=_groups(plan, rows),
            timeout=timeout,
            resumes=frozenset(one.stage or "" for one in experiment.per_stage[:-1] if one.resumes)
            | frozenset([""] if experiment.per_stage[-1].resumes else []),
            until_done=frozenset(name for name, one in experiment.stages.items() if one.retain == "until-done"),
        )

    def program_change(self, task: int) -> str:
        """Return the note for a task that starts on this machine now, if its files have changed since the submission;
        else empty."""
        number = self.state.columns["submission"][task]
        if number not in self._program_changes:
            experiment = self.builder(number).experiment
            self._program_changes[number] = ProgramChanges(experiment, self.state.submissions[number])
        return self._program_changes[number].note(self.state.stage(task))


def listed(plan: Plan, experiment: Experiment) -> pl.DataFrame:
    """Return the rows of a plan with stages: each run before the first task that needs it."""
    order = {name: number for number, name in enumerate(experiment.earlier_stages)}
    stage = pl.col("stage").replace_strict(order, default=len(order), return_dtype=pl.Int32)
    return plan.rows.sort("combination", "repeat", stage, maintain_order=True)


def _groups(plan: Plan, rows: pl.DataFrame) -> npt.NDArray[np.int64]:
    """Return the combination of each task; of runs of stages, each of which is for several, a number of its own."""
    found = rows["combination"]
    if plan.runs.height:
        found = pl.select(pl.when(rows["stage"].is_null()).then(found).otherwise(-1 - rows["task_id"])).to_series()
    return found.to_numpy().astype(np.int64, copy=False)


def rounds(plan: Plan, experiment: Experiment) -> list[npt.NDArray[np.int64]]:
    """Return the ids of each stage, behind all that it comes after."""
    tables = [plan.of_stage(name).tasks if name in plan.stages else plan.tasks for name in experiment.stage_order]
    return [table["task_id"].to_numpy().astype(np.int64) for table in tables] if plan.runs.height else []


def run_on(experiment: Experiment) -> dict[str, tuple[str, ...]]:
    """Return the tags that nodes must have, by stage, empty for the last; nothing where all stages have the same."""
    *earlier, last = experiment.per_stage
    if all(one.run_on == last.run_on for one in earlier):
        return {}
    return {**{one.stage or "": one.run_on for one in earlier}, "": last.run_on}


def _before(plan: Plan, rows: pl.DataFrame, experiment: Experiment) -> dict[int, tuple[int, ...]]:
    """Return what must be done before each task, and each run of a stage."""
    found = _edges(
        plan,
        rows,
        {name: tuple(one for one in stage.single if one in stage.after) for name, stage in experiment.stages.items()},
    )
    for stage in experiment.apart:
        for run, members in collected.members(plan, experiment, stage).items():
            found[run] = (*found.get(run, ()), *members)
    return found


def _edges(plan: Plan, rows: pl.DataFrame, stages: dict[str, tuple[str, ...]]) -> dict[int, tuple[int, ...]]:
    """Return the runs of certain stages that each task, and each run of a stage, is linked to."""
    names = plan.stages
    columns = [rows[LINK + name].to_list() for name in names]
    wanted = {name: [names.index(other) for other in others] for name, others in stages.items() if others}
    found = {}
    last = next(reversed(stages), "")
    for row, (one, stage) in enumerate(zip(rows["task_id"], rows["stage"], strict=True)) if wanted else ():
        if places := wanted.get(stage or last):
            found[one] = tuple(columns[place][row] for place in places)
    return found


class ProgramChanges:
    """Finds changes in the files that tasks of this machine read beside a snapshot: the files of one submission.
    `seen`: name -> [size, mtime in nanoseconds] at the submission."""

    def __init__(self, experiment: Experiment, submission: Submitted) -> None:
        self.folder = experiment.folder
        self.last = experiment.stage
        self.used = used(experiment, submission.files)
        self.seen: dict[str, list[int]] = dict(submission.files)
        self.digests: Mapping[str, str] = submission.scripts
        self._changed: dict[str, list[int] | None] = {}
        self._next = 0.0

    def note(self, stage: str | None) -> str:
        """Return the note for a task that starts now, or a run of a stage; empty where nothing has changed."""
        began = time.monotonic()
        if began >= self._next:
            for name in self.seen:
                self._look(name)
            self._next = time.monotonic() + (time.monotonic() - began) * _SHARE
        changed = sorted(self.used.get(stage or self.last, set()).intersection(self._changed))
        if not changed:
            return ""
        return f"{_listed(changed)} changed between the submission and the start of this task"

    def _look(self, name: str) -> None:
        path = self.folder / name
        try:
            facts = path.stat()
        except OSError:
            self._changed[name] = None
            return
        found = [facts.st_size, facts.st_mtime_ns]
        if found == self.seen[name]:
            self._changed.pop(name, None)
        elif self._changed.get(name) != found:
            if name in self.digests and facts.st_size <= _HASHED and self._same(path, self.digests[name]):
                self.seen[name] = found  # touched
                self._changed.pop(name, None)
            else:
                self._changed[name] = found

    @staticmethod
    def _same(path: Path, digest: str) -> bool:
        try:
            return file_digest(path) == digest
        except OSError:
            return False


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def now(ago: float = 0.0) -> float:
    """Seconds since 1970, in milliseconds' steps."""
    return round(time.time() - ago, 3)
