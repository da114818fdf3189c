"""Lines of a file of any size, read around an offset and never whole.

A line ends behind a newline. Where there is none for long, it is broken at the end of each PIECE that has none,
counted from the beginning of the file: so reading forwards and backwards finds the same lines.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final, Protocol

from tui_lab.store.task_files import TaskFile

CHUNK: Final = 1 << 16
PIECE: Final = 1 << 20
MOST: Final = 1 << 14  # bytes of a line that are shown


class Readable(Protocol):
    """Bytes `start` to `size` of an output, the ones that can be read now."""

    start: int
    size: int

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes; fewer at the end."""

    def refresh(self) -> bool:
        """Look how large the file is now; return whether that has changed."""

    def close(self) -> None:
        """Close the file."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """Bytes `start` to `end` of a file, the newline included; `data` is without it, and cut where it is long."""

    start: int
    end: int
    data: bytes
    cut: int = 0  # bytes that `data` lacks


class LocalFile:
    """A regular file, open for as long as it is shown. A missing one is empty."""

    def __init__(self, path: TaskFile) -> None:
        self.path = path
        self.start = 0
        self.size = 0
        self.trouble = ""
        """Why it can't be read although something is there, to stand behind its name."""
        self._descriptor: int | None = None
        self.refresh()

    @property
    def is_open(self) -> bool:
        """Whether it is there, and can be read."""
        return self._descriptor is not None

    def refresh(self) -> bool:
        """Look how large the file is now; return whether that has changed."""
        before = self.size
        if self._descriptor is None:
            self._open()
        if self._descriptor is not None:
            self.size = os.fstat(self._descriptor).st_size
        return self.size != before

    def _open(self) -> None:
        try:
            self._descriptor, self.trouble = self.path.open(), ""
        except FileNotFoundError:
            self.trouble = ""
        except OSError as error:
            self.trouble = error.strerror or str(error)

    def read(self, offset: int, count: int) -> bytes:
        """Return the bytes from an offset on; none where they can't be read."""
        if self._descriptor is None:
            return b""
        try:
            return os.pread(self._descriptor, min(count, max(0, self.size - offset)), offset)
        except OSError:
            return b""

    def close(self) -> None:
        """Close the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def after(file: Readable, offset: int, count: int) -> list[Line]:
    """At most `count` lines from the one that begins at `offset`."""
    lines: list[Line] = []
    while len(lines) < count and offset < file.size:
        block = file.read(offset, CHUNK)
        at = 0
        while len(lines) < count and (newline := block.find(b"\n", at)) >= 0:
            lines.append(_line(offset + at, offset + newline + 1, block[at : min(newline, at + MOST)]))
            at = newline + 1
        if at == 0:
            if not block:
                break
            end = _next_break(file, offset)
            lines.append(_line(offset, end, block[:MOST].removesuffix(b"\n")))
            at = end - offset
        offset += at
    return lines


def before(file: Readable, offset: int, count: int) -> list[Line]:
    """At most `count` lines that end at or before `offset`, in the order of the file."""
    starts: list[int] = []
    end = min(offset, file.size)
    while len(starts) < count and end > file.start:
        low = max(file.start, end - CHUNK)
        block = file.read(low, end - low)
        at = len(block)
        while len(starts) < count and (newline := block.rfind(b"\n", 0, max(0, at - 1))) >= 0:
            starts.append(low + newline + 1)
            at = newline + 1
        if at == len(block):
            starts.append(line_start(file, end - 1))
            at = starts[-1] - low
        end = low + at
    return after(file, starts[-1], len(starts)) if starts else []


def line_start(file: Readable, offset: int) -> int:
    """Where the line begins that has the byte at `offset`."""
    floor = offset // PIECE * PIECE
    found = _last_newline(file, max(floor, file.start), offset)
    if found is None:
        if floor <= file.start:
            return file.start
        found = _last_newline(file, max(floor - PIECE, file.start), floor)
        if found is None:
            return floor
    return found + 1


def _last_newline(file: Readable, low: int, high: int) -> int | None:
    while high > low:
        start = max(low, high - CHUNK)
        found = file.read(start, high - start).rfind(b"\n")
        if found >= 0:
            return start + found
        high = start
    return None


def _next_break(file: Readable, offset: int) -> int:
    """Where the line ends that begins at `offset`."""
    stop = min(-(-offset // PIECE) * PIECE + PIECE, file.size)
    at = offset
    while at < stop:
        block = file.read(at, min(CHUNK, stop - at))
        if not block:
            break
        found = block.find(b"\n")
        if found >= 0:
            return at + found + 1
        at += len(block)
    return stop


def _line(start: int, end: int, data: bytes) -> Line:
    return Line(start, end, data, max(0, end - start - len(data) - 1) if len(data) >= MOST else 0)
