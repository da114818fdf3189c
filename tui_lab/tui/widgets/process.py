"""A process beside the screen, with its output in a panel while it comes: a task that is tried, or a command."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.timer import Timer

from tui_lab.store.mirrors import Running
from tui_lab.store.task_files import TaskFile
from tui_lab.tui.base.formatting import STATE_STYLES, mark, span_words
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.widgets.log.document import Document, Part
from tui_lab.tui.widgets.log.local_file import LocalFile
from tui_lab.tui.widgets.log.view import LogView
from tui_lab.tui.widgets.panels.panel import Panel

LOOK: Final = 0.1  # seconds between looks at the process and its output
OUTPUT: Final = "output"
_STOPPED: Final = 130  # exit statuses of the process
_ENDED: Final = {
    0: ("done", "done"),
    1: ("failed", "failed"),
    _STOPPED: ("stopped", "stopped"),
    -signal.SIGTERM: ("stopped", "stopped"),
    -signal.SIGKILL: ("stopped", "killed"),
}


@dataclass(frozen=True)
class Program:
    """What to run. title: in the border. start: starts it, given a file for its output, and how wide that is shown.
    tied: it ends what it has started by itself, so that it is never killed."""

    title: str
    start: Callable[[Path, int], Running]
    tied: bool = False


class ProcessHere:
    """A process of this machine (see `mirrors.Running`). tied: it ends when its standard input is closed, which is open
    until then."""

    def __init__(
        self, words: Sequence[str], environment: Mapping[str, str], tied: bool, output: Path, columns: int
    ) -> None:
        self._tied = tied
        with output.open("ab") as file:
            self._process = subprocess.Popen(
                words,
                env={**environment, "COLUMNS": str(columns), "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE if tied else subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """Return its exit status, below 0 for a signal; None while it runs."""
        return self._process.poll()

    def end(self, *, kill: bool = False) -> None:
        """Send a signal: a task that is tried is ended by its process, a command with all that it started."""
        number = signal.SIGKILL if kill else signal.SIGTERM
        with suppress(OSError):
            if self._tied:
                self._process.send_signal(number)
            else:
                os.killpg(self._process.pid, number)

    def close(self) -> None:
        """End it, where it still runs."""
        if self._process.stdin is not None:
            with suppress(OSError):
                self._process.stdin.close()
        elif self._process.returncode is None:
            self.end()


class ProcessPanel(Panel):
    """Shows one program at a time. It has the focus from its start: `escape` stops what runs, and closes the rest."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,ctrl+c", "leave", "Stop or close")]
    DEFAULT_CSS = """
    ProcessPanel { height: 45%; min-height: 6; }
    """

    class Closed(Message):
        """The user has closed the panel."""

    def __init__(self, program: Program) -> None:
        super().__init__(id="process")
        self.program = program
        self._view = LogView(id="process-output")
        self._began = time.monotonic()
        self._seconds = 0.0
        self._stopping = False
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        yield self._view

    def on_mount(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tui-lab-process-")
        output = Path(self._folder.name) / OUTPUT
        output.touch()
        self._process = self.program.start(output, max(40, self.app.size.width - 6))
        self._code: int | None = None
        self._file = LocalFile(TaskFile(self._folder.name, OUTPUT), lambda: self.call_later(self._came))
        ascii_only = host_of(self).config.ascii
        self._view.open(Document((Part(OUTPUT, self._file),), ascii_only), note="it has printed nothing yet")
        self._view.follow = True
        self._view.focus()
        self._timer = self.set_interval(LOOK, self._look)
        self._say()

    def on_unmount(self) -> None:
        """End what still runs: it was for this screen."""
        self._process.close()
        self._file.close()
        self._folder.cleanup()

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._code is None

    @property
    def text(self) -> str:
        """The output so far."""
        return self._view.text

    def _look(self) -> None:
        self._code = self._process.poll()
        self._seconds = time.monotonic() - self._began
        if self._file.refresh():
            self._view.grown()
        if not self.running:
            self._view.note = "it printed nothing"
            self._view.changed()
            if self._timer is not None:
                self._timer.stop()
        self._say()

    def _came(self) -> None:
        if self._file.take_in():
            self._view.grown()
        self._view.came()

    def _say(self) -> None:
        code = self._code
        state, word = (
            ("running", "running") if code is None else _ENDED.get(code, ("failed", f"failed, exit status {code}"))
        )
        if self.running and self._stopping:
            word = "stopping"
        line = f"{mark(state, self._view.document.ascii)} {word}  {span_words(self._seconds)}"
        self.set_title(Content.assemble(Content(self.program.title), "  ", (line, STATE_STYLES[state])))
        leaving = ("esc kills it" if self._stopping else "esc stops it") if self.running else "esc closes"
        self.set_subtitle(f"{leaving}, tab leads away, f follows, w wraps")

    def action_leave(self) -> None:
        """Stop what runs, kill what is being stopped, close what has ended."""
        if not self.running:
            self.post_message(self.Closed())
        elif self._stopping and not self.program.tied:
            self._process.end(kill=True)
        else:
            self._process.end()
            self._stopping = True
            self._say()
