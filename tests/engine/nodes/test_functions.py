"""Python functions on a machine that has neither TUI Lab nor the lab's folder."""

from __future__ import annotations

import sys

import pytest

from tests.engine.nodes.fleet import Fleet
from tests.workbench import Workbench

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
