"""Searching outputs for words, and counting lines: in a thread, some KiB at a time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tui_lab.results.extraction.text import strip_escapes
from tui_lab.tui.widgets.log.local_file import Bytes, NotReadError, in_thread, line_start

BLOCK: Final = 1 << 18
COUNTED: Final = 256 << 20  # bytes up to which lines are counted
ERRORS: Final = (
    "error", "exception", "traceback", "fatal", "failed", "failure", "critical", "panic", "killed", "abort",
    "segmentation fault", "no such file", "not found", "denied", "out of memory",
)  # fmt: skip


@dataclass(frozen=True)
class Needle:
    """Words to search for: a line with one of them matches. Case counts only for words with a capital letter."""

    words: tuple[str, ...]

    @property
    def fold(self) -> bool:
        """Whether case counts for nothing: no word has a capital letter."""
        return all(word == word.lower() for word in self.words)

    def places(self, data: bytes) -> list[int]:
        """Return where each word first is."""
        if self.fold:
            data = data.lower()
        return [at for word in self.words if (at := data.find(word.encode())) >= 0]

    def first(self, data: bytes) -> int:
        """Return the first place in some lines, -1 where there is none; escape codes in between don't hide it."""
        if b"\x1b" in data:
            return self._in_lines(data, last=False)
        return min(self.places(data), default=-1)

    def last(self, data: bytes) -> int:
        """Return the last place."""
        if b"\x1b" in data:
            return self._in_lines(data, last=True)
        low = data.lower() if self.fold else data
        return max((low.rfind(word.encode()) for word in self.words), default=-1)

    def _in_lines(self, data: bytes, last: bool) -> int:
        if not self.places(strip_escapes(data)):
            return -1
        at, found = 0, -1
        for line in data.split(b"\n"):
            if self.places(strip_escapes(line)):
                found = at
                if not last:
                    break
            at += len(line) + 1
        return found

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return all places in a text that is shown."""
        low = text.lower() if self.fold else text
        found = []
        for word in self.words:
            at = low.find(word)
            while at >= 0 and word:
                found.append((at, at + len(word)))
                at = low.find(word, at + len(word))
        return found


def find(file: Bytes, needle: Needle, offset: int, going: Callable[[], bool]) -> int | None:
    """Where the first line begins, from the one at `offset` on, that has the needle; None where none has, or the
    search was given up (`going` says so)."""
    overlap = max((len(word.encode()) for word in needle.words), default=1) - 1
    while offset < file.size and going():
        data = file.read(offset, BLOCK)
        if not data:
            return None
        whole = offset + len(data) >= file.size
        end = 0 if whole else data.rfind(b"\n") + 1
        hit = needle.first(data[:end] if end else data)
        if hit >= 0:
            return line_start(file, offset + hit)
        if whole:
            return None
        offset += end or max(1, len(data) - overlap)
    return None


def find_back(file: Bytes, needle: Needle, offset: int, going: Callable[[], bool]) -> int | None:
    """Return where the last line with the needle begins, before the line at `offset`; None as in `find`."""
    overlap = max((len(word.encode()) for word in needle.words), default=1) - 1
    end = min(offset, file.size)
    while end > file.start and going():
        low = max(file.start, end - BLOCK)
        data = file.read(low, end - low)
        begin = 0 if low == file.start else data.find(b"\n") + 1
        hit = needle.last(data[begin:])
        if hit >= 0:
            return line_start(file, low + begin + hit)
        if low == file.start or not data:
            return None
        end = low + begin if 0 < begin < len(data) else low + min(overlap, len(data) - 1)
    return None


class LineNumbers:
    """Counts the lines of a file up to the part that is shown."""

    def __init__(self, file: Bytes) -> None:
        self._file = file
        self._counts = [0]  # newlines before each block

    def number(self, offset: int) -> int | None:
        """The number of the line that begins at `offset`, from 1; None where it was not counted, or is being read."""
        place = offset // BLOCK
        if self._file.start or place >= len(self._counts):
            return None
        try:
            rest = self._file.read(place * BLOCK, offset - place * BLOCK)
        except NotReadError:
            return None
        return self._counts[place] + rest.count(b"\n") + 1

    def wanted(self, offset: int) -> bool:
        """Whether lines up to an offset are to be counted, and are not yet."""
        return not self._file.start and offset <= COUNTED and offset // BLOCK >= len(self._counts)

    def count(self, offset: int, going: Callable[[], bool]) -> None:
        """Count up to an offset."""
        file = in_thread(self._file, going)
        while len(self._counts) <= offset // BLOCK and going():
            data = file.read((len(self._counts) - 1) * BLOCK, BLOCK)
            if len(data) < BLOCK:
                return
            self._counts.append(self._counts[-1] + data.count(b"\n"))

    @property
    def total(self) -> int | None:
        """The number of lines; None where they were not counted to the end, or it is being read."""
        size = self._file.size
        number = self.number(size)
        if number is None or not size:
            return number if number is None else 0
        try:
            return number - (self._file.read(size - 1, 1) == b"\n")
        except NotReadError:
            return None

    def offset(self, number: int) -> int | None:
        """Return where the line of a number begins, or else the last line before it; None where it was not counted, or
        is being read."""
        if self._file.start:
            return None
        before = max(0, number - 1)  # newlines
        block = max(0, bisect_left(self._counts, before) - 1)
        try:
            data = self._file.read(block * BLOCK, BLOCK)
        except NotReadError:
            return None
        missing = before - self._counts[block]
        *_, rest = data.split(b"\n", missing)
        return block * BLOCK + len(data) - len(rest)
