"""What a Python program gives for a key of experiment.yaml, as plain values of YAML."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping, Sequence
from typing import Any

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.yaml.problem import Problem, SpecError


def plain(value: object, where: str) -> Any:
    """Return a value as None, bool, int, float, str, list, or mapping with text keys. Domains become mappings of one
    key; arrays, tuples and ranges become lists. where: the argument, for the SpecError about what can't be written."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, enum.Enum):
        return plain(value.value, where)
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, os.PathLike):
        return os.fsdecode(value)
    if isinstance(value, Domain):
        return plain(value.in_file(), where)
    if isinstance(value, Mapping):
        return {_key(key, where): plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
        return [plain(item, f"{where}[{place}]") for place, item in enumerate(value)]
    for method in ("tolist", "to_list"):  # of NumPy and torch, of Polars
        if callable(listed := getattr(value, method, None)):
            return plain(listed(), where)
    kind = type(value).__name__
    raise SpecError([Problem(where, 0, 0, f"a value of type {kind} can't be written as YAML", "write text or numbers")])


def _key(key: object, where: str) -> str:
    if isinstance(key, str):
        return str(key)
    if isinstance(key, int) and not isinstance(key, bool):
        return str(key)
    raise SpecError([Problem(where, 0, 0, f"a key must be a text, not {key!r}")])
