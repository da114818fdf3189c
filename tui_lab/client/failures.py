"""Why tasks of an experiment failed, in groups."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final, TypedDict

from tui_lab.client.address import address_of
from tui_lab.client.attempts import messages
from tui_lab.client.formatting import last_line
from tui_lab.store import fold
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State

_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")
READ_AT_MOST: Final = 2000  # failed tasks whose last line is read


class FailureGroup(TypedDict):
    """Tasks, or runs of a stage, that failed alike: how many, and the first of them, which `address` names."""

    reason: str
    line: str
    count: int
    task: int
    address: str


def failure_groups(folder: ExperimentFolder, state: State) -> list[FailureGroup]:
    """Failed and lost planned tasks, grouped by reason and the last line of their standard error (lines that differ
    in numbers alone are one group, shown by its first), or by exceptions and where these were raised; largest first."""
    columns = state.columns
    groups: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    examples: dict[tuple[str, str, str], str] = {}
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
            kind = (f"exception at {raised.at}" if raised.at else reason, raised.type, state.stage(task) or "")
            examples.setdefault(kind, f"{raised.type}: {raised.message.splitlines()[0] if raised.message else ''}")
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
        key = (fold.STATES[code] if code == fold.LOST else reason, _NUMBER.sub("#", line), stage)
        examples.setdefault(key, line)
        groups[key].append(task)
    ordered = sorted(groups.items(), key=lambda item: (item[0][0] == "dependency", -len(item[1])))
    return [
        {
            "reason": key[0],
            "line": examples[key],
            "count": len(tasks),
            "task": tasks[0],
            "address": address_of(folder, tasks[0]),
        }
        for key, tasks in ordered
    ]


def open_tasks(state: State) -> int:
    """Return how many tasks that were asked for have not ended."""
    asked = zip(state.columns["queued"], state.columns["planned"], strict=True)
    return sum(1 for queued, planned in asked if queued and planned == fold.TASK)
