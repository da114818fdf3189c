"""Looking at tasks and changing their course: logs, show, status, stop, retry, and all forms of address."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.cli.bench import Bench

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


def on_a_terminal(bench: Bench, *words: str) -> bytes:
    """What a command writes to a terminal."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui_lab", *words],
        cwd=bench.folder,
        env=bench.environment,
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


def test_logs_by_every_form_of_address(bench: Bench) -> None:
    bench.write("one.yaml", "command: echo one {a}\nparameters: {a: [1, 2]}\n")
    bench.write("grid.yaml", STEPS + "retries: 1\n")
    bench.run("one.yaml")
    bench.run("grid.yaml", code=1)
    assert bench("logs", "0:train", "--stdout").out == "training 1\n"
    assert bench.inside("logs", "0:train", "--stderr").out == "warm\n"
    assert bench.inside("logs", "1.1:test").out == "testing 2\n"
    assert bench.inside("logs", "1.2:test").out == "testing 2\n"
    assert bench.inside("logs", "one/1").out == "one 2\n"
    two = "==> one/0 stdout <==\none 1\n==> one/1 stdout <==\none 2\n"
    assert bench.inside("logs", "one").out == two
    assert bench.inside("logs", "one/0-1").out == two
    assert bench.inside("logs", "one/0", "one/1", "one/0").out == two
    assert bench.inside("logs", "one/a > 1").out == "one 2\n"
    assert bench.inside("logs", "state = 'failed'", "--stdout").lines == [
        "==> grid/1 train.stdout.2 <==",
        "training 2",
        "==> grid/1 test.stdout.2 <==",
        "testing 2",
    ]
    assert bench.inside("logs", "attempts = 2 and a = 2", "-n", "0").lines == [
        "==> grid/1 train.stdout.2 <==",
        "==> grid/1 train.stderr.2 <==",
        "==> grid/1 test.stdout.2 <==",
    ]
    # Outputs of steps that the file does not have any more are still found.
    bench.write("grid.yaml", "command: echo\n")
    bench.run("grid.yaml")
    assert bench.inside("logs", "0:test").out == "testing 1\n"
    assert bench.inside("show", "--json", "0").json()["parameters"] == {"a": 1}


def test_the_last_lines_of_a_large_output(bench: Bench) -> None:
    bench.write("grid.yaml", "command: [seq 300000, printf end]\n")
    bench.run("grid.yaml")
    assert len(bench("logs", "0").lines) == 300_001
    assert bench.inside("logs", "0", "-n", "2").out == "300000\nend"
    assert bench.inside("logs", "0", "-n", "1").out == "end"
    assert len(bench("logs", "0", "-n", "200000").lines) == 200_000
    assert len(bench("logs", "0", "-n", "9999999").lines) == 300_001
    assert "-n takes a number from 0" in bench.inside("logs", "0", "-n", "-1", code=2).err


def test_escape_codes_do_not_touch_a_terminal(bench: Bench) -> None:
    bench.write("grid.yaml", "command: printf '\\033]0;title\\007\\033[31mr\\303\\251d\\033[0m\\a\\tx\\377\\n'\n")
    bench.run("grid.yaml")
    assert bench.inside("logs", "0").out.encode("utf-8", "replace").startswith(b"\x1b]0;title\x07\x1b[31mr")
    assert on_a_terminal(bench, "logs", "0").decode() == "réd\tx\N{REPLACEMENT CHARACTER}\r\n"
    assert b"\x1b[31m" in on_a_terminal(bench, "logs", "0", "--raw")


def test_following_a_task_until_it_ends(bench: Bench) -> None:
    bench.write(
        "grid.yaml",
        "command: 'echo begun; while test ! -e {output}/go; do sleep 0.05; done; echo over >&2'\n",
    )
    bench.run("grid.yaml", "--detach")
    follower = bench.start("logs", "-f", "0")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "begun\n"
    assert follower.poll() is None
    (bench.lab / "grid/tasks/0/0/go").touch()
    assert follower.communicate(timeout=20)[0] == "over\n"
    assert follower.returncode == 0
    assert bench.inside("logs", "-f", "0").out == "begun\nover\n"


def test_following_a_task_that_nothing_will_run(bench: Bench) -> None:
    bench.write("grid.yaml", "command: echo {a}\nparameters: {a: [1, 2]}\n")
    bench.run("grid.yaml", "--only", "a = 1")
    assert "has not ended, and nothing is running" in bench.inside("logs", "-f", "1", code=2).err
    assert bench.inside("logs", "1").err == "grid/1 has not begun\n"
    assert "-f follows one task, and 2 are named" in bench.inside("logs", "-f", "grid", code=2).err


