"""What plans of other tools mean, as stages: steps that depend on steps, and a model that is learnt once."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.workbench import Workbench

# As with JUBE: two sets of parameters, a step that depends on another, and reads what it has printed.
STEPS = """\
stages:
  first: {command: 'echo "first {number}" | tee -a $TRUTH', uses: [number]}
  second:
    command: 'echo "second {number} {text}" >> $TRUTH; cat {first.output}/stdout; echo "{text} $TUI_LAB_STAGE"'
parameters: {number: [1, 2, 4], text: [hello, world]}
"""

# As with experimaestro: a task that has another one as its parameter. Two evaluations share a model, and each model
# its documents; seeds begin with the model.
LEARN = """\
stages:
  documents: {command: 'echo "documents {corpus}" >> $TRUTH; seq {corpus} > {output}/documents'}
  learn:
    command: |
      echo "learn {corpus} {epochs} {seed}" >> $TRUTH
      awk -v epochs={epochs} '{ sum += $1 } END { print epochs * sum }' {documents.output}/documents > {output}/model
    needs: {cpus: 1}
  evaluate: {command: 'echo "metric {measure}: $(cat {learn.output}/model)"'}
parameters: {corpus: [10, 20], epochs: [1, 3], measure: [mrr, ndcg]}
repeat: 2
metrics: {score: 'metric \\w+: (@int@)'}
"""


@pytest.mark.slow
def test_steps_that_depend_on_steps(workbench: Workbench) -> None:
    workbench.run_text(STEPS)
    ran = Counter(line.split()[0] for line in workbench.lines())
    assert ran == {"first": 3, "second": 6}
    folder = workbench.experiment().path / "stages" / "first"
    assert len(list(folder.iterdir())) == 3
    assert sorted(workbench.output(task).splitlines()[0] for task in range(6)) == sorted(
        f"first {number}" for number in (1, 2, 4) for _ in "ab"
    )


@pytest.mark.slow
def test_a_model_is_learnt_once_for_all_that_evaluate_it(workbench: Workbench) -> None:
    workbench.run_text(LEARN)
    ran = Counter(line.split()[0] for line in workbench.lines())
    assert ran == {"documents": 2, "learn": 8}
    rows = workbench.table("SELECT corpus, epochs, score FROM e")
    assert len(rows) == 16
    assert all(row["score"] == row["epochs"] * row["corpus"] * (row["corpus"] + 1) // 2 for row in rows)
    # A new parameter with a value for all so far changes what uses it, and no more.
    more = LEARN.replace("metric {measure}:", "metric {measure}{depth}:").replace("corpus: [", "depth: 10, corpus: [")
    workbench.run_text(more)
    assert Counter(line.split()[0] for line in workbench.lines()) == ran


# The plan of experimaestro's own page: a model and data are configured, Learn takes both, tags say what varies, and a
# token lets one Learn run at a time. The results of each are found by its tags.
CONFIGURED = """\
import os, pickle
from dataclasses import dataclass, field
from pathlib import Path

@dataclass
class Model:
    layers: int = 3

class Learnt:
    def __init__(self, model, epochs):
        self.model, self.epochs = model, epochs

def note(*words):
    with open(os.environ["TRUTH"], "a") as file:
        print(*words, file=file)

def data(n_tokens: int):
    note("data", n_tokens)
    return list(range(n_tokens))

def learn(data, model: Model, dlen_max: int, folder: Path, epochs: int = 100):
    note("begin")
    (folder / "runs").mkdir()
    (folder / "runs" / "loss").write_text(str(len(data) / dlen_max))
    note("end")
    return Learnt(model, epochs)

def process(learn, data):
    return {"layers": learn.model.layers, "epochs": learn.epochs, "tokens": len(data)}
"""

PLAN = """\
stages:
  data: {function: plan.py::data}
  learn: {function: plan.py::learn, args: {output: folder}, needs: {cpu: 2}}
  process: {function: plan.py::process}
parameters: {n_tokens: [100, 1000], dlen_max: [50, 200]}
defaults: {model.layers: 3}
limits: {cpu: 3}
metrics: {loss: {pattern: '(@float@)', from: runs/loss, stage: learn}}
"""


@pytest.mark.slow
def test_a_task_that_is_configured_with_another_one(workbench: Workbench) -> None:
    workbench.write("plan.py", CONFIGURED)
    workbench.run_text(PLAN, slots=4)
    began = [line for line in workbench.lines() if line in ("begin", "end")]
    assert began == ["begin", "end"] * 4, "they share a token"
    expected = [
        {"n_tokens": n, "dlen_max": most, "loss": n / most, "layers": 3, "epochs": 100, "tokens": n}
        for n in (100, 1000)
        for most in (50, 200)
    ]
    columns = "SELECT n_tokens, dlen_max, loss, layers, epochs, tokens FROM e ORDER BY ALL"
    assert workbench.table(columns) == expected
    # What is configured later, with a default, is no other task; what has another value is, but for its data.
    workbench.write("plan.py", CONFIGURED.replace("layers: int = 3", "layers: int = 3\n    dropout: float = 0.0"))
    assert "would run 0 tasks" in workbench("plan", "experiment.yaml").out
    workbench.run_text(PLAN.replace("{model.layers: 3}", "{model.layers: 3, model.dropout: 0, epochs: 100}"), slots=4)
    assert len(workbench.lines()) == 10
    workbench.run_text(PLAN.replace("{model.layers: 3}", "{model.layers: 3, epochs: 50}"), slots=4)
    assert Counter(workbench.lines()) == {"data 100": 1, "data 1000": 1, "begin": 8, "end": 8}
