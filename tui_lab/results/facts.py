"""Columns of tables that are facts of a task, whatever the experiment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tui_lab.experiment.facts import FACTS
from tui_lab.results import patas_names

_CODE: Final = "exit_code_"


def of_steps(columns: Iterable[str]) -> set[str]:
    """Return the columns that are facts of steps, by their names: there is the duration and the exit status of each."""
    known = set(columns)
    pairs = ((f"duration_{name[len(_CODE) :]}", name) for name in known if name.startswith(_CODE))
    return {name for pair in pairs if known.issuperset(pair) for name in pair}


def is_fact(column: str) -> bool:
    """Return whether a column of a table is neither a parameter nor a metric, by its name."""
    return column in FACTS or column in ("step", "row") or column in patas_names.NAMES
