"""`repeat: {min, max, until}` with a real engine: repeats run until an interval is narrow."""

from __future__ import annotations

import json
import os
import signal
import time

import pytest

from tests.workbench import Workbench, until
from tui_lab.engine.lock import EngineFacts
from tui_lab.store.lab import Lab

NOISY = """\
import random, sys
spread, repeat = float(sys.argv[1]), int(sys.argv[2])
if spread > 5:
    sys.exit(3)
print("acc", 10 + random.Random(repeat).gauss(0, spread))
"""
SWEEP = """\
command: python3 noisy.py {spread} {repeat}
parameters: {spread: [0.01, 3, 9]}
repeat: {min: 3, max: 6, until: "ci95(acc) < 0.05 * mean(acc)"}
metrics: {acc: {pattern: 'acc (@float@)', goal: max}}
"""


@pytest.mark.slow
def test_repeats_until_an_interval_is_narrow(workbench: Workbench) -> None:
    workbench.write("noisy.py", NOISY)
    workbench.write("grid.yaml", SWEEP)
    planned = workbench.inside("plan", "grid.yaml").out
    assert "grid: 3 combinations x 3 to 6 repeats = at most 18 tasks" in planned
    assert "would run 9 tasks; up to 9 more until ci95(acc) < 0.05 * mean(acc)" in planned

    said = workbench.run("grid.yaml", "--keep-going", code=1).err
    assert "grid: 9 tasks to run (9 new); up to 9 more until ci95(acc) < 0.05 * mean(acc)" in said
    assert "3 repeats not needed" in said
    assert workbench.table("SELECT spread, state, count(*) AS n FROM grid_tasks GROUP BY ALL ORDER BY ALL") == [
        {"spread": 0.01, "state": "done", "n": 3},
        {"spread": 0.01, "state": "pending", "n": 3},
        {"spread": 3.0, "state": "done", "n": 6},
        {"spread": 9.0, "state": "failed", "n": 6},
    ]
    lines = (workbench.lab_path / "grid" / "journal.jsonl").read_text().splitlines()
    extended = [event["queued"] for event in map(json.loads, lines) if event["event"] == "extended"]
    # One further repeat of each setting at a time.
    assert extended == [[[9, 9], [15, 15]], [[10, 10], [16, 16]], [[11, 11], [17, 17]]]

    # Again: nothing but the failures; a tighter condition goes on where this one stopped.
    assert workbench.inside("plan", "grid.yaml", "--new", "--json").json()["to_run"] == 0
    workbench.write("grid.yaml", SWEEP.replace("0.05 * mean(acc)", "0.0001"))
    said = workbench.run("grid.yaml", "--new", code=1).err
    assert "grid: 1 task to run (9 done, 6 failed, 3 new); up to 2 more" in said or "grid: 1 task to run" in said
    assert workbench.table("SELECT count(*) AS n FROM grid") == [{"n": 12}]


@pytest.mark.slow
def test_a_condition_that_can_not_become_true_is_told_once_during_the_run(workbench: Workbench) -> None:
    text = (
        "command: echo loss=-{a}.{repeat}\nparameters: {a: [1, 2]}\n"
        "repeat: {min: 2, max: 4, until: 'ci95(loss) < 0.1 * mean(loss)'}\nmetrics: {loss: 'loss=(@float@)'}\n"
    )
    workbench.write("grid.yaml", text)
    workbench.write("none.yaml", text.replace("echo loss", "echo acc"))
    said = workbench.run("grid.yaml").err
    assert said.count("can't become true of 2 of 2 settings, as their means are so far") == 1
    said = workbench.run("none.yaml").err
    assert said.count("can't become true: no done task has a number for loss so far") == 1
    events = map(json.loads, (workbench.lab_path / "grid" / "journal.jsonl").read_text().splitlines())
    assert ["note" in event for event in events if event["event"] == "extended"] == [True, False]


FREEZE = """\
command: "echo {a}; python3 -c \\"print('a' * 40 + '!')\\""
parameters: {a: [1, 2, 3, 4]}
repeat: {min: 2, max: 3, until: 'ci95(m) < 0.1'}
metrics: {m: {pattern: '((?:a+)+)$', type: float}}
"""
OTHER = "command: echo {a}\nparameters: {a: {range: [1, 5]}}\n"


@pytest.mark.slow
def test_a_condition_that_takes_for_ever_holds_nothing_up(workbench: Workbench) -> None:
    workbench.write("stuck.yaml", FREEZE)
    workbench.write("other.yaml", OTHER)
    workbench.write("held.yaml", "command: sleep 100; echo {a}\nparameters: {a: [1]}\n")
    workbench.run("held.yaml", "--detach")
    workbench.run("stuck.yaml", "--detach")
    journal = workbench.lab_path / "stuck" / "journal.jsonl"
    until(lambda: journal.read_text().count('"event":"finished"') >= 8, 60)
    began = time.monotonic()
    workbench.run("other.yaml")
    assert workbench("status").out
    workbench("stop", "stuck")
    facts = EngineFacts.read(Lab.open(workbench.lab_path))
    assert facts is not None and facts.alive
    os.kill(facts.pid, signal.SIGTERM)
    until(lambda: not facts.alive, 10)
    assert time.monotonic() - began < 60
