"""Functions of modules, of the program that runs, and of functions, as what an experiment calls."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tui_lab as tl
from tests.workbench import Workbench

pytest.importorskip("cloudpickle")

SCRIPT = """\
import sys
from functools import partial
import tui_lab as tl
from package.module import packaged
from train import fit

print("top", file=open("top", "a"))  # no task runs it
FACTOR = 3
DATA = {"offset": 100}


class Base:
    @property
    def one(self):
        return 1


class Model(Base):
    def value(self, x):
        return x * FACTOR * self.one


def helper(x):
    return Model().value(x)


def mine(x: int, layers: int = 2, data=DATA, *, seed):
    return {"a": helper(x) + layers + data["offset"], "python": sys.version_info[1]}


offset = 7
experiments = [
    ("file", fit, {}),
    ("part", partial(lambda x, y: x + y, y=5), {}),
    ("packaged", packaged, {}),
    ("mine", mine, {"repeat": 2}),
    ("inner", lambda x: x + offset, {}),
]
for name, function, more in experiments:
    ex = tl.Experiment(name, function, parameters={"x": [1, 2]}, **more)
    run = ex.run(nodes="localhost 2", progress=False).check()
    values = run.results()
    print(ex.to_yaml().splitlines()[1], values[values.columns[2] if name != "x" else "x"].dtype, run.counts["done"])
print(tl.Lab()["mine"].results()["a"].sort().to_list(), tl.Lab()["inner"].results()["result"].to_list())
assert set(tl.Lab()["mine"].results()["python"]) == {sys.version_info[1]}
"""


@pytest.mark.slow
def test_functions_of_modules_and_of_the_script_itself(workbench: Workbench) -> None:
    workbench.write("train.py", "def fit(x):\n    return x\n")
    workbench.write("package/__init__.py", "")
    workbench.write("package/module.py", "from . import __name__ as name\ndef packaged(x):\n    return name\n")
    script = workbench.write("script.py", SCRIPT)
    # The interpreter is the one that runs the script, whatever PATH says.
    environment = {**workbench.environment, "PATH": "/usr/bin:/bin"}
    environment.pop("VIRTUAL_ENV", None)

    def run(warned: str = "") -> list[str]:
        words = [sys.executable, str(script)]
        done = subprocess.run(words, cwd=workbench.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and (warned in done.stderr if warned else not done.stderr), done.stderr
        return re.sub(r"_[0-9a-f]{8}", "_DIGEST", done.stdout).splitlines()

    lines = run()
    assert [line.rsplit(" ", 2)[0] for line in lines[:5]] == [
        "function: train.py::fit",
        "function: .tui_lab/partial_DIGEST.py::partial",
        "function: package.module:packaged",
        "function: .tui_lab/mine_DIGEST.py::mine",
        "function: .tui_lab/function_DIGEST.py::function",
    ]
    assert lines[5] == "[105, 105, 108, 108] [8, 9]"
    assert (workbench.folder / "top").read_text() == "top\n"
    # The same again runs nothing; another source of a class that is used makes new tasks; data does not.
    assert run() == lines
    modules = {*(workbench.folder / ".tui_lab").glob("*.py")}
    script.write_text(SCRIPT.replace('"offset": 100', '"offset": 200'))
    assert run("changed") == lines
    script.write_text(SCRIPT.replace("return 1\n", "return 2\n"))
    assert run()[5] == "[108, 108, 114, 114] [8, 9]"
    added = {*(workbench.folder / ".tui_lab").glob("*.py")} - modules
    assert [path.name.partition("_")[0] for path in added] == ["mine"]


def unpicklable(lock: Any) -> Callable[..., Any]:
    def fit(x: int) -> bool:
        return bool(lock)

    return fit


def test_mistakes_are_those_of_the_function(tmp_path: Path) -> None:
    def fit(x: int, layers: int = 2) -> int:
        return x

    mistakes: list[tuple[Callable[..., Any], dict[str, Any], str]] = [
        (fit, {"parameters": {"y": [1]}}, "parameters['y']: fit has no argument \"y\"; it takes x, layers"),
        (fit, {"parameters": {"x": [1]}, "repeat": 2}, "repeat: the repeats of fit would all be the same"),
        (unpicklable(threading.Lock()), {"parameters": {"x": [1]}}, "function: can't be pickled: TypeError"),
        (
            Workbench.write,
            {"parameters": {"name": ["a"]}},
            "function: nothing gives the argument",
        ),
    ]
    for function, keys, message in mistakes:
        with pytest.raises(tl.SpecError) as caught:
            tl.Experiment("e", function, folder=tmp_path, **keys)
        assert message in str(caught.value)
    other = tl.Experiment("e", subprocess.list2cmdline, folder=tmp_path, parameters={"seq": [["a", "b"]]})
    assert "function: " in other.to_yaml()
