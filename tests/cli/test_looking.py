"""Looking at tasks and changing their course: logs, show, status, stop, retry, and all forms of address."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workbench import Workbench

STEPS = """
command:
  train: echo training {a}; echo warm >&2
  test: echo testing {a}; test {a} != 2
parameters: {a: [1, 2, 3]}
"""


def wait_for(what: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def on_a_terminal(workbench: Workbench, *words: str) -> bytes:
    """What a command writes to a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui_lab", *words],
        cwd=workbench.folder,
        env=workbench.environment,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    seen = b""
    try:
        while block := os.read(leader, 65536):
            seen += block
    except OSError:  # the other end is closed
        pass
    os.close(leader)
    assert process.wait(20) == 0
    return seen


@pytest.mark.slow
def test_logs_by_every_form_of_address(workbench: Workbench) -> None:
    workbench.write("one.yaml", "command: echo one {a}\nparameters: {a: [1, 2]}\n")
    workbench.write("grid.yaml", STEPS + "retries: 1\n")
    workbench.run("one.yaml")
    workbench.run("grid.yaml", code=1)
    assert workbench("logs", "0:train", "--stdout").out == "training 1\n"
    assert workbench.inside("logs", "0:train", "--stderr").out == "warm\n"
    assert workbench.inside("logs", "1.1:test").out == "testing 2\n"
    assert workbench.inside("logs", "1.2:test").out == "testing 2\n"
    assert workbench.inside("logs", "one/1").out == "one 2\n"
    two = "==> one/0 stdout <==\none 1\n==> one/1 stdout <==\none 2\n"
    assert workbench.inside("logs", "one").out == two
    assert workbench.inside("logs", "one/0-1").out == two
    assert workbench.inside("logs", "one/0", "one/1", "one/0").out == two
    assert workbench.inside("logs", "one/a > 1").out == "one 2\n"
    assert workbench.inside("logs", "state = 'failed'", "--stdout").lines == [
        "==> grid/1 train.stdout.2 <==",
        "training 2",
        "==> grid/1 test.stdout.2 <==",
        "testing 2",
    ]
    assert workbench.inside("logs", "attempts = 2 and a = 2", "-n", "0").lines == [
        "==> grid/1 train.stdout.2 <==",
        "==> grid/1 train.stderr.2 <==",
        "==> grid/1 test.stdout.2 <==",
    ]
    # Outputs of steps that the file does not have any more are still found.
    workbench.write("grid.yaml", "command: echo\n")
    workbench.run("grid.yaml")
    assert workbench.inside("logs", "0:test").out == "testing 1\n"
    assert workbench.inside("show", "--json", "0").json()["parameters"] == {"a": 1}


