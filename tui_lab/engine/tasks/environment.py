"""The variables that a task gets from its submitter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tui_lab.engine.tasks.function_call import RUNNER
from tui_lab.experiment.stages import COLLECTED_VARIABLE
from tui_lab.portable.starter import CALL, FUNCTION, SERVER

# Variables that belong to one task: a lab run from inside a task must not pass them on.
_OF_A_TASK: Final = (
    *("TUI_LAB_EXPERIMENT", "TUI_LAB_TASK_ID", "TUI_LAB_REPEAT", "TUI_LAB_ATTEMPT", "TUI_LAB_SEED"),
    *("TUI_LAB_OUTPUT", "TUI_LAB_NODE", "TUI_LAB_SLOT", "TUI_LAB_METRICS", "TUI_LAB_PARAMS", "TUI_LAB_STAGE"),
    "TUI_LAB_DEADLINE",
    COLLECTED_VARIABLE,
    *(RUNNER, CALL, FUNCTION, SERVER),
)


def inherited_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The submitter's environment without what belongs to a surrounding task."""
    prefixes = ("TUI_LAB_P_", "TUI_LAB_F_", "TUI_LAB_V_", "TUI_LAB_OUTPUT_")
    return {k: v for k, v in environment.items() if k not in _OF_A_TASK and not k.startswith(prefixes)}
