"""What a person does to tasks from the screen: retry, stop. Functions for threads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import plural
from tui_lab.client.program import changed_since
from tui_lab.client.retry import check_code, check_needs, read_changes
from tui_lab.engine.client import EngineClient
from tui_lab.store import fold, ranges
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.panes.tasks.frame import TaskSource

AGAIN: Final = (fold.FAILED, fold.STOPPED, fold.LOST)
GOING: Final = (fold.PENDING, fold.RUNNING)


@dataclass(frozen=True)
class Targets:
    """The tasks that something is to be done to, by state; `others` are left as they are."""

    tasks: tuple[int, ...]
    counts: Mapping[str, int]
    others: int

    def __str__(self) -> str:
        return ", ".join(f"{count:,} {state}" for state, count in self.counts.items() if count)


def targets(source: TaskSource, wanted: Sequence[int], states: Sequence[int]) -> Targets:
    """Those of the wanted tasks that are in these states and in the newest plan. Raises LabError."""
    with source.reading() as folder:
        state = folder.state()
        ids = np.array([task for task in wanted if 0 <= task < state.size], dtype=np.int64)
        codes = np.frombuffer(state.columns["state"], dtype=np.int8)[ids] if state.size else ids
        planned = np.frombuffer(state.columns["planned"], dtype=np.int8)[ids] if state.size else ids
    chosen = np.isin(codes, states) & (planned == 1)
    counts = {fold.STATES[code]: int((codes[chosen] == code).sum()) for code in states}
    return Targets(tuple(ids[chosen].tolist()), counts, len(ids) - int(chosen.sum()))


def changed_program(source: TaskSource) -> list[str]:
    """What has changed since the submission, in lines."""
    with source.reading() as folder:
        return changed_since(folder)


def retry(
    engine: EngineClient, source: TaskSource, tasks: Sequence[int], environment: Mapping[str, str], words: str
) -> str:
    """Ask for tasks again; what was done, for a person. `words` change them: `timeout=2h needs.memory=16G`. Raises
    LabError, UsageError."""
    changes = read_changes(words.split())
    check_needs(source.folder, changes.get("needs", {}))
    check_code(source.folder)
    asked = ranges.to_ranges(tasks)
    engine.request(
        "requeue", experiment=source.folder.name, tasks=asked, environment=dict(environment), changes=changes
    )
    return f"{plural(len(tasks), 'task')} to run again"


def wrong_changes(words: str) -> str:
    """What is wrong with the changes for a retry, empty where nothing is."""
    try:
        read_changes(words.split())
    except UsageError as error:
        return str(error)
    return ""


def stop(lab: Lab, source: TaskSource, tasks: Sequence[int]) -> str:
    """Stop tasks; what was done. Raises LabError."""
    engine = EngineClient.connect(lab)
    if engine is None:
        raise LabError("nothing is running in this lab")
    try:
        answer: dict[str, Any] = engine.request("stop", experiment=source.folder.name, tasks=ranges.to_ranges(tasks))
    finally:
        engine.close()
    return f"stopping {plural(int(answer['stopped']), 'task')}"
