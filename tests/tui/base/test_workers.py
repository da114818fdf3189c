"""What nobody foresaw in a worker reaches the person, in every pane; the screen goes on."""

from __future__ import annotations

import ast
import asyncio
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.app import App

import tui_lab.tui
from tests.tui.conftest import wait_until
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base.workers import REPLACED, Threads, deliver, keep_promises, promised, work

# Where a pane's worker gets what it waits for.
SOURCES = {
    "tasks": "tasks.model.shown",
    "results": "results.pane.make_view",
    "history": "history.pane.submissions",
    "chart": "chart.pane.read",
    "query": "query.schema.tables",
    "experiment": "experiment.pane.check",
}


class UnforeseenError(Exception):
    """Caught by its own name nowhere."""


@pytest.mark.parametrize("pane", SOURCES)
async def test_it_is_shown(pane: str, small_lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def broken(*given: Any, **more: Any) -> None:
        raise UnforeseenError("brokenonpurpose")

    monkeypatch.setattr(f"tui_lab.tui.panes.{SOURCES[pane]}", broken)
    told: list[str] = []
    monkeypatch.setattr(LabApp, "notify", lambda self, message, **more: told.append(message))
    app = LabApp(small_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.current is not None)
        if pane == "experiment":
            app.open_file(small_lab.parent / "small.yaml")
        else:
            app.show_pane(pane)
        await wait_until(pilot, lambda: "brokenonpurpose" in app.export_screenshot() + "".join(told))
        app.show_pane("nodes")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "nodes")
    if pane in ("tasks", "results", "history", "experiment"):
        kept = (tmp_path / "tui-lab" / "crash.log").read_text()
        assert "Traceback" in kept and "UnforeseenError: brokenonpurpose" in kept


def test_no_other_workers_are_used() -> None:
    """Textual's own end the screen, or nothing at all."""
    for path in Path(tui_lab.tui.__file__).parent.rglob("*.py"):
        if path.name == "workers.py":
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.ImportFrom) and node.module == "textual":
                assert "work" not in [alias.name for alias in node.names], path
            assert not (isinstance(node, ast.Attribute) and node.attr == "run_worker"), path


def test_the_end_does_not_wait_for_readers() -> None:
    going, enough = threading.Event(), threading.Event()

    def read() -> None:
        going.set()
        enough.wait()

    async def screen() -> None:
        asyncio.get_running_loop().set_default_executor(Threads())
        reading = asyncio.create_task(asyncio.to_thread(read))
        while not going.is_set():
            await asyncio.sleep(0.01)
        reading.cancel()

    try:
        asyncio.run(screen())  # it returns though nobody lets the reader go
    finally:
        enough.set()


def test_the_end_waits_for_what_is_promised() -> None:
    going, written = threading.Event(), threading.Event()

    def write() -> None:
        with promised():
            going.set()
            time.sleep(0.3)
            written.set()

    threading.Thread(target=write).start()
    assert going.wait(20)
    keep_promises()
    assert written.is_set()
    keep_promises()


class Readers(App[None]):
    """Its workers wait until the test lets them go."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = [threading.Event() for _ in range(6)]
        self.begun: list[int] = []
        self.taken: list[int] = []
        self.ended: list[int] = []

    @work(thread=True, exclusive=True, group="read")
    def read(self, number: int) -> None:
        self.begun.append(number)
        self.gates[number].wait()
        deliver(self, self.taken.append, number)
        self.ended.append(number)


async def test_of_two_threads_the_newer_one_counts() -> None:
    """Also where the older one takes longer."""
    app = Readers()
    async with app.run_test() as pilot:
        for number in (0, 1):
            app.read(number)
            await wait_until(pilot, partial(app.begun.__contains__, number))
        for number in (1, 0):
            app.gates[number].set()
            await wait_until(pilot, partial(app.ended.__contains__, number))
        assert app.taken == [1]


async def test_threads_that_read_without_an_end_do_not_pile_up() -> None:
    app = Readers()
    async with app.run_test() as pilot:
        for number in range(REPLACED):
            app.read(number)
            await wait_until(pilot, partial(app.begun.__contains__, number))
        for number in range(REPLACED, 6):
            app.read(number)
        app.gates[0].set()
        await wait_until(pilot, partial(app.begun.__contains__, 5))
        assert app.begun == [*range(REPLACED), 5]  # the newest, when one of those before has ended
        for gate in app.gates:
            gate.set()
        await wait_until(pilot, lambda: app.taken == [5])
