"""Lines of a file of any size, read around an offset and never whole.

A line ends behind a newline. Where there is none for long, it is broken at the end of each PIECE that has none,
counted from the beginning of the file: so reading forwards and backwards finds the same lines.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Final, NamedTuple, Protocol

from tui_lab.store.task_files import TaskFile
from tui_lab.tui.widgets.log import file_threads
from tui_lab.tui.widgets.log.file_threads import Job

CHUNK: Final = 1 << 16
PIECE: Final = 1 << 20
MOST: Final = 1 << 14  # bytes of a line that are shown
KEPT: Final = 64  # chunks of a file that are kept
SILENCE: Final = 2.0
"""Seconds without an answer after which a file is said not to answer."""
_GOING: Final = 0.1  # seconds between two looks whether a thread still wants what it waits for


class NotReadError(Exception):
    """Bytes of a file are not here yet: they are being read."""


class Bytes(Protocol):
    """Bytes `start` to `size` of an output, the ones that can be read now."""

    start: int

    @property
    def size(self) -> int:
        """Where they end."""
        ...

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes; fewer at the end. Raises NotReadError."""
        ...


class Readable(Bytes, Protocol):
    """Those of a file, which may grow."""

    def refresh(self) -> bool:
        """Look how large the file is now; return whether that has changed."""
        ...

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


class _Facts(NamedTuple):
    """What a look at a file found; changed: when it was written, in nanoseconds."""

    is_open: bool = False
    size: int = 0
    changed: int = 0
    trouble: str = ""


class _Piece:
    """Chunks that are read at once: numbers from `first` to before `end`."""

    job: Job

    def __init__(self, first: int, end: int) -> None:
        self.first, self.end = first, end
        self.data = b""

    def chunk(self, number: int) -> bytes:
        """Return one of them; it is short where the file ends."""
        at = (number - self.first) * CHUNK
        return self.data[at : at + CHUNK]


