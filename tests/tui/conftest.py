"""Fixtures of the screen's tests: a small lab that really ran, and waiting on conditions."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.css.query import NoMatches
from textual.pilot import Pilot

from tests.workbench import Workbench
from tui_lab.tui.widgets.log import file_threads

# Two parameters, two repeats, one setting that fails, a metric with a goal, and steps in between: 8 tasks.
SMALL = """
command: |
  echo "loss: 0.{x}{repeat}"
  echo "to stderr" >&2
  for s in 1 2 3; do echo "{\\"step\\": $s, \\"error\\": $s.5}" >>"$TUI_LAB_METRICS"; done
  [ {x}{kind} != 3b ] || { echo "no such kind" >&2; exit 3; }
  echo "score: {x}.5"
parameters:
  x: [1, 3]
  kind: [a, b]
repeat: 2
metrics:
  score: {pattern: 'score: (@float@)', goal: max}
  loss: 'loss: (@float@)'
"""


async def wait_until(pilot: Pilot[Any], condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Let the app work until something holds, and return it; fail after a deadline."""
    deadline = time.monotonic() + seconds
    await pilot.pause()
    while True:
        try:
            if found := condition():
                return found
        except (AttributeError, LookupError, NoMatches):  # what is not there yet
            pass
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        await pilot.pause(0.01)  # without a time it waits until all threads are idle, which may be a second


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a file answers is on the screen at once, also on a busy machine."""
    monkeypatch.setattr(file_threads, "PATIENCE", 5.0)


@pytest.fixture
def no_cursor_blink(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots must not depend on the moment."""
    from textual.widgets import Input, TextArea

    monkeypatch.setattr(TextArea, "cursor_blink", False, raising=False)
    monkeypatch.setattr(Input, "cursor_blink", False, raising=False)


@pytest.fixture(scope="session")
def small_workbench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A lab with one experiment, `small`, that has run: 8 tasks, 6 done and 2 failed. Only to read from."""
    workbench = Workbench(tmp_path_factory.mktemp("small"))
    try:
        file = workbench.write("small.yaml", SMALL)
        workbench("--run", file, "--node", "localhost", 2, code=1)
        yield workbench
    finally:
        workbench.close()


@pytest.fixture(scope="session")
def small_lab(small_workbench: Workbench) -> Path:
    """The path of that lab."""
    return small_workbench.lab_path


@pytest.fixture
def own_lab(small_workbench: Workbench, tmp_path: Path) -> Iterator[Workbench]:
    """A copy of the small lab, to work in. Engines that it starts end with the test."""
    workbench = Workbench(tmp_path / "own")
    workbench.folder.mkdir()
    shutil.copy(small_workbench.folder / "small.yaml", workbench.folder)
    shutil.copytree(small_workbench.lab_path, workbench.lab_path)
    for left in ("engine.json", "engine.owner"):
        (workbench.lab_path / left).unlink(missing_ok=True)
    try:
        yield workbench
    finally:
        workbench.close()


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own configuration and layout touch the tests."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("COLORTERM", "truecolor")  # the theme depends on the colours that a terminal shows
