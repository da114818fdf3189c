"""What a lease takes of a node of Ray: as it is written in the cluster file, or as much as its tasks need."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from tui_lab.engine.transports.supply import Limits, Request

OF_NEEDS: Final = {"CPU": "cpus", "GPU": "gpus", "memory": "memory"}
WRITTEN: Final = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
_NOT_CUSTOM: Final = ("object_store_memory", "node:", "accelerator_type:", "bundle", *OF_NEEDS)

Amounts = Mapping[str, float]
"""Of resources, by the names that Ray has for them."""


def wanted(settings: Mapping[str, Any], request: Request, shapes: Sequence[Amounts]) -> dict[str, float]:
    """Return what a lease is to ask for. shapes: the nodes that there may be. Where tasks need more than any of these
    has, all that it has is asked for: the node shows what is too large, and others run."""
    slots = max(1, request.slots)
    found = written(settings)
    names = {name: amount for name, amount in settings.get("resources", {}).items() if isinstance(amount, str)}
    for need in request.needs.keys() - {*OF_NEEDS.values(), *names.values()}:
        if need not in found and any(need in shape for shape in shapes):  # else it is nothing that Ray knows
            names[need] = need
    found |= {name: slots * request.needs.get(need, 0) for name, need in names.items()}
    flexible: dict[str, float] = {}
    for name, need in OF_NEEDS.items():
        if name not in found:
            flexible[name] = slots * request.needs.get(need, 1 if name == "CPU" else 0)
    found = {name: _possible(name, amount) for name, amount in found.items()}
    able = [shape for shape in shapes if not lacking(found, shape)]
    if able:
        best = max(able, key=lambda shape: _closeness(flexible, shape))
        flexible = {name: min(amount, best.get(name, 0)) for name, amount in flexible.items()}
    found |= {name: _possible(name, amount) for name, amount in flexible.items()}
    return {name: amount for name, amount in found.items() if amount}


def written(settings: Mapping[str, Any]) -> dict[str, float]:
    """Return the amounts of the cluster file."""
    found = {name: settings[key] for name, key in WRITTEN.items() if settings.get(key) is not None}
    custom = settings.get("resources", {})
    return found | {name: amount for name, amount in custom.items() if not isinstance(amount, str)}


def _closeness(amounts: Amounts, shape: Amounts) -> tuple[int, float]:
    """How much of some amounts a node has: first how many of them."""
    parts = [min(1.0, shape.get(name, 0) / amount) for name, amount in amounts.items() if amount]
    return sum(part == 1.0 for part in parts), sum(parts)


def _possible(name: str, amount: float) -> float:
    """Ray takes parts of one, and else whole numbers; memory is in bytes."""
    return math.ceil(amount) if amount > 1 or name == "memory" else amount


def lacking(amounts: Amounts, shape: Amounts) -> list[str]:
    """Return the resources of which a node does not have enough."""
    return [name for name, amount in amounts.items() if amount > shape.get(name, 0)]


def options(amounts: Amounts) -> dict[str, Any]:
    """Return amounts as the options of an actor. Ray itself would give it one CPU to be placed, and none to run."""
    found: dict[str, Any] = {"num_cpus": amounts.get("CPU", 0), "num_gpus": amounts.get("GPU", 0)}
    if "memory" in amounts:
        found["memory"] = int(amounts["memory"])
    custom = {name: amount for name, amount in amounts.items() if name not in OF_NEEDS}
    return {**found, "resources": custom} if custom else found


def offers(amounts: Amounts, slots: int) -> str:
    """Return what the agent of a lease may use of its machine, as the agent reads it."""
    cpus = max(1, slots, int(amounts.get("CPU", 0)))
    return f"cpus={cpus}" + (f" memory={int(amounts['memory'])}" if "memory" in amounts else "")


def limits(shapes: Sequence[Amounts]) -> Limits:
    """Return the most that a node has."""
    most = {name: max(shape.get(name, 0) for shape in shapes) for name in {name for one in shapes for name in one}}
    if not most.get("CPU"):
        return Limits()
    return Limits(
        cpus=most["CPU"],
        memory=int(most.get("memory", 0)),
        gpus=int(most.get("GPU", 0)),
        custom={name: amount for name, amount in most.items() if not name.startswith(_NOT_CUSTOM)},
    )


def why_pending(amounts: Amounts, shapes: Sequence[Amounts]) -> tuple[str, bool]:
    """Return why a lease waits, and whether it does so because there is no node that could have it."""
    if not shapes:
        return "Ray has no node", False
    if any(not lacking(amounts, shape) for shape in shapes):
        return f"Ray has {len(shapes)} node{'s' * (len(shapes) > 1)}, and none has room", False
    for name, amount in amounts.items():
        most = max(shape.get(name, 0) for shape in shapes)
        if most < amount:
            return f"it asks for {_named(name)}: {amount:g}, and no node of Ray has more than {most:g}", True
    asked = ", ".join(f"{_named(name)}: {amount:g}" for name, amount in amounts.items())
    return f"it asks for {asked}, and no node of Ray has all of it", True


def _named(name: str) -> str:
    return WRITTEN.get(name, name)


def shapes_of(nodes: Iterable[Mapping[str, Any]], config: Any) -> list[Amounts]:
    """Return what nodes have: those that live, and those that an autoscaler may add by its `config`."""
    found: list[Amounts] = [node["Resources"] for node in nodes if node["Alive"]]
    for group in getattr(config, "node_group_configs", ()):
        if group.max_count != 0:
            found.append(dict(group.resources))
    return found
