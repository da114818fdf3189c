"""From the command line to the screen, and back."""

from __future__ import annotations

import asyncio
import io
import os
import select
import signal
import string
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from tui_lab.client.errors import UsageError
from tui_lab.client.exit_status import DONE, INFRASTRUCTURE, INTERRUPTED
from tui_lab.results.terminal import glyphs

if TYPE_CHECKING:
    from textual.driver import Driver

    from tui_lab.tui.app.app import LabApp


# --- Ends from outside: the terminal goes away, or a signal comes
GRACE: Final = 3.0  # seconds for leaving in order; writing to a terminal that is gone may block
_FRAMES: Final = "TEXTUAL_FPS"
_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)


class Hangup:
    """Calls `leave` once, in a thread, when the terminal is gone; ends the process if that takes longer than GRACE."""

    def __init__(self, leave: Callable[[], object]) -> None:
        self.status: int | None = None  # the exit status from the moment on at which the end was asked for
        self._leave = leave

    def watch(self, terminal: int) -> None:
        """Leave as soon as the other side of a terminal is closed, or a signal asks for it. Only in the main thread.

        A terminal mostly tells its end by a signal; where none comes, reading would give nothing again and again.
        """
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, lambda number, _: self._begin(128 + number))
        threading.Thread(target=self._wait, args=(terminal,), name="hangup", daemon=True).start()

    def _wait(self, terminal: int) -> None:
        poll = select.poll()
        poll.register(terminal, 0)  # only its end, never its input
        while not any(what & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, what in poll.poll()):
            pass
        self._begin(0)

    def _begin(self, status: int) -> None:
        if self.status is not None:
            return
        self.status = status
        end = threading.Timer(GRACE, os._exit, (status,))
        end.daemon = True
        end.start()
        threading.Thread(target=self._leave, name="leave", daemon=True).start()


