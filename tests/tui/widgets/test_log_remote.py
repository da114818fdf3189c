"""The log of a task that runs on another machine: what it has printed is to be seen while it runs."""

from __future__ import annotations

import pytest

from tests.engine.nodes.fleet import Fleet, fleet  # noqa: F401
from tests.tui.conftest import wait_until
from tests.workbench import Workbench, until
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.panes.tasks.pane import TasksPane

FAR = """
command: |
  echo "first line from afar"
  until [ -e /tmp/go ]; do sleep 0.05; done
  echo "last line from afar"
"""


@pytest.mark.slow
async def test_what_a_task_prints_on_another_machine(workbench: Workbench, fleet: Fleet) -> None:  # noqa: F811
    node = fleet.node("attic", shared=False)
    file = workbench.write("e.yaml", FAR)
    words = ("--run", file, "--cluster", fleet.cluster_file(), "--detach")
    workbench.process(*words, env=fleet.environment(workbench))
    until(lambda: workbench.tasks()[0]["state"] == "running")
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        pane = await wait_until(pilot, lambda: app.query_one(TasksPane))
        await wait_until(pilot, lambda: "first line from afar" in pane.log_panel.view.text)
        assert not (workbench.lab_path / "e" / "tasks" / "0" / "0" / "stdout").exists()
        (node.machine.tmp / "go").touch()
        await wait_until(pilot, lambda: "last line from afar" in pane.log_panel.view.text)
        await wait_until(pilot, lambda: pane.log_panel.detail is not None and pane.log_panel.detail.state == "done")
        assert pane.log_panel.view.text.count("first line from afar") == 1


async def test_a_folder_that_has_become_a_link_is_said(workbench: Workbench) -> None:
    elsewhere = workbench.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "stdout").write_text("of somebody else")
    workbench.run_text(f"command: 'rm -rf {{output}}; ln -s {elsewhere} {{output}}'\n", code=None)
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(160, 30)) as pilot:
        pane = await wait_until(pilot, lambda: app.query_one(TasksPane))
        said = f"stdout can't be read: its folder is a symbolic link to {elsewhere}, which is not followed"
        await wait_until(pilot, lambda: said in pane.log_panel._note())
        assert "somebody" not in pane.log_panel.view.text
