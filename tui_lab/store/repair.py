"""Writing a damaged journal anew: what is whole stays, what can be concluded is added, and nothing is guessed.

Where a single byte is wrong, the sums tell which: the line is as it was again, and nothing is lost.

A line that was lost may have said that an attempt has ended. Its task would look as if it were still open, and would
run again: so what is open behind the damage ends as lost, which the user sees. Of a submission that
was lost the plan is still there, and which of its tasks were given out. What a node was given without a line that says
which run it has of its own (`per: node`) is such a run: of the only run of the plan that it can be of, or else of none,
so that it is made again where something needs it.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Final

from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.store import events, journal, layout, ranges
from tui_lab.store.errors import LabError, StorageError, storage_error
from tui_lab.store.events import (
    Assigned,
    Event,
    Finished,
    JournalBegun,
    KnownEvent,
    NodeRuns,
    NodesChanged,
    NoEventError,
    Started,
    StepEnded,
    Submitted,
    Unknown,
)
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import DONE, State
from tui_lab.store.journal import Damage, Journal
from tui_lab.store.plan import Plan
from tui_lab.store.task_files import listed

LOST: Final = "its end is damaged in the journal"
_OUTPUT: Final = re.compile(r"(?:.+\.)?stdout(?:\.(\d+))?")
_RESTORABLE: Final = 4096  # bytes of damaged lines that lie together, of which each one is tried
_TRIES: Final = 50  # such places in a journal
_GROUP: Final = 1000  # events that are written at once
_OF_A_SUBMISSION: Final = (b"submitted", b'"plan"', b'"planned"', b'"queued"', b'"argv"', b'"scripts"', b'"host"')


def repair(folder: ExperimentFolder) -> list[str]:
    """Write the journal anew where it is damaged; what was done, in lines for the user. The old one is kept beside it.
    Only for the holder of the engine's lock. Raises LabError, StorageError."""
    path = folder.journal
    damage = _damage(path)
    if not damage:
        return []
    copy, anew = path.with_suffix(".restored"), path.with_suffix(".partial")
    try:
        said = _restore(path, copy, damage)
        if left := _damage(copy):
            said += _write_anew(folder, copy, anew, left)
        else:
            copy.replace(anew)
        with open(anew, "rb") as file:
            os.fsync(file.fileno())
        number = 1
        while (kept := path.with_name(f"{path.name}.damaged-{number}")).exists():
            number += 1
        os.link(path, kept)
        anew.replace(path)
        (folder.path / layout.CHECKPOINT_FILE).unlink(missing_ok=True)
    except OSError as error:
        raise storage_error(path, error) from error
    finally:
        for partial in (copy, anew):
            partial.unlink(missing_ok=True)
    return [*said, f"{path}: repaired; the damaged one is {kept.name}"]


def _damage(path: Path) -> list[Damage]:
    found: list[Damage] = []
    for _ in journal.read(path, damage=found):
        pass
    return sorted(found, key=lambda one: one.offset)


def _restore(path: Path, copy: Path, damage: list[Damage]) -> list[str]:
    """Copy a journal with those lines as they were of which one byte is wrong; what was done. Raises OSError."""
    shutil.copyfile(path, copy)
    parts: list[tuple[int, int]] = []  # lines that lie together
    for one in damage:
        end = one.offset + one.size + 1
        if parts and one.offset <= parts[-1][1]:
            parts[-1] = (parts[-1][0], end)
        else:
            parts.append((one.offset, end))
    said = []
    with open(copy, "r+b") as file:
        for start, end in [part for part in parts if part[1] - part[0] <= _RESTORABLE][:_TRIES]:
            file.seek(max(0, start - _RESTORABLE))
            before = file.read(min(start, _RESTORABLE))[:-1].rpartition(b"\n")[2]
            text = file.read(end - start)
            after = file.read(_RESTORABLE).partition(b"\n")[0]
            was = journal.restored(text, before, after)
            if was is not None:
                said.append(f"{path}:{journal.line_number(path, start)}: one byte was wrong, and was corrected")
                file.seek(start)
                file.write(was)
    return said