class EarlyKeys:
    """Keys that are typed before the screen reads them. Until then a terminal takes lines, and some keys, such as
    ctrl+r, for itself: from here on it keeps all for the screen, but for ctrl+c."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._before: list[Any] | None = None  # how the terminal was

    def take(self) -> None:
        """Let the terminal keep what is typed."""
        with suppress(termios.error):
            self._before = termios.tcgetattr(self._terminal)
            now = termios.tcgetattr(self._terminal)
            now[0] &= ~(termios.IXON | termios.IXOFF | termios.ICRNL | termios.INLCR | termios.IGNCR)
            now[3] &= ~(termios.ECHO | termios.ICANON | termios.IEXTEN)
            termios.tcsetattr(self._terminal, termios.TCSANOW, now)

    def give_back(self) -> None:
        """Make the terminal what it was."""
        if (before := self.hand_over()) is not None:
            with suppress(termios.error):
                termios.tcsetattr(self._terminal, termios.TCSANOW, before)

    def hand_over(self) -> list[Any] | None:
        """Return how the terminal was, for who gives it back now; None where that was done."""
        before, self._before = self._before, None
        return before

    def driver(self) -> type[Driver] | None:
        """Return a driver of Textual that gives the terminal back at its end as it was; None for its own choice."""
        from textual.drivers.linux_driver import LinuxDriver

        early = self

        class ScreenDriver(LinuxDriver):
            def start_application_mode(self) -> None:
                super().start_application_mode()  # type: ignore[no-untyped-call]
                self.attrs_before = early.hand_over() or self.attrs_before

        return None if "TEXTUAL_DRIVER" in os.environ else ScreenDriver


def open_screen(
    lab: Path, file: Path | None, commands: Callable[[], Mapping[str, str]], place: tuple[int, int] | None = None
) -> int:
    """Show the screen until the user leaves it; its exit status. commands, place: see `LabApp`. Raises UsageError for a
    bad configuration.

    A lab that is there must be one that can be read: LabError otherwise.
    """
    if not sys.stdin.isatty() or not sys.stdout.isatty() or os.environ.get("TERM", "dumb") in ("", "dumb", "unknown"):
        raise UsageError("the screen needs a terminal; without one use --run, status, query: see tui-lab --help")
    if isinstance(sys.__stderr__, io.TextIOWrapper):  # there Textual paints; an escape would be wider than its letter
        sys.__stderr__.reconfigure(errors=glyphs.FITTED_ERRORS)
    keys = EarlyKeys(sys.stdin.fileno())
    keys.take()
    try:
        return _show(lab, file, commands, ascii=not glyphs.shows_signs(sys.stdout), place=place, keys=keys)
    finally:
        keys.give_back()


def open_in_browser(
    lab: Path,
    file: Path | None,
    commands: Mapping[str, str],
    driver: type[Driver],
    size: tuple[int, int],
    place: tuple[int, int] | None = None,
) -> int:
    """Show the screen in a tab of a browser, to which standard input and output lead; see `open_screen`. size: columns
    and rows at first."""
    return _show(lab, file, lambda: commands, ascii=False, driver=driver, size=size, place=place)


def _show(
    lab: Path,
    file: Path | None,
    commands: Callable[[], Mapping[str, str]],
    *,
    ascii: bool,
    driver: type[Driver] | None = None,
    size: tuple[int, int] | None = None,
    place: tuple[int, int] | None = None,
    keys: EarlyKeys | None = None,
) -> int:
    """Show the screen. driver, size: those of a browser; keys: those of a terminal."""
    from rich.console import Console

    from tui_lab.store import layout

    with _more_frames():
        from tui_lab.tui.app.app import LabApp
    from tui_lab.tui.base.collector import begin
    from tui_lab.tui.base.config import config_file, read_config
    from tui_lab.tui.base.workers import keep_promises

    begin()
    _tell_alt()
    config = read_config(config_file(), ascii=ascii)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # for which asyncio has one of its own
    runs = (lab / layout.ENGINE_FILE).exists()  # something does, or did until its engine died
    first = "dashboard" if runs else None
    if keys is not None:
        driver = keys.driver()
    app = LabApp(lab, file=file, place=place, config=config, first=first, driver_class=driver, commands=commands)
    said = io.StringIO()
    app.error_console = Console(file=said, width=120)
    hangup = Hangup(app.hung_up)
    hangup.watch(sys.stdin.fileno())
    status = asyncio.run(_run(app, size))
    keep_promises()
    if keys is not None:
        keys.give_back()  # if the screen ended before it began
    if hangup.status is not None or status == DONE:
        _end(hangup.status or DONE)
    if app.return_code:
        return _crashed(said.getvalue())
    return status if status is not None else INTERRUPTED


@contextmanager
def _more_frames() -> Iterator[None]:
    """Let Textual, which is imported meanwhile, paint 120 times a second at most: with 60, a key that comes just after
    a frame waits for two more. What the screen starts does not get the variable."""
    if _FRAMES in os.environ:
        yield
        return
    os.environ[_FRAMES] = "120"
    try:
        yield
    finally:
        del os.environ[_FRAMES]


async def _run(app: LabApp, size: tuple[int, int] | None) -> int | None:
    from tui_lab.tui.base.workers import Threads

    asyncio.get_running_loop().set_default_executor(Threads())
    return await app.run_async(size=size)


def _end(status: int) -> NoReturn:
    """Return to the shell at once: ending Python with all its modules takes half a second, and threads may be left
    whose reads are not needed. Everything is written by now."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def _tell_alt() -> None:
    """Let alt with a digit or a small letter be a key at once.

    Most terminals send it as escape and the character. Textual takes some of these for what one terminal of macOS sends
    for the letters on these keys (alt+3 would be a pound sign), and with the others it waits whether there is more: a
    key that comes within a tenth of a second makes two characters of it. There is no public way to tell it otherwise.
    """
    with suppress(ImportError, AttributeError):
        from textual._ansi_sequences import ANSI_SEQUENCES_KEYS

        sequences = cast("dict[str, object]", ANSI_SEQUENCES_KEYS)
        for character in string.digits + string.ascii_lowercase:
            known = sequences.get(f"\x1b{character}")
            if not isinstance(known, tuple):
                sequences[f"\x1b{character}"] = (SimpleNamespace(value=f"alt+{character}"),)


def _crashed(text: str) -> int:
    """Report a bug of the screen. First of all, that the run goes on."""
    from tui_lab.tui.base.config import keep_traceback

    try:
        where = f"its traceback is in {keep_traceback(text)}"
    except OSError:
        where = "its traceback could not be written"
    print("tui-lab: the screen ended because of a bug; the run goes on: tui-lab status", file=sys.stderr)
    print(f"Report it; {where}", file=sys.stderr)
    return INFRASTRUCTURE
