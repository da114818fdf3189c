"""Runs of stages: which of them some tasks need, and how many tasks need one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import polars as pl

from tui_lab.client.errors import UsageError
from tui_lab.store import collected, discarded_files, fold
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State
from tui_lab.store.plan import LINK, Plan

if TYPE_CHECKING:
    from tui_lab.client.address import Address
    from tui_lab.experiment.model import Experiment


_BADLY: Final = (fold.FAILED, fold.STOPPED, fold.LOST)


@dataclass(frozen=True)
class StageCount:
    """How many runs of a stage are behind some tasks: in all, done, to be run, and of those the ones that run again
    because their outputs are gone: removed, as `retain` says, or by someone. per_node: `runs` is for each node, `done`
    on all nodes, and `to_run` are those of which no node has one that is done."""

    stage: str
    runs: int
    done: int
    to_run: int
    gone: int
    discarded: int
    per_node: bool = False


def counted(
    experiment: Experiment, plan: Plan, state: State, folder: ExperimentFolder, tasks: pl.Series
) -> list[StageCount]:
    """Return the runs of each stage but that of the tasks that the plan has; `to_run` are those that the tasks need, or
    that collect nothing but done tasks and these."""
    if not plan.runs.height:
        return []
    gone = set(folder.gone_runs(plan, experiment)) if folder.exists() else set[int]()
    discarded = set(state.discarded_runs())
    codes = dict(zip(plan.runs["task_id"], _states(plan.runs["task_id"], state), strict=True))
    done = dict.fromkeys(plan.per_node, 0)  # on all nodes
    for one, stage in plan.runs.filter(pl.col("stage").is_in(plan.per_node)).select("task_id", "stage").rows():
        own = state.node_runs.get(one, {}).values()
        ended = [other for other in own if state.columns["state"][other] == fold.DONE]
        done[stage] += len([other for other in ended if other not in gone])
        codes[one] = fold.DONE if ended else fold.PENDING
        if ended and all(other in gone for other in ended):
            gone.add(one)
    rows = {name: plan.runs.filter(pl.col("stage") == name) for name in plan.stages}
    wanted = {name: set[int]() for name in plan.stages}
    last = experiment.stage or ""
    for name, runs in collected.requested(plan, experiment, state, tasks).items():
        wanted[name] = {one for one in runs if codes[one] != fold.DONE or one in gone}
    for name in reversed(experiment.stage_order):
        stage = experiment.stages[name]
        if name == last:
            _reach(wanted, plan.tasks.filter(pl.col("task_id").is_in(tasks.implode())), stage.linked)
            continue
        wanted[name] = {one for one in wanted[name] if codes[one] != fold.DONE or one in gone or one in discarded}
        mine = rows[name].filter(pl.col("task_id").is_in(list(wanted[name])))
        _reach(wanted, mine, stage.single)
        if stage.collected in wanted:
            members = collected.members(plan, experiment, name)
            wanted[stage.collected].update(one for run in wanted[name] for one in members[run])
    return [
        StageCount(
            name,
            rows[name].height,
            done.get(name, sum(codes[one] == fold.DONE and one not in wanted[name] for one in rows[name]["task_id"])),
            len(wanted[name]),
            len(wanted[name] & gone - discarded),
            len(wanted[name] & discarded),
            name in plan.per_node,
        )
        for name in plan.stages
    ]


def has_needless_files(experiment: Experiment, plan: Plan, state: State, folder: ExperimentFolder) -> bool:
    """Return whether an engine was killed before it could remove the files of runs of stages that nothing needs."""
    chosen = [name for name in plan.stages if experiment.stages[name].retain != "always"]
    if not chosen:
        return False
    discarded = set(state.discarded_runs())
    rows = plan.runs.filter(pl.col("stage").is_in(chosen))
    done = {
        one for one, code in zip(rows["task_id"], _states(rows["task_id"], state), strict=True) if code == fold.DONE
    }
    waited_for: set[int] = set()
    for name in (*plan.stages, experiment.stage or ""):
        table = plan.of_stage(name).tasks if name in plan.stages else plan.tasks
        table = table.filter(pl.Series(_states(table["task_id"], state)) != fold.DONE)
        stage = experiment.stages[name]
        _reach(
            dict.fromkeys(plan.stages, waited_for), table, tuple(one for one in stage.after if one != stage.collected)
        )
        waiting = {*table["task_id"].to_list()}
        for run, members in collected.members(plan, experiment, name).items():
            if run in waiting:
                waited_for.update(members)
    if done - waited_for - discarded:
        return True
    mine = ((one, stage) for one, stage in rows.select("task_id", "stage").rows() if one in discarded)
    return discarded_files.is_unfinished(folder.path, experiment, mine)


def _reach(wanted: dict[str, set[int]], rows: pl.DataFrame, after: tuple[str, ...]) -> None:
    """Add the runs that some rows of a plan come directly after."""
    for name in after:
        wanted[name].update(rows[LINK + name].drop_nulls().to_list())


def _states(ids: pl.Series, state: State) -> list[int]:
    known = np.append(np.frombuffer(state.columns["state"], dtype=np.int8), np.int8(fold.PENDING))
    return list(map(int, known[np.minimum(ids.to_numpy(), state.size)]))


def with_following(address: Address) -> list[int]:
    """Return the task, or the run of a stage, at an address, and all that depends on it in the newest plan. Raises
    UsageError where that does not have it, or it has not ended."""
    folder = address.folder
    plan, state = folder.plan(), folder.state()
    if not state.columns["planned"][address.task]:
        raise UsageError(f"{address} is not in the newest plan")
    if state.columns["assigned"][address.task] or state.columns["queued"][address.task]:
        raise UsageError(f"{address} has not ended yet")
    return following(plan, folder.spec(plan.number), state, address.task)


def waiting_beside(address: Address) -> list[int]:
    """Return the tasks that are not done, and that only wait for a run of another of their last stages."""
    folder = address.folder
    plan, states = folder.plan(), folder.state().columns["state"]
    if address.stage not in folder.spec(plan.number).beside:
        return []
    return [task for task in folder.tasks_behind(address.task) if states[task] in _BADLY]


def failed_to_collect(folder: ExperimentFolder, tasks: set[int]) -> list[int]:
    """Return the runs that have not ended well, and that collect no other tasks than these."""
    plan, states = folder.plan(), folder.state().columns["state"]
    covers = collected.covered(plan, folder.spec(plan.number)) if plan.runs.height else {}
    return [run for run, ids in covers.items() if states[run] in _BADLY and tasks.issuperset(ids)]


def following(plan: Plan, experiment: Experiment, state: State, one: int) -> list[int]:
    """Return the tasks, and the runs of stages, that depend on a run, near or far; with the run itself. On a run that a
    node has of its own depends what ran there, and what is not done."""
    node = state.run_for[one][1] if one in state.run_for else None
    found = {one}
    links = {state.planned_run(one)}  # as the plan has them

    def depends(other: int) -> bool:
        at = state.columns["node"][other] if other < state.size else fold.NONE
        return node is None or state.columns["state"][other] != fold.DONE or state.nodes[at] == node

    for name in experiment.stage_order:
        stage = experiment.stages[name]
        rows = plan.runs.filter(pl.col("stage") == name) if name in plan.stages else plan.tasks
        more = {run for run, ids in collected.members(plan, experiment, name).items() if links & {*ids}}
        for other in stage.after:
            if other != stage.collected:
                more.update(rows.filter(pl.col(LINK + other).is_in(list(links)))["task_id"].to_list())
        if stage.per_node:
            links |= more
            runs = [(at, own) for run in more for at, own in state.node_runs.get(run, {}).items()]
            found.update(own for at, own in runs if node in (None, at))
            continue
        # What collects, and is not done, is requested as soon as all is there that it collects.
        some = set(filter(state.has_result if stage.apart else depends, more))
        links |= some
        found |= some
    return sorted(found)


def only_for(folder: ExperimentFolder, tasks: list[int]) -> list[int]:
    """Return the runs of stages that no other task than these has, in any plan, and that have been begun; of stages
    that collect, those that are not in the newest plan."""
    state = folder.state()
    planned = state.columns["planned"]
    kept, found = set[int](), set[int]()
    chosen = pl.Series(tasks, dtype=pl.Int64)
    for number in sorted({event.plan for event in state.submissions if event.stages}):
        table = folder.plan(number).tasks
        mine = table["task_id"].is_in(chosen.implode())
        apart = folder.plan(number).apart
        for name in apart:
            found.update(run for run in table[LINK + name].drop_nulls() if not planned[run])
        for name in folder.plan(number).stages:
            if name in apart:
                continue
            found.update(table.filter(mine)[LINK + name].drop_nulls())
            kept.update(table.filter(~mine)[LINK + name].drop_nulls())
    columns = state.columns
    chosen_runs = [own for run in found - kept for own in (run, *state.node_runs.get(run, {}).values())]
    return sorted(one for one in chosen_runs if columns["attempts"][one] and not columns["assigned"][one])
