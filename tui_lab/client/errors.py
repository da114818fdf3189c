"""Errors that are the command line's own."""

from __future__ import annotations


class UsageError(Exception):
    """A command line that can't be meant. One line, that says what to do."""


class NothingToDoError(Exception):
    """There is nothing to do. This is reported, and is no error: scripts may run a command to be sure."""
