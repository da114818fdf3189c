"""Errors that are the command line's own."""

from __future__ import annotations


class UsageError(Exception):
    """A command line that can't be meant. One line, that says what to do."""


class NothingToDoError(Exception):
    """There is nothing to do, which is said and is no mistake: a script that asks to be sure goes on."""
