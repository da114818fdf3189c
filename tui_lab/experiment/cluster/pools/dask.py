"""Dask, as a cluster file names it: the address of its scheduler, and what of a worker a lease takes."""

from __future__ import annotations

import dataclasses
import re
from typing import ClassVar, Final, Self

from tui_lab.experiment.cluster.pools.pool import PoolKey, need_packages
from tui_lab.experiment.record import documented
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader

ADDRESS: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^\s/:@\[\]]+|\[[0-9a-fA-F:.]+\]):\d+")
ADDRESS_HINT: Final = "as in dask: tcp://127.0.0.1:8786"
AS_NEEDED: Final = ("cpus", "memory", "gpus")
"""Words for as much as tasks need."""


class Dask(PoolKey):
    """Dask: each allocation is a future that holds one of its workers, and takes `slots` tasks at a time; 1 by default.
    The value is the address of a scheduler that runs, or a mapping. Needs `pip install 'tui-lab[dask]'`."""

    kind: ClassVar[str] = "dask"
    example: ClassVar[str] = "tcp://127.0.0.1:8786"
    usual_slots: ClassVar[int] = 1
    has_address: ClassVar[bool] = True
    schema: ClassVar[Schema] = {
        "anyOf": [
            TEXT,
            {
                "type": "object",
                "properties": {
                    **PoolKey.common_schema,
                    "address": TEXT,
                    "resources": {
                        "type": ["object", "null"],
                        "additionalProperties": {
                            "anyOf": [{"type": "number", "minimum": 0}, {"enum": list(AS_NEEDED)}]
                        },
                    },
                },
                "required": ["address"],
                "additionalProperties": False,
            },
        ]
    }

    every: float = documented(
        default=1, description="Time between two questions how all allocations stand.", examples=["5s"]
    )
    address: str = documented(
        default="", description="Address of the scheduler.", examples=["tcp://192.0.2.7:8786", "tls://login1:8786"]
    )
    resources: dict[str, float | str] = documented(
        default_factory=dict,
        description="What an allocation takes of the resources that workers were started with, as in "
        "`dask worker --resources GPU=2`: an amount; or `cpus`, `memory` or `gpus`, for as much as tasks need.",
        examples=[{"GPU": 1}, {"GPU": "gpus"}],
    )

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        """Return what stands at a place of the file; None where it is wrong, which the reader is told."""
        before = len(r.problems)
        need_packages(r, path, "dask", ("distributed",))
        if r.has(path) and r.node(path).kind == "scalar" and not r.empty(path):
            address = _address(r, path)
            return cls(address=address) if address is not None and len(r.problems) == before else None
        if r.empty(path) or not r.is_mapping(path, "the address of a scheduler, or a mapping with one"):
            if r.empty(path):
                r.add(path, "there is no address of a scheduler", ADDRESS_HINT, at_key=True)
            return None
        r.fields(path, [field.name for field in dataclasses.fields(cls)], f'"{cls.kind}"')
        found = cls.read_common(r, path)
        if r.has((*path, "address")):
            found["address"] = _address(r, (*path, "address"))
        elif len(r.problems) == before:
            r.add(path, "there is no address of a scheduler", "as in {address: tcp://127.0.0.1:8786}", at_key=True)
        if not r.empty((*path, "resources")):
            found["resources"] = _resources(r, (*path, "resources"))
        return cls(**found) if len(r.problems) == before else None


def _address(r: Reader, path: Keypath) -> str | None:
    text = r.text(path)
    if text is not None and not ADDRESS.fullmatch(text):
        r.add(path, f'"{text}" is no address of a scheduler', ADDRESS_HINT)
        return None
    return text


def _resources(r: Reader, path: Keypath) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    if not r.is_mapping(path, "a mapping with resources of workers, as in {GPU: 1}"):
        return found
    for name in r.keys(path):
        at = (*path, name)
        node = r.node(at)
        if node.kind == "scalar" and node.text in AS_NEEDED:
            found[name] = node.text
        elif node.kind == "scalar" and isinstance(node.value, str):
            r.add(at, f'"{node.text}" is no amount', f"a number, or one of {', '.join(AS_NEEDED)}")
        elif (amount := r.number(at)) is not None:
            if amount <= 0:
                r.add(at, f"an amount is above 0, and this is {amount}")
            found[name] = amount
    return found
