"""A key of experiment.yaml."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from tui_lab.experiment.schema_parts import (
    Schema,
)
from tui_lab.experiment.yaml.reader import Keypath, Reader


@dataclass(frozen=True)
class Key:
    """A key of the file."""

    name: str
    read: Callable[[Reader, Keypath], Any]
    """Returns what the file says, or None where it is wrong (which is noted), or left empty."""
    schema: Schema
    description: str
    examples: Any = ()
    elsewhere: tuple[str, ...] = ()
    """What other tools call it."""
    of_stage: bool = False
    """Whether a stage may have it, too."""
    holds: Literal["", "files", "parameters"] = ""
    """What its texts name without braces: files beside the experiment's, or parameters. An editor completes them."""
