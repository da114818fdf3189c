"""Errors that are the command line's own."""

from __future__ import annotations


class UsageError(Exception):
    """A command line that can't be meant. One line, that says what to do."""
