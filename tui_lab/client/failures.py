"""Why tasks of an experiment failed, in groups."""

from __future__ import annotations

from typing import Final, TypedDict

from tui_lab.client.address import address_of
from tui_lab.client.formatting import printable
from tui_lab.client.steps import step_names
from tui_lab.results.failures.clusters import FailureReader, clusters, failed_tasks
from tui_lab.store import fold
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State

READ_AT_MOST: Final = 2000  # failed tasks whose outputs are read


class FailureGroup(TypedDict):
    """Tasks, or runs of a stage, that failed alike: how many, and the first of them, which `address` names. step: the
    name or place of the step that failed; empty where tasks have one step."""

    reason: str
    step: str
    line: str
    count: int
    task: int
    address: str


def failure_groups(folder: ExperimentFolder, state: State) -> list[FailureGroup]:
    """Failed and lost planned tasks in kinds: by reason, step and the line of their standard error that says why (lines
    that differ in numbers and the like are one kind, shown by its first), or by exceptions and where these were raised;
    largest first."""
    failed = failed_tasks(state)
    known = FailureReader(folder).with_lines(failed[:READ_AT_MOST])
    names: dict[tuple[int, str], list[str]] = {}
    return [
        {
            "reason": kind.reason,
            "step": _step(folder, kind.tasks[0], kind.step, names),
            "line": printable(kind.line),
            "count": len(kind.tasks),
            "task": kind.tasks[0],
            "address": address_of(folder, kind.tasks[0]),
        }
        for kind in clusters([*known, *failed[READ_AT_MOST:]])
    ]


def _step(folder: ExperimentFolder, task: int, step: int, names: dict[tuple[int, str], list[str]]) -> str:
    """Return the name or place of a step of a task; empty where the task has one step. names: of the steps of plans and
    stages that were read before."""
    if step == fold.NONE:
        return ""
    kind = (folder.plan_of(task).number, folder.state().stage(task) or "")
    if kind not in names:
        names[kind] = step_names(folder, task)
    return names[kind][step] if 1 < len(names[kind]) > step else ""


def open_tasks(state: State) -> int:
    """Return how many tasks that were asked for have not ended; if all have, how many runs of stages."""
    asked = [*zip(state.columns["queued"], state.columns["planned"], strict=True)]
    tasks = sum(1 for queued, planned in asked if queued and planned == fold.TASK)
    return tasks or sum(1 for queued, planned in asked if queued and planned)
