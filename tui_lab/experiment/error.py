"""The base of this program's errors."""

from __future__ import annotations


class TuiLabError(Exception):
    """The base of all errors that TUI Lab raises on purpose. `str()` is a message for the user that says what to do."""
