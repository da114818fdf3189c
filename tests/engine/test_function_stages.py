"""Stages that call Python functions, in real runs."""

from __future__ import annotations

import random
import subprocess
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

def chained(chain):
    assert set(chain) == {"total", "tuple"} and chain["tuple"] == (chain["total"],)

def train(lr: float, seed: int):
    note("train", lr, seed)
    if lr > 0.3:
        raise ValueError("too fast")
    return {"loss": 1 - lr}
"""

CHAIN = """\
def pre(cfg):
    return [cfg["size"]] * 2

def fit(cfg, x):
    return sum(x)

def post(cfg, y):
    return {"total": y, "tuple": (y,)}
"""

TWO = """\
stages:
  prepare: {function: work.py::prepare}
  listed: {command: 'ls {prepare.output} | grep -c returned.json > {output}/names'}
  chain: {function: chain.py, uses: size}
  chained: {function: work.py::chained}
  train: {function: work.py::train, after: [listed, chained]}
parameters: {size: [10, 20], lr: [0.1, 0.2, 0.4]}
repeat: 2
metrics:
  loss: {goal: min}
  drawn: {stage: prepare}
  total: {stage: chain}
  fit_time: {stage: chain}
  names: {pattern: '(@int@)', from: names, stage: listed}
"""


@pytest.mark.slow
def test_functions_and_commands_as_stages(workbench: Workbench) -> None:
    workbench.write("work.py", MODULE)
    workbench.write("chain.py", CHAIN)
    said = workbench.run_text(TWO, "--keep-going", code=1).err
    assert "ValueError: too fast" in said
    assert Counter(line.split()[0] for line in workbench.lines()) == {"prepare": 2, "train": 12}
    ended = workbench.table("SELECT lr, state, reason, exception FROM e_tasks WHERE state != 'done'")
    assert ended == [{"lr": 0.4, "state": "failed", "reason": "exception", "exception": "ValueError"}] * 4
    rows = workbench.table("SELECT size, lr, loss, drawn, names, total, fit_time FROM e")
    assert all(row["total"] == 2 * row["size"] and row["fit_time"] >= 0 for row in rows)
    assert len(rows) == 8 and all(row["loss"] == 1 - row["lr"] and row["names"] == 1 for row in rows)
    assert len({(row["size"], row["drawn"]) for row in rows}) == 2, "seeded by its key"
    seeds = workbench.table("SELECT seed FROM e_stages WHERE stage = 'prepare'")
    assert {random.Random(row["seed"]).random() for row in seeds} == {row["drawn"] for row in rows}
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
        "stages: prepare 4 (2 done), listed 4 (2 done), chain 2 (2 done), chained 2 (2 done), train 24 (12 done)"
        in workbench("plan", workbench.write("experiment.yaml", "name: e\n" + scaled)).out
    )
    workbench.write("work.py", MODULE.replace("size: int", "size: int, scale: float = 3.0"))
    workbench.write("experiment.yaml", "name: e\n" + TWO)
    assert (
        "stages: prepare 2, listed 2, chain 2 (2 done), chained 2 (2 done), train 12"
        in workbench("plan", "experiment.yaml").out
    )


# As with experimaestro: a task is configured with another one, whose result it gets. What is learnt is evaluated twice.
LEARNING = """\
from dataclasses import dataclass
from pathlib import Path

class Unkept:
    def __reduce__(self):
        raise TypeError("not this one")

@dataclass
class Model:
    weights: object
    epochs: int

def documents(corpus: Path, size: int):
    from array import array
    return [int(line) for line in (corpus / "lines").read_text().split()][:size]

def learn(documents: list, epochs: int, seed: int, broken: bool = False):
    note("learn", len(documents), epochs)
    return Unkept() if broken else Model(tuple(documents), epochs)
"""

EVALUATION = """\
import os

def evaluate(model, documents, measure: str):
    with open(os.environ["TRUTH"], "a") as file:
        print("evaluate", measure, file=file)
    assert type(model).__name__ == "Model" and type(documents) is list
    return sum(model.weights) * model.epochs
"""

LEARN = """\
stages:
  corpus: {command: 'echo corpus >> $TRUTH; seq 100 > {output}/lines'}
  documents: {function: parts/work.py::documents}
  learn: {function: parts/work.py::learn}
  evaluate: {function: evaluation.py::evaluate, args: {learn: model}}
