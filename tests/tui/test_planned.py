"""What the screen and charts say of an experiment whose file was changed: only of tasks that are still planned."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.results.conftest import LabOnDisk
from tests.tui.conftest import wait_until
from tui_lab.results.charts.sources import source_of
from tui_lab.results.failures.shared import Shared
from tui_lab.results.tables import refresh
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.charts.defaults import default_request
from tui_lab.tui.charts.making import made
from tui_lab.tui.charts.source import read
from tui_lab.tui.panes.dashboard.data import NowReader
from tui_lab.tui.panes.tasks.pane import TasksPane
from tui_lab.tui.panes.tasks.view import default_columns
from tui_lab.tui.tasks.failures import FailedTasks
from tui_lab.tui.tasks.frame import TaskSource

FILE = """
command: ./x {lr} {size}
parameters: {lr: [LRS], size: [1, 2, 3, 4]}
metrics: {acc: {pattern: 'acc (@float@)', goal: max}}
"""
LEFT = "4 tasks no longer planned are left out"


@pytest.fixture
def changed(tmp_path: Path) -> tuple[LabOnDisk, ExperimentFolder]:
    """The best tasks, with lr=9, are no longer planned; of the others those with lr=2 failed."""
    disk = LabOnDisk(tmp_path)
    folder = disk.submit(FILE.replace("LRS", "1, 2, 9"))
    for task, lr in folder.tasks().select("task_id", "lr").rows():
        files = {"stdout": f"acc 0.{lr}{task}\n", "metrics.jsonl": f'{{"step": 0, "loss": {lr}}}\n'}
        disk.run(folder, task, files, "failed" if lr == 2 else "done")
    return disk, disk.submit(FILE.replace("LRS", "1, 2"))


def test_only_planned_tasks_count(changed: tuple[LabOnDisk, ExperimentFolder]) -> None:
    disk, folder = changed
    assert (~folder.tasks()["planned"]).sum() == 4
    source = TaskSource(disk.lab, folder.name)
    source.read_metrics(0)
    assert default_columns(source.read())[:3] == ["task_id", "state", "planned"]
    reader = NowReader(disk.lab, source, False)
    now = reader.read()
    reader.close()
    assert not now.problem and now.best is not None
    assert (now.best.n, round(now.best.mean, 3)) == (1, 0.13)
    assert [(kind.count, kind.share) for kind in now.kinds] == [(4, shared(source)[0].words)]
    assert now.progress is not None
    assert {one.name: one.points["y"][-1] for one in now.progress.series}["done"] == 4
    assert [(one.failed, one.outside) for one in shared(source)] == [(4, 4)]


def shared(source: TaskSource) -> tuple[Shared, ...]:
    return FailedTasks(source).read(source.read()).shared[0]


def test_charts_of_steps(changed: tuple[LabOnDisk, ExperimentFolder]) -> None:
    _, folder = changed
    results = refresh(folder)
    assert results.steps["task_id"].n_unique() == 12  # the table of SQL has all
    drawn, _ = source_of(results, "steps")
    assert drawn.frame["lr"].unique().sort().to_list() == [1, 2] and drawn.notes == (LEFT,)
    rows = read(folder, "steps")
    assert rows.source.frame["lr"].unique().sort().to_list() == [1, 2]
    assert LEFT in made(default_request(rows.source), rows.source).notes
    assert source_of(results, "lines")[0].frame["lr"].unique().to_list() == [1]


async def test_groups_of_tasks(changed: tuple[LabOnDisk, ExperimentFolder]) -> None:
    app = LabApp(changed[0].lab.path, first="tasks")
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await wait_until(pilot, lambda: app.query_one(TasksPane))
        await wait_until(pilot, lambda: pane.table.frame.height == 12)
        pane.tasks.group_by("size")
        groups = pane.tasks.groups
        await wait_until(pilot, lambda: groups.frame.height == 4)
        assert groups.frame["tasks"].to_list() == [2] * 4 and len(groups.tasks_of(1)) == 2
        assert groups.words() == "4 groups by size, without 4 tasks no longer planned"
        groups.focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: pane.table.frame.height == 2)
        assert pane.tasks.filter.value == "size = 1 and planned"
