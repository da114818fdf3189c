"""Dask, as a cluster file names it: the address of its scheduler, or the batch system that its workers are jobs of."""

from __future__ import annotations

import dataclasses
import re
from typing import Any, ClassVar, Final, Self

from tui_lab.experiment.cluster.pools.pool import PoolKey, need_packages, read_address
from tui_lab.experiment.record import documented
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.times import read_time
from tui_lab.experiment.yaml.problem import Suggestion
from tui_lab.experiment.yaml.reader import Keypath, Reader

ADDRESS: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?(?:[^\s/:@\[\]]+|\[[0-9a-fA-F:.]+\]):\d+")
MAPPING_HINT: Final = "as in {address: tcp://127.0.0.1:8786}, or {jobqueue: pbs}"
ADDRESS_HINT: Final = "as in dask: tcp://127.0.0.1:8786"
JOBQUEUES: Final = ("htcondor", "lsf", "moab", "oar", "pbs", "sge", "slurm")
OPTION: Final = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_OURS: Final = "TUI Lab gives it a value of its own"
REFUSED: Final = {
    "asynchronous": _OURS,
    "job_cls": _OURS,
    "job_name": _OURS,
    "chunk": "no other user waits for the workers",
    "loop": _OURS,
    "n_workers": "max says how many jobs there may be",
    "processes": "each job has one worker, and slots says how many tasks run there at once",
    "resources": "an allocation takes all of a job",
    "scheduler_cls": _OURS,
    "silence_logs": _OURS,
}
"""Options of dask-jobqueue that can't be given, and why."""
JOB_IDLE: Final = 300.0  # seconds: the next job may have to wait
AS_NEEDED: Final = ("cpus", "memory", "gpus")
"""Names of needs, for as much as tasks need; beside those that the node offers as its `resources`."""


class Dask(PoolKey):
    """Dask: each allocation is a future that holds one of its workers, and takes `slots` tasks at a time; 1 by default.
    The value is the address of a scheduler that runs, or a mapping: with `address`, or with `jobqueue` for workers that
    are jobs of a batch system. Then all other keys are options of dask-jobqueue, and `slots` are the job's `cores` by
    default. Needs `pip install 'tui-lab[dask]'`."""

    kind: ClassVar[str] = "dask"
    example: ClassVar[str] = "tcp://127.0.0.1:8786"
    has_address: ClassVar[bool] = True
    schema: ClassVar[Schema] = {
        "anyOf": [
            TEXT,
            {
                "type": "object",
                "properties": {
                    **PoolKey.common_schema,
                    "address": TEXT,
                    "chunk": PoolKey.common_schema["idle"],
                    "resources": {
                        "type": ["object", "null"],
                        "additionalProperties": {"anyOf": [{"type": "number", "minimum": 0}, TEXT]},
                    },
                },
                "required": ["address"],
                "additionalProperties": False,
            },
            {
                "type": "object",
                "properties": {**PoolKey.common_schema, "jobqueue": {"enum": list(JOBQUEUES)}},
                "required": ["jobqueue"],
                "propertyNames": {"pattern": f"^{OPTION.pattern}$", "not": {"enum": sorted(REFUSED)}},
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
        "`dask worker --resources GPU=2`: an amount; or a name of `needs` for as much as tasks need: `cpus`, `memory`, "
        "`gpus`, or one of the node's `resources`.",
        examples=[{"GPU": 1}, {"GPU": "gpus"}],
    )
    chunk: float = documented(
        default=600,
        description="An allocation that has lasted for this time takes no new tasks while other users of this Dask "
        "wait for its worker; what it runs may end.",
        examples=["1h"],
    )
    jobqueue: str | None = documented(
        default=None,
        description="Batch system whose jobs the workers are: " + ", ".join(f"`{name}`" for name in JOBQUEUES) + ".",
        examples=["pbs"],
    )
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of dask-jobqueue, as JSON."""

    def usual_slots(self) -> int:
        """Return the slots where the entry gives none."""
        cores = self.options.get("cores")
        return cores if isinstance(cores, int) and cores > 0 else 1

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        """Return what stands at a place of the file; None where it is wrong, which the reader is told."""
        before = len(r.problems)
        need_packages(r, path, "dask", ("distributed",))
        if r.has(path) and r.node(path).kind == "scalar" and not r.empty(path):
            address = read_address(r, path, ADDRESS, "a scheduler", ADDRESS_HINT)
            return cls(address=address) if address is not None and len(r.problems) == before else None
        if r.empty(path) or not r.is_mapping(path, "the address of a scheduler, or a mapping with one"):
            if r.empty(path):
                r.add(path, "there is no address of a scheduler", ADDRESS_HINT, at_key=True)
            return None
        found = cls.read_common(r, path)
        if r.has((*path, "jobqueue")):
            need_packages(r, path, "dask", ("dask_jobqueue",))
            found = {"idle": JOB_IDLE, **found, "jobqueue": r.one_of((*path, "jobqueue"), JOBQUEUES)}
            found["options"] = _options(r, path, (*cls.common, "jobqueue"))
            return cls(**found) if len(r.problems) == before else None
        r.fields(path, (*cls.common, "address", "resources", "chunk", "jobqueue"), f'"{cls.kind}"')
        if r.has((*path, "address")):
            found["address"] = read_address(r, (*path, "address"), ADDRESS, "a scheduler", ADDRESS_HINT)
        elif len(r.problems) == before:
            r.add(path, "there is no address of a scheduler", MAPPING_HINT, at_key=True)
        if r.has((*path, "chunk")):
            found["chunk"] = read_time(r, (*path, "chunk"))
        if not r.empty((*path, "resources")):
            found["resources"] = _resources(r, (*path, "resources"))
        return cls(**found) if len(r.problems) == before else None


def _options(r: Reader, path: Keypath, known: tuple[str, ...]) -> dict[str, Any]:
    """The options of dask-jobqueue: values as they are written."""
    found: dict[str, Any] = {}
    for key in r.keys(path):
        at = (*path, key)
        if key in known:
            continue
        if key == "address":
            r.add(at, "with jobqueue, the scheduler is started, and has no address yet", at_key=True)
        elif key in REFUSED:
            r.add(at, f'"{key}" can\'t be given', REFUSED[key], at_key=True)
        elif not OPTION.fullmatch(key):
            meant = key.strip("-").replace("-", "_").lower()
            hint = Suggestion(key, meant) if OPTION.fullmatch(meant) else "as in job_extra_directives"
            r.add(at, f'"{key}" is no option of dask-jobqueue', hint, at_key=True)
        elif not r.empty(at):
            found[key] = r.plain(at)
    return found


def _resources(r: Reader, path: Keypath) -> dict[str, float | str]:
    found: dict[str, float | str] = {}
    if not r.is_mapping(path, "a mapping with resources of workers, as in {GPU: 1}"):
        return found
    known = (*AS_NEEDED, *r.keys((*path[:-2], "resources")))
    for name in r.keys(path):
        at = (*path, name)
        node = r.node(at)
        if node.kind == "scalar" and node.text in known:
            found[name] = node.text
        elif node.kind == "scalar" and isinstance(node.value, str):
            r.add(at, f'"{node.text}" is no amount', f"a number, or one of {', '.join(known)}")
        elif (amount := r.number(at)) is not None:
            if amount <= 0:
                r.add(at, f"an amount is above 0, and this is {amount}")
            found[name] = amount
    return found
