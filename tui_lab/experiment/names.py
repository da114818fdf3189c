"""Names of experiments, parameters, metrics and steps."""

from __future__ import annotations

import re
from typing import Final

from tui_lab.experiment.lookalikes import in_ascii, stranger

NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
NAME_RULE: Final = "names begin with a letter or _ and continue with letters, digits, _ . -"
MAX_NAME: Final = 100  # an experiment's name is a folder, a step's a part of a file's name

_ENDINGS: Final = ("_tasks", "_steps", "_rows", "_stages")
_TABLES: Final = ("nodes", "results")


def name_error(name: str) -> tuple[str, str] | None:
    """Message and hint if `name` can't be a name, else None."""
    if not NAME.fullmatch(name):
        alike = not name.isascii() and NAME.fullmatch(in_ascii(name))
        return f'"{name}" can\'t be a name', f"it holds {stranger(name)}" if alike else NAME_RULE
    if len(name) > MAX_NAME:
        return f'"{name[:20]}..." is too long for a name', f"{MAX_NAME} characters are allowed"
    return None


def experiment_name_error(name: str) -> tuple[str, str] | None:
    """The same for an experiment, whose name is a table in SQL beside others."""
    if error := name_error(name):
        return error
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return (
                f"an experiment's name can't end in \"{ending}\"",
                "tables of experiments have such names",
            )
    if name.lower() in _TABLES:
        return f'an experiment can\'t be called "{name}"', "that is the name of a table in SQL"
    return None