def test_status_for_people_and_for_programs(bench: Bench) -> None:
    bench.write("grid.yaml", STEPS)
    bench.write("slow.yaml", "command: sleep 60 && echo {a}\nparameters: {a: [1, 2, 3]}\n")
    bench.run("grid.yaml", code=1)
    bench.run("slow.yaml", "--detach", "--node", "localhost", "2")
    wait_for(lambda: bench.inside("status", "slow", "--json").json()["experiments"][0]["counts"]["running"] == 2)
    found = bench("status", "--json").json()
    assert found["schema_version"] == 1
    assert found["lab"] == str(bench.lab)
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
    shown = bench("status").out
    assert "▶ running" in shown
    assert "node localhost: up, 2 slots" in shown

    # Stop one that runs, one that waits, then the rest.
    assert "slow: stopping 2 tasks" in bench("stop", "slow/0", "slow/2").err
    wait_for(lambda: bench.inside("status", "slow", "--json").json()["experiments"][0]["counts"]["stopped"] == 2)
    assert "slow: nothing to stop: none of these tasks is going" in bench("stop", "slow/0", "slow/2").err
    assert "grid has no task 77" in bench.inside("stop", "grid/77", code=2).err
    assert "slow: stopping 1 task" in bench("stop").err
    wait_for(lambda: bench.inside("status", "--json").json()["engine"] is None)
    assert bench.inside("status", "slow", "--json").json()["experiments"][0]["counts"]["stopped"] == 3
    assert "no engine is running" in bench("status").out
    # What a person stopped waits for `retry`.
    assert "slow: 0 tasks to run (3 stopped)" in bench.run("slow.yaml").err
    assert bench.inside("show", "slow/1", "--json").json()["reason"] == "stopped"
    bench("retry", "slow/1", "--detach")
    assert bench.inside("status", "slow", "--json").json()["experiments"][0]["queued"] == 1
    bench("stop")


def test_retry_of_failures_by_condition(bench: Bench) -> None:
    bench.write(
        "grid.yaml",
        "command: test -e go || { test {a} = 1 && sleep 60; exit {a}; }\n"
        "parameters: {a: [0, 1, 2, 3]}\ntimeout: 1s\ngrace: 0.1\n",
    )
    bench.run("grid.yaml", code=1)
    (bench.folder / "go").touch()
    assert bench.table(
        "SELECT reason, count(*) AS n FROM grid_tasks WHERE reason IS NOT NULL GROUP BY 1 ORDER BY 1"
    ) == [
        {"reason": "exit", "n": 2},
        {"reason": "timeout", "n": 1},
    ]
    assert "grid: 1 task to run again" in bench("retry", "reason = 'timeout'", code=1).err
    counts = bench.inside("status", "--json").json()["experiments"][0]["counts"]
    assert (counts["done"], counts["failed"]) == (2, 2)
    assert "none of these tasks failed" in bench("retry", "0", "1", code=0).err
    bench("retry")
    assert bench.inside("status", "--json").json()["experiments"][0]["counts"]["done"] == 4
    history = bench.inside("show", "1", "--json").json()["history"]
    assert [(event["attempt"], event["state"]) for event in history] == [(1, "failed"), (2, "done")]


def test_show_says_what_a_person_wants_to_know(bench: Bench) -> None:
    bench.write("grid.yaml", "command: 'echo why >&2; echo {a}; exit 3'\nparameters: {a: ['x y']}\n")
    bench.run("grid.yaml", code=1)
    shown = bench("show", "0").out
    for part in (
        "grid/0: ✗ failed (exit)",
        "a = x y",
        "$ echo why >&2; echo 'x y'; exit 3",
        "exit 3",
        "    why",
    ):
        assert part in shown
    assert str(bench.lab / "grid/tasks/0/0") in shown
    found = bench("show", "0", "--json").json()
    assert (found["state"], found["exit_code"], found["files"]) == ("failed", 3, ["stderr", "stdout"])


def test_a_lab_that_is_copied_or_moved_goes_on(bench: Bench) -> None:
    bench.write("grid.yaml", "command: echo {a}\nparameters: {a: [1, 2]}\n")
    bench.run("grid.yaml")
    first = (bench.lab / "lab.json").read_text()
    wait_for(lambda: not (bench.lab / "engine.json").exists())
    subprocess.run(["cp", "-r", "lab", "copy"], cwd=bench.folder, check=True)
    result = bench.run("grid.yaml", "--lab", "copy", "a=3")
    assert "1 task to run (1 new)" in result.err
    assert (bench.folder / "copy/lab.json").read_text() != first
    assert bench.inside("status", "--json").json()["experiments"][0]["tasks"] == 2
    Path(bench.lab).rename(bench.folder / "moved")
    bench.run("grid.yaml", "--lab", "moved", "a=4")
    assert (bench.folder / "moved/lab.json").read_text() != first
    assert len(bench("logs", "grid", "--lab", "moved").lines) == 6


def test_a_copy_of_a_lab_in_use_does_not_reach_its_engine(bench: Bench) -> None:
    bench.write("grid.yaml", "command: sleep 60; echo {a}\nparameters: {a: [1]}\n")
    bench.run("grid.yaml", "--detach")
    wait_for(lambda: (bench.lab / "grid/tasks/0/0/stdout").exists())
    subprocess.run(["cp", "-r", "lab", "copy"], cwd=bench.folder, check=True)
    assert "nothing is running" in bench("stop", "--lab", "copy", code=0).err
    assert bench.inside("status", "--json").json()["engine"] is not None


def test_show_says_what_of_an_output_could_not_be_read(bench: Bench) -> None:
    bench.write(
        "grid.yaml",
        "command: 'echo loss=1,234.5 acc={a}'\nparameters: {a: [1, 2]}\n"
        "metrics: {loss: 'loss=(@float@)', acc: 'acc=(@float@)', none: 'none=(@float@)'}\n",
    )
    bench.run("grid.yaml")
    said = bench("show", "0").out
    assert """! loss has no value: it matched "1,234.5", not a number: write thousands: ",\"""" in said
    assert "acc has" not in said
    assert list(bench("show", "0", "--json").json()["refused"]) == ["loss"]
