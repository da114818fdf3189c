r"""Output of programs as lines: whatever the bytes are, and however large the file is.

How an output is read, here and in every other reader of the tool:

1. Escape sequences of the terminal (colours, titles, cursor movements) go. A cursor movement to another line
   or to a given column ends a line, as a carriage return does.
2. `\n`, `\r\n` and a lone `\r` each end a line, so that every update of a progress bar is a line. No
   other character does. An end of line at the end of the output opens no further line.
3. What is not UTF-8 reads as U+FFFD.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Final

from tui_lab.store.task_files import TaskFile

SMALL: Final = 1 << 16
"""Bytes of a first read: most outputs are read whole by it."""
BLOCK: Final = 8 << 20
"""Bytes of a larger output that are in memory at once, unless a line is longer."""
LONGEST_LINE: Final = 64 << 20
"""A line longer than this is cut."""

_ESCAPE: Final = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*(?:([ABEFGHJdf])|[@-~])"  # CSI; those that move the cursor are the group
    rb"|[\]P^_X][^\x07\x1b\r\n]*(?:\x07|\x1b\\)"  # OSC, DCS, PM, APC, SOS with their text
    rb"|[ -/]*[0-~])?"
)


class Text:
    r"""An output, or a whole number of its lines, ready to be searched.

    `data` has only `\n` as end of line.
    """

    def __init__(self, raw: bytes) -> None:
        if b"\x1b" in raw:
            raw = strip_escapes(raw)
        if b"\r" in raw:
            raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self.data = raw

    @cached_property
    def is_ascii(self) -> bool:
        """Whether all bytes are ASCII."""
        return self.data.isascii()

    @cached_property
    def lowered(self) -> bytes:
        """The same with A to Z in lower case; offsets are equal."""
        return self.data.lower()

    @cached_property
    def lines(self) -> list[str]:
        """Return the lines, without the empty text behind the last newline."""
        lines = self.data.decode("utf-8", "replace").split("\n")
        if not lines[-1]:
            lines.pop()
        return lines

    @cached_property
    def whole(self) -> str:
        """All lines, each with an end: what patterns that span lines are searched in."""
        text = self.data.decode("utf-8", "replace")
        return text if text.endswith("\n") or not text else text + "\n"


def strip_escapes(raw: bytes) -> bytes:
    """Without escape sequences; cursor movements that end a line become an end of line."""
    return _ESCAPE.sub(lambda match: b"\n" if match[1] else b"", raw)


def read_up_to(path: TaskFile, limit: int) -> bytes | None:
    """All bytes of a file below `limit` bytes; None for a larger one. Raises OSError."""
    descriptor = path.open(plain=False)
    try:
        data = os.read(descriptor, SMALL)
        if len(data) < SMALL:
            return data
        size = os.fstat(descriptor).st_size
        if size >= limit:
            return None
        parts = [data]
        length = len(data)
        while length < limit and (data := os.read(descriptor, limit - length)):
            parts.append(data)
            length += len(data)
    finally:
        os.close(descriptor)
    return b"".join(parts) if length < limit else None


def read_whole(path: TaskFile, limit: int = 512 << 20) -> bytes:
    """All bytes of a file, which must hold at most `limit` bytes. Raises OSError."""
    with open(path.open(), "rb") as file:
        if os.fstat(file.fileno()).st_size <= limit and len(data := file.read(limit + 1)) <= limit:
            return data
    raise OSError(errno.EFBIG, f"is larger than {limit >> 20} MiB", path.name)


def blocks(path: TaskFile, torn_end: bool = True, block: int = BLOCK) -> Iterator[Text]:
    """The lines of a file from its beginning, some MiB at a time. Raises OSError.

    Without `torn_end` a last line that has no end yet is left out.
    """
    with open(path.open(), "rb") as file:
        rest = b""
        while data := file.read(block):
            rest += data
            cut = _cut(rest)
            if cut == 0 and len(rest) >= LONGEST_LINE:
                cut = len(rest)
            if cut:
                yield Text(rest[:cut])
                rest = rest[cut:]
        if rest and torn_end:
            yield Text(rest)


def blocks_backwards(path: TaskFile, torn_end: bool = True, block: int = BLOCK) -> Iterator[Text]:
    """The same lines, but the last block first; lines within a block keep their order. Raises OSError."""
    with open(path.open(), "rb") as file:
        start = file.seek(0, os.SEEK_END)
        rest = b""
        torn = not torn_end
        while start > 0:
            size = min(block, start)
            start -= size
            file.seek(start)
            rest = file.read(size) + rest
            if torn:
                end = max(rest.rfind(b"\n"), rest.rfind(b"\r")) + 1
                rest, torn = rest[:end], end == 0
            cut = 0
            if start > 0:
                cut = rest.find(b"\n", 0, len(rest) - 1) + 1
                if cut == 0 and len(rest) < LONGEST_LINE:
                    continue
            if rest[cut:]:
                yield Text(rest[cut:])
            rest = rest[:cut]


def _cut(data: bytes) -> int:
    r"""Where the last complete line ends.

    A `\r` at the very end, or before an escape sequence, may be half of a `\r\n`: it is held back.
    """
    newline = data.rfind(b"\n") + 1
    if newline:
        return newline
    at = data.rfind(b"\r", 0, len(data) - 1)
    while at >= 0 and data[at + 1 : at + 2] == b"\x1b":
        at = data.rfind(b"\r", 0, at)
    return at + 1


def complete_lines(raw: bytes) -> bytes:
    """Without the last line if it has no end yet: its program may be in the middle of writing it."""
    return raw[: max(raw.rfind(b"\n"), raw.rfind(b"\r")) + 1]
