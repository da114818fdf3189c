"""Ray, as a cluster file names it: where it is, and what of its nodes a lease takes."""

from __future__ import annotations

import dataclasses
import re
from typing import ClassVar, Final, Self

from tui_lab.experiment.cluster.pools.pool import PoolKey, need_packages, read_address
from tui_lab.experiment.names import name_error
from tui_lab.experiment.needs import OF_A_NODE
from tui_lab.experiment.record import documented
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.units import MEMORY_HINT, memory
from tui_lab.experiment.yaml.reader import Keypath, Reader

ADDRESS: Final = re.compile(r"auto|(?:ray://)?(?:[^\s/:@\[\]]+|\[[0-9a-fA-F:.]+\]):\d+")
ADDRESS_HINT: Final = "auto for the Ray of this machine, or as in ray: 192.0.2.7:6379"
OF_ITSELF: Final = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
"""Resources that have a key of their own."""
_AMOUNT: Final[Schema] = {"type": "number", "minimum": 0}


class Ray(PoolKey):
    """Ray: each allocation is an actor that holds an agent, and takes `slots` tasks at a time; 1 by default. It asks
    for what its tasks need. The value is `auto` for the Ray of this machine, an address, or a mapping. Needs `pip
    install 'tui-lab[ray]'`."""

    kind: ClassVar[str] = "ray"
    example: ClassVar[str] = "auto"
    has_address: ClassVar[bool] = True
    schema: ClassVar[Schema] = {
        "anyOf": [
            TEXT,
            {
                "type": "object",
                "properties": {
                    **PoolKey.common_schema,
                    "address": TEXT,
                    "num_cpus": _AMOUNT,
                    "num_gpus": _AMOUNT,
                    "memory": TEXT,
                    "resources": {
                        "type": ["object", "null"],
                        "additionalProperties": {"anyOf": [_AMOUNT, TEXT]},
                    },
                },
                "additionalProperties": False,
            },
        ]
    }

    every: float = documented(
        default=1, description="Time between two questions how all allocations stand.", examples=["5s"]
    )
    address: str = documented(
        default="auto",
        description="`auto`, or the address of the head: this machine must be a node of its Ray.",
        examples=["192.0.2.7:6379"],
    )
    num_cpus: float | None = documented(
        default=None,
        description="CPUs that an allocation takes; by default as many as its tasks need by `needs`, and one for each "
        "that says nothing.",
        examples=[8, 0.5],
    )
    num_gpus: float | None = documented(
        default=None, description="GPUs that it takes; by default as many as its tasks need.", examples=[1, 0.25]
    )
    memory: int | None = documented(
        default=None, description="Memory that it takes; by default as much as its tasks need.", examples=["16G"]
    )
    resources: dict[str, float | str] = documented(
        default_factory=dict,
        description="What it takes of resources that nodes were started with, as in `ray start --resources`: an "
        "amount; or a name of `needs`, for as much as tasks need of that. Needs of the same name are asked for anyway.",
        examples=[{"disk": 1}, {"TPU": "tpu"}],
    )

    def usual_slots(self) -> int:
        """Return the slots where the entry gives none."""
        return 1

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        """Return what stands at a place of the file; None where it is wrong, which the reader is told."""
        before = len(r.problems)
        need_packages(r, path, "ray", ("ray",))
        if r.has(path) and r.node(path).kind == "scalar" and not r.empty(path):
            address = read_address(r, path, ADDRESS, "a Ray", ADDRESS_HINT)
            return cls(address=address) if address is not None and len(r.problems) == before else None
        if r.empty(path) or not r.is_mapping(path, "auto, the address of a Ray, or a mapping"):
            if r.empty(path):
                r.add(path, "there is no address of a Ray", ADDRESS_HINT, at_key=True)
            return None
        r.fields(path, [field.name for field in dataclasses.fields(cls)], f'"{cls.kind}"')
        found = cls.read_common(r, path)
        if r.has((*path, "address")):
            found["address"] = read_address(r, (*path, "address"), ADDRESS, "a Ray", ADDRESS_HINT)
        for key in ("num_cpus", "num_gpus"):
            if r.has((*path, key)):
                found[key] = _amount(r, (*path, key), least=0)
        if r.has((*path, "memory")):
            found["memory"] = _memory(r, (*path, "memory"))
        if not r.empty((*path, "resources")):
            found["resources"] = _resources(r, (*path, "resources"))
        return cls(**found) if len(r.problems) == before else None


def _amount(r: Reader, path: Keypath, *, least: float | None = None) -> float | None:
    amount = r.number(path)
    if amount is None:
        return None
    if amount < 0 or (amount == 0 and least is None):
        r.add(path, f"an amount is {'0 or more' if least == 0 else 'above 0'}, and this is {amount}")
    elif amount > 1 and amount != int(amount):
        r.add(path, f"above 1, Ray has whole numbers only, and this is {amount}")
    return amount


def _memory(r: Reader, path: Keypath) -> int | None:
    text = r.text(path)
    try:
        return memory(text) if text is not None else None
    except ValueError as error:
        r.add(path, str(error), MEMORY_HINT)
        return None


def _resources(r: Reader, path: Keypath) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    if not r.is_mapping(path, "a mapping with resources of nodes, as in {disk: 1}"):
        return found
    for name in r.keys(path):
        at = (*path, name)
        node = r.node(at)
        if name in OF_ITSELF:
            r.add(at, f'"{name}" has a key of its own', f"{OF_ITSELF[name]} of ray", at_key=True)
        elif node.kind == "scalar" and isinstance(node.value, str):
            if node.text in OF_A_NODE:
                r.add(at, f'"{node.text}" is asked for anyway', "here stand amounts, and names of other needs")
            elif error := name_error(node.text):
                r.add(at, *error)
            else:
                found[name] = node.text
        elif (amount := _amount(r, at)) is not None:
            found[name] = amount
    return found
