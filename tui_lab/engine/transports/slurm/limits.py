"""What an allocation of a Slurm can have at most, by the options of its request and by what its partitions have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tui_lab.engine.transports.slurm.commands import Partition
from tui_lab.engine.transports.supply import Limits, SupplyError

OF_CPUS: Final = frozenset({"cpus-per-task", "cpus-per-gpu", "exclusive", "mincpus", "extra-node-info"})
"""Options that say how many CPUs an allocation has."""
OF_MEMORY: Final = frozenset({"mem", "mem-per-cpu", "mem-per-gpu"})
OF_GPUS: Final = ("gpus", "gpus-per-node", "gpus-per-task", "gres")
_UNITS: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MEMORY: Final = re.compile(r"(\d+)([KMGT]?)B?", re.IGNORECASE)
_GPUS: Final = re.compile(r"(?:gpu:)?(?:[^:,]+:)?(\d+)")


def partitions_of(options: Mapping[str, Any], known: Sequence[Partition]) -> list[Partition]:
    """Return the partitions that a request may be granted in: those that it names, or the default one."""
    wanted = str(options["partition"]).split(",") if options.get("partition") else None
    return [one for one in known if (one.name in wanted if wanted else one.default)]


def limits_of(options: Mapping[str, Any], walltime: float | None, found: Sequence[Partition]) -> Limits:
    """Return what a request can be granted. options: of sbatch. walltime: that it asks for, in seconds. found: its
    partitions. Raises SupplyError where none ever grants that time."""
    if not found:
        return Limits(walltime=walltime)
    most = [one.most_time for one in found]
    longest = None if None in most else max(time for time in most if time is not None)
    if walltime is not None and longest is not None and walltime > longest:
        names = ", ".join(sorted({one.name for one in found}))
        what = f'"time" is {walltime / 3600:g} h, and the partition {names} grants {longest / 3600:g} h at most'
        raise SupplyError(what, fatal=True)
    cpus: float = max(one.cpus for one in found)
    if str(options.get("cpus-per-task", "")).isdigit():
        cpus = min(cpus, int(options["cpus-per-task"]))
    asked = _MEMORY.fullmatch(str(options.get("mem", "")))
    memory = max(one.memory for one in found)
    if asked is not None and int(asked[1]):
        memory = min(memory, int(asked[1]) * _UNITS[asked[2].upper() or "M"])
    cards = [_cards(name, options[name]) for name in OF_GPUS if name in options]
    gpus = max(one.gpus for one in found)
    if cards and None not in cards:
        gpus = min(gpus, max(count for count in cards if count is not None))
    return Limits(cpus=cpus, memory=memory, gpus=gpus, walltime=_usual(found) if walltime is None else walltime)


def _cards(name: str, value: Any) -> int | None:
    """How many cards an option asks for; None where it does not say so plainly."""
    words = [word for one in (value if isinstance(value, list) else [value]) for word in str(one).split(",")]
    words = [word for word in words if name != "gres" or word.startswith("gpu")]
    found = [1 if word == "gpu" else int(match[1]) if (match := _GPUS.fullmatch(word)) else None for word in words]
    return None if None in found else sum(count for count in found if count is not None)


def _usual(found: Sequence[Partition]) -> float | None:
    """Seconds that an allocation has that names no time."""
    times = [one.usual_time if one.usual_time is not None else one.most_time for one in found]
    return None if None in times else max(time for time in times if time is not None)
