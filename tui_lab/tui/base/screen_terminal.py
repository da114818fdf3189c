"""The terminal that shows the screen: what it can show, what is written past Textual, and lending it to others."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from rich.segment import Segment
from textual.app import App
from textual.color import Color
from textual.filter import LineFilter

from tui_lab.results.terminal import glyphs
from tui_lab.tui.base.questions import Questions


class PlainSigns(LineFilter):
    """Replaces signs by ASCII in all lines that are painted, ours and Textual's, so that no pane needs to."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if all(segment.text.isascii() for segment in segments):
            return segments
        return [Segment(glyphs.plain(text), style, control) for text, style, control in segments]


class ScreenTerminal:
    """The terminal of an app. ascii: it shows no other signs. write: writes to it between what is painted."""

    def __init__(self, app: App[int], ascii: bool, write: Callable[[str], None]) -> None:
        self._app, self._ascii, self._write = app, ascii, write
        self.questions = Questions(app, write)
        self.filters: Sequence[LineFilter] = (PlainSigns(),) if ascii else ()

    @property
    def is_plain(self) -> bool:
        """Whether the screen is shown without colours or other signs than ASCII, or by no terminal."""
        return self._ascii or "NO_COLOR" in os.environ or self._app.is_web

    @property
    def shows_all_colours(self) -> bool:
        """Whether what is painted reaches the terminal with its colours unchanged."""
        return not self.is_plain and self._app.console.color_system == "truecolor"

    @contextmanager
    def lent(self) -> Iterator[None]:
        r"""Lend the terminal to another program. What was typed meanwhile and is left unread was not meant for the
        screen, and is dropped; nor were ctrl+c and ctrl+\ meant for it. Only in the main thread.

        Raises SuspendNotSupported.
        """
        with self._app.suspend(), _signals_ignored(signal.SIGINT, signal.SIGQUIT):
            try:
                yield
            finally:
                _drop_typed()

    def redraw(self) -> None:
        """Paint the whole screen: Textual paints only what it knows to have changed."""
        self._write("\x1b[2J")
        self._app.screen.refresh(layout=True)


@contextmanager
def _signals_ignored(*numbers: signal.Signals) -> Iterator[None]:
    """Do nothing at some signals. Programs that are started meanwhile get them, which SIG_IGN would prevent."""
    before = [(number, signal.signal(number, lambda *_: None)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def _drop_typed() -> None:
    """Forget typed keys that were not read yet."""
    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
