"""Exit statuses of the command line, and of the programs of this package that it starts."""

from __future__ import annotations

from typing import Final

DONE: Final = 0
"""All that was asked for is done."""
FAILED: Final = 1
"""Some task failed."""
USAGE: Final = 2
"""The command line or a file has a mistake."""
INFRASTRUCTURE: Final = 3
"""A node, a disk, the engine or this program failed."""
INTERRUPTED: Final = 130
"""Ctrl-C or a signal ended it."""
