"""Which tasks an address names: `[EXPERIMENT/]ID[.ATTEMPT][:STAGE[@NODE]][:STEP]`, a whole EXPERIMENT, or a SQL
condition."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import polars as pl

from tui_lab.client.errors import UsageError
from tui_lab.client.reading import noted
from tui_lab.experiment.expressions import expression
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.store import ranges
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State
from tui_lab.store.lab import Lab

_TASK: Final = re.compile(
    r"(?:(?P<experiment>[A-Za-z_][A-Za-z0-9_.-]*)/)?(?P<first>\d+)(?:-(?P<last>\d+))?(?:\.(?P<attempt>\d+))?(?::(?P<step>.+))?"
)
_SUBMISSION: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)#\d+")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Address:
    """One task, and its attempt and step where they were given. behind: the task that was named, where `task` is the
    run of a stage that it depends on."""

    folder: ExperimentFolder
    task: int
    attempt: int | None = None
    step: str | None = None
    behind: int | None = None
    stage: str | None = None  # where one was named

    def __str__(self) -> str:
        if self.behind is None:
            return f"{self.folder.name}/{self.task}"
        return f"{self.folder.name}/{self.behind}:{self.folder.stage_of(self.task)}"


def address_of(folder: ExperimentFolder, task: int) -> str:
    """Return what names a task, or a run of a stage by the first task that depends on it."""
    stage = folder.stage_of(task)
    if stage is None:
        return f"{folder.name}/{task}"
    tasks = folder.tasks_behind(task) or folder.tasks_behind(folder.state().planned_run(task))
    return f"{folder.name}/{tasks[0] if tasks else task}:{stage}"


def resolve(lab: Lab, words: Sequence[str]) -> list[Address]:
    """The tasks that the words name, in their order, each once. Raises UsageError, LabError.

    `3`, `grid/3`, `grid/3.2:train`, `3-9`, `grid` (all its tasks) or `"reason = 'oom' and lr > 0.1"`. Without
    an experiment the newest is meant. Says that it reads, where that takes long.
    """
    found: dict[tuple[str, int, int | None, str | None], Address] = {}
    with noted(lab.path.name):
        for word in words:
            for address in _one(lab, word):
                found.setdefault((address.folder.name, address.task, address.attempt, address.step), address)
    return list(found.values())


def _one(lab: Lab, word: str) -> Iterator[Address]:
    match = _TASK.fullmatch(word)
    if match is not None:
        folder = lab.experiment(match["experiment"]) if match["experiment"] else newest(lab)
        state = folder.state()
        first = int(match["first"])
        last = int(match["last"] or first)
        if last < first or last >= state.size or (state.stages and state.stage(last) is not None):
            raise UsageError(f"{folder.name} has no task {max(first, last):,}; {_known_tasks(state)}")
        attempt = int(match["attempt"]) if match["attempt"] else None
        for task in range(first, last + 1):
            if not state.stages:
                yield Address(folder, task, attempt, match["step"])
            elif state.stage(task) is None:
                yield from _of_stage(Address(folder, task, attempt, match["step"]))
    elif _NAME.fullmatch(word):
        folder = lab.experiment(word)
        yield from (Address(folder, task) for task in folder.tasks()["task_id"])
    elif submission := _SUBMISSION.fullmatch(word):
        lab.experiment(submission[1])
        raise UsageError(
            f"{word} is a submission, not a task; a task is `{submission[1]}/3`, all of them are `{submission[1]}`, "
            f"and `tui-lab history {submission[1]}` and `tui-lab diff` show submissions"
        )
    else:
        experiment, _, condition = word.partition("/") if re.match(r"[A-Za-z_][\w.-]*/", word) else ("", "", word)
        folders = [lab.experiment(experiment)] if experiment else [newest(lab)]
        for folder in folders:
            table = task_table(folder, condition)
            yield from (Address(folder, task) for task in table["task_id"].filter(matching(condition, table)))


def _known_tasks(state: State) -> str:
    ids = state.task_ids()
    return f"its tasks are {ranges.shown(ids.tolist(), 3).replace('-', ' to ')}" if len(ids) else "it has no tasks"


def _of_stage(address: Address) -> Iterator[Address]:
    """Yield the run that an address such as `17:train` or `17:train:STEP` means. If each node has a run of its own,
    that is the one of the node where the task ran, else those of all nodes; `17:build@NODE` is that of one node. Raises
    UsageError."""
    if address.step is None:
        yield address
        return
    folder, state = address.folder, address.folder.state()
    name, _, step = address.step.partition(":")
    name, at, node = name.partition("@")
    if at:  # the name of a node may have a colon
        rest = address.step.partition("@")[2]
        known = [one for one in state.nodes if rest == one or rest.startswith(f"{one}:")]
        node = max(known, key=len, default=node)
        step = rest[len(node) + 1 :]
    plan = folder.plan_of(address.task)
    last = folder.spec(plan.number).stage
    if at and name not in plan.per_node:
        raise UsageError(f'"{address.step}": not each node has a run of {name}; write {name}')
    if name == last:
        yield replace(address, step=step or None, stage=name)
        return
    if name not in plan.stages:
        names = [*plan.stages, *([last] if last else [])]
        hint = suggest(name, names) or f"it is one of {', '.join(names)}"
        raise UsageError(f'{folder.name} has no stage "{name}"; {hint}')
    run = plan.run_behind(address.task, name)
    if run is None:
        raise UsageError(f"{address} does not depend on the stage {name}")
    runs = [state.on_node(run, address.task)]
    if name in plan.per_node and (at or runs == [run]):
        own = state.node_runs.get(run, {})
        if not own or (at and node not in own):
            has = f"{', '.join(own)} {'have' if len(own) > 1 else 'has'} one" if own else "no node has one yet"
            raise UsageError(f"{address} has no run of {name}{f' on {node}' if at else ''}; {has}")
        runs = [own[node]] if at else list(own.values())
    for one in runs:
        yield replace(address, task=one, step=step or None, behind=address.task, stage=name)


def newest(lab: Lab) -> ExperimentFolder:
    """The experiment submitted last. Raises UsageError for an empty lab, StorageError where journals are gone."""
    names = lab.experiments()
    if not names:
        for folder in lab.without_journal():
            folder.require_journal()
        raise UsageError(f"{lab.path} has no experiments yet; `tui-lab --run FILE` makes one")
    return lab.experiment(names[-1])


def experiment_at(path: Path, lab: Path) -> Path | None:
    """Return the folder of the experiment that a path names; None where there is none. patas keeps its experiments in
    ./pataslab: if there is no such folder, the lab is meant."""
    found = path.absolute()
    if path.absolute().parent.name == "pataslab" and not path.parent.exists():
        found = lab.absolute() / path.name
    return found if ExperimentFolder(found).exists() else None


def task_table(folder: ExperimentFolder, condition: str, spec: Experiment | None = None) -> pl.DataFrame:
    """Return the table `NAME_tasks` for a condition on tasks: outputs are read only if it names a metric. spec: with
    other metrics than the submitted ones. Raises UsageError for an invalid condition."""
    from tui_lab.results.tables import refresh
    from tui_lab.store.naming import column_names

    if spec is None and any(metric.source.several for metric in folder.written_spec().metrics.values()):
        return refresh(folder, live=True).tasks  # the names of their values are found by reading
    spec = folder.spec() if spec is None else spec
    table = folder.tasks(spec.metrics)
    split = table.columns.index("task_id")
    renamed, metrics = column_names(table.columns[:split], list(spec.metrics), table.columns[split:])
    if metrics:
        table = table.rename(renamed).with_columns(pl.lit(None).alias(name) for name in metrics.values())
        if not set(metrics.values()).isdisjoint(used(condition, table.columns)):
            return refresh(folder, live=True, spec=spec).tasks
    return table


def used(condition: str, columns: Sequence[str]) -> tuple[str, ...]:
    """Return the columns that a SQL condition names. Raises UsageError with the place of a mistake."""
    try:
        return expression.check(condition, columns)
    except expression.ExpressionError as error:
        raise _usage_error(condition, error) from None


def matching(condition: str, table: pl.DataFrame) -> pl.Series:
    """Return the rows for which a SQL condition is true. Raises UsageError with the place of a mistake."""
    try:
        return expression.condition(condition, table)
    except expression.ExpressionError as error:
        raise _usage_error(condition, error) from None


def _usage_error(condition: str, error: expression.ExpressionError) -> UsageError:
    place = "" if error.offset is None else f"\n  {condition}\n  {' ' * error.offset}^"
    hint = f"; {error.hint}" if error.hint else ""
    return UsageError(f"{error.message}{hint}{place}")


def by_experiment(addresses: Sequence[Address]) -> dict[str, list[int]]:
    """Task ids by experiment."""
    grouped: dict[str, list[int]] = {}
    for address in addresses:
        grouped.setdefault(address.folder.name, []).append(address.task)
    return grouped