def _write_anew(folder: ExperimentFolder, source: Path, target: Path, damage: list[Damage]) -> list[str]:
    """Write what is whole, and what can be concluded of the rest; what was done. Raises StorageError, OSError."""
    survey = _Survey(folder.path)
    for event, offset in journal.read(source, damage=[]):
        survey.take(event, offset)
    target.unlink(missing_ok=True)
    work = _Repair(folder.path, survey, Journal(target, survey.identity))
    try:
        work.write_all(source, damage)
    finally:
        work.journal.close()
    return work.said


class _Survey:
    """What the whole lines of a journal tell about those that are lost."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.identity = ""
        self.named: list[tuple[int, int]] = []  # (offset, plan) of each submission
        self.nodes: dict[str, NodeEntry] = {}  # by name, the newest of each
        self.given: list[tuple[int, Assigned]] = []  # with the offset of each
        self.ran: list[tuple[int, int]] = []  # (offset, task) of all that began or ended
        self.run_for: dict[int, tuple[int, str]] = {}  # the run on a node -> run of the plan, node
        self.planned: list[ranges.Ranges] = []  # ids of submissions
        self.on_disk = sorted(
            int(file.stem) for file in (folder / layout.PLANS).glob("*.parquet") if file.stem.isdecimal()
        )

    def take(self, event: Event, offset: int) -> None:
        match event:
            case JournalBegun():
                self.identity = self.identity or event.id
            case Submitted():
                self.named.append((offset, event.plan))
                self.planned += (event.planned, *event.stages.values())
            case NodeRuns():
                self.run_for |= {one: (run, event.node) for run, one in event.runs}
            case Assigned():
                self.given.append((offset, event))
            case Started() | StepEnded() | Finished():
                self.ran.append((offset, event.task))
        if isinstance(event, Submitted | NodesChanged):
            self.nodes |= {entry["name"]: entry for entry in event.nodes}

    @cached_property
    def ids_of_plans(self) -> set[int]:
        """The ids of all plans, also of those that no submission names."""
        found = {one for ids in self.planned for one in ranges.each(ids)}
        for number in set(self.on_disk) - {plan for _, plan in self.named}:
            with suppress(LabError):
                found.update(Plan.read(self._folder / layout.PLANS, number, ["task_id"]).rows["task_id"].to_list())
        return found

    def plans(self, offset: int) -> list[int]:
        """Plans that a submission at an offset may have named: those between its neighbours that no other names."""
        before = max((plan for at, plan in self.named if at <= offset), default=0)
        behind = min((plan for at, plan in self.named if at > offset), default=1 << 62)
        return [number for number in self.on_disk if before < number < behind]

    def given_after(self, offset: int) -> list[Assigned]:
        """What was given out between a submission at an offset and the next one."""
        end = self._next(offset)
        return [event for at, event in self.given if offset < at < end]

    def ran_after(self, offset: int) -> set[int]:
        """The tasks that ran, or were to, between a submission at an offset and the next one."""
        end = self._next(offset)
        tasks = {task for at, task in self.ran if offset < at < end}
        return tasks | {task for event in self.given_after(offset) for task, _ in event.attempts}

    def _next(self, offset: int) -> int:
        return min((at for at, _ in self.named if at > offset), default=1 << 62)


class _Repair:
    def __init__(self, folder: Path, survey: _Survey, target: Journal) -> None:
        self.folder = folder
        self.survey = survey
        self.journal = target
        self.state = State()
        self.said: list[str] = []
        self._at = 0.0
        self._unwritten: list[bytes] = []
        self._put_back: set[int] = set()  # runs that nodes have of their own
        self._unknown: set[int] = set()  # those of which it is not known what they are

    def write_all(self, path: Path, damage: list[Damage]) -> None:
        left = iter(sorted(damage, key=lambda one: one.offset))
        lost = next(left, None)
        for event, line, offset in _whole_lines(path, damage):
            while lost is not None and lost.offset < offset:
                self._replace(path, lost)
                lost = next(left, None)
            if not isinstance(event, JournalBegun):
                if not isinstance(event, Unknown):
                    self._at = event.at
                for missing in self._missing(event):
                    self._write(missing)
                self._keep(event, journal.without_sum(line))
        while lost is not None:
            self._replace(path, lost)
            lost = next(left, None)
        self._close()
        self._flush()

    def _write(self, event: KnownEvent) -> None:
        self._keep(event, events.encode(event))

    def _keep(self, event: Event, text: bytes) -> None:
        """Take an event over as it is written: a newer version may have said more than this one knows."""
        self.state.apply(event)
        self._unwritten.append(text)
        if len(self._unwritten) >= _GROUP:
            self._flush()

    def _flush(self) -> None:
        texts, self._unwritten = self._unwritten, []
        if self.journal.append_lines(texts) < len(texts):
            raise StorageError(
                f"{self.journal.path}: {self.journal.trouble}", "make room, then give the same command again"
            )

    def _missing(self, event: Event) -> Iterator[KnownEvent]:
        """An attempt that began or ended was given out before, and a node has the runs of its own that it was given,
        also where the line that says so is lost."""
        match event:
            case Assigned():
                yield from self._missing_runs([task for task, _ in event.attempts], event.node)
            case Started() | Finished():
                nodes = {*self.state.nodes, *self.survey.nodes}
                yield from self._missing_runs([event.task], nodes.pop() if len(nodes) == 1 else "")
                if not 0 <= event.task < self.state.size:
                    return
                if event.attempt > self.state.columns["attempts"][event.task]:
                    yield Assigned(self._at, self._node_of(event.task), [(event.task, event.attempt)])

    def _node_of(self, task: int) -> str:
        """A node that may have been given a task."""
        nodes = self.state.nodes or list(self.survey.nodes) or ["localhost"]
        return self.state.run_for.get(task, (task, ""))[1] or nodes[-1]

    def _missing_runs(self, ids: Iterable[int], node: str) -> Iterator[NodeRuns]:
        """node: that which has them; empty where it is not known."""
        if not self.state.submissions or not any(event.per_node for event in self.state.submissions):
            return
        for one in ids:
            if one < 0 or one in self.state.run_for or one in self.survey.ids_of_plans:
                continue
            run, its_node = self.survey.run_for.get(one) or (self._only_run(one, node), node)
            (self._unknown if run == one else self._put_back).add(one)
            yield NodeRuns(self._at, its_node, [(run, one)], needed=run != one)

    def _only_run(self, one: int, node: str) -> int:
        """The run of the plan that a run on a node must be of; the run itself where there are several."""
        event = self.state.submissions[-1]
        stages = [name for name in event.per_node if layout.task_folder(self.folder, one, name).is_dir()]
        runs = {run for name in stages or event.per_node for run in ranges.each(event.stages.get(name, ()))}
        for known in (self.state.run_for, self.survey.run_for):
            runs -= {run for run, at in known.values() if at == node}
        return runs.pop() if node and len(runs) == 1 else one

    def _replace(self, path: Path, lost: Damage) -> None:
        """Put what can be concluded in the place of a line."""
        with open(path, "rb") as file:
            file.seek(lost.offset)
            text = file.read(lost.size)
        where = f"{self.folder / layout.JOURNAL_FILE}:{journal.line_number(path, lost.offset)}: {lost.what}"
        tells = sum(word in text for word in _OF_A_SUBMISSION) > 1
        # Or what follows is about tasks that were not submitted.
        ran = self.survey.ran_after(lost.offset) & self.survey.ids_of_plans
        tells = tells or max(ran, default=-1) >= self.state.size
        event = self._submission(text, lost.offset) if tells else None
        if event is None:
            self.said.append(f"{where}; it was left out")
            return
        self._write(event)
        self.said.append(f"{where}; the submission of plan {event.plan} was put in its place")

    def _submission(self, text: bytes, offset: int) -> Submitted | None:
        """The submission that a line recorded, by what its plan and the rest of the journal say."""
        plans = self.survey.plans(offset)
        read = re.search(rb'"plan":(\d+),', text)
        if read is not None and int(read[1]) in plans:
            plans = [int(read[1])]
        if not plans:
            return None
        try:
            plan = Plan.read(self.folder / layout.PLANS, plans[-1], ["task_id", "stage"])
        except LabError as error:
            self.said.append(str(error))
            return None
        ids = plan.tasks["task_id"]
        given = self.survey.given_after(offset)
        tasks = self.survey.ran_after(offset) & set(plan.rows["task_id"].to_list())
        names = dict.fromkeys([event.node for event in given] or self.survey.nodes)
        return Submitted(
            id=uuid.uuid4().hex,
            at=self._at,
            experiment=self.folder.name,
            plan=plans[-1],
            planned=ranges.to_ranges(ids.to_numpy()),
            queued=ranges.to_ranges(sorted(tasks)),
            reasons={},
            adopted=[],
            argv=[],
            cwd="",
            user="",
            host="",
            nodes=[self.survey.nodes.get(name, {"name": name, "slots": 0}) for name in names],
            scripts={},
            keep_going=False,
            stages=plan.stage_ranges,
            per_node=plan.per_node,
        )

    def _close(self) -> None:
        """End what looks open: whether it is, the lost lines may have said."""
        columns = self.state.columns
        for task in range(self.state.size):
            place = layout.task_folder(self.folder, task, self.state.stage(task))
            written = _last_attempt(place) if columns["state"][task] != DONE else 0
            if written > columns["attempts"][task]:  # it has outputs, and no line says so
                self._write(Assigned(self._at, self._node_of(task), [(task, written)]))
        tasks = [task for task in range(self.state.size) if columns["assigned"][task]]
        for task in tasks:
            attempt = columns["attempts"][task]
            self._write(Finished(self._at, task, attempt, "lost", reason="start", message=LOST))
        if tasks:
            which = ranges.shown(tasks)
            self.said.append(f"{self.folder.name}: the end of these tasks is unknown, they count as lost: {which}")
        for one in sorted(self._unknown):  # nothing needs them, whatever was requested since
            self._write(NodeRuns(self._at, self._node_of(one), [(one, one)], needed=False))
        if self._put_back:
            what = "nodes have these runs of stages of their own, as concluded"
            self.said.append(f"{self.folder.name}: {what}: {ranges.shown(self._put_back)}")
        if self._unknown:
            what = "what these runs of nodes were is unknown, they are made again where they are needed"
            self.said.append(f"{self.folder.name}: {what}: {ranges.shown(self._unknown)}")


def _whole_lines(path: Path, damage: list[Damage]) -> Iterator[tuple[Event, bytes, int]]:
    """The events of a journal, each with its line and the offset behind it. Raises OSError."""
    damaged = {one.offset for one in damage}
    offset = 0
    with open(path, "rb") as file:
        for line in file:
            start, offset = offset, offset + len(line)
            if start not in damaged and line.endswith(b"\n"):
                with suppress(NoEventError):
                    yield events.decode(line), line[:-1], offset


def _last_attempt(place: Path) -> int:
    """The highest number of an attempt that has written into a task's folder; 0 where none has."""
    try:
        found = [_OUTPUT.fullmatch(name) for name, _ in listed(place)]
    except OSError:
        return 0
    return max((int(match[1] or 1) for match in found if match), default=0)
