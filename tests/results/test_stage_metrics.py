"""Metrics of stages before the last, of every kind: each run is read once, for all tasks that share it."""

from __future__ import annotations

import json

import pytest

from tests.workbench import Workbench

PARSERS = """
import json, os
def lines(folder):
    with open(os.environ["TRUTH"], "a") as file:
        print("function", os.environ["TUI_LAB_STAGE"], os.environ["TUI_LAB_PARAMS"], file=file)
    text = open(os.path.join(folder, "stdout")).read()
    return {"lines": text.count("loss"), "lr": json.loads(os.environ["TUI_LAB_PARAMS"])["lr"]}
"""
CHAIN = """
stages:
  prepare: {command: 'echo size {size}; echo {size} > {output}/n'}
  train:
    command: |
      for i in 1 2 3; do
        echo "epoch $i loss 0.$i"
        echo "{\\"step\\": $i, \\"error\\": $i.5}" >> $TUI_LAB_METRICS
      done
    uses: [size, lr]
    after: prepare
  test:
    command: 'echo "score: {lr}{k}"; echo "{\\"step\\": 2, \\"score\\": 7}" >> $TUI_LAB_METRICS'
    after: train
parameters: {size: [10, 20], lr: [1, 2], k: [3, 4, 5]}
metrics:
  score: 'score: (@int@)'
  size_read: {run: 'echo "run {size}" >> $TRUTH; cat n', pattern: '(@int@)', stage: prepare}
  loss: {pattern: 'epoch (?P<step>@int@) loss (?P<value>@float@)', take: all, goal: min, stage: train}
  lines: {function: 'parsers.py::lines', stage: train}
  per_line: {sql: 'size_read / lines'}
  of_lr: {sql: 'size_read * lr'}
  of_task: {sql: 'size_read + score'}
"""


@pytest.mark.slow
def test_metrics_of_every_kind_of_stages(workbench: Workbench) -> None:
    workbench.write("parsers.py", PARSERS)
    workbench.run_text(CHAIN)
    columns = "size, lr, k, score, size_read, loss, lines, per_line, of_lr"
    rows = workbench.table(f"SELECT {columns} FROM e ORDER BY task_id")
    assert len(rows) == 12
    for row in rows:
        wanted = {"score": row["lr"] * 10 + row["k"], "size_read": row["size"], "loss": 0.3, "lines": 3}
        wanted |= {"per_line": row["size"] / 3, "of_lr": row["size"] * row["lr"]}
        assert {name: row[name] for name in wanted} == wanted
    # Each run is read once: commands and functions ran for it, not for the tasks, and never again.
    executed = sorted(workbench.lines())
    of_functions = [f'function train {{"size": {size}, "lr": {lr}}}' for size in (10, 20) for lr in (1, 2)]
    assert executed == [*of_functions, "run 10", "run 20"]

    runs = workbench.table("SELECT stage, tasks, size, lr, size_read, loss, lines FROM e_stages ORDER BY run_id")
    assert [row for row in runs if row["stage"] == "prepare"] == [
        {"stage": "prepare", "tasks": 6, "size": n, "lr": None, "size_read": n, "loss": None, "lines": None}
        for n in (10, 20)
    ]
    assert [(row["loss"], row["lines"], row["size_read"]) for row in runs if row["stage"] == "train"] == [
        (0.3, 3, None)
    ] * 4

    # Values by step, also live metrics: the task's own, and those of the runs behind it, in one row.
    steps = workbench.table("SELECT step, loss, error, score FROM e_steps WHERE task_id = 7 ORDER BY step")
    assert steps == [
        {"step": 1, "loss": 0.1, "error": 1.5, "score": None},
        {"step": 2, "loss": 0.2, "error": 2.5, "score": 7},
        {"step": 3, "loss": 0.3, "error": 3.5, "score": None},
    ]

    # What tasks share is one observation, however it is asked for.
    wanted = {"loss": 4, "lines": 4, "size_read": 2, "per_line": 4, "of_lr": 4, "of_task": 12, "score": 12}
    wanted |= {"loss@best": 4, "error@last": 4, "score@last": 12}
    for metric, count in wanted.items():
        found = workbench("stats", "e", "--by", "", "--metric", metric, "--goal", f"{metric}=min", "--json")
        assert [one["n"] for one in found.json()["settings"]] == [count], metric
    for column, count in (("error", 2), ("score", 6)):
        drawn = workbench("draw", "steps", "e", "--y-column", column, "--table", "--format", "jsonl").lines
        assert {json.loads(line)["n"] for line in drawn} == {count}, "of each size"

    # The cache of a stage holds: other tasks over the same runs, and a run again.
    workbench.run_text(CHAIN.replace("[3, 4, 5]", "[3, 4, 5, 6]"))
    assert workbench.table("SELECT count(*) AS n, min(lines) AS least FROM e")[0] == {"n": 16, "least": 3}
    assert sorted(workbench.lines()) == executed
    workbench("retry", "e/0:train")
    assert workbench.table("SELECT min(lines) AS least FROM e")[0] == {"least": 3}
    assert sorted(workbench.lines()) == sorted([*executed, of_functions[0]])
    workbench("parse", "e", "--force")
    assert len(workbench.lines()) == 2 * len(executed) + 1
