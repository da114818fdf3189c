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


def step_runs(folder: ExperimentFolder, task: int) -> list[StepRun]:
    """Return the last run of each step of a task that has ended; none where tasks have one step. Raises LabError."""
    names = [step.name for step in folder.spec_of(task).steps]
    runs = folder.state().steps.runs(task) if len(names) > 1 else []
    return [StepRun(name or str(place), *run) for place, (name, run) in enumerate(zip(names, runs, strict=False), 1)]


def step_to_begin(address: Address) -> int | None:
    """Return the step, from 0, that an address names; None where it names none. Raises UsageError for one that the task
    does not have, or that it can't begin at yet; LabError."""
    from tui_lab.experiment.yaml.problem import suggest

    if address.step is None:
        return None
    names = [step.name or str(place) for place, step in enumerate(address.folder.spec_of(address.task).steps, 1)]
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
