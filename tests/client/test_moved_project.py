"""A project that is renamed, moved or copied goes on, and what is done stays done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.workbench import Workbench, until
from tui_lab.engine.lock import EngineLock
from tui_lab.store.events import PlanRestored
from tui_lab.store.journal import Journal
from tui_lab.store.lab import Lab
from tui_lab.store.plan import file_crc
from tui_lab.tui.panes.experiment import check

GRID = "name: grid\ncommand: 'echo {a} >> \"$PWD\"/ran; test {a} != 2 || test -e mended'\nparameters: {a: [1, 2]}\n"
GONE = "which no longer exists: this file takes its place"


def ran(folder: Path) -> list[str]:
    return sorted((folder / "ran").read_text().split())


def keys(lab: Path) -> list[Any]:
    plans = [pl.read_parquet(path) for path in sorted(lab.glob("grid/plans/*.parquet"))]
    return [plan.select("task_id", "key", "version").rows() for plan in plans]


def forget(lab: Path) -> None:
    """Make the plan one of before, with the absolute path of its file alone."""
    path = lab / "grid" / "plans" / "1.parquet"
    about = json.loads(pl.read_parquet_metadata(path)["tui_lab"])
    for name in ("lab", "from_lab"):
        del about["about"][name]
    pl.read_parquet(path).write_parquet(path, metadata={"tui_lab": json.dumps(about)})
    record = Journal(lab / "grid" / "journal.jsonl")
    record.append([PlanRestored(0.0, 1, file_crc(path))])
    record.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "old"),
    [
        ("renamed", False),
        pytest.param("copied", False, marks=pytest.mark.long),
        ("copied", True),
        pytest.param("copied, the original gone", True, marks=pytest.mark.long),
        ("copied, lab deeper", False),
    ],
)
def test_a_project_that_is_elsewhere_now(workbench: Workbench, way: str, old: bool) -> None:
    lab = "runs/lab" if way.endswith("deeper") else "lab"
    first, second = workbench.folder / "first", workbench.folder / "second"
    workbench.write("first/experiment.yaml", GRID)
    workbench.run("experiment.yaml", "--lab", lab, cwd=first, code=1)
    if old:
        forget(first / lab)
    before = keys(first / lab)
    lock = EngineLock(Lab.open(first / lab))
    until(lock.take, 60)  # the engine writes a checkpoint after its last word
    lock.release()
    if way == "renamed":
        first.rename(second)
    else:
        shutil.copytree(first, second)
        if way.endswith("gone"):
            shutil.rmtree(first)
    here: dict[str, Any] = {"cwd": second}
    assert ran(second) == ["1", "2"]
    told = workbench("plan", "experiment.yaml", "--lab", lab, **here)
    assert "1 done, 1 failed" in told.out and "note:" not in told.out
    shown = workbench("show", "--command", "0", "--lab", lab, **here).out
    assert f"cd {second}" in shown and str(first) not in shown
    workbench("retry", "1", "--lab", lab, **here, code=1)
    assert ran(second) == ["1", "2", "2"], "in its new folder"
    (second / "mended").touch()
    again = workbench.run("experiment.yaml", "--lab", lab, **here)
    assert "1 task to run (1 done, 1 failed)" in again.err and "note:" not in again.err
    assert ran(second) == ["1", "2", "2", "2"]
    if first.exists():
        assert ran(first) == ["1", "2"], "nothing is done to the original"
        assert "1 done, 1 failed" in workbench("plan", "experiment.yaml", "--lab", lab, cwd=first).out
    assert keys(second / lab) == before, "not even a plan is new"
    assert workbench.run("experiment.yaml", "--lab", lab, **here).err.startswith("grid: 0 tasks to run (2 done)")
    workbench.write("second/experiment.yaml", GRID + "metrics: {seen: {pattern: x, take: count}}\n")
    assert "seen: in 0 of 2" in workbench("parse", "--lab", lab, **here).err, "the file beside it is its file"
    workbench.write("second/experiment.yaml", GRID.replace("2]", "2, 3]"))
    assert "1 task to run (2 done, 1 new)" in workbench.run("experiment.yaml", "--lab", lab, **here).err


def test_the_screen_asks_nothing_of_a_moved_project(workbench: Workbench) -> None:
    text = GRID.replace("1, 2", "1, 3")
    workbench.write("first/experiment.yaml", text)
    workbench.run("experiment.yaml", cwd=workbench.folder / "first")
    shutil.copytree(workbench.folder / "first", workbench.folder / "second")
    lab = Lab.open(workbench.folder / "second" / "lab")
    for path, replaces in (("second/experiment.yaml", False), ("second/other.yaml", True)):
        file = workbench.write(path, text)
        planned = check.plan(lab, check.check(file, text), file, 2, True)
        assert planned.forecast is not None
        assert bool(planned.forecast.replaces) is replaces
        assert not len(planned.forecast.prepared.queued)
    assert lab.experiment("grid").file() == workbench.folder / "second" / "experiment.yaml"


def test_a_project_whose_lab_is_elsewhere(workbench: Workbench) -> None:
    lab = ("--lab", str(workbench.folder / "labs" / "one"))
    workbench.write("first/experiment.yaml", GRID.replace("1, 2", "1, 3"))
    workbench.run("first/experiment.yaml", *lab)
    shutil.copytree(workbench.folder / "first", workbench.folder / "second")
    for words in (("plan",), ("--run",)):
        said = workbench(*words, "second/experiment.yaml", *lab, code=2).err
        assert "came from another file" in said and "first/experiment.yaml" in said
    shutil.rmtree(workbench.folder / "first")
    first = workbench.folder / "first/experiment.yaml"
    note = f'"grid" came from {first}, which no longer exists: this file takes its place'
    assert f"note: {note}" in workbench("plan", "second/experiment.yaml", *lab).out
    told = workbench.run("second/experiment.yaml", *lab)
    assert f"note: {note}" in told.err and "0 tasks to run (2 done)" in told.err
    assert "note:" not in workbench.run("second/experiment.yaml", *lab).err, "it is known by now"
    assert len({tuple(one) for one in keys(Path(lab[1]))}) == 1
    workbench.write("first/experiment.yaml", GRID.replace("1, 2", "1, 3"))
    assert "came from another file" in workbench.run("first/experiment.yaml", *lab, code=2).err


def test_nothing_is_tried_in_a_folder_that_has_gone(workbench: Workbench) -> None:
    lab = ("--lab", str(workbench.folder / "labs" / "one"))
    workbench.write("first/experiment.yaml", GRID)
    workbench.run("first/experiment.yaml", *lab, code=1)
    (workbench.folder / "first").rename(workbench.folder / "second")
    refused = workbench("retry", *lab, code=2).err
    assert "that folder no longer exists" in refused and "tui-lab --run FILE" in refused
    assert "to run again" not in refused
    assert "attempt 2" not in workbench("show", "1", *lab).out, "why it failed is still there"
    assert ran(workbench.folder / "second") == ["1", "2"]
    (workbench.folder / "second" / "mended").touch()
    workbench.run("second/experiment.yaml", *lab)
    assert ran(workbench.folder / "second") == ["1", "2", "2"]


def test_a_file_that_is_renamed_or_copied_in_its_folder(workbench: Workbench) -> None:
    file = workbench.write("one.yaml", GRID.replace("1, 2", "1, 3"))
    workbench.run("one.yaml")
    workbench.write("two.yaml", file.read_text() + "tags: [two]\n")
    assert "came from another file" in workbench.run("two.yaml", code=2).err
    (workbench.folder / "latest.yaml").symlink_to("one.yaml")
    assert "0 tasks to run (2 done)" in workbench.run("latest.yaml").err
    (workbench.folder / "latest.yaml").unlink()
    file.unlink()
    told = workbench.run("two.yaml").err
    assert "one.yaml, which no longer exists: this file takes its place" in told and "0 tasks to run (2 done)" in told
    assert len({tuple(one) for one in keys(workbench.lab_path)}) == 1


def test_a_folder_that_is_reached_by_a_link(workbench: Workbench) -> None:
    workbench.write("real/experiment.yaml", GRID.replace("1, 2", "1, 3"))
    (workbench.folder / "link").symlink_to("real")
    workbench.run("experiment.yaml", cwd=workbench.folder / "real")
    lab = ("--lab", str(workbench.folder / "link" / "lab"))
    for file in ("link/experiment.yaml", "real/experiment.yaml"):
        told = workbench.run(file, *lab)
        assert "0 tasks to run (2 done)" in told.err and "note:" not in told.err
    assert len(keys(workbench.folder / "real" / "lab")) == 1


@pytest.mark.slow
def test_what_explore_made_moves_along(workbench: Workbench) -> None:
    words = ("explore", "--cmd", "echo {x}", "--vl", "x", "1", "2")
    (workbench.folder / "first").mkdir()
    workbench(*words, cwd=workbench.folder / "first")
    shutil.copytree(workbench.folder / "first", workbench.folder / "second")
    told = workbench(*words, "3", cwd=workbench.folder / "second")
    assert "1 task to run (2 done, 1 new)" in told.err
    (workbench.folder / "first").rename(workbench.folder / "third")
    assert "0 tasks to run (2 done)" in workbench(*words, cwd=workbench.folder / "third").err
    assert "0 tasks to run (2 done)" in workbench.run("lab/grid.yaml", cwd=workbench.folder / "third").err
