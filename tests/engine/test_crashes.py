"""Nothing lost, nothing counted twice: engine and agent are killed, stopped, or both, again and again.

Each task appends its identity to a file, the ground truth; a checker compares it with journal and table.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.workbench import Workbench, alive, until

TASKS = 150
TEXT = f"""
command: 'echo {{task_id}}/{{attempt}} >>$TRUTH; sleep 0.0{{x}}; echo over'
parameters: {{x: [1, 2, 3]}}
repeat: {TASKS // 3}
"""


def check(workbench: Workbench, name: str = "e", may_be_lost: bool = False) -> None:
    """Ground truth, journal and table tell the same story."""
    assigned: Counter[tuple[int, int]] = Counter()
    finished: dict[tuple[int, int], str] = {}
    for event in workbench.events(name=name):
        if event["event"] == "assigned":
            assigned.update((task, attempt) for task, attempt in event["attempts"])
        elif event["event"] == "returned":
            assigned.subtract((task, attempt) for task, attempt in event["attempts"])
        elif event["event"] == "finished":
            key = (event["task"], event["attempt"])
            assert key not in finished, f"{key} ended twice"
            finished[key] = event["state"]
    assert set(assigned.values()) <= {0, 1}
    assert {key for key, count in assigned.items() if count} == set(finished), "something is open still"
    lost = {key for key, state in finished.items() if state == "lost"}
    assert may_be_lost or not lost, lost
    ran = Counter(tuple(map(int, line.split("/"))) for line in workbench.lines())
    assert all(count == 1 for count in ran.values()), f"started twice: {[key for key in ran if ran[key] > 1]}"
    assert set(finished) - set(ran) <= lost, "said to have run, and did not"
    assert set(ran) <= set(finished), "ran, and nobody knows"
    for task in workbench.tasks(name):
        assert task["state"] == "done"
        assert finished[task["task_id"], task["attempt"]] == "done"
        assert task["attempts"] - 1 == sum(1 for key in lost if key[0] == task["task_id"])
        file = "stdout" if task["attempt"] == 1 else f"stdout.{task['attempt']}"
        assert workbench.output(task["task_id"], file, name) == "over\n"
    assert "Traceback" not in (workbench.lab_path / "engine.log").read_text()


def begin(workbench: Workbench, slots: int = 3) -> subprocess.Popen[str]:
    run = workbench.start("--run", workbench.write("e.yaml", TEXT), "--node", "localhost", slots)
    until(lambda: len(workbench.lines()) >= 5)
    return run


def end(workbench: Workbench, run: subprocess.Popen[str]) -> None:
    """Follow to the end; a follower that was told too often that its engine died leaves it to the same
    command."""
    out, err = run.communicate(timeout=90)
    assert run.returncode in (0, 3), out + err
    assert "Traceback" not in err
    if run.returncode == 3:
        assert "keeps dying" in err
        workbench("--run", "e.yaml", timeout=90)


def kill(pid: int | None) -> bool:
    if pid is None or not alive(pid):
        return False
    os.kill(pid, signal.SIGKILL)
    until(lambda: not alive(pid))
    return True


def rounds(request: pytest.FixtureRequest) -> int:
    return 40 if request.config.getoption("--long") else 5


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("victims", ["engine", "agent", "both"])
def test_kill_again_and_again(workbench: Workbench, victims: str, request: pytest.FixtureRequest) -> None:
    chance = random.Random(victims)
    run = begin(workbench)
    kills = 0
    for _ in range(rounds(request)):
        # A moment that no one has chosen: some tasks further on, and a little later.
        wanted = min(TASKS, len(workbench.lines()) + chance.randrange(1, 12))
        until(lambda: len(workbench.lines()) >= wanted or run.poll() is not None, 30)
        time.sleep(chance.random() * 0.05)
        if victims in ("engine", "both"):
            kills += kill(workbench.engine_pid())
        if victims in ("agent", "both"):
            kills += kill(workbench.agent_pid())
    end(workbench, run)
    assert kills > 2
    check(workbench, may_be_lost=victims != "engine")


@pytest.mark.slow
@pytest.mark.fault
@pytest.mark.parametrize("victim", ["engine", "agent"])
def test_a_stopped_process_goes_on_where_it_was(workbench: Workbench, victim: str) -> None:
    run = begin(workbench)
    for _ in range(3):
        pid = workbench.engine_pid() if victim == "engine" else workbench.agent_pid()
        if pid is None:
            break
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.4)  # the length of the pause is the point
        os.kill(pid, signal.SIGCONT)
        before = len(workbench.lines())
        until(lambda: len(workbench.lines()) > before or run.poll() is not None)
    assert run.wait(60) == 0
    check(workbench)


@pytest.mark.slow
@pytest.mark.fault
def test_tasks_end_while_nobody_is_there(workbench: Workbench) -> None:
    script = "echo {task_id}/{attempt} >>$TRUTH; while ! test -e go; do sleep 0.02; done; echo over"
    text = f"command: '{script}'\nrepeat: 6\n"
    run = workbench.start("--run", workbench.write("e.yaml", text), "--node", "localhost", 3)
    until(lambda: len(workbench.lines()) == 3 and len(workbench.events("started")) == 3)
    run.kill()
    kill(workbench.engine_pid())
    kill(workbench.agent_pid())
    pids = [record for record in (workbench.spool / "ledger.jsonl").read_text().splitlines() if '"pid"' in record]
    assert len(pids) == 3
    (workbench.folder / "go").touch()
    until(lambda: (workbench.spool / "exits-1").read_text().count("ended ") == 3)
    workbench("--run", "e.yaml")
    check(workbench)
    assert len(workbench.lines()) == 6


@pytest.mark.slow
@pytest.mark.fault
def test_after_a_reboot_what_ran_runs_again(workbench: Workbench) -> None:
    text = "command: 'echo {task_id}/{attempt} >>$TRUTH; test -e go || sleep 60; echo over'\nrepeat: 3\n"
    run = workbench.start("--run", workbench.write("e.yaml", text), "--node", "localhost", 2)
    until(lambda: len(workbench.lines()) == 2 and len(workbench.events("started")) == 2)
    run.kill()
    kill(workbench.engine_pid())
    kill(workbench.agent_pid())
    records = [json.loads(line) for line in (workbench.spool / "ledger.jsonl").read_text().splitlines()]
    for pid in [record["pid"] for record in records if record["record"] == "pid"]:
        os.killpg(pid, signal.SIGKILL)
    (workbench.spool / "boot").write_text(os.uname().nodename + " 0000-another-boot pid:[1]")
    (workbench.folder / "go").touch()
    workbench("--run", "e.yaml")
    check(workbench, may_be_lost=True)
    lost = [event for event in workbench.events("finished") if event["state"] == "lost"]
    assert {event["reason"] for event in lost} == {"node-lost"}
    assert len(lost) in (2, 3)  # also what was handed over and had not begun: nobody can tell any more


@pytest.mark.slow
@pytest.mark.fault
def test_the_journal_may_be_cut_anywhere(workbench: Workbench, request: pytest.FixtureRequest) -> None:
    """What is cut off is settled with the agent, which remembers what was not acknowledged, or runs again."""
    run = begin(workbench)
    until(lambda: len(workbench.events("finished")) > 40)
    run.kill()
    kill(workbench.engine_pid())
    journal = workbench.lab_path / "e/journal.jsonl"
    whole = journal.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n")
    before = workbench.experiment().state().counts_by_name()
    for end_ in range(last, len(whole)):
        journal.write_bytes(whole[:end_])
        counts = workbench.experiment().state().counts_by_name()
        assert sum(counts.values()) == TASKS
        assert abs(counts["done"] - before["done"]) <= 1
    journal.write_bytes(whole[: last + (len(whole) - last) // 2])
    workbench("--run", "e.yaml")
    assert len(workbench.events("finished")) == TASKS
    assert Counter(task["state"] for task in workbench.tasks()) == {"done": TASKS}
    ran = Counter(workbench.lines())
    assert set(ran.values()) == {1}
    assert len(ran) == TASKS


@pytest.mark.slow
def test_a_checkpoint_is_used_and_a_bad_one_ignored(workbench: Workbench) -> None:
    run = begin(workbench)
    assert run.wait(60) == 0
    until(lambda: workbench.engine_pid() is None)
    checkpoint: Path = workbench.lab_path / "e/state.parquet"
    until(checkpoint.exists)
    table = workbench.tasks()
    checkpoint.write_bytes(b"damaged")
    assert workbench.tasks() == table
    checkpoint.unlink()
    assert workbench.tasks() == table
