"""An engine process that is started before it is known what for: its imports run while the follower reads and plans.

It waits at its standard input for the path of a lab. Where none comes, because there is nothing to run or the follower
has died, it ends without having touched anything. Imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path


class EarlyEngine:
    def __init__(self) -> None:
        """Raises OSError."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tui_lab.cli.engine"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,  # until it knows the lab, whose log it writes to
            cwd="/",
            env={name: value for name, value in os.environ.items() if not name.startswith("TUI_LAB_")},
            start_new_session=True,
        )

    def serve(self, lab: Path) -> subprocess.Popen[bytes]:
        """Let it serve a lab; the process, as if it had been started for that."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended: its exit status says so
            self._process.stdin.write(os.fsencode(lab))
            self._process.stdin.close()
        return self._process

    def dismiss(self) -> None:
        """It is not needed."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()


def start_early() -> EarlyEngine | None:
    """None where no process can be started: then an engine is started when it is needed, and says why it can't be."""
    try:
        return EarlyEngine()
    except OSError:
        return None


def awaited_lab() -> Path | None:
    """In such a process: the lab that it is to serve, to whose log it then writes; None where it is not needed."""
    name = sys.stdin.buffer.read()
    if not name:
        return None
    from tui_lab.store import layout

    path = Path(os.fsdecode(name))
    with contextlib.suppress(OSError):  # what can't be written to the log can't be served either, and is said then
        log = os.open(path / layout.ENGINE_LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        os.dup2(log, 2)
        os.close(log)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return path
