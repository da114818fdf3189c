"""The keys of Python functions: what is wrong with them is said at its place, and nothing of the user's code runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_lab.experiment.docstrings import helps
from tui_lab.experiment.load import load
from tui_lab.experiment.yaml.problem import SpecError

TRAIN = """\
raise SystemExit("this runs")

def fit(lr: float, layers: int = 2, *, folder: str = ""): ...
def seeded(x: int, seed: int): ...
async def waits(x: int): ...
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
    assert said(tmp_path, "function: train.py::waits\n") == [
        '1:11: "waits" of train.py is async; let a plain function call it by asyncio.run',
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
    until = "function: train.py::seeded\ndefaults: {x: 1}\nrepeat: {max: 5, until: ci95(y) < 1}\n"
    assert said(tmp_path, until) == [
        '3:30: there is no metric "y"; name here what the function returns, as in metrics: {acc: {goal: max}}',
    ]
    assert said(tmp_path, "command: x\nmetrics: {a: {returned: b}}\npython: python3\n") == [
        '2:15: "returned" goes with "function"',
        '3:1: "python" goes with "function"',
    ]


KINDS = '''
import dataclasses as dc
import enum
from typing import Annotated, Literal, Optional
import typing as t
import numpy as np

class Mode(str, enum.Enum):
    FAST = "f"
    SLOW = "s"

@dc.dataclass
class Base:
    lr: float

@dc.dataclass
class Adam(Base):
    betas: tuple[float, float] = (0.9, 0.99)
    steps: list[int] = dc.field(default_factory=list)
    names: t.ClassVar[int] = 3

@dc.dataclass
class Sgd:
    momentum: float

Rate = float | None

def fit(n: int, rate: Rate = 0.5, flag: bool = False, mode: Mode = Mode.FAST, hidden: "list[int]" = [1],
        opt: t.Union[Adam, Sgd] = None, data: np.ndarray = None, size: Literal["s", 2] = "s", *,
        extra: dict[str, int] = {}, deep: Optional[Annotated[tuple[int, ...], 3]] = None, seed: int = 1):
    """Fit it.

    More.

    Args:
        n (int): how many
            of them
        rate: the rate
    """
'''


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ("{n: [1, 2.0], rate: [0.1, 1, null], flag: [true], mode: [f, SLOW], hidden: [[1, 2]], data: [x]}", ""),
        ("{n: 1, opt.lr: [1, 0.5], opt.betas: [[0, 1]], opt.steps: [[1]], size: [s, 2], extra: [{a: 1}]}", ""),
        ("{n: 1, opt.momentum: 1, deep: [[1, 2], [3]], extra.a: [1, 2], seed: [1, 2]}", ""),
        ("{n: [1, many]}", '2:21: "many" is not a whole number; train.py::fit has n: int'),
        ("{n: 1, flag: [1]}", "2:27: 1 is not true or false; train.py::fit has flag: bool"),
        (
            "{n: 1, hidden: [64, 64]}",
            "2:29: 64 is not a list; train.py::fit has hidden: list[int]; write [[64, 64]]",
        ),
        ("{n: 1, hidden: [[64, a]]}", '2:29: "a" is not a whole number; train.py::fit has hidden: list[int]'),
        ("{n: 1, mode: [g]}", '2:27: "g" is not one of FAST, SLOW; train.py::fit has mode: Mode'),
        ("{n: 1, size: [m]}", '2:27: "m" is not one of "s", 2; train.py::fit has size: Literal[\'s\', 2]'),
        ("{n: 1, opt.momentun: 1}", '2:20: "opt" of train.py::fit has no field "momentun"; did you mean "momentum"?'),
        ("{n: 1, rate.a: 1}", '2:20: "rate" of train.py::fit has no field "a"; train.py::fit has rate: Rate'),
        ("{n: {linspace: [0, 1, 3]}}", "2:17: 0.5 is not a whole number; train.py::fit has n: int"),
        ("{n: {uniform: [0, 1]}}\nsample: 3", "2:17: 0.5 is not a whole number; train.py::fit has n: int"),
        (
            "{n: {cases: {a: {rate: x}, b: {rate: 1}}}}",
            '2:36: "x" is not a number or null; train.py::fit has rate: Rate',
        ),
        ("{n: 1}\ndefaults: {rate: x}", '3:18: "x" is not a number or null; train.py::fit has rate: Rate'),
    ],
)
def test_values_are_checked_by_the_annotations(tmp_path: Path, parameters: str, expected: str) -> None:
    (tmp_path / "train.py").write_text(KINDS)
    file = tmp_path / "e.yaml"
    text = f"function: train.py::fit\nparameters: {parameters}\n"
    try:
        signature = load(file, text).signature
    except SpecError as error:
        assert str(error).replace(f"{file}:", "") == expected
        return
    assert expected == ""
    assert signature is not None and signature.help == "Fit it."
    assert [one.help for one in signature.arguments[:3]] == ["how many of them", "the rate", ""]
    assert [one.default for one in signature.arguments[:4]] == [None, "0.5", "False", "Mode.FAST"]


def test_fields_of_a_configuration_are_checked(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(KINDS + "\ndef sole(cfg: Adam): ...\ndef plain(cfg): ...\n")
    file = tmp_path / "e.yaml"
    load(file, "function: train.py::plain\nparameters: {anything.at: [all]}\n")
    load(file, "function: train.py::sole\nparameters: {lr: [1], steps: [[1]]}\n")
    with pytest.raises(SpecError) as raised:
        load(file, "function: train.py::sole\nparameters: {lr: [high], step: 1}\n")
    assert str(raised.value).replace(f"{file}:", "").splitlines() == [
        '2:19: "high" is not a number; train.py::sole has cfg: Adam',
        '2:26: "cfg" of train.py::sole has no field "step"; did you mean "steps"?',
    ]


def test_docstrings_in_other_styles() -> None:
    numpy = "Parameters\n----------\nn, m : int\n    how many\nrate\n    the\n    rate\n\nReturns\n-------\nx\n    no"
    assert helps(numpy) == {"n": "how many", "m": "how many", "rate": "the rate"}
    assert helps("Fit.\n\n:param int n: how\n  many\n:param rate: the rate\n:returns: no") == {
        "n": "how many",
        "rate": "the rate",
    }
