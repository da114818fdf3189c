"""A file of a task while it is fetched: it grows beside its place, and gets its name once it is whole."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from tui_lab.portable.beneath import NAME_MAX
from tui_lab.store.task_files import TaskFile, task_folder

PART: Final = ".tui-lab-part"
DIGITS: Final = 12  # of a hash in the name of a part


def part_of(name: str, source: str) -> str:
    """Return the name under which a file grows until it is whole: beside it. source: the remote file, so that another
    attempt does not continue this part."""
    folder, slash, last = name.rpartition("/")
    ending = f".{hashlib.sha256(os.fsencode(source)).hexdigest()[:DIGITS]}{PART}"
    cut = os.fsencode(last)[: NAME_MAX - len(ending)]
    return folder + slash + os.fsdecode(cut) + ending


def is_part_of(part: str, name: str) -> bool:
    """Return whether a file is a part of this one, of any attempt."""
    end = len(PART) + DIGITS
    return part.endswith(PART) and part[:-end] == part_of(name, "")[:-end]


class PartialFile:
    """A file of a task while it is fetched. It grows in the folder where it was begun, whatever happens to that
    name."""

    def __init__(self, target: TaskFile) -> None:
        """Raises OSError, and ValueError for an invalid name."""
        self.target = target
        with task_folder(Path(target.folder), make=True) as top:
            self.folder, self.name = top.parent(os.fsencode(target.name), make=True, clear=True)
        self.part = b""
        self.file = -1

    def facts(self) -> tuple[int, int] | None:
        """Size and time of change (ns) of a plain file that is here already."""
        try:
            facts = self.folder.facts(self.name)
        except FileNotFoundError:
            return None
        return (facts.st_size, facts.st_mtime_ns) if stat.S_ISREG(facts.st_mode) else None

    def open(self, source: str) -> int:
        """Open the part; return its size. Parts of other sources are removed."""
        name = os.fsdecode(self.name)
        self.part = os.fsencode(part_of(name, source))
        for entry in self.folder.entries():
            if entry.is_file and entry.path != self.part and is_part_of(os.fsdecode(entry.path), name):
                self.folder.unlink(entry.path)
        self.file = self.folder.reopen(self.part)
        return os.lseek(self.file, 0, os.SEEK_END)

    def restart(self) -> None:
        """Begin the file again, empty."""
        os.ftruncate(self.file, 0)
        os.lseek(self.file, 0, os.SEEK_SET)

    def write(self, data: bytearray) -> None:
        """Append data. Raises OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self.file, rest) :]

    @property
    def size(self) -> int:
        """The bytes that have arrived so far."""
        return os.fstat(self.file).st_size

    def finish(self, mode: int | None, mtime: int) -> None:
        """Give the file its mode, time and name, and make it durable."""
        if mode is not None:
            os.fchmod(self.file, mode)
        os.utime(self.file, ns=(mtime, mtime))
        os.fsync(self.file)
        self.folder.rename(self.part, self.name)
        try:
            os.fsync(self.folder.descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise  # else a file system that can't do it for folders

    def close(self) -> None:
        """Close the file. An empty one is removed."""
        if self.file >= 0:
            empty = self.size == 0
            os.close(self.file)
            if empty:
                with suppress(OSError):
                    if self.folder.facts(self.part).st_size == 0:
                        self.folder.unlink(self.part)  # nothing to go on with
        self.folder.close()
