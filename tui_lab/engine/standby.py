"""An engine process that is started before there is anything to run: its imports run while the client plans.

It waits at its standard input. If that ends without a command, because there is nothing to run or the client has died,
it ends without having touched anything. Imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

WAIT: Final = "--wait"
SSH: Final = "--ssh"  # what takes a while to import for machines reached by SSH is needed, too


class StandbyEngine:
    """An engine process that is started ahead of time, while the submission is still being prepared."""

    def __init__(self, lab: Path, *, ssh: bool = False) -> None:
        """lab: the absolute path of a lab, which need not be there yet. Raises OSError."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tui_lab.client.engine", str(lab), WAIT, *([SSH] if ssh else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # until it writes to the log of the lab
            cwd="/",
            env={name: value for name, value in os.environ.items() if not name.startswith("TUI_LAB_")},
            start_new_session=True,
        )

    def serve(self) -> subprocess.Popen[bytes]:
        """Let it serve its lab; return the process, as if it had been started just now."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: its exit status says so
            self._process.stdin.write(b"serve")
            self._process.stdin.close()
        return self._process

    def dismiss(self) -> None:
        """Let it end: it is not needed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()


def start_standby(lab: Path, *, ssh: bool = False) -> StandbyEngine | None:
    """Return None where no process can be started: then an engine is started when it is needed, and reports why not.
    ssh: there will be machines to be reached by SSH."""
    try:
        return StandbyEngine(lab, ssh=ssh)
    except OSError:
        return None


def wait_for_start(lab: Path) -> bool:
    """Wait for the client's command; return whether it came. From then on, standard error is the lab's log."""
    if not sys.stdin.buffer.read():
        return False
    from tui_lab.store import layout

    with contextlib.suppress(OSError):  # an unwritable log is reported when it is needed
        log = os.open(lab / layout.ENGINE_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.dup2(log, 2)
        os.close(log)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return True
