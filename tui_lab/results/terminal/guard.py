"""The one place through which this program writes to a terminal: what came from outside can't touch it.

Names of files, words of nodes and of programs, and values may hold anything: escape sequences that clear the screen,
set a title or type an answer, and characters that turn the order of the letters around. Where standard output or
standard error is a terminal, `guard_streams` puts a stream in its place that lets no such character through. The
colours and movements that are our own go through `own(stream)`, and tables through `console`. A pipe or a file gets
every byte as it is.
"""

from __future__ import annotations

import io
import os
import re
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

from tui_lab.results.terminal import glyphs

if TYPE_CHECKING:
    from rich.console import Console

# C0 but newline and tab, DEL, C1, and the controls of direction.
_TOUCHES: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def neutral(text: str) -> str:
    r"""A text with the characters that would do something to a terminal written as escapes, as in `\x1b`."""
    return _TOUCHES.sub(lambda match: _escape(match[0]), text) if _TOUCHES.search(text) else text


def visible(text: str) -> str:
    """A text in one line: neutral, and whatever else can't be seen is written as an escape, too."""
    return text if text.isprintable() else "".join(c if c.isprintable() else _escape(c) for c in text)


def replaced(text: str) -> str:
    """A text in one line and of the same length: whatever can't be seen is the replacement character."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _escape(character: str) -> str:
    return repr(character)[1:-1]


class Guarded(io.TextIOWrapper):
    """A stream that writes neutral text only to a terminal, and ASCII for our signs where they can't be shown.
    lenient: what can't be written, as on a full disk, is lost, for messages must not keep work from being done."""

    def __init__(self, below: TextIO, *, lenient: bool) -> None:
        super().__init__(below.buffer, below.encoding, glyphs.ERRORS, line_buffering=lenient or below.isatty())
        self._neutral = below.isatty()
        self._plain = below.isatty() and not glyphs.shows_signs(below)
        self._lenient = lenient

    def write(self, text: str) -> int:
        """Write text, with control characters as escapes where the stream is a terminal."""
        return self.write_own(neutral(text) if self._neutral else text)

    def write_own(self, text: str) -> int:
        """Write a text that holds control characters of our own, and nothing from outside."""
        try:
            return super().write(glyphs.plain(text) if self._plain else text)
        except OSError:
            if not self._lenient:
                raise
            return len(text)

    def close(self) -> None:
        """The stream below is not ours to close."""
        self.flush()

    def flush(self) -> None:
        """Flush the stream; where it is lenient, a full disk is ignored."""
        try:
            super().flush()
        except OSError:
            if not self._lenient:
                raise


class _Own:
    """The way past the guard of a stream."""

    def __init__(self, stream: Guarded) -> None:
        self._stream = stream
        self.write = stream.write_own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def own(stream: TextIO) -> TextIO:
    """A stream for text whose control characters are our own."""
    return _Own(stream) if isinstance(stream, Guarded) else stream  # type: ignore[return-value]


def guard_streams() -> None:
    """Put the guard before standard output and standard error. Every text can be printed, whatever the terminal's
    encoding; a stream that is closed takes all and shows nothing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (it lives as long as the process)
        elif isinstance(stream, io.TextIOWrapper) and not isinstance(stream, Guarded):
            with suppress(OSError):
                stream.flush()
            setattr(sys, name, Guarded(stream, lenient=name == "stderr"))


def console(stream: TextIO | None = None, *, stderr: bool = False, **options: Any) -> Console:
    """Rich's console on a stream, by default standard output; on a terminal all text in it is neutral."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment

    class Neutral(Console):
        def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                if segment.control or not _TOUCHES.search(segment.text):
                    yield segment
                else:
                    yield Segment(neutral(segment.text), segment.style)

    target = stream or (sys.stderr if stderr else sys.stdout)
    made = Neutral if target.isatty() else Console
    return made(file=own(target), **options)
