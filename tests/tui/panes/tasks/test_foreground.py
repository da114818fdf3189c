"""A task tried on the screen: the way of every task, its output in a panel, while all else can be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.panes.tasks.test_pane import Screen, screen
from tests.workbench import Workbench, alive, until
from tui_lab.tui.widgets.dialogs import Confirm
from tui_lab.tui.widgets.process import ProcessPanel

STEPS = """
command: |
  echo "x is {{x}}, on $TUI_LAB_NODE"
  echo $$ >{folder}/pid
  until [ -e {folder}/go ]; do sleep 0.05; done
  echo "went on"
parameters: {{x: [1, 2]}}
"""


async def tried(it: Screen) -> ProcessPanel:
    await it.press("t")
    await it.until(lambda: isinstance(it.app.screen, Confirm))
    await it.press("y")
    return await it.until(lambda: panel_of(it).has_focus_within and panel_of(it))  # type: ignore[no-any-return]


def panel_of(it: Screen) -> ProcessPanel:
    return it.app.screen.query_one(ProcessPanel)


def said(panel: ProcessPanel) -> str:
    return panel.title


def planned(workbench: Workbench) -> Path:
    """A lab with two tasks that are done, and wait when they run again."""
    (workbench.folder / "go").touch()
    workbench.run_text(STEPS.format(folder=workbench.folder), code=None)
    until(lambda: workbench.engine_pid() is None)  # what is in the journal then stays all
    for name in ("go", "pid"):
        (workbench.folder / name).unlink()
    return workbench.lab_path


async def pid_of(it: Screen, workbench: Workbench) -> int:
    file = workbench.folder / "pid"
    return int(await it.until(lambda: file.exists() and file.read_text()))


@pytest.mark.slow
async def test_output_is_shown_while_it_comes(workbench: Workbench) -> None:
    lab = planned(workbench)
    before = workbench.experiment("e").state().offset
    async with screen(lab) as it:
        await it.press("j")
        panel = await tried(it)
        await it.until(lambda: "x is 2, on localhost" in panel.text)
        assert "running" in said(panel)
        # What is typed for the panel confirms nothing; all else can be used meanwhile.
        await it.press("r", "x", "y")
        assert len(it.app.screen_stack) == 1
        await it.press("4")
        await it.until(lambda: it.app.pane is not None and it.app.pane.NAME == "results")
        await it.press("3", "k")
        await it.until(lambda: it.task == 0)
        await it.press("j")
        await it.press("t", "y")
        await it.until(lambda: isinstance(it.app.screen, Confirm) and "Stop Try e/1?" in it.app.screen.words)
        await it.press("n")
        panel._view.focus()
        seconds = said(panel)
        await it.until(lambda: said(panel) != seconds)
        (workbench.folder / "go").touch()
        await it.until(lambda: "done" in said(panel))
        assert "went on" in panel.text
        await it.press("escape")
        await it.until(lambda: it.pane.table.has_focus)
        assert it.task == 1
    assert workbench.experiment("e").state().offset == before


@pytest.mark.parametrize("key", ["escape", "ctrl+c"])
async def test_a_key_stops_what_runs(workbench: Workbench, key: str) -> None:
    async with screen(planned(workbench)) as it:
        panel = await tried(it)
        pid = await pid_of(it, workbench)
        await it.press(key)
        await it.until(lambda: "stopped" in said(panel))
        assert not alive(pid)
        await it.press("escape")
        await it.until(lambda: not it.app.screen.query(ProcessPanel))


async def test_a_task_that_is_tried_ends_with_the_screen(workbench: Workbench) -> None:
    async with screen(planned(workbench)) as it:
        await tried(it)
        pid = await pid_of(it, workbench)
        assert alive(pid)
    until(lambda: not alive(pid))


async def test_a_failure_is_told(small_lab: Path) -> None:
    async with screen(small_lab) as it:
        it.pane.tasks.set_text("failed")
        await it.until(lambda: it.ids and len(it.ids) == 2)
        panel = await tried(it)
        await it.until(lambda: "failed" in said(panel))
        assert "no such kind" in panel.text and "exit 3" in panel.text


async def test_nothing_is_tried_without_a_yes(small_lab: Path) -> None:
    async with screen(small_lab) as it:
        await it.press("t")
        await it.until(lambda: isinstance(it.app.screen, Confirm))
        await it.press("n", "j")
        await it.until(lambda: len(it.app.screen_stack) == 1)
        assert it.task == 1
