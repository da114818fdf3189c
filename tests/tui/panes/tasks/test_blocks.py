"""The table of all tasks is made again in blocks: it must be what a new reader would make of everything."""

from __future__ import annotations

from pathlib import Path

import pytest
from polars.testing import assert_frame_equal

from tests.results.conftest import LabOnDisk
from tui_lab.store.events import Cleaned, Paused, Raised, Requeued, Stopped
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.tasks import blocks
from tui_lab.tui.tasks.blocks import Blocks
from tui_lab.tui.tasks.frame import Sources, TaskSource, source_of

GRID = "command: ./run {x}\nparameters: {x: {range: [0, 10]}}\nmetrics: {loss: 'loss (@float@)'}\n"


def test_a_table_in_blocks_is_that_of_a_new_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "SIZE", 3)
    disk = LabOnDisk(tmp_path)
    folder = disk.submit(GRID)
    source = TaskSource(disk.lab, "grid")

    def check() -> None:
        new = TaskSource(disk.lab, "grid")
        table, whole = source.read(), new.read()
        moving = ["duration"] if table.running else []  # of what runs
        assert_frame_equal(table.frame.drop(moving), whole.frame.drop(moving))
        for name in ("parameters", "metrics", "still", "offset", "unplanned", "named", "measured", "running"):
            assert getattr(table, name) == getattr(whole, name), name

    check()
    disk.run(folder, 8, "loss 0")
    check()
    disk.run(folder, 4, "loss 1")
    check()
    disk.journal(folder, Paused(0.0, "asked", 0))
    assert source.read() is source.read()
    attempt = disk.start(folder, 9, {"stdout": "loss 2"})
    assert source.read().running == 1 and source.read() is not source.read()  # it lasts longer
    check()
    disk.finish(folder, 9, attempt, "failed", raised=Raised("ValueError", "no", "a.py:1"))
    disk.journal(folder, Stopped(0.0, [[0, 1]]))
    check()
    assert source.read().frame["exception"].to_list() == [None] * 9 + ["ValueError"]
    disk.journal(folder, Requeued(0.0, [[9, 9]], {}), Cleaned(0.0, [[4, 5]]))
    check()
    disk.submit(GRID.replace("10]", "13]"))
    check()
    disk.run(folder, 12, "loss 3")
    version = source.read().version
    assert source.read_metrics(0) and not source.read_metrics(0)
    assert source.read_metrics(0, version), "another pane has not seen them"
    assert source.read().frame["loss"].to_list() == [*[None] * 8, 0.0, 2.0, None, None, 3.0]


def test_only_blocks_are_made_again_in_which_something_happened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "SIZE", 3)
    disk = LabOnDisk(tmp_path)
    folder = disk.submit(GRID)
    disk.run(folder, 8, "loss 0")
    found = Blocks()
    heard = ExperimentFolder(folder.path, found.hear)
    before = found.read(heard.state(), heard.state().task_ids())
    disk.run(folder, 4, "loss 1")
    after = found.read(heard.state(), heard.state().task_ids())
    assert [one is other for one, other in zip(before, after, strict=True)] == [True, False, True, True]


def test_there_is_one_source_of_an_experiment(tmp_path: Path) -> None:
    disk = LabOnDisk(tmp_path)
    disk.submit(GRID)
    sources: Sources = {}
    assert source_of(sources, disk.lab, "grid") is source_of(sources, disk.lab, "grid")
