"""Columns of tables that are facts of a task, whatever the experiment."""

from __future__ import annotations

from tui_lab.experiment.facts import FACTS
from tui_lab.results import patas_names


def is_fact(column: str) -> bool:
    """Return whether a column of a table is neither a parameter nor a metric, by its name."""
    return column in FACTS or column in ("step", "row") or column in patas_names.NAMES
