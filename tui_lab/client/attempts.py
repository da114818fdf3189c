"""The attempts at a task as the journal tells of them: where each ran, from what, and what it left there."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tui_lab.store import journal
from tui_lab.store.environment import recall
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.journal import Event
from tui_lab.store.task_files import listed

_KINDS: Final = frozenset({"submitted", "environment", "assigned", "finished"})


@dataclass(frozen=True)
class Left:
    """A file that stayed on a node, or has come home since."""

    name: str  # relative to the task's folder
    size: int  # bytes
    home: bool

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "size": self.size, "home": self.home}


@dataclass
class Attempt:
    """One execution of a task."""

    number: int
    node: str
    submission: str | None = None  # digest of what was captured when it was submitted
    facts: str | None = None  # digest of what was captured of its node
    finished: Event | None = None
    left: list[Left] = field(default_factory=list)
    unlisted: int = 0  # further files that stayed
    unlisted_size: int = 0  # bytes


def attempts(folder: ExperimentFolder, task: int) -> list[Attempt]:
    """The attempts at a task that were given to a node, in order. Raises LabError."""
    found: dict[int, Attempt] = {}
    submission: str | None = None
    facts: dict[str, str] = {}
    for event, _ in journal.read(folder.journal, kinds=_KINDS):
        kind = event["event"]
        if kind == "submitted":
            submission = event.get("environment")
        elif kind == "environment":
            facts[event.get("node", "")] = event.get("digest", "")
        elif kind == "assigned":
            node = event.get("node", "")
            for number in (number for one, number in event.get("attempts", ()) if one == task):
                found[number] = Attempt(number, node, submission, facts.get(node))
        elif event.get("task") == task and (attempt := found.get(event.get("attempt", 0))) is not None:
            attempt.finished = attempt.finished or event
            attempt.left = attempt.left or _left(event, folder.task_folder(task))
            more = event.get("left_more") or {}
            attempt.unlisted, attempt.unlisted_size = more.get("files", 0), more.get("size", 0)
    return [found[number] for number in sorted(found)]


def start_messages(folder: ExperimentFolder) -> dict[int, str]:
    """Why tasks did not start, of each the last time. Raises LabError."""
    events = (event for event, _ in journal.read(folder.journal, kinds=frozenset({"finished"})))
    return {event["task"]: str(event.get("message", "")) for event in events if event.get("reason") == "start"}


def _left(event: Event, place: Path) -> list[Left]:
    left = event.get("left") or ()
    here = {name: facts.st_size for name, facts in listed(place, deep=True)} if left else {}  # a node gave the names
    files = []
    for one in left:
        size = int(one.get("size") or 0)
        files.append(Left(one["name"], size, here.get(one["name"]) == size))
    return files


def node_facts(folder: ExperimentFolder, attempt: Attempt) -> dict[str, Any]:
    """What was captured of the node that an attempt ran on; empty where nothing was."""
    facts = recall(folder.path, attempt.facts or folder.state().environments.get(attempt.node))
    inner = facts.get("node")
    return inner if isinstance(inner, dict) else facts


def git_facts(folder: ExperimentFolder, digest: str | None) -> dict[str, Any]:
    """What git said when a submission was made, but for the difference itself; empty where it said nothing."""
    facts = recall(folder.path, digest).get("git")
    return {name: value for name, value in facts.items() if name != "diff"} if isinstance(facts, dict) else {}
