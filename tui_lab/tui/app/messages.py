"""What the app tells the user: short messages in the corner, and notifications where nobody looks at the screen."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual.app import App
from textual.dom import DOMNode

from tui_lab.tui.base.config import Config, keep_traceback, state_folder
from tui_lab.tui.base.notify import Notifier, notifications
from tui_lab.tui.base.pane import Host, Pane

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from tui_lab.tui.base.snapshot import LabSnapshot

READING: Final[dict[SeverityLevel, float]] = {"information": 1.0, "warning": 1.0, "error": 5.0}
"""Seconds that a short message stays at least, whatever is typed."""


class Messages:
    """Shows messages, each for as long as it takes to read it."""

    def __init__(self, app: App[int], host: Host, config: Config, way: str) -> None:
        """app, host: the same, as Textual and as panes know it. way: how to notify outside of the screen."""
        self._app, self._host, self._bell = app, host, config.bell
        self._paused: tuple[str, float] | None = None
        self.offered: str | None = None
        """The experiment of which a message said, when the last key was pressed, that it goes on by a key."""
        self.notifier = Notifier(way, config.notify_command, os.environ)
        self._read_by: float | None = None  # when those on the screen were there for long enough

    def tell(self, text: str, severity: SeverityLevel) -> None:
        """Show a short message in the corner. Also from a worker's thread."""
        if text:
            self._read_by = max(self._read_by or 0.0, time.monotonic() + READING[severity])
            self._app.notify(text, severity=severity, markup=False)

    def clear_read(self) -> None:
        """Remove short messages once there was time to read them: they cover the pane. For each key, before it acts."""
        paused, now = self._paused, time.monotonic()
        self.offered = paused[0] if paused is not None and now < paused[1] else None
        if self._read_by is not None and time.monotonic() >= self._read_by:
            self._read_by = self._paused = None
            self._app.clear_notifications()

    def news(self, before: LabSnapshot, snapshot: LabSnapshot, launched: Collection[str] = ()) -> Iterator[str]:
        """Tell what has happened between two snapshots. Yield what is to be said outside of the screen, too."""
        for one in notifications(before, snapshot, launched):
            key = f"; {self._host.key('app.pause')} goes on" if one.paused is not None else ""
            self.tell(one.text + key, one.severity)
            if one.paused is not None:
                self._paused = (one.paused, time.monotonic() + self._app.NOTIFICATION_TIMEOUT)
            if self._bell:
                self._app.bell()
            if self.notifier.is_wanted(self._app.app_focus):
                yield one.text

    def write_screenshot(self, folder: Path) -> None:
        """Write a picture of the screen into a folder, or give it to the browser, and say so."""
        if self._app.is_web:
            self._app.deliver_screenshot()
            return
        try:
            self.tell(f"wrote {self._app.save_screenshot(path=str(folder))}", "information")
        except OSError as error:
            self.tell(f"{folder}: {error.strerror}", "error")

    def worker_failed(self, node: DOMNode, error: Exception, trace: str) -> None:
        """Report an unexpected error of a worker, in its pane, too, and keep its traceback."""
        pane = next((one for one in node.ancestors_with_self if isinstance(one, Pane)), None)
        text = f"internal error: {type(error).__name__}: {error}"
        try:
            where = f"; its traceback is in {keep_traceback(trace)}"
        except OSError:
            where = ""
        self.tell(f"{pane.TITLE}: {text}{where}" if pane is not None else f"{text}{where}", "error")
        if pane is not None:
            pane.worker_failed(text)

    def copy(self, text: str, what: str) -> None:
        """Copy a text to the clipboard, also over SSH, and say so. what: its name, as shown."""
        from tui_lab.tui.base import clipboard

        try:
            environment = {} if self._app.is_web else os.environ  # tmux is not where a browser is
            place = clipboard.copy(text, self._app.copy_to_clipboard, state_folder(), environment)
        except OSError as error:
            self.tell(f"could not copy: {error}", "error")
        else:
            self.tell(f"copied {what} {place}".strip(), "information")
