"""A sweep that is submitted again and again: what runs, what is kept, what is said."""

from __future__ import annotations

import pytest

from tests.workbench import Workbench

SIX = "command: ./main.sh {a}\nparameters: {a: [1, 2, 3, 4, 5, 6]}\nmetrics: {m: 'm=(@int@)'}\n"
EIGHT = SIX.replace("6]", "6, 7, 8]")
MAIN = "#!/bin/sh\necho ran >> ran.txt\necho m=$(($1 * 10))\n"


def runs(workbench: Workbench) -> int:
    """How many tasks have run so far."""
    path = workbench.folder / "ran.txt"
    return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.mark.slow
def test_a_grid_that_grows_changes_and_comes_back(workbench: Workbench) -> None:
    workbench.write("main.sh", MAIN, executable=True)
    workbench.write("grid.yaml", SIX)
    assert "grid: 6 tasks to run (6 new)" in workbench.run("grid.yaml").err
    assert runs(workbench) == 6
    workbench.write("grid.yaml", EIGHT)
    assert "  6 done, 2 new" in workbench("plan", "grid.yaml").lines
    assert "grid: 2 tasks to run (6 done, 2 new)" in workbench.run("grid.yaml").err
    assert runs(workbench) == 8
    assert "grid: 0 tasks to run (8 done)" in workbench.run("grid.yaml").err

    # An edited command runs everything again, and says so; undone, nothing runs.
    workbench.write("grid.yaml", EIGHT.replace("{a}", "{a} --verbose", 1))
    assert "8 tasks would run again: command changed" in workbench.inside("plan", "grid.yaml").out
    found = workbench.inside("plan", "grid.yaml", "--json").json()
    assert (found["to_run"], found["reasons"]) == (8, {"command changed": 8})
    part = ["grid.yaml", "a=1,2,9", "--only", "a > 1"]  # of the selected ones alone, each counted once
    found = workbench.inside("plan", *part, "--json").json()
    assert (found["counts"]["new"], found["reasons"]) == (2, {"command changed": 1})
    lines = workbench.inside("plan", *part).lines
    assert "  1 new" in lines and "  1 task would run again: command changed" in lines
    adopted = workbench.run("grid.yaml", "--adopt").err
    assert "8 done tasks adopted, though command changed" in adopted
    assert "grid: 0 tasks to run (8 done)" in adopted
    assert runs(workbench) == 8

    # A grid that shrinks keeps its results on disk, and finds them when it grows back.
    workbench.write("grid.yaml", SIX.replace("3, 4, 5, 6", "3"))
    workbench.run("grid.yaml")
    assert runs(workbench) == 8
    assert len(workbench.table("SELECT * FROM grid")) == 3
    assert len(workbench.table("SELECT * FROM grid_tasks")) == 8
    assert workbench.table("SELECT sum(m) AS s FROM grid_tasks") == [{"s": 360}]

    # A script that has changed is said; --rerun makes the results anew, as the next version.
    workbench.write("main.sh", MAIN.replace("10", "11"), executable=True)
    assert "main.sh changed since 3 tasks ran: their results are kept" in workbench.inside("plan", "grid.yaml").out
    said = workbench.run("grid.yaml", "--rerun", "a=1,2").err
    assert "grid: 2 tasks to run (2 because --rerun)" in said
    assert workbench.table("SELECT a, m, version FROM grid ORDER BY a") == [
        {"a": 1, "m": 11, "version": 2},
        {"a": 2, "m": 22, "version": 2},
        {"a": 3, "m": 30, "version": 1},
    ]
    assert "main.sh changed since 1 task ran" in workbench.inside("plan", "grid.yaml").out
    workbench.run("grid.yaml", "--rerun", "a=2")
    assert [row["version"] for row in workbench.table("SELECT version FROM grid ORDER BY a")] == [2, 3, 1]
    assert runs(workbench) == 11
    told = workbench.inside("parse").err
    assert "grid: 3 tasks ended (and 8 of earlier plans or versions), " in told
    assert "m: in 3 of 3" in told


@pytest.mark.slow
def test_choosing_what_runs(workbench: Workbench) -> None:
    workbench.write("main.sh", MAIN + "test $1 != 3\n", executable=True)
    workbench.write("grid.yaml", SIX)
    assert "grid: 2 tasks to run" in workbench.run("grid.yaml", "--only", "a in (1, 2)").err
    assert "grid: 1 task to run" in workbench.run("grid.yaml", "a=3", code=1).err
    assert workbench.inside("status", "--json").json()["experiments"][0]["tasks"] == 6
    assert "grid: 2 tasks to run (1 failed, 1 new)" in workbench.run("grid.yaml", "a=3,33", code=1).err
    assert runs(workbench) == 5
    assert "would run 0 tasks" in workbench.inside("plan", "grid.yaml", "--only", "state = 'failed'", "--new").out
    assert "would run 3 tasks" in workbench.inside("plan", "grid.yaml", "--new").out
    assert "would run 4 tasks" in workbench.inside("plan", "grid.yaml").out
    assert "grid: 3 tasks to run" in workbench.run("grid.yaml", "--new", code=1).err
    assert runs(workbench) == 8
    assert [row["a"] for row in workbench.table("SELECT a FROM grid_tasks ORDER BY a")] == [1, 2, 3, 4, 5, 6, 33]


@pytest.mark.slow
def test_an_adoption_that_fits_nothing_is_refused(workbench: Workbench) -> None:
    workbench.write("main.sh", MAIN, executable=True)
    workbench.write("grid.yaml", SIX)
    workbench.run("grid.yaml")
    workbench.write("grid.yaml", SIX.replace("{a}", "{a} {b}", 1).replace("6]}", "6], b: [1]}"))
    said = workbench.run("grid.yaml", "--adopt", code=2).err
    assert 'tui-lab: --adopt: "b" is new, and `defaults` does not say what it was before; ' in said
    assert runs(workbench) == 6


def test_surroundings_that_changed_are_said(workbench: Workbench) -> None:
    workbench.write("main.sh", MAIN, executable=True)
    workbench.write("grid.yaml", SIX)
    workbench.run("grid.yaml")
    workbench.write("grid.yaml", SIX + "env: {MODE: fast}\n")
    assert (
        "note: `env` of the file changed since 6 tasks ran: their results are kept"
        in workbench.inside("plan", "grid.yaml").out
    )