def test_the_last_lines_of_a_large_output(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: [seq 300000, printf end]\n")
    workbench.run("grid.yaml")
    assert len(workbench("logs", "0").lines) == 300_001
    assert workbench.inside("logs", "0", "-n", "2").out == "300000\nend"
    assert workbench.inside("logs", "0", "-n", "1").out == "end"
    assert len(workbench("logs", "0", "-n", "200000").lines) == 200_000
    assert len(workbench("logs", "0", "-n", "9999999").lines) == 300_001
    assert "-n takes 0 or a larger number" in workbench.inside("logs", "0", "-n", "-1", code=2).err


@pytest.mark.slow
def test_escape_codes_do_not_touch_a_terminal(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: printf '\\033]0;title\\007\\033[31mr\\303\\251d\\033[0m\\a\\tx\\377\\n'\n")
    workbench.run("grid.yaml")
    assert workbench.inside("logs", "0").out.encode("utf-8", "replace").startswith(b"\x1b]0;title\x07\x1b[31mr")
    assert on_a_terminal(workbench, "logs", "0").decode() == "réd\tx\N{REPLACEMENT CHARACTER}\r\n"
    assert b"\x1b[31m" in on_a_terminal(workbench, "logs", "0", "--raw")


def test_following_a_task_until_it_ends(workbench: Workbench) -> None:
    workbench.write(
        "grid.yaml",
        "command: 'echo begun; while test ! -e {output}/go; do sleep 0.05; done; echo over >&2'\n",
    )
    workbench.run("grid.yaml", "--detach")
    follower = workbench.start("logs", "-f", "0")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "begun\n"
    assert follower.poll() is None
    (workbench.lab_path / "grid/tasks/0/0/go").touch()
    assert follower.communicate(timeout=20)[0] == "over\n"
    assert follower.returncode == 0
    assert workbench.inside("logs", "-f", "0").out == "begun\nover\n"


@pytest.mark.slow
def test_following_a_task_that_nothing_will_run(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: echo {a}\nparameters: {a: [1, 2]}\n")
    workbench.run("grid.yaml", "--only", "a = 1")
    assert "has not ended, and nothing is running" in workbench.inside("logs", "-f", "1", code=2).err
    assert workbench.inside("logs", "1").err == "grid/1 has not begun\n"
    assert "-f follows one task, and 2 are named" in workbench.inside("logs", "-f", "grid", code=2).err


@pytest.mark.slow
def test_status_for_people_and_for_programs(workbench: Workbench) -> None:
    workbench.write("grid.yaml", STEPS)
    workbench.write("slow.yaml", "command: sleep 60 && echo {a}\nparameters: {a: [1, 2, 3]}\n")
    workbench.run("grid.yaml", code=1)
    workbench.run("slow.yaml", "--detach", "--node", "localhost", "2")
    wait_for(lambda: workbench.inside("status", "slow", "--json").json()["experiments"][0]["counts"]["running"] == 2)
    found = workbench("status", "--json").json()
    assert found["schema_version"] == 1
    assert found["lab"] == str(workbench.lab_path)
    assert [(one["name"], one["tasks"], one["active"], one["queued"]) for one in found["experiments"]] == [
        ("grid", 3, False, 0),
        ("slow", 3, True, 3),
    ]
    assert found["experiments"][0]["counts"] == {
        "pending": 0,
        "running": 0,
        "done": 2,
        "failed": 1,
        "stopped": 0,
        "lost": 0,
    }
    assert found["engine"]["nodes"][0]["slots"] == 2
    shown = workbench("status").out
    assert "▶ running" in shown
    assert "node localhost: up, 2 slots" in shown

    # Stop one that runs, one that waits, then the rest.
    assert "slow: stopping 2 tasks" in workbench("stop", "slow/0", "slow/2").err
    wait_for(lambda: workbench.inside("status", "slow", "--json").json()["experiments"][0]["counts"]["stopped"] == 2)
    assert (
        "slow: nothing to stop: none of these tasks is running or pending" in workbench("stop", "slow/0", "slow/2").err
    )
    assert "grid has no task 77" in workbench.inside("stop", "grid/77", code=2).err
    assert "slow: stopping 1 task" in workbench("stop").err
    wait_for(lambda: workbench.inside("status", "--json").json()["engine"] is None)
    assert workbench.inside("status", "slow", "--json").json()["experiments"][0]["counts"]["stopped"] == 3
    assert "no engine is running" in workbench("status").out
    # What a person stopped waits for `retry`.
    assert "slow: 0 tasks to run (3 stopped)" in workbench.run("slow.yaml").err
    assert workbench.inside("show", "slow/1", "--json").json()["reason"] == "stopped"
    workbench("retry", "slow/1", "--detach")
    assert workbench.inside("status", "slow", "--json").json()["experiments"][0]["queued"] == 1
    workbench("stop")


@pytest.mark.slow
def test_retry_of_failures_by_condition(workbench: Workbench) -> None:
    workbench.write(
        "grid.yaml",
        "command: test -e go || { test {a} = 1 && sleep 60; exit {a}; }\n"
        "parameters: {a: [0, 1, 2, 3]}\ntimeout: 1s\ngrace: 0.1\n",
    )
    workbench.run("grid.yaml", code=1)
    (workbench.folder / "go").touch()
    assert workbench.table(
        "SELECT reason, count(*) AS n FROM grid_tasks WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 1"
    ) == [
        {"reason": "exit", "n": 2},
        {"reason": "timeout", "n": 1},
    ]
    assert "grid: 1 task to run again" in workbench("retry", "reason = 'timeout'", code=1).err
    counts = workbench.inside("status", "--json").json()["experiments"][0]["counts"]
    assert (counts["done"], counts["failed"]) == (2, 2)
    assert "none of these tasks failed" in workbench("retry", "0", "1", code=0).err
    workbench("retry")
    assert workbench.inside("status", "--json").json()["experiments"][0]["counts"]["done"] == 4
    history = workbench.inside("show", "1", "--json").json()["history"]
    assert [(event["attempt"], event["state"]) for event in history] == [(1, "failed"), (2, "done")]


def test_show_says_what_a_person_wants_to_know(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: 'echo why >&2; echo {a}; exit 3'\nparameters: {a: ['x y']}\n")
    workbench.run("grid.yaml", code=1)
    shown = workbench("show", "0").out
    for part in (
        "grid/0: ✗ failed (exit)",
        "a = x y",
        "$ echo why >&2; echo 'x y'; exit 3",
        "exit 3",
        "    why",
    ):
        assert part in shown
    assert str(workbench.lab_path / "grid/tasks/0/0") in shown
    found = workbench("show", "0", "--json").json()
    assert (found["state"], found["exit_code"], found["files"]) == ("failed", 3, ["stderr", "stdout"])


@pytest.mark.slow
def test_a_lab_that_is_copied_or_moved_goes_on(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: echo {a}\nparameters: {a: [1, 2]}\n")
    workbench.run("grid.yaml")
    first = (workbench.lab_path / "lab.json").read_text()
    wait_for(lambda: not (workbench.lab_path / "engine.json").exists())
    subprocess.run(["cp", "-r", "lab", "copy"], cwd=workbench.folder, check=True)
    result = workbench.run("grid.yaml", "--lab", "copy", "a=3")
    assert "1 task to run (1 new)" in result.err
    assert (workbench.folder / "copy/lab.json").read_text() != first
    assert workbench.inside("status", "--json").json()["experiments"][0]["tasks"] == 2
    Path(workbench.lab_path).rename(workbench.folder / "moved")
    workbench.run("grid.yaml", "--lab", "moved", "a=4")
    assert (workbench.folder / "moved/lab.json").read_text() != first
    assert len(workbench("logs", "grid", "--lab", "moved").lines) == 6


def test_a_copy_of_a_lab_in_use_does_not_reach_its_engine(workbench: Workbench) -> None:
    workbench.write("grid.yaml", "command: sleep 60; echo {a}\nparameters: {a: [1]}\n")
    workbench.run("grid.yaml", "--detach")
    wait_for(lambda: (workbench.lab_path / "grid/tasks/0/0/stdout").exists())
    subprocess.run(["cp", "-r", "lab", "copy"], cwd=workbench.folder, check=True)
    assert "nothing is running" in workbench("stop", "--lab", "copy", code=0).err
    assert workbench.inside("status", "--json").json()["engine"] is not None


def test_show_says_what_of_an_output_could_not_be_read(workbench: Workbench) -> None:
    workbench.write(
        "grid.yaml",
        "command: 'echo loss=1,234.5 acc={a}'\nparameters: {a: [1, 2]}\n"
        "metrics: {loss: 'loss=(@float@)', acc: 'acc=(@float@)', none: 'none=(@float@)'}\n",
    )
    workbench.run("grid.yaml")
    said = workbench("show", "0").out
    assert """! loss has no value: it matched "1,234.5", not a number: write thousands: ",\"""" in said
    assert "acc has" not in said
    assert list(workbench("show", "0", "--json").json()["refused"]) == ["loss"]
