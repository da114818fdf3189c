"""Finds out whether what tasks of this machine read beside a snapshot is still what was submitted."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tui_lab.store.declared_files import file_digest
from tui_lab.store.events import Submitted

_HASHED: Final = 64 << 20  # bytes of a file that is read to tell whether it differs; a larger one counts as changed
_SHARE: Final = 20  # looks take at most one of so many parts of the time
_NAMED: Final = 3  # files that a note names


class Drift:
    """The files of one submission. `seen`: name -> [size, mtime in nanoseconds] when it was made."""

    def __init__(self, folder: Path, submission: Submitted) -> None:
        self.folder = folder
        self.seen: dict[str, list[int]] = dict(submission.files)
        self.digests: Mapping[str, str] = submission.scripts
        self._changed: dict[str, list[int] | None] = {}
        self._next = 0.0

    def note(self) -> str:
        """What a task that starts now should be told to have had; empty where all is as it was."""
        began = time.monotonic()
        if began >= self._next:
            for name in self.seen:
                self._look(name)
            self._next = time.monotonic() + (time.monotonic() - began) * _SHARE
        if not self._changed:
            return ""
        return f"{_listed(sorted(self._changed))} changed between the submission and the start of this task"

    def _look(self, name: str) -> None:
        path = self.folder / name
        try:
            facts = path.stat()
        except OSError:
            self._changed[name] = None
            return
        found = [facts.st_size, facts.st_mtime_ns]
        if found == self.seen[name]:
            self._changed.pop(name, None)
        elif self._changed.get(name) != found:
            if name in self.digests and facts.st_size <= _HASHED and self._same(path, self.digests[name]):
                self.seen[name] = found  # touched
                self._changed.pop(name, None)
            else:
                self._changed[name] = found

    @staticmethod
    def _same(path: Path, digest: str) -> bool:
        try:
            return file_digest(path) == digest
        except OSError:
            return False


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
