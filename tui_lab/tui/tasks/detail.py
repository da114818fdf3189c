"""All about one task, for its log and for copying: read when the cursor moves to it."""

from __future__ import annotations

import numpy as np

from tui_lab.client.task_facts import repeating_line
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store import facts, mirrors
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.tasks.frame import TaskSource, folded
from tui_lab.tui.widgets.log.choice import TaskDetail


def read_detail(source: TaskSource, task: int, behind: int | None = None) -> TaskDetail | None:
    """Return what is known of a task, or of a run of a stage; None where there is none. behind: the task by which the
    run is named, by default the first that needs it. Raises LabError."""
    with source.reading() as folder:
        state = folder.state()
        if not 0 <= task < state.size:
            return None
        found = facts.frame(folded(state, np.array([task], dtype=np.int64))).row(0, named=True)
        steps, commands = _program(source, task)
        stage = folder.stage_of(task)
        needing = folder.tasks_behind(task)
        named = behind if behind is not None else next(iter(needing), task)
        return TaskDetail(
            experiment=folder.name,
            task=task,
            state=found["state"],
            folder=folder.task_folder(task),
            reason=found["reason"],
            exit_code=found["exit_code"],
            signal=found["signal"],
            attempts=found["attempts"],
            node=found["node"],
            duration=found["duration"],
            steps=steps,
            commands=commands,
            address=f"{folder.name}/{task}" if stage is None else f"{folder.name}/{named}:{stage}",
            blocked_by=_blocking(folder, task, named) if found["reason"] == "dependency" else None,
            shared=max(1, len(needing)),
        )


def _blocking(folder: ExperimentFolder, task: int, named: int) -> str | None:
    """Return the address of the run of a stage because of which a task, or another run, can't begin."""
    stage = folder.blocking(task)
    return None if stage is None else f"{folder.name}/{named}:{stage}"


def _program(source: TaskSource, task: int) -> tuple[tuple[str | None, ...], tuple[str, ...]]:
    """Return the names of a task's steps, and its commands; none where the submitted file can't be read."""
    try:
        builder, row = source.builder(task)
    except SpecError:
        return (None,), ()
    steps = tuple(dict.fromkeys(step.name for step in builder.experiment.steps)) or (None,)
    try:
        return steps, tuple(map(mirrors.as_there, builder.shown(row)))
    except (LabError, ValueError):
        return steps, ()  # a value that no program can be given; the task says so when it starts


def command_line(source: TaskSource, task: int) -> str:
    """Return a line for a shell that repeats a task. Raises LabError, ValueError."""
    with source.reading():
        builder, row = source.builder(task)
    return mirrors.as_there(repeating_line(builder, row))
