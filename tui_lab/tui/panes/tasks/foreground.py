"""A task run in the foreground: in a process beside the screen, with its output in a panel."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_lab.store.task_files import TaskFile
from tui_lab.tui.base.formatting import STATE_STYLES, mark, span_words
from tui_lab.tui.widgets.log.document import Document, Part
from tui_lab.tui.widgets.log.local_file import LocalFile
from tui_lab.tui.widgets.log.view import LogView

LOOK: Final = 0.1  # seconds between looks at the process and its output
OUTPUT: Final = "output"
_STOPPED: Final = 130  # exit statuses of the process
_ENDED: Final = {0: ("done", "done"), 1: ("failed", "failed"), _STOPPED: ("stopped", "stopped")}


class TaskTry(ModalScreen[None]):
    """words: the lab's path, experiment, task, as `tui_lab.client.foreground` takes them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+c", "leave", "Stop"),
        Binding("q", "close", show=False),
    ]
    DEFAULT_CSS = """
    TaskTry {
        align: center middle;
        & > #try {
            width: 94%; height: 90%; background: $surface; border: round $primary;
            border-title-color: $text-primary; border-title-style: bold; border-subtitle-color: $text-muted;
        }
        #try-state { height: 1; padding: 0 1; background: $panel; }
    }
    """

    def __init__(self, name: str, words: Sequence[str], environment: Mapping[str, str]) -> None:
        super().__init__()
        self._heading = f"Try {name}"
        self._words, self._environment = tuple(words), dict(environment)
        self._view = LogView(id="try-output")
        self._began = time.monotonic()
        self._seconds = 0.0
        self._stopping = False

    def compose(self) -> ComposeResult:
        with Vertical(id="try") as box:
            box.border_title = Content(self._heading)
            yield Static(id="try-state")
            yield self._view

    def on_mount(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="tui-lab-try-")
        with (Path(self._folder.name) / OUTPUT).open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tui_lab.client.foreground", *self._words],
                env=self._environment,
                stdin=subprocess.PIPE,  # it ends where this ends
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._file = LocalFile(TaskFile(self._folder.name, OUTPUT))
        ascii_only = cast("Any", self.app).config.ascii
        self._view.open(Document((Part(OUTPUT, self._file),), ascii_only), note="it has printed nothing yet")
        self._view.follow = True
        self._view.focus()
        self.set_interval(LOOK, self._look)
        self._say()

    def on_unmount(self) -> None:
        """Close the input of the process, which ends it."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        self._file.close()
        self._folder.cleanup()

    @property
    def running(self) -> bool:
        """Whether the process of the task has not ended."""
        return self._process.returncode is None

    def _look(self) -> None:
        if not self.running:
            return
        self._process.poll()
        self._seconds = time.monotonic() - self._began
        if self._file.refresh():
            self._view.grown()
        if not self.running:
            self._view.note = "it printed nothing"
            self._view.changed()
        self._say()

    def _say(self) -> None:
        code = self._process.returncode
        state, word = ("running", "running") if code is None else _ENDED.get(code, ("failed", "it could not be run"))
        if self.running and self._stopping:
            word = "stopping"
        line = f"{mark(state, self._view.document.ascii)} {word}  {span_words(self._seconds)}"
        self.query_one("#try-state", Static).update(Content.styled(line, STATE_STYLES[state]), layout=False)
        leaving = ("esc kills it" if self._stopping else "esc stops it") if self.running else "esc closes"
        self.query_one("#try").border_subtitle = f"{leaving}, f follows, w wraps"

    def action_leave(self) -> None:
        """Stop what runs, kill what is being stopped, close what has ended."""
        if not self.running:
            self.dismiss(None)
            return
        self._process.terminate()
        self._stopping = True
        self._say()

    def action_close(self) -> None:
        if not self.running:
            self.dismiss(None)
