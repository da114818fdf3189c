"""The journal: the append-only file of what happened, one JSON object a line; the truth about an experiment.

One writer (the engine, which holds the lab's lock), any number of readers while it writes. A reader stops at the last
newline. A writer cuts what a crash or a short write left behind it before it appends. docs/journal.md lists the events.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from tui_lab.store.errors import LabError, StorageError

FORMAT: Final = 1
Event = dict[str, Any]
_BLOCK: Final = 1 << 22


class Journal:
    """The writing end."""

    def __init__(self, path: Path) -> None:
        """Open for appending, and make it where it is missing. Raises StorageError."""
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            self.end = _whole_lines(self._file)
            os.ftruncate(self._file, self.end)
            os.lseek(self._file, self.end, os.SEEK_SET)
            if self.end == 0:
                self.append([{"event": "journal", "format": FORMAT}])
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error

    def append(self, events: Iterable[Event]) -> None:
        """Write events whole or not at all. Raises OSError (a full disk) with the file as it was before."""
        data = b"".join([orjson.dumps(event) + b"\n" for event in events])
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            os.ftruncate(self._file, self.end)
            os.lseek(self._file, self.end, os.SEEK_SET)
            raise
        self.end += written

    def sync(self) -> None:
        """Return once everything appended so far is durable."""
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


def read(path: Path, offset: int = 0) -> Iterator[tuple[Event, int]]:
    """Events from a byte offset on, each with the offset behind it; a torn last line is left for later.

    A line that is no JSON object (damage from outside) is passed over. Raises LabError for a journal of a newer
    format, and StorageError where it can't be read. A missing journal has no events.
    """
    try:
        with open(path, "rb") as file:
            file.seek(offset)
            rest = b""
            while block := file.read(_BLOCK):
                lines = (rest + block).split(b"\n")
                rest = lines.pop()
                for line in lines:
                    offset += len(line) + 1
                    try:
                        event = orjson.loads(line)
                    except orjson.JSONDecodeError:
                        continue
                    if not isinstance(event, dict):
                        continue
                    if event.get("event") == "journal" and event.get("format", 0) > FORMAT:
                        raise LabError(
                            f"{path}: written by a newer tui-lab (journal format {event['format']}, this one reads {FORMAT})",
                            "upgrade tui-lab",
                        )
                    yield event, offset
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
