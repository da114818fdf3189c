"""The journal: the append-only file of what happened, one JSON object a line; the truth about an experiment.

One writer (the engine, which holds the lab's lock), any number of readers while it writes. A reader stops at
the last newline. A writer cuts what a crash or a short write left behind it before it appends.

The last member of each line is `sum`, a CRC-32 over the file from its first sealed line up to there. So one look at the
last line of a block proves all of it, and a line that was altered, removed or moved is found. docs/journal.md has the
details, and lists the events.
"""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final
from zlib import crc32

from tui_lab.store import events
from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.events import Event, JournalBegun, KnownEvent, NoEventError

FORMAT: Final = 2
_BLOCK: Final = 1 << 22
_SUM: Final = b',"sum":"'
_DIGITS: Final = 8
_END: Final = len(b'01234567"}')  # of a sealed line, from its sum on
_SEAL: Final = len(_SUM) + _END

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Damage:
    """A line that is damaged, or whose state is unknown."""

    offset: int  # of the line, in bytes
    size: int  # without its newline
    what: str


def _sealed(line: bytes) -> bool:
    return line[-_SEAL:-_END] == _SUM and line.endswith(b'"}')


def _recorded(line: bytes) -> int:
    """The sum that a sealed line has; -1 where that is no number as we write it."""
    digits = line[-_END : _DIGITS - _END]
    try:
        value = int(digits, 16)
    except ValueError:
        return -1
    return value if digits == b"%08x" % value else -1


def _behind(value: int) -> int:
    """What the sum of the next line begins with."""
    return crc32(b'%08x"}\n' % value, value)


class Journal:
    """The writing end. `end` is the size of the part that is written, in bytes."""

    def __init__(self, path: Path, identity: str = "") -> None:
        """Open for appending, and make it where it is missing, by default with an identity of its own. Raises
        StorageError."""
        self.path = path
        self.trouble = ""  # why the last append did not take everything
        self.changed = False  # someone else has written to the file: only who opens it anew may go on
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            self.end = _whole_lines(self._file)
            os.ftruncate(self._file, self.end)
            last = os.pread(self._file, _SEAL, max(0, self.end - 1 - _SEAL))
            identity = identity or (identity_of(self._file) if self.end else "") or secrets.token_hex(8)
        except OSError as error:
            raise StorageError(f"{path}: {error.strerror}") from error
        sealed = self.end > _SEAL and _sealed(last)
        self._sum = _behind(_recorded(last)) if sealed else 0
        # In a journal of an earlier format this line says that from here on every one has a sum.
        if not sealed and not self.append([JournalBegun(FORMAT, identity)]):
            self.close()
            raise StorageError(f"{path}: {self.trouble}")

    def append(self, happened: Sequence[KnownEvent]) -> int:
        """Write events, each whole or not at all; how many were written, all of them unless the disk is full.

        What was written stays: a reader may have seen it.
        """
        return self.append_lines([events.encode(event) for event in happened])

    def append_lines(self, texts: Sequence[bytes]) -> int:
        """Write events that are JSON objects already, without sums and newlines, as `append` does."""
        parts: list[bytes] = []
        value = self._sum
        for text in texts:
            line = text[:-1] + _SUM
            value = crc32(line, value)
            seal = b'%08x"}\n' % value
            value = crc32(seal, value)
            parts += (line, seal)
        data = b"".join(parts)
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
            if whole:
                self._sum = _behind(_recorded(data[whole - 1 - _SEAL : whole - 1]))
            self.end += whole
            os.ftruncate(self._file, self.end)
            return data.count(b"\n", 0, whole)
        self.end += written
        self._sum = value
        return len(texts)

    @property
    def removed(self) -> bool:
        """Whether the file was removed or replaced."""
        try:
            return not os.path.samestat(self.path.stat(), os.fstat(self._file))
        except OSError:
            return True

    def sync(self) -> None:
        """Return once everything appended so far is durable. Raises OSError."""
        (os.fdatasync if hasattr(os, "fdatasync") else os.fsync)(self._file)

    def close(self) -> None:
        """Close the file."""
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


def identity_of(file: int) -> str:
    """The `id` of a journal's first line; empty where there is none. Raises OSError."""
    first = _first_event(os.pread(file, 4096, 0).partition(b"\n")[0])
    return "" if first is None else first.id


def _first_event(line: bytes) -> JournalBegun | None:
    try:
        event = events.decode(line)
    except NoEventError:
        return None
    return event if isinstance(event, JournalBegun) else None


def without_sum(line: bytes) -> bytes:
    """A whole line as it was before its sum was added."""
    return line[:-_SEAL] + b"}" if _sealed(line) else line


