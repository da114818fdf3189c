"""The steps of a task: how each ended last, and which one an address names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_lab.client.errors import UsageError

if TYPE_CHECKING:
    from tui_lab.client.address import Address
    from tui_lab.store.experiment import ExperimentFolder


@dataclass(frozen=True)
class StepRun:
    """The last run of a step. name: its place, from 1, where it has none. duration: seconds."""

    name: str
    attempt: int
    exit_code: int | None
    duration: float | None


def step_names(folder: ExperimentFolder, task: int) -> list[str]:
    """Return the names of the steps of a task, or their places, from 1, where they have none. Raises LabError."""
    return [step.name or str(place) for place, step in enumerate(folder.spec_of(task).steps, 1)]


def step_runs(folder: ExperimentFolder, task: int) -> list[StepRun]:
    """Return the last run of each step of a task that has ended; none where tasks have one step. Raises LabError."""
    names = step_names(folder, task)
    runs = folder.state().steps.runs(task) if len(names) > 1 else []
    return [StepRun(name, *run) for name, run in zip(names, runs, strict=False)]


def step_to_begin(address: Address) -> int | None:
    """Return the step, from 0, that an address names; None where it names none. Raises UsageError for one that the task
    does not have, or that it can't begin at yet; LabError."""
    from tui_lab.experiment.yaml.problem import suggest

    if address.step is None:
        return None
    names = step_names(address.folder, address.task)
    if address.step not in names:
        hint = suggest(address.step, names) or f"it has: {', '.join(names)}"
        raise UsageError(f'{address.folder.name} has no step "{address.step}"; {hint}')
    step = names.index(address.step)
    done = address.folder.state().done_steps(address.task)
    if step > done:
        raise UsageError(
            f"{address} can't begin at {address.step}: {names[done]} is not done, or its outputs are not here; "
            f"`tui-lab retry {address}` begins there"
        )
    return step
