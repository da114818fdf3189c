"""Files of this machine that are sent: their facts, their bytes, their digests."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from tui_lab.engine.transfer.errors import TransferError
from tui_lab.store.task_files import TaskFile

Source = Path | TaskFile  # a file of the owner's, or one that a task has named

PIECE: Final = 1 << 18  # bytes of a file in one request to the node
READ: Final = 1 << 20  # bytes read at once for a digest


class Facts(NamedTuple):
    """Of a file here: as long as they stay the same, it does."""

    mode: int
    size: int
    mtime: int  # ns
    inode: int


def facts_of(file: BinaryIO) -> Facts:
    """Return the facts of an open file."""
    found = os.fstat(file.fileno())
    return Facts(stat.S_IMODE(found.st_mode) & 0o777, found.st_size, found.st_mtime_ns, found.st_ino)


def facts_at(source: Source) -> Facts:
    """Return the facts of a file that is opened for it."""
    with open_source(source) as file:
        return facts_of(file)


def digest_of(file: BinaryIO, offset: int, most: int) -> str:
    """Return the SHA-256 of some bytes of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    while most > 0 and (data := os.pread(file.fileno(), min(READ, most), offset)):
        digest.update(data)
        offset += len(data)
        most -= len(data)
    return digest.hexdigest()


def whole_digest(source: Source, facts: Facts) -> str:
    """Return the SHA-256 of a file; nothing if it has changed."""
    with open_source(source) as file:
        found = digest_of(file, 0, facts.size)
        return found if facts_of(file) == facts else ""


async def in_thread(source: Source, do: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function that uses a file of this machine, in a thread. Raises TransferError."""
    try:
        return await asyncio.to_thread(do, *arguments)
    except OSError as error:
        raise TransferError(f"{source}: {error.strerror or error}", storage=True, errno=error.errno) from error


def open_source(source: Source) -> BinaryIO:
    """Open a file for reading."""
    return open(source.open() if isinstance(source, TaskFile) else source, "rb")


def begin_at(source: Source, offset: int) -> tuple[BinaryIO, bytes]:
    """Open a file at an offset; return it, and its next piece and one byte more, which shows whether more follows."""
    file = open_source(source)
    file.seek(offset)
    return file, file.read(PIECE + 1)


def mode_of(source: Source) -> int:
    """Return the permissions of a file."""
    with open_source(source) as file:
        return stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o777
