"""Seeds for the programs: the same on every machine, spread evenly, and found without keeping any state."""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from tui_lab.experiment.domains.canonical import canonical
from tui_lab.experiment.domains.model import Value


def repeat_seed(base: int, repeat: int) -> int:
    """The seed of a repeat, from 0 to 2^31 - 1: all combinations of a repeat share it, so that they pair."""
    return _hashed(["seed", base, repeat])


def repeat_seeds(base: int, repeats: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """`repeat_seed` for each element of `repeats`."""
    distinct, places = np.unique(repeats, return_inverse=True)
    of_distinct = np.array([repeat_seed(base, int(repeat)) for repeat in distinct], dtype=np.int64)
    return of_distinct[places]


def task_seed(base: int, key: bytes) -> int:
    """A task's own seed, from 0 to 2^31 - 1; `key` is what identifies the task."""
    return _hashed(["task seed", base, key.hex()])


def _hashed(value: Value) -> int:
    return int.from_bytes(hashlib.sha256(canonical(value)).digest()[:4], "big") & 0x7FFFFFFF
