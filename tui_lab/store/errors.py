"""What can be wrong with a lab. Each message is one line for a person."""

from __future__ import annotations


class LabError(Exception):
    """A lab that can't be used as asked. `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class StorageError(LabError):
    """The disk is full, read-only or failing: the infrastructure's fault, not the user's."""
