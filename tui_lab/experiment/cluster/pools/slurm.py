"""Slurm, as a cluster file names it: the options of its `sbatch`, as they are written there."""

from __future__ import annotations

import dataclasses
import difflib
import re
from typing import Any, ClassVar, Final, Self

from tui_lab.experiment.cluster.pools.pool import PoolKey
from tui_lab.experiment.record import documented
from tui_lab.experiment.schema_parts import ANY_TEXT, Schema, one_or_many
from tui_lab.experiment.yaml.problem import Suggestion
from tui_lab.experiment.yaml.reader import Keypath, Reader

OPTION: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")

_KNOWN: Final = """
    account acctg-freq batch bb bbf begin cluster-constraint clusters comment constraint container container-id
    contiguous core-spec cores-per-socket cpu-freq cpus-per-gpu cpus-per-task deadline delay-boot dependency
    distribution exclude exclusive export-file extra extra-node-info get-user-env gid gpu-bind gpu-freq gpus
    gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hint hold ignore-pbs kill-on-invalid-dep licenses
    mail-type mail-user mcs-label mem mem-bind mem-per-cpu mem-per-gpu mincpus network nice no-kill nodefile nodelist
    nodes ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket oom-kill-step open-mode overcommit
    oversubscribe partition power prefer priority profile propagate qos reboot requeue reservation resv-ports
    segment sockets-per-node spread-job stepmgr switches thread-spec threads-per-core time time-min tmp tres-bind
    tres-per-task uid use-min-nodes verbose wait-all-nodes wckey x11
"""
KNOWN: Final = frozenset(_KNOWN.split())
"""Options of sbatch that a misspelt one may have been meant to be. All others are passed on, too: sites add some, as
`container-image`, and so do later releases."""
ALIKE: Final = 0.85  # how much two words must agree for one to be a misspelling of the other

ELSEWHERE: Final = {
    "cpus": "cpus-per-task",
    "gpu": "gpus",
    "memory": "mem",
    "project": "account",
    "queue": "partition",
    "timelimit": "time",
    "walltime": "time",
}
"""What other programs call some of them."""

_OURS: Final = "TUI Lab gives it a value of its own"
REFUSED: Final = {
    "chdir": "tasks start in the experiment's workdir",
    "error": "outputs of tasks are in the lab",
    "export": "set variables of tasks by env",
    "input": _OURS,
    "job-name": "allocations are found by their names",
    "no-requeue": "it is so unless requeue is given",
    "ntasks": "slots says how many tasks run at once in an allocation",
    "ntasks-per-node": "slots says how many tasks run at once in an allocation",
    "output": "outputs of tasks are in the lab",
    "overlap": _OURS,
    "parsable": _OURS,
    "quiet": _OURS,
    "signal": _OURS,
    "test-only": _OURS,
    "wait": _OURS,
    "wrap": _OURS,
}
"""Options that can't be given, and why."""
LATER: Final = ("mode",)
AGENTS: Final = ("first",)
OF_FIRST: Final = ("ntasks", "ntasks-per-node")
"""Options that can be given with `agents: first`, where tasks start programs on the machines by themselves."""

TIME_HINT: Final = "as in 90 (minutes), 4:00:00, 2-12 (days and hours) or 2-12:30:00"
_TIME: Final = re.compile(
    r"(?:(?P<days>\d+)-(?P<h>\d+)(?::(?P<m>\d+)(?::(?P<s>\d+))?)?"
    r"|(?P<hours>\d+):(?P<mins>\d+):(?P<secs>\d+)|(?P<minutes>\d+)(?::(?P<seconds>\d+))?)",
    re.ASCII,
)


def walltime(text: str) -> float | None:
    """Return the seconds of a time as Slurm has it; None where it is no limit. Raises ValueError."""
    text = text.strip()
    if text.upper() in ("UNLIMITED", "INFINITE"):
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no time of Slurm')
    part = {name: int(value or 0) for name, value in match.groupdict().items()}
    hours = part["days"] * 24 + part["h"] + part["hours"]
    minutes = part["m"] + part["mins"] + part["minutes"]
    return float(hours * 3600 + minutes * 60 + part["s"] + part["secs"] + part["seconds"])


