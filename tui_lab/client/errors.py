"""Errors of the command line."""

from __future__ import annotations

from tui_lab.experiment.error import TuiLabError


class UsageError(TuiLabError):
    """A command line that can't be carried out. The message is one line, and says what to do."""


class NothingToDoError(Exception):
    """There is nothing to do. This is reported, but is no error: scripts may run a command to be sure."""
