"""Functions of modules, of the program that runs, and of functions, as what an experiment calls."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import tui_lab as tl
from tests.engine.nodes.fleet import Fleet
from tests.workbench import Workbench

cloudpickle = pytest.importorskip("cloudpickle")

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
    if name not in sys.argv[1:]:
        continue
    ex = tl.Experiment(name, function, parameters={"x": [1, 2]}, **more)
    run = ex.run(nodes="localhost 2", progress=False).check()
    values = run.results()
    print(ex.to_yaml().splitlines()[1], values[values.columns[2] if name != "x" else "x"].dtype, run.counts["done"])
if "file" in sys.argv:
    bad = tl.Experiment("bad", lambda x: helper(x) / 0, parameters={"x": [1]}).run(nodes="localhost 2", progress=False)
    print(bad.failures()[0]["reason"])
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

    def run(*names: str, warned: str = "") -> list[str]:
        words = [sys.executable, str(script), *names]
        done = subprocess.run(words, cwd=workbench.folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0 and (warned in done.stderr if warned else not done.stderr), done.stderr
        return re.sub(r"_[0-9a-f]{8}", "_DIGEST", done.stdout).splitlines()

    lines = run("file", "part", "packaged", "mine", "inner")
    assert [line.rsplit(" ", 2)[0] for line in lines[:5]] == [
        "function: train.py::fit",
        "function: .tui_lab/partial_DIGEST.py::partial",
        "function: package.module:packaged",
        "function: .tui_lab/mine_DIGEST.py::mine",
        "function: .tui_lab/function_DIGEST.py::function",
    ]
    assert re.fullmatch(r"exception at script\.py:\d+ in <lambda>", lines.pop(5))
    trace = workbench.output(0, "stderr", "bad")
    assert 'parameters={"x": [1]}).run(nodes=' in trace and "_tui_lab" not in trace, trace  # the line in the script
    assert lines[5] == "[105, 105, 108, 108] [8, 9]"
    assert (workbench.folder / "top").read_text() == "top\n"
    # Another Python could not even read its bytes.
    (module,) = (workbench.folder / ".tui_lab").glob("mine_*.py")
    changed = workbench.write("other.py", module.read_text().replace(str(sys.version_info[:2]), "(3, 6)"))
    other = subprocess.run([sys.executable, changed], capture_output=True, text=True)
    assert "ImportError: the function mine was pickled by Python 3.6, and this is 3." in other.stderr, other.stderr
    workbench.write("older/cloudpickle.py", "__version__ = '1.0'")
    older = {**os.environ, "PYTHONPATH": str(workbench.folder / "older")}
    other = subprocess.run([sys.executable, module], env=older, capture_output=True, text=True)
    assert re.search(r"by cloudpickle \d\S*, and \S+ has 1\.0: install that version there$", other.stderr.strip())
    # The same again runs nothing; another source of a class that is used makes new tasks; data does not.
    assert run("mine")[0] == lines[3]
    modules = {*(workbench.folder / ".tui_lab").glob("*.py")}
    script.write_text(SCRIPT.replace('"offset": 100', '"offset": 200'))
    assert run("mine", warned="changed")[1] == lines[5]
    script.write_text(SCRIPT.replace("return 1\n", "return 2\n"))
    assert run("mine")[1] == "[108, 108, 114, 114] [8, 9]"
    added = {*(workbench.folder / ".tui_lab").glob("*.py")} - modules
    assert [path.name.partition("_")[0] for path in added] == ["mine"]


def unpicklable(lock: Any) -> Callable[..., Any]:
    def fit(x: int) -> bool:
        return bool(lock)

    return fit


def test_mistakes_are_those_of_the_function(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(tl.SpecError, match=r"^function: .* cloudpickle, .*; pip install 'tui-lab\[notebook\]'"):
        tl.Experiment("e", fit, folder=tmp_path, parameters={"x": [1]})
    other = tl.Experiment("e", subprocess.list2cmdline, folder=tmp_path, parameters={"seq": [["a", "b"]]})
    assert "function: " in other.to_yaml()


FAR = """\
import sys
import tui_lab as tl
from helper import double

def fit(x: int):
    return {"a": double(x)}

ex = tl.Experiment("far", fit, parameters={"x": [1, 2]}, code=["helper.py", "cloudpickle/**"])
print(ex.run(nodes="attic", cluster=sys.argv[1]).check().results()["a"].to_list())
"""


@pytest.mark.long
def test_a_function_of_the_script_on_a_machine_that_does_not_see_it(workbench: Workbench, fleet: Fleet) -> None:
    fleet.node("attic", shared=False, python=f"{sys.base_prefix}/bin/python3")
    workbench.write("helper.py", "def double(x):\n    return 2 * x\n")
    shutil.copytree(Path(cloudpickle.__file__).parent, workbench.folder / "cloudpickle")
    script = workbench.write("script.py", FAR)
    done = subprocess.run(
        [sys.executable, script, fleet.cluster_file()],
        cwd=workbench.folder,
        env=fleet.environment(workbench),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "[2, 4]\n"), done.stderr
