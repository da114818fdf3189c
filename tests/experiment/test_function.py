"""The keys of Python functions: what is wrong with them is said at its place, and nothing of the user's code runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_lab.experiment.load import load
from tui_lab.experiment.yaml.problem import SpecError

TRAIN = """\
raise SystemExit("this runs")

def fit(lr: float, layers: int = 2, *, folder: str = ""): ...
def seeded(x: int, seed: int): ...
"""


def said(folder: Path, text: str) -> list[str]:
    """What is wrong with an experiment beside train.py, by place."""
    (folder / "train.py").write_text(TRAIN)
    file = folder / "e.yaml"
    with pytest.raises(SpecError) as raised:
        load(file, text)
    return [str(problem).removeprefix(f"{file}:") for problem in raised.value.problems]


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    assert said(tmp_path, "function: train.py::fitt\n") == [
        '1:11: train.py has no function "fitt"; did you mean "fit"?',
    ]
    assert said(tmp_path, "function: trian.py::fit\n")[0].startswith(
        "1:11: trian.py: No such file or directory; looked for in"
    )
    assert said(tmp_path, "function: my-train:fit\n") == [
        '1:11: "my-train" is no module; write FILE.py::NAME or package.module:NAME, as in "train.py::fit"',
    ]
    assert said(tmp_path, "function: train.py::fit\nparameters: {lr: 1, layer: [1]}\nrepeat: 3\n") == [
        '2:21: train.py::fit has no argument "layer"; did you mean "layers"?',
        '3:9: the repeats of train.py::fit would all be the same; give it a "seed", or write per_repeat: true',
    ]
    assert said(tmp_path, "function: train.py::fit\nparameters: {layers: [1]}\nargs: {lr: rate}\n") == [
        '1:11: nothing gives the argument "lr" of train.py::fit; add it to parameters or defaults',
        '3:8: there is no parameter "lr"',
        '3:12: train.py::fit has no argument "rate"; it takes lr, layers, folder',
    ]
    assert said(tmp_path, "function: train.py\ncommand: x\n")[:1] == [
        '1:1: there are both "command" and "function"; a task does one of them',
    ]
    assert said(tmp_path, "command: x\nmetrics: {a: {returned: b}}\npython: python3\n") == [
        '2:15: "returned" goes with "function"',
        '3:1: "python" goes with "function"',
    ]
