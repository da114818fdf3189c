"""The attempts at a task, from the journal: their nodes, their programs, their files."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from tui_lab.experiment.data_types import JsonObject
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.protocol.agent import Facts
from tui_lab.store import journal, layout
from tui_lab.store.environment import load
from tui_lab.store.errors import LabError
from tui_lab.store.events import Assigned, EnvironmentCaptured, Finished, OutputsDiscarded, Submitted, UnlistedFiles
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.task_files import TaskFile, listed

_KINDS: Final = (Submitted, EnvironmentCaptured, Assigned, Finished, OutputsDiscarded)


@dataclass(frozen=True)
class AttemptFile:
    """A file of an attempt that stayed on its node, or was fetched since."""

    attempt: int
    node: str
    name: str  # relative to the task's folder
    size: int  # bytes
    home: bool


@dataclass
class Attempt:
    """One execution of a task."""

    number: int
    node: str
    submission: str | None = None  # digest of what was captured when it was submitted
    facts: str | None = None  # digest of what was captured of its node
    finished: Finished | None = None
    left: list[AttemptFile] = field(default_factory=list)
    unlisted: int = 0  # further files that stayed
    unlisted_size: int = 0  # bytes


def attempts(folder: ExperimentFolder, task: int) -> list[Attempt]:
    """The attempts at a task that were given to a node, in order. Raises LabError."""
    found: dict[int, Attempt] = {}
    submission: str | None = None
    facts: dict[str, str] = {}
    for event, _ in journal.read(folder.journal, kinds=_KINDS):
        match event:
            case Submitted():
                submission = event.environment
            case EnvironmentCaptured():
                facts[event.node] = event.digest
            case OutputsDiscarded() if any(first <= task <= last for first, last in event.runs):
                for attempt in found.values():
                    attempt.left, attempt.unlisted, attempt.unlisted_size = [], 0, 0
            case Assigned():
                for number in (number for one, number in event.attempts if one == task):
                    found[number] = Attempt(number, event.node, submission, facts.get(event.node))
            case Finished() if event.task == task and event.attempt in found:
                attempt = found[event.attempt]
                attempt.finished = attempt.finished or event
                attempt.left = attempt.left or _left(attempt, event, folder.task_folder(task))
                more = event.left_more or UnlistedFiles()
                attempt.unlisted, attempt.unlisted_size = more.files, more.size
    return [found[number] for number in sorted(found)]


def output_text(folder: ExperimentFolder, task: int, file: str) -> str:
    """Return the text of a file that the last attempt at a task wrote, or that is in the task's folder. Raises LabError
    where there is none."""
    place = output_folder(folder, task)
    for name in dict.fromkeys((layout.attempt_file(file, folder.state().columns["attempt"][task]), file)):
        try:
            with os.fdopen(TaskFile(str(place), name).open(), "rb") as stream:
                return stream.read().decode("utf-8", "replace")
        except FileNotFoundError:
            continue
        except OSError as error:
            raise LabError(f"{place / name}: {error.strerror}") from None
    names = [name for name, _ in listed(place)] if place.is_dir() else []
    raise LabError(f'task {task:,} of {folder.name} has no file "{file}"', f"it has {', '.join(names) or 'none'}")


def output_folder(folder: ExperimentFolder, task: int, stage: str | None = None) -> Path:
    """Return the folder of a task, or that of the run of a stage before its last one. Raises LabError where there is no
    such task or stage."""
    size = folder.state().size
    if not 0 <= task < size:
        raise LabError(f"{folder.name} has no task {task:,}", f"its tasks are 0 to {size - 1:,}")
    if stage is None:
        return folder.task_folder(task)
    stages = folder.spec_of(task).stages
    run = task if stage == next(reversed(stages), None) else folder.plan_of(task).run_behind(task, stage)
    if run is None:
        hint = suggest(stage, stages) or (f"it has {', '.join(stages)}" if stages else "it has none")
        raise LabError(f'task {task:,} of {folder.name} has no stage "{stage}"', hint)
    return folder.task_folder(run)


def _left(attempt: Attempt, event: Finished, place: Path) -> list[AttemptFile]:
    left = event.left or ()
    here = {name: facts.st_size for name, facts in listed(place, deep=True)} if left else {}  # a node gave the names
    files = []
    for one in left:
        size = one.size or 0
        files.append(AttemptFile(attempt.number, attempt.node, one.name, size, here.get(one.name) == size))
    return files


def node_facts(folder: ExperimentFolder, attempt: Attempt) -> Facts:
    """Return the recorded facts of an attempt's node; empty where there are none."""
    facts = load(folder.path, attempt.facts or folder.state().environments.get(attempt.node))
    inner = facts.get("node")
    return cast(Facts, inner if isinstance(inner, dict) else facts)


def git_facts(folder: ExperimentFolder, digest: str | None) -> JsonObject:
    """Return the git state of a submission, without the difference itself; empty where there is none."""
    facts = load(folder.path, digest).get("git")
    return {name: value for name, value in facts.items() if name != "diff"} if isinstance(facts, dict) else {}
