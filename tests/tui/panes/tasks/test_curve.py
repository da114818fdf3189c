"""The curves of the task under the cursor."""

from __future__ import annotations

import pytest

from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.panes.tasks.curve import CurvePanel
from tui_lab.tui.panes.tasks.pane import TasksPane
from tui_lab.tui.widgets.plot.plot import Plot

STEPS = r"""
name: fit
parameters: {lr: [1, 2]}
command: |
  if [ {lr} = 1 ]; then
    for i in 1 2 3 4 5 6 7 8; do echo "{\"step\": $i, \"loss\": 0.$i, \"acc\": 0.5}" >> $TUI_LAB_METRICS; done
  fi
  echo end
"""


async def test_a_task_s_curves_have_a_panel_where_there_are_any(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    workbench("--run", workbench.write("fit.yaml", STEPS))
    monkeypatch.chdir(workbench.folder)
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(180, 40)) as pilot:
        pane = await wait_until(pilot, lambda: app.query(TasksPane) and app.query_one(TasksPane))
        panel = pane.query_one(CurvePanel)
        await wait_until(pilot, lambda: pane.row.shown == (("task-list",), ("task-log",), ("task-curve",)))
        await wait_until(pilot, lambda: [one for one in panel.query(Plot) if "loss" in one.text])
        assert "fit/0" in panel.title
        assert "acc, loss" in panel.title
        await pilot.press("j")
        await wait_until(pilot, lambda: panel.title == "Curves")
        assert "by step is drawn here" in next(one for one in panel.query(Plot) if one.display).text
        await pilot.resize_terminal(80, 24)
        await wait_until(pilot, lambda: pane.row.shown == (("task-list", "task-log"),))
        await pilot.press("vertical_line", "k")
        await wait_until(pilot, lambda: pane.row.shown == (("task-list", "task-curve"),))
        await wait_until(pilot, lambda: "and 1 more  fit/0" in panel.title)  # there is room for one
