"""The journal: the append-only file of what happened, one JSON object a line; the truth about an experiment.

One writer (the engine, which holds the lab's lock), any number of readers while it writes. A reader stops at
the last newline. A writer cuts what a crash or a short write left behind it before it appends.
docs/journal.md lists the events.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from tui_lab.store import json_text
from tui_lab.store.errors import LabError, StorageError

FORMAT: Final = 1
Event = dict[str, Any]
_BLOCK: Final = 1 << 22


class Journal:
    """The writing end. `end` is the size of the part that is written, in bytes."""

    def __init__(self, path: Path) -> None:
        """Open for appending, and make it where it is missing. Raises StorageError."""
        self.path = path
        self.trouble = ""  # why the last append did not take everything
        self.changed = False  # someone else has written to the file: only who opens it anew may go on
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            self.end = _whole_lines(self._file)
            os.ftruncate(self._file, self.end)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        first = {"event": "journal", "format": FORMAT, "id": secrets.token_hex(8)}
        if self.end == 0 and not self.append([first]):
            self.close()
            raise StorageError(f"{path}: {self.trouble}")

    def append(self, events: Sequence[Event]) -> int:
        """Write events, each whole or not at all; how many were written, all of them unless the disk is full.

        What was written stays: a reader may have seen it.
        """
        data = b"".join([json_text.line(event) for event in events])
        view = memoryview(data)
        written = 0
        try:
            self.changed = os.fstat(self._file).st_size != self.end
            if self.changed:  # a stranger's lines are not written over
                self.trouble = "another process has changed it"
                return 0
            while written < len(data):
                written += os.pwrite(self._file, view[written:], self.end + written)
        except OSError as error:
            self.trouble = error.strerror or str(error)
            whole = data.rfind(b"\n", 0, written) + 1
            self.end += whole
            os.ftruncate(self._file, self.end)
            return data.count(b"\n", 0, whole)
        self.end += written
        return len(events)

    @property
    def removed(self) -> bool:
        """Someone has taken the file away, or put another one in its place."""
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file))
        except OSError:
            return True

    def sync(self) -> None:
        """Return once everything appended so far is durable. Raises OSError."""
        os.fdatasync(self._file)

    def close(self) -> None:
        os.close(self._file)


def _whole_lines(file: int) -> int:
    """Size of the part that ends with the last newline, in bytes."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - 65536)
        block = os.pread(file, end - start, start)
        newline = block.rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def read(path: Path, offset: int = 0, kinds: frozenset[str] | None = None) -> Iterator[tuple[Event, int]]:
    """Events from a byte offset on, each with the offset behind it; a torn last line is left for later.

    kinds: only these events, without so much as parsing the others. Every line begins with its kind.

    A line that is no JSON object (damage from outside) is passed over. Raises LabError for a journal of a
    newer format, and StorageError where it can't be read. A missing journal has no events.
    """
    wanted = None if kinds is None else tuple(b'{"event":"%s"' % kind.encode() for kind in ("journal", *kinds))
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            rest = b""
            while block := file.read(_BLOCK):
                lines = (rest + block).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    offset += len(line) + 1
                    if wanted is not None and not line.startswith(wanted):
                        continue
                    try:
                        event = orjson.loads(line)
                    except orjson.JSONDecodeError:
                        continue
                    if not isinstance(event, dict):
                        continue
                    if event.get("event") == "journal" and event.get("format", 0) > FORMAT:
                        formats = f"journal format {event['format']}, this one reads {FORMAT}"
                        raise LabError(f"{path}: written by a newer tui-lab ({formats})", "upgrade tui-lab")
                    yield event, offset
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
