"""What is shown goes away, can't be read, or comes back: it is said, and no pane keeps what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.tui.app.test_app import shown, toasts
from tests.tui.app.test_other_experiment import text_of
from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.tui.app import watcher
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base.config import CRASH_FILE, state_folder
from tui_lab.tui.panes.tasks.pane import TasksPane

GONE = "the lab is gone: it was moved or deleted"
KEPT = {"3": "grid/0", "4": "importance", "6": "of small", "7": "small#1"}  # what each pane shows of the experiment


@pytest.mark.parametrize("key", KEPT)
async def test_a_lab_that_goes_and_comes_back(key: str, own_lab: Workbench) -> None:
    word = KEPT[key].replace("grid/0", "small/0")
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(320, 40)) as pilot:  # the path of the lab may be long
        await wait_until(pilot, lambda: app.current == "small")
        await pilot.press(f"alt+{key}")
        await wait_until(pilot, lambda: word in text_of(app))
        away = own_lab.lab_path.rename(own_lab.folder / "away")
        await wait_until(pilot, lambda: text_of(app).count("moved or deleted") >= 2 and word not in text_of(app))
        assert app.current == "small"
        away.rename(own_lab.lab_path)
        await wait_until(pilot, lambda: GONE not in text_of(app) and word in text_of(app))


async def test_failures_of_a_lab_that_is_gone(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(240, 40)) as pilot:
        await wait_until(pilot, lambda: "small/0" in text_of(app))
        own_lab.lab_path.rename(own_lab.folder / "away")
        await wait_until(pilot, lambda: GONE in text_of(app))
        await pilot.press("F")
        await wait_until(pilot, lambda: isinstance(app.pane, TasksPane) and app.pane.tasks.is_grouped)
        assert isinstance(app.pane, TasksPane) and GONE in str(app.pane.tasks.groups.placeholder)


async def test_an_experiment_that_vanishes_is_told(own_lab: Workbench) -> None:
    """The one that takes its place is another: keys that change something would act on it."""
    file = own_lab.write("other.yaml", "command: echo {a}\nparameters: {a: [1, 2]}\n")
    own_lab("--run", file)
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(240, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "other")
        (own_lab.lab_path / "other").rename(own_lab.folder / "away")
        await wait_until(pilot, lambda: app.current == "small")
        assert "the experiment other is gone from the lab, or can't be read; this is small" in toasts(app)


@pytest.mark.parametrize("key", ["3", "4", "6"])
async def test_an_experiment_without_a_submission(key: str, own_lab: Workbench) -> None:
    empty = own_lab.lab_path / "empty"
    empty.mkdir()
    (empty / "journal.jsonl").touch()
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(240, 40)) as pilot:
        await wait_until(pilot, lambda: app.current is not None)
        app.current = "small"
        await pilot.press(f"alt+{key}")
        await wait_until(pilot, lambda: KEPT[key].replace("grid", "small") in text_of(app))
        app.current = "empty"
        await wait_until(pilot, lambda: "nothing has been submitted yet" in text_of(app))
        assert "importance" not in text_of(app) and "of small" not in text_of(app)
        await pilot.press("F")
        await wait_until(pilot, lambda: "reading" not in text_of(app))


async def test_what_nobody_foresaw_in_the_watcher_is_said(small_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Any = watcher.Watcher._look

    def broken(self: watcher.Watcher) -> Any:
        raise RuntimeError("brokenonpurpose")

    monkeypatch.setattr(watcher.Watcher, "_look", broken)
    app = LabApp(small_lab)
    async with app.run_test(size=(240, 40)) as pilot:
        await wait_until(pilot, lambda: "brokenonpurpose" in text_of(app))
        assert "RuntimeError: brokenonpurpose" in (state_folder() / CRASH_FILE).read_text()
        monkeypatch.setattr(watcher.Watcher, "_look", real)
        await wait_until(pilot, lambda: app.current == "small" and shown(app) == "tasks")
        assert "brokenonpurpose" not in text_of(app)
