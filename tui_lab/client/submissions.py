"""The submissions of an experiment, and what differs between two of them."""

from __future__ import annotations

import difflib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypedDict, final

from tui_lab.client.errors import UsageError
from tui_lab.store.events import Cleaned, Drained, Ended, Paused, Requeued, Resumed, Stopped, Submitted

if TYPE_CHECKING:
    from tui_lab.store.events import Submitted
    from tui_lab.store.experiment import ExperimentFolder
    from tui_lab.store.lab import Lab
    from tui_lab.store.ranges import Ranges


PYTHON: Final = ["python"]
"""What the command line of a script begins with, which submits by the Python interface."""
NOTEBOOK: Final = ["notebook"]
"""What stands for that of a notebook."""


class LaterEvent(TypedDict):
    """Something that happened to a submission."""

    event: str
    at: float


class Submission(TypedDict):
    """A submission as `history --json` prints it."""

    number: int
    """From 1, within its experiment."""
    at: float
    user: str
    host: str
    argv: list[str]
    cwd: str
    plan: int
    reasons: dict[str, int]
    adopted: Ranges
    scripts: dict[str, str]
    environment: str | None
    git: Mapping[str, object]
    tasks: int
    asked: int
    later: list[LaterEvent]
    counts: dict[str, int] | None
    """Tasks by state when it ended last."""


@final
class SubmissionDifference(TypedDict):
    """What differs between two submissions, as `diff --json` prints it."""

    file: list[str]
    tasks_added: int
    tasks_gone: int
    tasks_kept: int
    program_changed: list[str]


def command_line(words: Sequence[str]) -> str:
    """Return the command line of a submission as it was typed: of this program, or of a program in Python."""
    from tui_lab.client.formatting import printable

    typed = words if words[:1] in (PYTHON, NOTEBOOK) else ["tui-lab", *words[1:]]
    return printable(shlex.join(typed))


def compare_submissions(lab: Lab, first: tuple[str, int], second: tuple[str, int]) -> SubmissionDifference:
    """The file's difference, tasks that came and went, files of the program that changed."""
    from tui_lab.client.formatting import plural

    sides = []
    for name, number in (first, second):
        folder = lab.experiment(name)
        submissions = folder.state().submissions
        if not 1 <= number <= len(submissions):
            raise UsageError(f"{name} has {plural(len(submissions), 'submission')}, and no {name}#{number}")
        sides.append((folder, submissions[number - 1]))
    before, after = (_plan_file(*side).read_text(encoding="utf-8").splitlines() for side in sides)
    labels = [f"{name}#{number}/experiment.yaml" for name, number in (first, second)]
    keys = [folder.plan(event.plan).tasks.select("key", "version") for folder, event in sides]
    scripts = [event.scripts for _, event in sides]
    changed = sorted(name for name in {*scripts[0], *scripts[1]} if scripts[0].get(name) != scripts[1].get(name))
    return {
        "file": list(difflib.unified_diff(before, after, labels[0], labels[1], lineterm="")),
        "tasks_added": keys[1].join(keys[0], on=["key", "version"], how="anti").height,
        "tasks_gone": keys[0].join(keys[1], on=["key", "version"], how="anti").height,
        "tasks_kept": keys[1].join(keys[0], on=["key", "version"], how="semi").height,
        "program_changed": changed,
    }


def _plan_file(folder: ExperimentFolder, event: Submitted) -> Path:
    return folder.plans / f"{event.plan}.yaml"


# Kinds of event that are history; the rest is the life of single tasks.
KINDS = (Submitted, Requeued, Paused, Resumed, Drained, Stopped, Ended, Cleaned)


def submissions(folder: ExperimentFolder) -> list[Submission]:
    """Each submission with its number from 1, the events that followed it, and its last count by state."""
    from tui_lab.client.attempts import git_facts
    from tui_lab.store import journal, ranges

    found: list[Submission] = []
    for event, _ in journal.read(folder.journal, kinds=KINDS):
        if isinstance(event, Submitted):
            found.append(
                Submission(
                    number=len(found) + 1,
                    at=event.at,
                    user=event.user,
                    host=event.host,
                    argv=event.argv,
                    cwd=event.cwd,
                    plan=event.plan,
                    reasons=event.reasons,
                    adopted=event.adopted,
                    scripts=event.scripts,
                    environment=event.environment,
                    git=git_facts(folder, event.environment),
                    tasks=ranges.count(event.planned),
                    asked=ranges.count(event.queued),
                    later=[],
                    counts=None,
                )
            )
        elif found and isinstance(event, KINDS):
            if isinstance(event, Ended):
                found[-1]["counts"] = event.counts
            found[-1]["later"].append({"event": event.kind, "at": event.at})
    return found