parameters: {size: [10, 20], epochs: [1, 3], measure: [mrr, ndcg]}
repeat: 2
"""


@pytest.mark.slow
def test_what_a_stage_returns_is_an_argument_of_later_ones(workbench: Workbench) -> None:
    workbench.write("parts/work.py", MODULE.partition("def prepare")[0] + LEARNING)
    workbench.write("evaluation.py", EVALUATION)
    workbench.run_text(LEARN)
    ran = Counter(" ".join(line.split()[:2]) for line in workbench.lines())
    assert ran == {"corpus": 1, "learn 10": 4, "learn 20": 4, "evaluate mrr": 8, "evaluate ndcg": 8}
    rows = workbench.table("SELECT size, epochs, result FROM e")
    assert all(row["result"] == row["epochs"] * row["size"] * (row["size"] + 1) // 2 for row in rows)
    stages = workbench.experiment().path / "stages"
    kept = {path.relative_to(stages).parts[::2] for path in stages.rglob("returned_value*")}
    assert kept == {("documents", "returned_value.json"), ("learn", "returned_value.pickle")}
    # The line that repeats a call has the value, too.
    line = workbench("show", "--command", "e/0").out
    repeated = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=workbench.environment)
    assert repeated.stdout == f"{rows[0]['result']}\n", (line, repeated.stderr)
    # A value that is gone is made again where it is needed, as other outputs are.
    next(stages.glob("documents/*/returned_value.json")).unlink()
    file = workbench.write("experiment.yaml", "name: e\n" + LEARN.replace("[1, 3]", "[1, 3, 5]"))
    assert "1 run of documents would run again: the outputs are gone" in workbench("plan", file).out
    # What can't be passed on is the failure of the stage that returned it.
    broken = LEARN.replace("repeat: 2", "defaults: {broken: true}").replace("[1, 3]", "[7]").replace("[10, 20]", "[5]")
    said = workbench.run_text(broken, code=1).err
    assert "ValueError: what it returned can't be passed to a later stage: a Unkept can't be pickled: TypeError" in said
    ended = workbench.table("SELECT reason, exception FROM e_stages WHERE stage = 'learn' AND state = 'failed'")
    assert ended == [{"reason": "exception", "exception": "ValueError"}]
    assert workbench.table("SELECT DISTINCT reason FROM e_tasks WHERE state = 'failed'") == [{"reason": "dependency"}]


COLLECTING = """\
import os

def train(lr: float, seed: int):
    with open(os.environ["TRUTH"], "a") as file:
        print("train", file=file)
    return {"loss": lr, "history": [{"a": 1}], "model": (lr, seed)}

def mean(train):
    assert all(type(one["model"]) is tuple for one in train)
    return {"mean": sum(one["loss"] for one in train) / len(train), "runs": len(train)}

def table(mean):
    return {"means": " ".join(str(one["mean"]) for one in mean)}

def gather(build):
    return {"texts": "".join((one / "made").read_text() for one in build)}
"""

TASKS = """\
stages:
  build: {command: 'echo {lr} > {output}/made'}
  train: {function: collecting.py::train}
parameters: {lr: [0.25, 0.5]}
repeat: 3
"""

COLLECT = """\
  mean: {function: collecting.py::mean, collect: seed}
  table: {function: collecting.py::table, collect: lr}
  gather: {function: collecting.py::gather, collect: lr}
parameters"""


@pytest.mark.slow
def test_a_stage_that_collects_gets_a_list_of_values(workbench: Workbench) -> None:
    workbench.write("collecting.py", COLLECTING)
    workbench.run_text(TASKS)
    assert workbench.table("SELECT count(*) AS n FROM e_rows") == [{"n": 6}], "the results of a task are whole"
    # What collects may come later, for the tasks have kept what they returned.
    metrics = "metrics: {mean: {stage: mean}, runs: {stage: mean}, means: {stage: table}, texts: {stage: gather}}\n"
    workbench.run_text(TASKS.replace("parameters", COLLECT) + metrics)
    assert workbench.lines() == ["train"] * 6
    rows = workbench.table("SELECT lr, mean, runs, means, texts FROM e")
    assert len(rows) == 6 and all(row["mean"] == row["lr"] and row["runs"] == 3 for row in rows)
    assert {(row["means"], row["texts"]) for row in rows} == {("0.25 0.5", "0.25\n0.5\n")}
    line = workbench("show", "--command", "e/0:mean").out
    repeated = subprocess.run(["sh", "-c", line], capture_output=True, text=True, env=workbench.environment)
    assert repeated.stdout == "{'mean': 0.25, 'runs': 3}\n", (line, repeated.stderr)
