"""Whether an experiment fits the nodes that it is to run on: the allocations that engines such as Slurm grant are of a
known size, and end after a known time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tui_lab.client.formatting import size, span
from tui_lab.client.nodes import usable
from tui_lab.engine.tasks.builder import TaskBuilder
from tui_lab.engine.transports import is_pool
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.cluster.tags import fit
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.needs import OF_A_NODE, NeedError
from tui_lab.experiment.yaml.problem import Problem, SpecError
from tui_lab.store.lab import Lab

if TYPE_CHECKING:
    from tui_lab.engine.transports.supply import Limits

TRIED: Final = 10_000  # tasks whose needs and timeouts are computed, where these depend on parameters

Keypath = tuple[str | int, ...]


@dataclass
class Places:
    """What is known of the nodes before anything runs. limits: by the names of pools. notes: on those of which nothing
    is known."""

    limits: dict[str, Limits] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def known_places(nodes: Sequence[NodeEntry], lab: Lab | None, environment: Mapping[str, str]) -> Places:
    """Ask the engines of pools what they can grant. Raises LabError where one refuses what the cluster file asks it
    for."""
    pools = [node for node in nodes if is_pool(node)]
    if not pools:
        return Places()
    from tui_lab.client.pool_limits import ask_limits

    return Places(*ask_limits(pools, lab or Lab(Path("lab").absolute(), "plan"), environment))


def unchecked(experiment: Experiment) -> list[str]:
    """Return notes on what is not checked where no nodes are named."""
    names = dict.fromkeys(name for one in experiment.per_stage for name in one.needs.resources)
    if not names:
        return []
    return [f"tasks need {', '.join(names)}: --cluster FILE names the nodes that offer that"]


def placed(
    experiment: Experiment, builder_of: Callable[[], TaskBuilder], nodes: Sequence[NodeEntry], places: Places
) -> list[NodeEntry]:
    """Return the nodes that an experiment may use. builder_of: makes the builder of its plan. Raises SpecError where a
    stage, or the experiment, can run on none of them."""
    found = usable(experiment, nodes)
    if not places.limits and not any(one.needs.resources for one in experiment.per_stage):
        return found
    builder = builder_of()
    problems = [
        problem
        for one in (*builder.stages.values(), builder)
        for problem in _problems(one, [node for node in found if fit(one.experiment.run_on, node["tags"])], places)
    ]
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
    return found


def _problems(builder: TaskBuilder, nodes: Sequence[NodeEntry], places: Places) -> Iterator[Problem]:
    """What of a stage can be met on none of the nodes that have its tags."""
    yield from _resource_problems(builder, nodes)
    limits = {node["name"]: places.limits[node["name"]] for node in nodes if node["name"] in places.limits}
    if len(limits) < len(nodes):
        return  # nothing is known of some
    experiment = builder.experiment
    walltimes = [one.walltime for one in limits.values()]
    longest = None if None in walltimes else max((time for time in walltimes if time is not None), default=None)
    if longest is not None and not experiment.resumes:
        for path, seconds in _timeouts(builder):
            if seconds >= longest:
                have = ", ".join(f"{name} {span(one.walltime or 0)}" for name, one in limits.items())
                what = f"an attempt may take {span(seconds)}, and an allocation has less time: {have}"
                hint = "make it shorter, or ask for more time; resumes: true if a task goes on from where it stopped"
                yield experiment.problem(path, what, hint)
    for needs in _needs(builder):
        lacks = {name: _lacks(needs, one) for name, one in limits.items()}
        if all(lacks.values()):
            name = next(iter(lacks.values()))
            have = ", ".join(f"{where} has {_shown(one, getattr(limits[where], one))}" for where, one in lacks.items())
            what = f"a task needs {name}: {_shown(name, needs[name])}, and an allocation of {have}"
            yield experiment.problem(("needs", name), what)


def _resource_problems(builder: TaskBuilder, nodes: Sequence[NodeEntry]) -> Iterator[Problem]:
    """Resources of the cluster file of which no node offers enough."""
    asked = builder.experiment.needs.resources
    for needs in _needs(builder) if asked else ():
        for name in (name for name in asked if needs.get(name)):
            most = max(node.get("resources", {}).get(name, 0) for node in nodes)
            if most < needs[name]:
                what = f"a task needs {name}: {needs[name]}, and no node offers more than {most}"
                hint = f"a node offers it by resources: {{{name}: 1}} in the cluster file"
                shared = f"if all tasks share it, add limits: {{{name}: 1}}"
                yield builder.experiment.problem(("needs", name), what, f"{hint}; {shared}", at_key=True)


def _lacks(needs: Mapping[str, Any], limits: Limits) -> str:
    """The need that is more than the limits allow; empty where all fit, or where that is not known."""
    known = (("cpus", limits.cpus), ("memory", limits.memory), ("gpus", limits.gpus))
    return next((name for name, most in known if most is not None and needs.get(name, 0) > most), "")


def _shown(name: str, amount: float) -> str:
    return size(amount) if name == "memory" else f"{amount:g}"


def _timeouts(builder: TaskBuilder) -> Iterator[tuple[Keypath, float]]:
    """The timeouts of a stage with their places."""
    timeout = builder.experiment.timeout
    listed = isinstance(timeout, tuple)
    for number, one in enumerate(timeout if isinstance(timeout, tuple) else (timeout,)):
        path: Keypath = ("timeout", number) if listed else ("timeout",)
        rows = range(min(TRIED, builder.plan.tasks.height) if isinstance(one, str) else 1)
        try:
            found = [seconds for row in rows if (seconds := builder.timeout_of(row, number + 1)) is not None]
        except ValueError:
            continue  # the start of the task reports it
        if found:
            yield path, max(found)


def _needs(builder: TaskBuilder) -> Iterator[Mapping[str, Any]]:
    """What attempts of a stage need of a node, each once."""
    needs = builder.experiment.needs
    names = (*OF_A_NODE, *needs.resources)
    asked = [*(getattr(needs, name) for name in OF_A_NODE), *needs.resources.values()]
    varies = any(isinstance(one, str) for amounts in asked for one in amounts)
    seen = set[tuple[tuple[str, Any], ...]]()
    for attempt in range(1, max(map(len, asked), default=0) + 1):
        for row in range(min(TRIED, builder.plan.tasks.height) if varies else 1):
            try:
                found = {name: value for name, value in builder.needs(row, attempt).items() if name in names}
            except NeedError:
                continue
            identity = tuple(sorted(found.items()))
            if found and identity not in seen:
                seen.add(identity)
                yield found
