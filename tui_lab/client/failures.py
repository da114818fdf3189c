"""Why tasks of an experiment failed, in groups."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final, TypedDict

from tui_lab.client.address import address_of
from tui_lab.client.attempts import messages
from tui_lab.client.formatting import last_line
from tui_lab.client.steps import step_names
from tui_lab.store import fold
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State

_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")
READ_AT_MOST: Final = 2000  # failed tasks whose last line is read


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
    """Failed and lost planned tasks, grouped by reason, step and the last line of their standard error (lines that
    differ in numbers alone are one group, shown by its first), or by exceptions and where these were raised; largest
    first."""
    columns = state.columns
    groups: dict[tuple[str, str, str, int], list[int]] = defaultdict(list)
    examples: dict[tuple[str, str, str, int], str] = {}
    explained: dict[int, str] = {}
    read = 0
    for task in range(state.size):
        code = columns["state"][task]
        if code not in (fold.FAILED, fold.LOST) or not columns["planned"][task]:
            continue
        reason = fold.REASONS[columns["reason"][task]]
        if reason == "exit":
            reason = f"exit {columns['exit_code'][task]}"
        elif reason == "signal":
            reason = f"signal {columns['signal'][task]}"
        raised = state.raised.get(task)
        if raised is not None:
            where = f"exception at {raised.at}" if raised.at else reason
            kind = (where, raised.type, state.stage(task) or "", fold.NONE)
            examples.setdefault(kind, raised.line)
            groups[kind].append(task)
            continue
        line = ""
        if read < READ_AT_MOST:
            read += 1
            if reason in fold.EXPLAINED:  # no program could have said why
                explained = explained or messages(folder)
            message = explained.get(task) if reason in fold.EXPLAINED else None
            line = last_line(folder.task_folder(task), columns["attempt"][task], message, columns["signal"][task])
        stage = state.stage(task) or ""
        if stage and reason == "dependency":
            continue  # the tasks behind it say so
        step = columns["step"][task]
        key = (fold.STATES[code] if code == fold.LOST else reason, _NUMBER.sub("#", line), stage, step)
        examples.setdefault(key, line)
        groups[key].append(task)
    names: dict[tuple[int, str], list[str]] = {}
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] == "dependency", -len(item[1])))
    return [
        {
            "reason": key[0],
            "step": _step(folder, tasks[0], key[3], names),
            "line": examples[key],
            "count": len(tasks),
            "task": tasks[0],
            "address": address_of(folder, tasks[0]),
        }
        for key, tasks in ordered
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
