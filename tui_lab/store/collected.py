"""What runs of collecting stages collect, by the tasks of a plan: each task is linked to the run that covers it."""

from __future__ import annotations

import polars as pl

from tui_lab.experiment.model import Experiment
from tui_lab.store.fold import State
from tui_lab.store.plan import LINK, Plan


def tasks_of(plan: Plan, stage: str) -> dict[int, list[int]]:
    """Return the tasks that the runs of a stage cover, by run, in the order of the plan."""
    return _grouped(plan.tasks, LINK + stage, "task_id")


def members(plan: Plan, experiment: Experiment, stage: str) -> dict[int, list[int]]:
    """Return the tasks, or the runs of a stage before, that the runs of a stage collect, by run; nothing of a stage
    that collects none."""
    collected = experiment.stages[stage].collected
    if collected is None or LINK + stage not in plan.tasks.columns:
        return {}
    return _grouped(plan.tasks, LINK + stage, LINK + collected if collected in plan.stages else "task_id")


def requested(plan: Plan, experiment: Experiment, state: State, queued: pl.Series) -> dict[str, set[int]]:
    """Return the runs of stages apart whose tasks are all done, or among those that are to be run, by stage."""
    found: dict[str, set[int]] = {}
    known = {*queued.to_list()}
    for stage in experiment.apart:
        covers = tasks_of(plan, stage)
        found[stage] = {
            run
            for run, tasks in covers.items()
            if all(task in known or (task < state.size and state.has_result(task)) for task in tasks)
        }
    return found


def covered(plan: Plan, experiment: Experiment) -> dict[int, list[int]]:
    """Return the tasks that runs of all stages apart cover, by run."""
    return {run: tasks for stage in experiment.apart for run, tasks in tasks_of(plan, stage).items()}


def _grouped(tasks: pl.DataFrame, by: str, of: str) -> dict[int, list[int]]:
    pairs = tasks.select(pl.col(by).alias("by"), pl.col(of).alias("of")).drop_nulls().unique(maintain_order=True)
    return dict(pairs.group_by("by", maintain_order=True).agg("of").rows())
