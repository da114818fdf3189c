"""pause, resume, history, diff, clean: looking after a lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workbench import Workbench, until

GATED = """
name: gated
command: while [ ! -e {gate} ]; do sleep 0.02; done; echo {x}
parameters: {x: [1, 2, 3, 4]}
defaults: {gate: GATE}
"""

FAILING = """
name: grid
command: echo {x}; test {x} -lt 3
parameters: {x: [1, 2, 3, 4]}
metrics: {v: '(@int@)'}
"""


def counts(workbench: Workbench, name: str) -> dict[str, int]:
    """Tasks by state, those in no state left out."""
    found = workbench("status", name, "--json").json()["experiments"][0]["counts"]
    return {state: count for state, count in found.items() if count}


@pytest.mark.slow
def test_pause_lets_running_tasks_finish_and_resume_goes_on(workbench: Workbench) -> None:
    gate = workbench.folder / "open"
    workbench.write("gated.yaml", GATED.replace("GATE", str(gate)))
    workbench.run("gated.yaml", "--detach", "--node", "localhost", "2")
    until(lambda: counts(workbench, "gated").get("running") == 2, 60)
    assert "paused" in workbench("pause").err
    gate.touch()
    until(lambda: counts(workbench, "gated") == {"pending": 2, "done": 2}, 60)
    assert "tui-lab resume" in workbench("status").out
    workbench("resume")
    assert counts(workbench, "gated") == {"done": 4}
    assert "nothing" in workbench("resume").err


def test_history_and_the_difference_of_two_submissions(workbench: Workbench) -> None:
    workbench.write("grid.yaml", FAILING)
    workbench.run("grid.yaml", code=1)
    workbench.write("grid.yaml", FAILING.replace("[1, 2, 3, 4]", "[1, 2, 5]"))
    workbench.run("grid.yaml", "--new", code=1)
    text = workbench("history", env={"COLUMNS": "200"}).out
    assert "grid#1" in text and "grid#2" in text and "--new" in text
    submissions = workbench("history", "grid", "--json").json()["submissions"]
    assert [one["asked"] for one in submissions] == [4, 1]
    assert submissions[1]["counts"]["done"] == 2
    difference = workbench("diff", "grid#1", "grid#2").out
    assert "-parameters: {x: [1, 2, 3, 4]}" in difference and "+parameters: {x: [1, 2, 5]}" in difference
    assert "2 tasks in both, 1 added, 2 removed" in difference
    assert "no grid#9" in workbench("diff", "grid#1", "grid#9", code=2).err
    assert "grid@1 means a version" in workbench("diff", "grid@1", "grid@2", code=2).err


def test_the_difference_of_two_tasks(workbench: Workbench) -> None:
    workbench.write("grid.yaml", FAILING)
    workbench.run("grid.yaml", code=1)
    text = workbench("diff", "0", "grid/3").out
    assert "x          1 -> 4" in text or ("x " in text and "1 -> 4" in text)
    assert "state" in text and "done -> failed" in text
    assert "-1" in text and "+4" in text


@pytest.mark.slow
def test_clean_says_what_it_would_do_and_does_it(workbench: Workbench) -> None:
    workbench.write("grid.yaml", FAILING)
    workbench.run("grid.yaml", code=1)
    folders = [workbench.lab_path / "grid" / "tasks" / "0" / str(task) for task in range(4)]
    told = workbench("clean", "grid", "--state", "failed")
    assert "would remove 2 tasks" in told.out and "--yes" in told.out
    assert all(folder.exists() for folder in folders)
    assert "removed 2 tasks" in workbench("clean", "grid", "--state", "failed", "--yes").out
    assert [folder.exists() for folder in folders] == [True, True, False, False]
    assert counts(workbench, "grid") == {"pending": 2, "done": 2}
    workbench.run("grid.yaml", code=1)
    assert counts(workbench, "grid") == {"failed": 2, "done": 2}
    assert (folders[2] / "stdout.2").read_text() == "3\n", "numbers of attempts are never used again"


@pytest.mark.slow
def test_clean_of_files_by_a_metric_and_of_attempts(workbench: Workbench) -> None:
    workbench.write(
        "grid.yaml", FAILING.replace("echo {x};", "echo {x}; echo big > {output}/model.pt;") + "retries: 1\n"
    )
    workbench.run("grid.yaml", code=1)
    workbench("clean", "grid", "--files", "*.pt", "--where", "v < 2", "--yes")
    models = sorted(path.parent.name for path in (workbench.lab_path / "grid" / "tasks").rglob("model.pt"))
    assert models == ["1", "2", "3"]
    workbench("clean", "grid", "--attempts", "--yes")
    outputs = sorted(str(path.relative_to(workbench.lab_path / "grid" / "tasks" / "0")) for path in _outputs(workbench))
    assert outputs == ["0/stdout", "1/stdout", "2/stdout.2", "3/stdout.2"]


def _outputs(workbench: Workbench) -> list[Path]:
    return list((workbench.lab_path / "grid" / "tasks").rglob("stdout*"))


def test_clean_needs_a_condition_and_an_idle_lab(workbench: Workbench) -> None:
    gate = workbench.folder / "open"
    workbench.write("gated.yaml", GATED.replace("GATE", str(gate)))
    workbench.run("gated.yaml", "--detach")
    assert "say what to remove" in workbench("clean", "gated", code=2).err
    assert "an experiment of this lab is running" in workbench("clean", "gated", "--state", "done", "--yes", code=2).err
    assert 'no state "fialed"; did you mean "failed"?' in workbench("clean", "gated", "--state", "fialed", code=2).err
    gate.touch()
    workbench.run("gated.yaml")


@pytest.mark.slow
def test_a_retry_with_another_timeout(workbench: Workbench) -> None:
    workbench.write("slow.yaml", "command: sleep 0.6; echo {x}\nparameters: {x: [1, 2]}\ntimeout: 200ms\n")
    workbench.run("slow.yaml", code=1)
    assert {row["reason"] for row in workbench.table("SELECT reason FROM slow_tasks")} == {"timeout"}
    workbench("retry", "reason = 'timeout'", "timeout=20s")
    assert counts(workbench, "slow") == {"done": 2}
    assert "timeout=soon" in workbench("retry", "slow", "timeout=soon", code=2).err
