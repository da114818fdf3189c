"""Stages by decorator: functions of modules, of the program that runs, commands, and what is wrong with them."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import tui_lab as tl
from tests.workbench import Workbench
from tui_lab.experiment.load import load

pytest.importorskip("cloudpickle")

SCRIPT = """\
import os
from dataclasses import dataclass
import tui_lab as tl
from package import documents

ex = tl.Experiment("e", parameters={"size": [10, 20], "epochs": [1, 3], "measure": ["mrr", "ndcg"]}, repeat=2,
                   metrics={"score": {"goal": "max"}, "learnt": {"stage": "learn"}})

@dataclass
class Model:
    weights: tuple
    learnt: int

ex.stage(documents)
ex.stage("count", command="wc -c < {documents.output}/returned_value.json > {output}/count")

@ex.stage(needs={"cpus": 1})
def learn(documents, epochs: int, seed: int):
    open(os.environ["TRUTH"], "a").write("learn\\n")
    return Model(tuple(documents), helper(epochs))

def helper(epochs):  # which comes later
    return epochs

@ex.stage("evaluate", args={"learn": "model"})
def measured(model, count, measure: str):
    assert type(model) is Model and (count / "count").exists()
    return {"score": sum(model.weights) * model.learnt}

run = ex.run(nodes="localhost 2", progress=False).check()
rows = run.results().sort("task_id")
assert all(row["score"] == row["epochs"] * row["size"] * (row["size"] + 1) // 2 for row in rows.to_dicts())
assert set(rows["learnt"]) == {1, 3}
print(run.counts["done"], sorted(tl.Lab().query("SELECT stage, count(*) AS n FROM e_stages GROUP BY ALL").rows()))
ex.to_yaml("same.yaml")
"""


@pytest.mark.slow
def test_stages_of_a_script(workbench: Workbench) -> None:
    workbench.write("package/__init__.py", "def documents(size: int):\n    return [*range(1, size + 1)]\n")
    script = workbench.write("script.py", SCRIPT)

    def run() -> list[str]:
        done = subprocess.run(
            [sys.executable, script], cwd=workbench.folder, env=workbench.environment, capture_output=True, text=True
        )
        assert done.returncode == 0 and not done.stderr, done.stderr
        return done.stdout.splitlines()

    found = ["16 [('count', 2), ('documents', 2), ('learn', 8)]"]
    assert run() == found
    # The file that it writes means the same, and so does another decorator.
    assert "would run 0 tasks" in workbench("plan", "same.yaml").out
    modules = {path.name for path in (workbench.folder / ".tui_lab").glob("*.py")}
    assert {re.sub("_[0-9a-f]{8}", "", name) for name in modules} == {"learn.py", "measured.py"}
    script.write_text(SCRIPT.replace('{"cpus": 1}', '{"cpus": 2}, timeout="1h"'))
    assert run() == found and len(workbench.lines()) == 8
    # Another source of what a function uses is another function.
    script.write_text(SCRIPT.replace("return epochs", "return 1 * epochs"))
    assert run() == [found[0].replace("8)]", "16)]")] and len(workbench.lines()) == 16


def test_stages_in_python_are_those_of_a_file(tmp_path: Path) -> None:
    def fit(load: int, lr: float, seed: int) -> float:
        return lr

    ex = tl.Experiment("e", folder=tmp_path, parameters={"lr": [0.1]})
    assert repr(ex) == "<Experiment e: no stages yet>" and ex.name == "e"
    with pytest.raises(tl.SpecError, match=r'^Experiment\("e"\): there is no "command"'):
        ex.to_yaml()
    ex.stage("load", command="echo {lr}", timeout=3)
    assert ex.stage(fit) is fit and ex.stage("again", retries=2)(fit) is fit
    ex.stage("fit", function=fit, python="bin/python")  # in the place of the first one
    (tmp_path / "module.py").write_text("def other(fit, again): ...\n")
    ex.stage("other", function="module.py::other")
    text = ex.to_yaml()
    read = load(tmp_path / "e.yaml", text)
    assert {name: one.after for name, one in read.stages.items()} == {
        "load": (),
        "fit": ("load",),
        "again": ("load",),
        "other": ("fit", "again"),
    }
    assert read.of_stage("fit").function == read.of_stage("again").function
    assert ex.parameters == ["lr"]
    # Functions may stand in the mapping, too.
    own: dict[str, dict[str, Any]] = {"load": {"command": "x"}, "fit": {"function": fit}}
    other = tl.Experiment("e", folder=tmp_path, parameters={"lr": [0.1]}, stages=own)
    assert other.to_yaml().count("::fit") == 1
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(tl.TuiLabError, match="the stages of this experiment stand in"):
        tl.Experiment.from_yaml(tmp_path / "e.yaml").stage(fit)


def test_mistakes_have_the_names_of_stages(tmp_path: Path) -> None:
    def wrong(function: Any, **keys: Any) -> str:
        ex = tl.Experiment("e", folder=tmp_path, parameters={"lr": [0.1]})
        ex.stage("load", command="x")
        with pytest.raises(tl.SpecError) as caught:
            ex.stage("fit", **keys)(function)
            ex.to_yaml()
        return str(caught.value)

    lock = threading.Lock()

    def local(lr: float, many: int) -> object:
        return lock

    def fine(lr: float, many: int) -> None: ...

    many = "stages['fit']['function']: nothing gives the argument \"many\" of fine; add it to parameters or defaults"
    assert wrong(fine) == many
    assert wrong(fine, retries="x").startswith(f"{many}\nstages['fit']['retries']: ")
    assert wrong(local).startswith("stages['fit']['function']: can't be pickled: TypeError")
    assert wrong(fine, needs={"gpus": object()}).startswith("stages['fit']['needs']['gpus']: a value of type object")
    with pytest.raises(tl.SpecError, match='this function has no name; give one, as in: stage\\("train"\\)'):
        tl.Experiment("e").stage(lambda: 1)
    with pytest.raises(tl.TuiLabError, match="a stage that runs a command needs a name"):
        tl.Experiment("e").stage(command="x")  # type: ignore[call-overload]
