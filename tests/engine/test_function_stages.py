"""Stages that call Python functions, in real runs."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.workbench import Workbench

MODULE = """\
import os, random

def note(*words):
    with open(os.environ["TRUTH"], "a") as file:
        print(*words, file=file)

def prepare(size: int):
    note("prepare", size)
    assert "TUI_LAB_TASK_ID" not in os.environ and "TUI_LAB_REPEAT" not in os.environ
    return {"size": size, "drawn": random.random()}

def train(lr: float, seed: int):
    note("train", lr, seed)
    if lr > 0.3:
        raise ValueError("too fast")
    return {"loss": 1 - lr}
"""

TWO = """\
stages:
  prepare: {function: work.py::prepare}
  listed: {command: 'ls {prepare.output} | grep -c returned.json > {output}/names'}
  train: {function: work.py::train, after: listed}
parameters: {size: [10, 20], lr: [0.1, 0.2, 0.4]}
repeat: 2
metrics: {loss: {goal: min}, drawn: {stage: prepare}, names: {pattern: '(@int@)', from: names, stage: listed}}
"""


@pytest.mark.slow
def test_functions_and_commands_as_stages(workbench: Workbench) -> None:
    workbench.write("work.py", MODULE)
    said = workbench.run_text(TWO, "--keep-going", code=1).err
    assert "ValueError: too fast" in said
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 2, "train": 12}
    ended = workbench.table("SELECT lr, state, reason, exception FROM e_tasks WHERE state != 'done'")
    assert ended == [{"lr": 0.4, "state": "failed", "reason": "exception", "exception": "ValueError"}] * 4
    rows = workbench.table("SELECT size, lr, loss, drawn, names FROM e")
    assert len(rows) == 8 and all(row["loss"] == 1 - row["lr"] and row["names"] == 1 for row in rows)
    assert len({(row["size"], row["drawn"]) for row in rows}) == 2, "seeded by its key"
    # A new argument with a default runs nothing again, and what equals the default is the same run.
    workbench.write(
        "work.py", MODULE.replace("size: int", "size: int, scale: float = 1.0").replace("lr > 0.3", "False")
    )
    assert "size, scale" not in workbench("plan", "experiment.yaml").out
    workbench("--run", "experiment.yaml", "--node", "localhost", 2)
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 2, "train": 16}
    assert {row["state"] for row in workbench.table("SELECT state FROM e")} == {"done"}
    scaled = TWO.replace("size: [10, 20]", "size: [10, 20], scale: [1, 2]")
    assert (
        "stages: prepare 4 (2 done), listed 4 (2 done), train 24 (12 done)"
        in workbench("plan", workbench.write("experiment.yaml", "name: e\n" + scaled)).out
    )
    workbench.write("work.py", MODULE.replace("size: int", "size: int, scale: float = 3.0"))
    workbench.write("experiment.yaml", "name: e\n" + TWO)
    assert "stages: prepare 2, listed 2, train 12" in workbench("plan", "experiment.yaml").out
