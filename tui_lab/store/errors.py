"""Errors of labs. Each message is one line for the user."""

from __future__ import annotations

import errno
from pathlib import Path

from tui_lab.experiment.error import TuiLabError


class LabError(TuiLabError):
    """A lab that can't be used as asked. `hint` says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class StorageError(LabError):
    """The disk is full, read-only or failing: the infrastructure's fault, not the user's."""


class OutdatedPlanError(LabError):
    """What a submission was planned by has changed since: it has to be planned again."""


def storage_error(path: Path, error: OSError) -> StorageError:
    """Return the error of the place where a lab is or should be, in one line."""
    hints = {
        errno.EROFS: "choose another place with --lab DIR",
        errno.EACCES: "choose another place with --lab DIR, or ask for the right to write there",
        errno.ENOSPC: "make room, or choose another place with --lab DIR",
        errno.EDQUOT: "make room, or choose another place with --lab DIR",
    }
    return StorageError(f"{path}: {error.strerror or error}", hints.get(error.errno or 0, ""))
