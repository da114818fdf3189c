"""A key of experiment.yaml: `budget: 12.5`, what the experiment may cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from unittest import mock

from tui_lab.experiment import keys, load
from tui_lab.experiment.keys import ELSEWHERE, KEYS
from tui_lab.experiment.keys.key import Key
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.schema_parts import NUMBER
from tui_lab.experiment.yaml.reader import Keypath, Reader


class Budgeted(Experiment):
    """The model with the field of the key."""

    budget: float | None = None


def _read(r: Reader, path: Keypath) -> float | None:
    found = r.number(path)
    if found is not None and found <= 0:
        r.add(path, "a budget is above 0")
        return None
    return found


KEY: Final = Key(
    "budget",
    _read,
    {**NUMBER, "exclusiveMinimum": 0},
    "What all tasks together may cost.",
    examples=[12.5],
    elsewhere=("price",),
)


@contextmanager
def registered() -> Iterator[None]:
    """Have it for a while."""
    with (
        mock.patch.object(load, "Experiment", Budgeted),
        mock.patch.object(keys, "Experiment", Budgeted),
        mock.patch.dict(KEYS, {KEY.name: KEY}),
        mock.patch.dict(ELSEWHERE, dict.fromkeys(KEY.elsewhere, KEY.name)),
    ):
        yield
