"""Python functions on a machine that has neither TUI Lab nor the lab's folder."""

from __future__ import annotations

import sys

import pytest

from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.test_runs import remove_truth, truth_folder
from tests.workbench import Workbench

__all__ = ["remove_truth"]

TRAIN = """\
    import importlib.util
    import tui_lab
    from helper import IMPORTED_BY, double

    def fit(x: int, seed: int):
        tui_lab.log(step=0, y=x)
        if x == 3:
            raise RuntimeError("three")
        print("imported by", IMPORTED_BY)
        return {"y": double(x), "history": [{"a": x}], "installed": importlib.util.find_spec("polars") is not None}
"""


@pytest.mark.slow
def test_a_function_on_a_machine_that_does_not_see_the_lab(workbench: Workbench, fleet: Fleet) -> None:
    fleet.node("attic", shared=False, python=f"{sys.base_prefix}/bin/python3")
    workbench.write("train.py", TRAIN)
    workbench.write("helper.py", "import os\nIMPORTED_BY = os.getpid()\ndef double(x):\n    return 2 * x\n")
    text = "name: e\nfunction: train.py::fit\nparameters: {x: [1, 2, 3]}\ncode: '*.py'\nkeep: nothing\n"
    file = workbench.write("e.yaml", text)
    workbench("--run", file, "--cluster", fleet.cluster_file(), code=1, env=fleet.environment(workbench))
    rows = workbench.table("SELECT y, installed, node FROM e ORDER BY y")
    assert rows == [{"y": y, "installed": False, "node": "attic"} for y in (2, 4)]
    assert workbench.output(0) == workbench.output(1) != ""  # imported once
    assert workbench.table("SELECT x, a FROM e_rows ORDER BY x") == [{"x": 1, "a": 1}, {"x": 2, "a": 2}]
    assert workbench.table("SELECT count(*) AS n FROM e_steps WHERE y = x") == [{"n": 3}]
    failed = workbench.table("SELECT exception, exception_message, reason FROM e_tasks WHERE x = 3")
    assert failed == [{"exception": "RuntimeError", "exception_message": "three", "reason": "exception"}]


PASSED = """\
    import collections, os, time

    Pair = collections.namedtuple("Pair", "a, b")

    def prepare():
        open(os.environ["TUI_LAB_OUTPUT"] + "/declared", "w").close()
        return Pair([0] * 10000, {"b": 1})

    def train(prepare, listed, x: int, folder: str):
        open("TRUTH_FOLDER/%d" % x, "w").close()
        while len(os.listdir("TRUTH_FOLDER")) < 2:  # one on each node
            time.sleep(0.05)
        return {"a": len(prepare.a), "b": prepare.b["b"], "x": x, "names": (listed / "names").read_text().split()}
"""

CHAIN = """\
name: e
stages:
  prepare: {function: work.py::prepare, outs: declared, keep: {globs: declared, most: 1K}}
  listed: {command: 'ls {prepare.output} > {output}/names'}
  train: {function: work.py::train, args: {output: folder}}
  last: {command: 'echo done', after: train}
parameters: {x: [1, 2, 3, 4]}
metrics: {a: {stage: train}, b: {stage: train}}
"""


@pytest.mark.slow
def test_what_a_stage_returns_is_brought_to_other_machines(workbench: Workbench, fleet: Fleet) -> None:
    for name in ("one", "two"):
        fleet.node(name, slots=1, shared=False, python=f"{sys.base_prefix}/bin/python3")
    truth_folder(workbench).mkdir()
    workbench.write("work.py", PASSED.replace("TRUTH_FOLDER", str(truth_folder(workbench))))
    file = workbench.write("e.yaml", CHAIN)
    workbench("--run", file, "--cluster", fleet.cluster_file(), env=fleet.environment(workbench))
    assert workbench.table("SELECT a, b FROM e") == [{"a": 10000, "b": 1}] * 4
    assert len(workbench.table("SELECT DISTINCT node FROM e_stages WHERE stage = 'train'")) == 2
