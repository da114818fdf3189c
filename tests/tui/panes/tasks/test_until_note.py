"""A condition of `until` that can't become true is told on the screen, too: during the run, and with its results."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static

from tests.tui.app.test_app import toasts
from tests.tui.app.test_other_experiment import text_of
from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.store.checkpoint import write
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.frame.notice import Notice

TEXT = """
command: |
  [ {repeat} -lt 2 ] || f=2
  until [ -e go$f ]; do sleep 0.05; done
  echo loss=-{a}.{repeat}
parameters: {a: [1, 2]}
repeat: {min: 2, max: 4, until: 'ci95(loss) < 0.1 * mean(loss)'}
metrics: {loss: 'loss=(@float@)'}
"""
HOPELESS = "until: ci95(loss) < 0.1 * mean(loss) can't become true of 2 of 2 settings"


@pytest.mark.slow
async def test_it_is_told_at_the_first_extension(workbench: Workbench) -> None:
    file: Path = workbench.write("grid.yaml", TEXT)
    workbench("--run", file, "--detach")
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(150, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "grid" and "going" in text_of(app))
        assert "can't become true" not in text_of(app)
        (workbench.folder / "go").touch()
        await wait_until(pilot, lambda: any(f"grid: {HOPELESS}" in one for one in toasts(app)))
        assert HOPELESS in str(app.query_one(Notice).render())

    # Whoever comes later sees it, too, from a checkpoint as from the journal.
    folder = workbench.experiment("grid")
    write(folder.state(), folder.path)
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(150, 40)) as pilot:
        await wait_until(pilot, lambda: HOPELESS in str(app.query_one(Notice).render()))
        assert not toasts(app)
        (workbench.folder / "go2").touch()
        await wait_until(pilot, lambda: any("grid has ended" in one for one in toasts(app)))
        await wait_until(pilot, lambda: not app.query_one(Notice).has_class("shown"))
        await pilot.press("4")
        notes = await wait_until(pilot, lambda: app.query_one("#results-notes", Static))
        await wait_until(pilot, lambda: "is not true of 2 of 2 settings after all 4 repeats" in str(notes.render()))
