"""What a cluster file says of every pool: how many allocations there may be, and for how long."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Iterable
from typing import ClassVar, Final

from tui_lab.experiment.cluster.node_key import NodeKey
from tui_lab.experiment.record import Fields, documented
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.times import read_time
from tui_lab.experiment.yaml.reader import Keypath, Reader

FLOOR: Final = "TUI_LAB_POLL_FLOOR"
"""Variable with the seconds that must at least lie between two questions to an engine; for tests."""

_TIME: Final[Schema] = {"anyOf": [{"type": "number", "minimum": 0}, TEXT]}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}


def need_packages(r: Reader, path: Keypath, extra: str, modules: Iterable[str]) -> None:
    """Note which modules of an extra are not installed here."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        what = f'"{path[-1]}" needs {" and ".join(missing)}, which Python does not find here'
        r.add(path, what, f"pip install 'tui-lab[{extra}]'", at_key=True)


class PoolKey(NodeKey):
    """An engine that grants nodes. Times are in seconds."""

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

    min: int = documented(
        default=0, description="Allocations that are kept while an experiment runs, also without work.", examples=[1]
    )
    max: int = documented(default=64, description="Allocations that there may be at a time.", examples=[8])
    idle: float = documented(
        default=10, description="An allocation without work is given back after this time.", examples=["2m"]
    )
    every: float = documented(
        default=30, description="Time between two questions how all allocations stand.", examples=["1m"]
    )
    leave: float = documented(
        default=600,
        description="An allocation that no engine talks to, and that has no work, ends after this time.",
        examples=["1h"],
    )

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


def read_address(r: Reader, path: Keypath, form: re.Pattern[str], of: str, hint: str) -> str | None:
    """Return the address of an engine at a place of the file; None where it has not that form, which the reader is
    told."""
    text = r.text(path)
    if text is not None and not form.fullmatch(text):
        r.add(path, f'"{text}" is no address of {of}', hint)
        return None
    return text
