"""The file that lists what a run of a stage collects: a table with tabs, a row for each folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final

import polars as pl

from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.shell.template import fill
from tui_lab.store import collected
from tui_lab.store.plan import LINK, Plan
from tui_lab.store.seeds import repeat_seed

_FOLDER: Final = "folder"
_ESCAPES: Final = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


class CollectedFiles:
    """Of the runs of one stage. plan: the whole, with the tasks."""

    def __init__(self, plan: Plan, experiment: Experiment, stage: str) -> None:
        self.experiment = experiment
        self.plan = plan
        self.columns = experiment.stages[stage].collect
        self.collected = experiment.stages[stage].collected or ""
        self._link = LINK + self.collected if self.collected in plan.stages else "task_id"
        self._members = collected.members(plan, experiment, stage)
        self._rows = {one: row for row, one in reversed([*enumerate(plan.tasks[self._link].to_list())])}
        self._seed_of = _seeds(plan, experiment, self.collected)

    @property
    def stage(self) -> str | None:
        """The stage whose runs are collected; None for tasks."""
        return self.collected if self.collected in self.plan.stages else None

    def members(self, run: int) -> list[int]:
        """Return the tasks, or the runs of a stage, that a run collects."""
        return self._members.get(run, [])

    def text(self, run: int, folder: Callable[[int, str | None], str]) -> str:
        """Return the file of a run. folder: where the outputs of a task, or of a run of a stage, are on the node."""
        lines = [[_FOLDER, *self.columns]]
        lines += [[folder(one, self.stage), *self._values(self._rows[one])] for one in self.members(run)]
        return "".join("\t".join(map(_escaped, line)) + "\n" for line in lines)

    def _values(self, row: int) -> list[str]:
        parameters = self.plan.parameters(row)
        return [
            _written(parameters[name] if name in parameters else self._built_in(name, row)) for name in self.columns
        ]

    def _built_in(self, name: str, row: int) -> Value:
        repeat: int = self.plan.tasks["repeat"][row]
        return repeat if name == "repeat" else self._seed_of(row, repeat)


def _seeds(plan: Plan, experiment: Experiment, stage: str) -> Callable[[int, int], int | None]:
    """Return a function of the row of a task and its repeat: the seed of what is collected, or of the next stage before
    it that takes one."""
    open_ = [stage]
    for name in open_:
        open_ += [other for other in experiment.stages[name].linked if other not in open_]
    taking = [name for name in open_ if experiment.stages[name].takes_seed]
    if experiment.seeding.per == "repeat" or not taking:
        return lambda row, repeat: repeat_seed(experiment.seeding.base, repeat)
    if taking[0] not in plan.stages:
        return lambda row, repeat: plan.tasks["seed"][row]
    runs = plan.runs.filter(pl.col("stage") == taking[0])
    seeds = dict(zip(runs["task_id"].to_list(), runs["seed"].to_list(), strict=True))
    links: Sequence[int] = plan.tasks[LINK + taking[0]].to_list()
    return lambda row, repeat: seeds[links[row]]


def _written(value: Value) -> str:
    if value is None:
        return ""
    return (
        json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else fill("{value}", {"value": value})
    )


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)