class LocalFile:
    """A regular file, open for as long as it is shown. A missing one is empty.

    All that touches the file happens in a thread, for which the screen waits but a moment. What it has then is as if
    it had read the file itself; what comes later is kept for the next time that it asks.
    """

    def __init__(self, path: TaskFile, came: Callable[[], object] = lambda: None) -> None:
        """came: called in a thread when something is here for which the screen did not wait."""
        self.path = path
        self.start = 0
        self.known = False
        """Whether the file has answered at all."""
        self._came = came
        self._facts = self._found = _Facts()
        self._descriptor: int | None = None  # only the thread uses it
        self._look: Job | None = None
        self._chunks: OrderedDict[int, bytes] = OrderedDict()  # by number, the one that was used last at the end
        self._coming: dict[int, _Piece] = {}  # chunks that are being read, or were without being shown since
        self._jobs: set[Job] = set()
        self._closed = False
        self.refresh()

    @property
    def size(self) -> int:
        """Bytes, when it was last looked at."""
        return self._facts.size

    @property
    def is_open(self) -> bool:
        """Whether it is there, and can be read."""
        return self._facts.is_open

    @property
    def trouble(self) -> str:
        """Why it can't be read although something is there, to stand behind its name."""
        return self._facts.trouble

    @property
    def silence(self) -> float:
        """Seconds for which something has been asked of it without an answer."""
        now = time.monotonic()
        return now - min((job.asked for job in list(self._jobs) if not job.over), default=now)

    def _ask(self, do: Callable[[], object], late: Callable[[], object] = lambda: None) -> Job:
        self._jobs.difference_update([job for job in list(self._jobs) if job.over])
        job = Job(do, late)
        self._jobs.add(job)
        return file_threads.ask(str(self.path), job)

    # --- Its size

    def refresh(self) -> bool:
        """Look how large the file is now; return whether that has changed."""
        if self._closed:
            return False
        if self._look is None:
            self._look = self._ask(self._look_at_it, self._came)
        return file_threads.answered([self._look]) and self.take_in()

    def take_in(self) -> bool:
        """Take in what a look has found out that came late; return whether the size has changed."""
        if self._look is None or not self._look.done.is_set():
            return False
        self._look, before, self._facts = None, self._facts, self._found
        self.known = True
        if self.size < before.size or (self.size == before.size and self._facts.changed != before.changed):
            self._chunks.clear()  # it was written anew
            self._coming.clear()
        return self.size != before.size

    def _look_at_it(self) -> None:
        trouble = ""
        if self._descriptor is None:
            try:
                self._descriptor = self.path.open()
            except FileNotFoundError:
                pass
            except OSError as error:
                trouble = error.strerror or str(error)
        if self._descriptor is None:
            self._found = self._found._replace(is_open=False, trouble=trouble)
            return
        try:
            facts = os.fstat(self._descriptor)
            self._found = _Facts(True, facts.st_size, facts.st_mtime_ns)
        except OSError as error:
            self._found = self._found._replace(trouble=error.strerror or str(error))

    # --- Its bytes

    def read(self, offset: int, count: int) -> bytes:
        """Return the bytes from an offset on; none where they can't be read. Raises NotReadError."""
        end = min(offset + count, self.size)
        if end <= offset or not self.is_open:
            return b""
        numbers = range(offset // CHUNK, (end - 1) // CHUNK + 1)
        found = {number: self._chunks[number] for number in numbers if self._is_kept(number)}
        if missing := [number for number in numbers if number not in found]:
            found |= self._read_chunks(missing)
        for number in numbers:
            self._chunks[number] = found[number]
            self._chunks.move_to_end(number)
        while len(self._chunks) > KEPT:
            self._chunks.popitem(last=False)
        data = found[numbers[0]] if len(numbers) == 1 else b"".join(found[number] for number in numbers)
        return data[offset - numbers[0] * CHUNK : end - numbers[0] * CHUNK]

    def _read_chunks(self, numbers: list[int]) -> dict[int, bytes]:
        """Return chunks that are not kept. Raises NotReadError."""
        for number in numbers:
            piece = self._coming.get(number)
            if piece is not None and piece.job.done.is_set() and len(piece.chunk(number)) < self._length(number):
                del self._coming[number]  # it came late, and the file has grown since
        if missing := [number for number in numbers if number not in self._coming]:
            if len(self._coming) > KEPT:
                self._coming.clear()
            piece = _Piece(missing[0], missing[-1] + 1)
            piece.job = self._ask(partial(self._fill, piece), self._came)
            self._coming.update(dict.fromkeys(range(piece.first, piece.end), piece))
        if not file_threads.answered([self._coming[number].job for number in numbers]):
            raise NotReadError
        return {number: self._coming.pop(number).chunk(number) for number in numbers}

    def _fill(self, piece: _Piece) -> None:
        piece.data = self._pread(piece.first * CHUNK, (piece.end - piece.first) * CHUNK)

    def _pread(self, offset: int, count: int) -> bytes:
        try:
            return b"" if self._descriptor is None else os.pread(self._descriptor, count, offset)
        except OSError:
            return b""

    def read_in_thread(self, offset: int, count: int, going: Callable[[], bool]) -> bytes:
        """Return what `read` does, in a thread that waits for it; nothing if that is not `going` on."""
        data = b""

        def do() -> None:
            nonlocal data
            data = self._pread(offset, count)

        count = min(count, max(0, self.size - offset))
        job = self._ask(do)
        while not job.done.wait(_GOING):
            if not going():
                job.dropped = True
                return b""
        return data

    def close(self) -> None:
        """Close the file."""
        self._closed, self._facts = True, _Facts()
        for job in list(self._jobs):
            job.dropped = True
        self._chunks.clear()
        self._coming.clear()
        self._ask(self._close_it)  # behind what still works on it

    def _close_it(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _is_kept(self, number: int) -> bool:
        return len(self._chunks.get(number, b"")) >= self._length(number)

    def _length(self, number: int) -> int:
        return min(CHUNK, self.size - number * CHUNK)


class Patient:
    """A file as a thread reads it, which waits for what is not here, but only while it is `going` on."""

    def __init__(self, file: LocalFile, going: Callable[[], bool]) -> None:
        self._file, self._going = file, going
        self.start = file.start

    @property
    def size(self) -> int:
        """Where its bytes end."""
        return self._file.size

    def read(self, offset: int, count: int) -> bytes:
        """At most `count` bytes; fewer at the end."""
        return self._file.read_in_thread(offset, count, self._going)


def in_thread(file: Bytes, going: Callable[[], bool]) -> Bytes:
    """Return a file for a thread: reading it never raises NotReadError."""
    return Patient(file, going) if isinstance(file, LocalFile) else file


def lines_from(file: Bytes, offset: int) -> Iterator[Line]:
    """Yield the lines from the one that begins at `offset`. Raises NotReadError."""
    while offset < file.size:
        block = file.read(offset, CHUNK - offset % CHUNK)
        at = 0
        while (newline := block.find(b"\n", at)) >= 0:
            yield _line(offset + at, offset + newline + 1, block[at : min(newline, at + MOST)])
            at = newline + 1
        if at == 0:
            if not block:
                break
            end = _next_break(file, offset)
            data = file.read(offset, min(end - offset, MOST)).removesuffix(b"\n")
            yield _line(offset, end, data)
            at = end - offset
        offset += at


def after(file: Bytes, offset: int, count: int) -> list[Line]:
    """At most `count` lines from the one that begins at `offset`."""
    return list(islice(lines_from(file, offset), count))


def before(file: Bytes, offset: int, count: int) -> list[Line]:
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


def line_start(file: Bytes, offset: int) -> int:
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


def _last_newline(file: Bytes, low: int, high: int) -> int | None:
    while high > low:
        start = max(low, high - CHUNK)
        found = file.read(start, high - start).rfind(b"\n")
        if found >= 0:
            return start + found
        high = start
    return None


def _next_break(file: Bytes, offset: int) -> int:
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