class Slurm(PoolKey):
    """Slurm: each allocation is a job in its queue. All other keys are options of `sbatch`, as in
    `constraint: a100` for `--constraint=a100`; `true` is for an option without a value, and a list for one that is
    given several times. With `host`, the commands of Slurm run there, on the login node; else on this machine."""

    kind: ClassVar[str] = "slurm"
    example: ClassVar[str] = '{partition: gpu, time: "4:00:00", max: 8}'
    least_every: ClassVar[float] = 30.0
    schema: ClassVar[Schema] = {
        "type": ["object", "null"],
        "properties": {
            **PoolKey.common_schema,
            "requeue": {"type": "boolean"},
            "nodes": {"type": "integer", "minimum": 1},
            "agents": {"enum": list(AGENTS)},
            "array": {"type": "boolean"},
        },
        "propertyNames": {
            "pattern": f"^{OPTION.pattern}$",
            "not": {"enum": sorted({*REFUSED, *LATER}.difference(OF_FIRST))},
        },
        "additionalProperties": one_or_many(ANY_TEXT),
    }

    idle: float = documented(
        default=300, description="An allocation without work is given back after this time.", examples=["2m"]
    )

    time: str | None = documented(
        default=None,
        description="Time that an allocation has, as Slurm has it; by default that of the partition.",
        examples=["4:00:00", 90],
    )
    walltime: float | None = None
    """Seconds of `time`."""
    requeue: bool = documented(
        default=False,
        description="Whether Slurm may begin a job again that it has preempted, or whose node has failed. Else another "
        "one is asked for.",
        examples=[True],
    )
    nodes: int = documented(default=1, description="Machines of an allocation, each of which is a node.", examples=[2])
    agents: str | None = documented(
        default=None,
        description="`first` for one node for all machines of an allocation, whose tasks start programs on them by "
        "`srun` or `mpirun`.",
        examples=["first"],
    )
    array: bool = documented(
        default=False,
        description="Whether allocations that are asked for together are elements of one array.",
        examples=[True],
    )
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Options of sbatch: a text; true where there is no value; a list of texts where it is repeated."""

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        """Return what stands at a place of the file; None where it is wrong, which the reader is told."""
        if r.empty(path):
            return cls()
        if not r.is_mapping(path, "a mapping with options of sbatch, such as {partition: gpu}"):
            return None
        before = len(r.problems)
        found = cls.read_common(r, path)
        options: dict[str, Any] = {}
        for key in r.keys(path):
            if key in cls.common:
                continue
            if key == "time":
                found["time"] = r.text((*path, key))
                found["walltime"] = _walltime(r, (*path, key), found["time"])
            elif key in ("requeue", "array"):
                found[key] = bool(r.boolean((*path, key)))
            elif key == "nodes":
                found["nodes"] = r.whole((*path, key), 1) or 1
            elif key == "agents":
                found["agents"] = r.one_of((*path, key), AGENTS)
            elif (value := _option(r, path, key, cls.common)) is not None:
                options[key] = value
        if found.get("agents") != "first":
            for key in OF_FIRST:
                if key in options:
                    r.add((*path, key), f'"{key}" can\'t be given', REFUSED[key], at_key=True)
        return cls(**found, options=options) if len(r.problems) == before else None


def _walltime(r: Reader, path: Keypath, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        found = walltime(text)
    except ValueError as error:
        r.add(path, str(error), TIME_HINT)
        return None
    if found == 0:
        r.add(path, "an allocation without time is none", TIME_HINT)
    return found


def _option(r: Reader, path: Keypath, key: str, common: tuple[str, ...]) -> Any:
    """The value of an option of sbatch; None where it is wrong, or false."""
    at = (*path, key)
    if key in LATER:
        r.add(at, f'"{key}" is not supported yet', at_key=True)
        return None
    if key in REFUSED and key not in OF_FIRST:
        r.add(at, f'"{key}" can\'t be given', REFUSED[key], at_key=True)
        return None
    if not OPTION.fullmatch(key):
        meant = key.strip("-").replace("_", "-").lower()
        hint = Suggestion(key, meant) if OPTION.fullmatch(meant) else "as in cpus-per-task"
        r.add(at, f'"{key}" is no option of sbatch', hint, at_key=True)
        return None
    if key not in KNOWN and (meant := ELSEWHERE.get(key) or _misspelt(key, common)):
        r.add(at, f'"{key}" is no option of sbatch', Suggestion(key, meant), at_key=True)
        return None
    node = r.node(at)
    if node.kind == "scalar" and isinstance(node.value, bool):
        return node.value or None
    return list(r.texts(at)) or None if node.kind == "list" else r.text(at)


def _misspelt(key: str, common: tuple[str, ...]) -> str:
    """The option that was probably meant, if any."""
    return next(iter(difflib.get_close_matches(key, sorted({*KNOWN, *common}), n=1, cutoff=ALIKE)), "")
