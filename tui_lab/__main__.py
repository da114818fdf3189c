"""`tui-lab`, and `python -m tui_lab`: Ctrl-C ends it without a traceback from the first line to the last.

Until the command runs, and again once it has, nothing would catch a KeyboardInterrupt.
"""

# `signal` itself takes a while, in which a Ctrl-C would be a traceback.
import _signal  # type: ignore[import-not-found]
import os


def _leave(*_: object) -> None:
    os._exit(130)


_heard = _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler  # else it is ignored, as behind `nohup`
if _heard:
    _signal.signal(_signal.SIGINT, _leave)

import gc  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from contextlib import suppress  # noqa: E402
from typing import TYPE_CHECKING  # noqa: E402

# What is imported stays: 100,000 objects and more. To look through it for garbage, again and again, is a tenth of the
# time that it takes.
gc.set_threshold(250_000)

from tui_lab.cli import main as command  # noqa: E402
from tui_lab.cli.commands import COMMANDS, Screen  # noqa: E402
from tui_lab.cli.interrupts import interrupt  # noqa: E402
from tui_lab.client.exit_status import INTERRUPTED  # noqa: E402

if TYPE_CHECKING:
    from pathlib import Path


def _open_screen(lab: "Path", file: "Path | None", place: "tuple[int, int] | None") -> int:
    """Show the screen; what it needs is imported only then."""
    from tui_lab.tui.app.entry import open_screen

    return open_screen(lab, file, _commands, place)


def _serve_screen(lab: "Path", file: "Path | None", place: "tuple[int, int] | None", port: int) -> int:
    """Show the screen in browsers; what that needs is imported only then."""
    from tui_lab.tui.serving.server import serve_screen

    return serve_screen(lab, file, port, _commands(), place)


def _commands() -> "dict[str, str]":
    """Return the subcommands with their help, for the command line of the screen."""
    return {name: one.help for name, one in COMMANDS.members().items()}


def main() -> int:
    """Run the command line of this process; its exit status."""
    status = INTERRUPTED
    try:
        if _heard:
            _signal.signal(_signal.SIGINT, interrupt)
        status = command.main(screen=Screen(_open_screen, _serve_screen))
    except KeyboardInterrupt:
        pass
    finally:
        if _heard:
            _signal.signal(_signal.SIGINT, _leave)
    # To take down Python waits for threads that are in the middle of something, and ends badly in a library's code.
    if status == INTERRUPTED or any(thread.daemon for thread in threading.enumerate()):
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(status)
    return status


if __name__ == "__main__":
    sys.exit(main())
