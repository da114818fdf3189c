"""Columns of tables that are facts of a task, whatever the experiment."""

from __future__ import annotations

from typing import Final

from tui_lab.results import patas_names
from tui_lab.store.experiment import FACTS as TASK_FACTS

FACTS: Final = frozenset((*TASK_FACTS, "step", "row", *patas_names.NAMES))
"""Columns that are neither parameters nor metrics, unless they are asked for."""
