"""The runs of stages behind a task, below it in the Tasks pane: what they show, and what keys do to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import wait_until
from tests.tui.fixed import run_fixed
from tests.tui.panes.tasks.test_pane import Screen, screen
from tests.workbench import Workbench
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.frame.keys import Keys
from tui_lab.tui.base.config import Config
from tui_lab.tui.panes.tasks.pane import TasksPane
from tui_lab.tui.widgets.dialogs import Choose
from tui_lab.tui.widgets.panels.panel import Panel

CHAIN = """
stages:
  prepare: {command: 'echo "data of {data}"; echo {data} > {output}/data'}
  train:
    command: |
      echo "loss of {lr}: {lr}"
      [ {lr} != 0.2 ] || [ -f {prepare.output}/mended ] || exit 3
  test: {command: 'cat {prepare.output}/data', after: train}
parameters: {data: [a, b], lr: [0.1, 0.2, 0.3]}
metrics: {made: {pattern: 'data of (@slug@)', stage: prepare}}
"""


def _rows(s: Screen) -> list[dict[str, Any]]:
    return s.pane.table.frame.to_dicts()


def _labels(s: Screen) -> list[str]:
    column = next(column for column in s.pane.table.columns if column.name == "task_id")
    return [str(column.format(one) if column.format else one).strip() for one in s.ids]


async def test_the_runs_behind_a_task_stand_below_it(workbench: Workbench) -> None:
    workbench.run_text(CHAIN, code=1)
    chain = workbench.experiment()
    prepared = chain.plan().run_behind(1, "prepare")
    trained = chain.plan().run_behind(1, "train")
    async with screen(workbench.lab_path, (120, 40)) as s:
        panel = s.pane.log_panel
        await s.until(lambda: "e Stages" in str(s.app.query_one(Keys).render()))
        assert s.ids == list(range(6)) and "made" in s.titles
        await s.until(lambda: s.pane.table.frame["made"].to_list()[0] == "a")
        await s.press("j", "e")
        await s.until(lambda: s.ids == [0, 1, prepared, trained, 2, 3, 4, 5])
        assert _labels(s) == ["0", "1", "├╴prepare ×3", "└╴train", "2", "3", "4", "5"]
        assert "6 tasks" in s.pane.query_one("#task-list", Panel).title
        _, failed, prepare, train, *_ = _rows(s)
        assert (failed["state"], failed["reason"]) == ("failed", "dependency")
        assert (prepare["state"], prepare["data"], prepare["lr"]) == ("done", "a", None)
        assert (train["state"], train["reason"], train["data"], train["lr"]) == ("failed", "exit", "a", 0.2)
        assert failed["duration"] is None and prepare["duration"] > 0 and train["duration"] > 0
        # The log, and what is copied, are those of the run.
        await s.until(lambda: f"`tui-lab logs {chain.name}/1:train` says why" in str(s.pane.log_panel.view.note))
        await s.press("j")
        await s.until(lambda: "data of a" in s.log() and "3 tasks share it" in panel.title)
        assert f"{chain.name}/1:prepare" in panel.title
        for what, wanted in (("address", f"{chain.name}/1:prepare"), ("folder", f"stages/prepare/{prepared}")):
            await s.press("y")
            await s.until(lambda: isinstance(s.app.screen, Choose))
            s.app.screen.dismiss(what)
            await s.until(lambda wanted=wanted: s.copied and s.copied[-1].endswith(wanted))
        await s.press("space")
        assert not s.pane.table.marked, "a run is no task"
        # A filter, and an order, keep the runs below their task.
        s.pane.tasks.set_text("lr = 0.2")
        await s.until(lambda: s.ids == [1, prepared, trained, 4])
        assert "2 of 6" in s.pane.query_one("#task-list", Panel).title
        assert s.app.chosen is not None and s.app.chosen.ids.to_list() == [1, 4]
        s.pane.tasks.set_text("")
        await s.until(lambda: len(s.ids) == 8)
        # What a retry begins with, and what follows it.
        asked: list[str] = []

        async def confirm(title: str, body: str, yes: str) -> bool:
            asked.append(f"{title} {body}")
            return True

        s.app.confirm = confirm  # type: ignore[method-assign]
        (chain.task_folder(prepared or 0) / "mended").touch()
        await s.press("j")
        await s.until(lambda: s.task == trained and "1:train" in panel.title)
        await s.press("r")
        await s.until(lambda: asked)
        assert asked[0].startswith(f"Retry {chain.name}/1:train? train runs again")
        assert "1 task and 1 run of stages" in asked[0]
        await s.until(lambda: [row["state"] for row in _rows(s)][1:4] == ["done"] * 3)
        await s.until(lambda: [row["made"] for row in _rows(s)][1:4] == ["a", "a", None])  # a metric of `prepare`
        # Hidden again: the cursor is on the task.
        await s.press("e")
        await s.until(lambda: s.ids == list(range(6)))
        assert s.task == 1 and _labels(s)[1] == "1"
        await s.press("e")
        await s.until(lambda: len(s.ids) == 8)
        await s.press("escape")
        await s.until(lambda: s.ids == list(range(6)))
        await s.until(lambda: workbench.engine_pid() is None)


async def test_a_run_that_goes_on_is_stopped(workbench: Workbench) -> None:
    workbench.write("slow.yaml", CHAIN.replace("[ {lr} != 0.2 ] || [", "[ {lr} != 0.2 ] || sleep 100 || ["))
    workbench("--run", "slow.yaml", "--detach")
    slow = workbench.experiment("slow")
    async with screen(workbench.lab_path, (120, 40)) as s:
        await s.until(lambda: s.ids == list(range(6)))
        trained = slow.plan().run_behind(1, "train")
        await s.press("j", "e")
        await s.until(lambda: trained in s.ids)
        await s.press("j", "j")
        await s.until(lambda: s.task == trained and _rows(s)[3]["state"] == "running")
        shown = s.pane.model.overlay(s.pane.table.frame)["duration"].to_list()[3]
        await s.until(lambda: s.pane.model.overlay(s.pane.table.frame)["duration"].to_list()[3] > shown + 1)  # it ticks
        asked: list[str] = []

        async def confirm(title: str, body: str, yes: str) -> bool:
            asked.append(f"{title} {body}")
            return True

        s.app.confirm = confirm  # type: ignore[method-assign]
        await s.press("x")
        await s.until(lambda: asked)
        assert asked[0].startswith("Stop slow/1:train? 1 task that needs it can't begin then.")
        await s.until(lambda: [row["state"] for row in _rows(s)][1:4] == ["stopped", "done", "stopped"])
    workbench("stop", code=None)


async def test_without_stages_there_is_no_such_key(small_lab: Any) -> None:
    async with screen(small_lab, (120, 40)) as s:
        assert "e Stages" not in str(s.app.query_one(Keys).render())
        await s.press("e")
        assert s.pane.model.view.expanded is None


@pytest.fixture(scope="module")
def fixed_chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a lab in which nothing depends on the day and the machine, nor on a path."""
    workbench = Workbench(tmp_path_factory.mktemp("fixed"))
    try:
        text = CHAIN.replace("|| [ -f {prepare.output}/mended ] ", "")
        run_fixed(workbench, "chain", f"name: chain\n{text}")
        yield workbench.folder
    finally:
        workbench.close()


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_how_the_runs_behind_a_task_look(
    snap_compare: Any, fixed_chain: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fixed_chain)
    monkeypatch.setenv("HOME", str(fixed_chain))
    app = LabApp(Path("lab"), config=Config(theme="lab-dark"))

    async def shown(pilot: Pilot[Any]) -> None:
        pane = await wait_until(pilot, lambda: app.query_one(TasksPane))
        await wait_until(pilot, lambda: pane.table.frame["made"].drop_nulls().len() and pane.table.has_focus)
        await pilot.press("j", "e")
        await wait_until(pilot, lambda: pane.table.frame.height == 8)
        await pilot.press("j", "j")
        await wait_until(pilot, lambda: "loss of 0.2" in pane.log_panel.view.text)
        await wait_until(pilot, lambda: "e Stages" in str(app.query_one(Keys).render()))

    assert snap_compare(app, terminal_size=size, run_before=shown)
