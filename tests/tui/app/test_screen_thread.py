"""What the screen's thread never does: a lab may lie on a network file system that hangs; keys are answered."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.tui.app.test_app import opened, shown
from tests.tui.app.test_bursts import rested
from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base import panes

FILES: Final = {"open", "os.listdir", "os.scandir", "os.mkdir", "os.rename", "os.remove"}
ALWAYS: Final = {"subprocess.Popen", "os.posix_spawn", "socket.connect"}
ALLOWED: Final = {
    "tui/widgets/log/local_file.py:_open": "the log reads the lines that it shows where it draws them: a part of a "
    "file, never a whole one. It opens a file for that once, when its task is shown"
}
"""Functions that may, and why."""


class Watch:
    """What the thread that made it opens below a folder, lists, starts and connects to, with the way there."""

    def __init__(self, folder: Path) -> None:
        self.thread, self.folder = threading.get_ident(), f"{folder}/"
        self.seen: dict[tuple[str, ...], str] = {}

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if threading.get_ident() != self.thread:
            return
        what = os.fsdecode(args[0]) if args and isinstance(args[0], str | bytes | os.PathLike) else ""
        if event in ALWAYS or (event in FILES and f"{what}/".startswith(self.folder)):
            way = [one for one in traceback.extract_stack(sys._getframe(2)) if "/tui_lab/" in one.filename]
            names = tuple(f"{one.filename.rpartition('/tui_lab/')[2]}:{one.name}" for one in way)
            if not set(names) & ALLOWED.keys():
                self.seen[names] = f"{event} {what.removeprefix(self.folder)}"


_watch: Watch | None = None
_hooked = False


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if _watch is not None and (event in FILES or event in ALWAYS):
        _watch.hear(event, args)


@contextmanager
def watched(folder: Path) -> Iterator[Watch]:
    """A hook can't be taken away: it does nothing but here."""
    global _watch, _hooked
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked = True
    _watch = Watch(folder)
    try:
        yield _watch
    finally:
        _watch = None


@pytest.mark.slow
async def test_no_pane_reads_the_lab_on_the_screens_thread(own_lab: Workbench) -> None:
    own_lab.write(
        "long.yaml",
        """
        command: "echo begun; echo 'loss: 0.{x}'; [ {x} = 1 ] || sleep 600"
        parameters: {x: [1, 2, 3]}
        metrics: {loss: {pattern: 'loss: (@float@)', goal: min}}
        """,
    )
    own_lab.run("long.yaml", "--node", "localhost", "1", "--detach")
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.current == "long")
        app.show_pane("tasks")
        await opened(app, pilot)
        await rested(app, pilot, 0.1)
        with watched(own_lab.lab_path) as watch:
            with open(own_lab.lab_path / "lab.json", encoding="utf-8"):
                assert watch.seen.popitem()  # it hears
            for name in ("tasks", *panes.NAMES):
                await pilot.press(f"alt+{panes.NAMES.index(name)}")
                await wait_until(pilot, lambda: shown(app) == name)
                await rested(app, pilot, 0.3)
                await pilot.press("escape", "j")
                await rested(app, pilot, 0.3)
        assert not watch.seen, "\n\n".join(f"{what}\n  " + "\n  ".join(way) for way, what in watch.seen.items())
