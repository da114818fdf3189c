"""The line in which a program says why it failed."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tui_lab.results.extraction.text import Text
from tui_lab.store.task_files import TaskFile, listed

PIPE: Final = (
    "its output was not read to the end, as with `... | head`, and pipefail counts that as a failure: "
    "begin with `set +o pipefail`"
)
BINARY: Final = "(binary output)"
NO_TEXT: Final = 0.25
"""The share of characters that are none, above which an output is binary."""
TAIL: Final = 1 << 14
"""Bytes of the end of an output in which the line is looked for."""
LINES: Final = 60
"""Its last lines, in which an exception is looked for."""
MOST: Final = 500
"""Bytes of a line that are kept."""
NEAR: Final = 20
"""Its last lines, in which other errors are looked for."""

_TRACEBACK: Final = b"Traceback (most recent call last)"
_EXCEPTION: Final = re.compile(
    rb"(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Exit|Fault)\b(?=$|[:(])"  # as Python prints them
    rb"|(?:Exception in thread|Caused by:|Unhandled exception)"
    rb"|thread '.*' panicked at|panic: |terminate called|what\(\): "
)
_SAID: Final = re.compile(
    rb"\b(?:killed$|out of memory|oom.kill|no space left on device|segmentation fault|bus error|core dumped|"
    rb"illegal instruction|floating point exception|disk quota exceeded|command not found|no such file or directory|"
    rb"permission denied|cannot allocate memory|connection refused|assertion .*failed)",
    re.IGNORECASE,
)
_ERROR: Final = re.compile(
    rb"(?:(?i:(?:^|[:\]\[] ?)(?:fatal(?: error)?|(?:internal |runtime )?error|abort(?:ed)?)\b)"
    rb"|\b(?:ERROR|FATAL|CRITICAL)\b)(?!\s*[:=]?\s*[-+]?[\d.])"  # `error: 0.3` is a measurement
)

_MASKED: Final = re.compile(
    r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"
    r"|\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[-+]\d\d:?\d\d)?)?"
    r"|\b\d{1,2}:\d\d:\d\d(?:[.,]\d+)?\b"
    r"|(?<![\w.])~?/(?:[^\s/:;,'\"()<>]+/)+[^\s/:;,'\"()<>]*"  # a path
    r"|0x[0-9a-f]+"
    r"|\b(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{8,}\b"  # a hash
    r"|\d+(?:\.\d+)?(?:e[-+]?\d+)?",
    re.IGNORECASE,
)


def masked(line: str) -> str:
    """Return a line with `#` for each number, time, path and identifier, by which those of one kind differ."""
    return _MASKED.sub("#", line)


def telling(lines: Sequence[bytes]) -> bytes:
    """Return the line of an output that says why its program failed: the exception or the error that stands last, else
    the last line; empty where there is none."""
    known = [line.strip() for line in lines[-LINES:]]
    while known and not known[-1]:
        known.pop()
    if not known:
        return b""
    raised = _after_traceback(lines[-LINES:])
    if raised:
        return raised
    for sign, reach in ((_EXCEPTION.match, LINES), (_SAID.search, NEAR), (_ERROR.search, NEAR)):
        found = next((line for line in reversed(known[-reach:]) if sign(line)), None)
        if found is not None:
            return found
    return known[-1]


def _after_traceback(lines: Sequence[bytes]) -> bytes:
    """Return the first line below the frames of the last traceback of Python; empty where there is none."""
    begin = max((place for place, line in enumerate(lines) if _TRACEBACK in line), default=-1)
    if begin < 0:
        return b""
    left = len(lines[begin]) - len(lines[begin].lstrip())
    for line in lines[begin + 1 :]:
        if line.strip() and len(line) - len(line.lstrip()) <= left:
            return line.strip()
    return b""


def telling_line(place: Path, attempt: int, message: str | None = None, signal_number: int | None = None) -> str:
    """Return the message of the end of a failed attempt, else the line of its standard error that says why it failed,
    or else its reason; where that is empty, of its standard output. place: the folder of its task. It may hold control
    characters."""
    if message:
        return message
    line = _said(place, attempt, "stderr") or (PIPE if signal_number == signal.SIGPIPE else "")
    return line or _said(place, attempt, "stdout")


def _said(place: Path, attempt: int, stream: str) -> str:
    """Return the line of a stream's file that says why an attempt failed; empty where it says nothing."""
    for step in _streams(place, attempt, stream):
        try:
            with open(step.open(), "rb") as file:
                size = os.fstat(file.fileno()).st_size
                file.seek(max(0, size - TAIL))
                lines = Text(file.read()).data.split(b"\n")
        except OSError:
            continue
        if size > TAIL and any(line.strip() for line in lines[1:]):
            lines = lines[1:]  # its beginning is not there
        if line := telling(lines):
            return _shortened(line)
    return ""


def _shortened(line: bytes) -> str:
    """Return a line as text, without the end of a very long one; BINARY where it is none."""
    text = line[:MOST].decode("utf-8", "replace")
    if sum(char == "\ufffd" or (char < " " and char not in "\t\x1b") for char in text) > NO_TEXT * len(text):
        return BINARY
    return text.rstrip("\ufffd") + "…" if len(line) > MOST else text


def _streams(place: Path, attempt: int, stream: str) -> list[TaskFile]:
    """The files of an attempt's stream, one for each step, the one written last first."""
    suffix = "" if attempt == 1 else f".{attempt}"
    found = [(name, facts) for name, facts in listed(place) if name.endswith(stream + suffix) and facts.st_size]
    found.sort(key=lambda one: one[1].st_mtime, reverse=True)
    return [TaskFile(str(place), name) for name, _ in found]