def read(
    path: Path,
    offset: int = 0,
    kinds: Collection[type[KnownEvent]] | None = None,
    damage: list[Damage] | None = None,
) -> Iterator[tuple[Event, int]]:
    """Events from a byte offset on, each with the offset behind it; a torn last line is left for later.

    kinds: only these events, without so much as parsing the others. Every line begins with its kind. damage: takes in
    the lines that are damaged, which are passed over; without it they are logged.

    Raises LabError for a journal of a newer format, and StorageError where it can't be read. A missing journal has no
    events.
    """
    wanted = None if kinds is None else tuple(map(events.beginning, (JournalBegun, *kinds)))
    decode = events.decode
    found: list[Damage] = []
    try:
        with open(path, "rb") as file:
            check = _Check(file, offset)
            file.seek(offset)
            rest = b""
            while block := file.read(_BLOCK):
                data = rest + block
                cut = data.rfind(b"\n") + 1
                rest = data[cut:]
                if not cut:
                    continue
                lines = data[: cut - 1].split(b"\n")
                bad = {} if check.whole(data, cut) else check.lines(lines)
                number = -1
                for line in lines:  # each step of it counts: there are millions
                    offset += len(line) + 1
                    if bad:
                        number += 1
                        if number in bad:
                            found.append(Damage(offset - len(line) - 1, len(line), bad[number]))
                            continue
                    if wanted is not None and not line.startswith(wanted):
                        continue
                    try:
                        event = decode(line)
                    except NoEventError:
                        found.append(Damage(offset - len(line) - 1, len(line), "is not an event"))
                        continue
                    if type(event) is JournalBegun and event.format > FORMAT:
                        formats = f"journal format {event.format}, this one reads {FORMAT}"
                        raise LabError(f"{path}: written by a newer tui-lab ({formats})", "upgrade tui-lab")
                    yield event, offset
            if check.lacks_newline(rest):
                found.append(Damage(offset, len(rest), "has lost its newline"))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"{path}: {error.strerror}") from error
    finally:
        if damage is not None:
            damage += found
        elif found:
            log.warning("%s", damage_text(path, found))


def whole(path: Path, offset: int) -> bool:
    """Whether all lines behind an offset are as they were written. Raises LabError, StorageError as `read` does."""
    damage: list[Damage] = []
    for _ in read(path, offset, kinds=(), damage=damage):
        pass
    return not damage


def damage_text(path: Path, damage: Sequence[Damage]) -> str:
    """The damage of a journal in one line."""
    more = f", and {len(damage) - 1:,} more" if len(damage) > 1 else ""
    where = line_number(path, damage[0].offset)
    return f"{path}:{where}: damaged{more}; `tui-lab check {path.parent.parent}` says what can be done"


def line_number(path: Path, offset: int) -> int:
    """Number of the line at an offset, from 1; 0 where the file has gone."""
    number = 1
    try:
        with open(path, "rb") as file:
            while offset > 0 and (block := file.read(min(offset, _BLOCK))):
                number += block.count(b"\n")
                offset -= len(block)
    except OSError:
        return 0
    return number


class _Check:
    """Compares the lines of a journal with their sums."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        """For what stands behind an offset."""
        self._behind: list[int] = []  # what the sum of the next line may begin with; empty where that is not known
        self._strict = False  # every line must have a sum
        if offset:
            self._strict = _claims_sums(file.readline())
            file.seek(max(0, offset - 1 - _SEAL))
            last = file.read(min(offset, 1 + _SEAL))[:-1]
            if _sealed(last) and (value := _recorded(last)) >= 0:
                self._behind, self._strict = [_behind(value)], True

    def whole(self, data: bytes, end: int) -> bool:
        """Return whether all lines up to the newline before `end` are as they were written; False where each has to be
        checked."""
        last = data[max(0, end - 1 - _SEAL) : end - 1]
        if len(self._behind) != 1 or not _sealed(last):
            return False
        value = crc32(memoryview(data)[: end - 1 - _END], self._behind[0])
        if value != _recorded(last):
            return False
        self._behind = [_behind(value)]
        return True

    def lines(self, lines: Sequence[bytes]) -> dict[int, str]:
        """Return what is wrong with which of the lines."""
        bad: dict[int, str] = {}
        for number, line in enumerate(lines):
            if not _sealed(line):
                if self._strict or _claims_sums(line):
                    bad[number] = "has no checksum"
                    recorded = _recorded(line)
                    self._behind, self._strict = [_behind(recorded)] if recorded >= 0 else [], True
                continue
            if not self._strict:  # the first one with a sum
                self._behind, self._strict = [0], True
            recorded = _recorded(line)
            values = [crc32(line[:-_END], before) for before in self._behind]
            if recorded in values:
                if values.index(recorded) and number - 1 in bad:
                    bad[number - 1] = "has a damaged checksum"
                self._behind = [_behind(recorded)]
                continue
            if values or recorded < 0:
                bad[number] = "does not match its checksum, or lines before it are missing"
            # Either the text was altered, or the sum: the next line tells which sum it was written after.
            self._behind = [_behind(value) for value in ([recorded] if recorded >= 0 else []) + values[:1]]
        return bad

    def lacks_newline(self, rest: bytes) -> bool:
        """Whether what stands behind the last newline is a whole line with another character in its newline's place: a
        write that was cut short does not look so."""
        line = rest[:-1]
        return _sealed(line) and _recorded(line) in [crc32(line[:-_END], before) for before in self._behind or [0]]


def _claims_sums(line: bytes) -> bool:
    """Return whether this is the first line of a journal whose lines have checksums of this format."""
    first = _first_event(line) if line.startswith(events.beginning(JournalBegun)) else None
    return first is not None and 1 < first.format <= FORMAT


def restored(lines: bytes, before: bytes, after: bytes) -> bytes | None:
    """Return damaged lines, with their newlines, as they were, if a single byte is wrong: the one change that makes
    them fit their sums. before, after: the whole lines around them, without newlines, empty where there is none."""
    if before and not _sealed(before):
        return None
    start = _behind(_recorded(before)) if before else 0

    def fits(text: bytes) -> bool:
        value = start
        for line in text[:-1].split(b"\n"):
            if not _sealed(line) or (recorded := _recorded(line)) != crc32(line[:-_END], value):
                return False
            value = _behind(recorded)
        return text.endswith(b"\n") and (not after or crc32(after[:-_END], value) == _recorded(after))

    for place, byte in enumerate(lines):
        head, tail = lines[:place], lines[place + 1 :]
        for other in range(256):
            if other != byte and fits(text := head + bytes((other,)) + tail):
                return text
    return None
