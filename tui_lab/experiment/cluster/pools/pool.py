"""What a cluster file says of every pool: how many allocations there may be, and for how long."""

from __future__ import annotations

import os
from typing import ClassVar, Final

from tui_lab.experiment.cluster.node_key import NodeKey
from tui_lab.experiment.record import Fields
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.times import read_time
from tui_lab.experiment.yaml.reader import Keypath, Reader

FLOOR: Final = "TUI_LAB_POLL_FLOOR"
"""Variable with the seconds that must at least lie between two questions to an engine; for tests."""

_TIME: Final[Schema] = {"anyOf": [{"type": "number", "minimum": 0}, TEXT]}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}


class PoolKey(NodeKey):
    """An engine that grants nodes. Times in seconds.

    min, max: allocations at a time. idle: an allocation without work is given back after it. every: between two
    questions how all allocations stand. leave: an agent without engine and work ends after it.
    """

    pool: ClassVar[bool] = True
    least_every: ClassVar[float] = 0.0
    """As often as the engine may be asked."""
    common: ClassVar[tuple[str, ...]] = ("min", "max", "idle", "every", "leave")
    """Keys that `read_common` reads."""
    common_schema: ClassVar[Schema] = {
        "min": _COUNT,
        "max": {"type": "integer", "minimum": 1},
        "idle": _TIME,
        "every": _TIME,
        "leave": _TIME,
    }

    min: int = 0
    max: int = 64
    idle: float = 10.0
    every: float = 30.0
    leave: float = 600.0

    @classmethod
    def read_common(cls, r: Reader, path: Keypath) -> Fields:
        """Return those of the common keys that stand there; what is wrong is noted and left out."""
        found: Fields = {}
        for key, least in (("min", 0), ("max", 1)):
            if r.has((*path, key)):
                found[key] = r.whole((*path, key), least)
        for key in ("idle", "every", "leave"):
            if r.has((*path, key)):
                found[key] = read_time(r, (*path, key), zero=key == "idle")
        found = {key: value for key, value in found.items() if value is not None}
        floor = float(os.environ.get(FLOOR) or cls.least_every)
        if found.get("every", floor) < floor:
            r.add((*path, "every"), f'"every" must be at least {floor:g} s: each question is work for the engine')
        if found.get("min", 0) > found.get("max", cls.max):
            r.add((*path, "min"), f'"min" is {found["min"]}, and "max" is {found.get("max", cls.max)}')
        return found
