"""Functions of stages: what they use follows from their signatures, and what does not fit is said at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui_lab.experiment.load import load
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.signature import Signature
from tui_lab.experiment.yaml.problem import SpecError

TRAIN = """\
raise SystemExit("this runs")

def load(size: int, scale: float = 1.0): ...
def fit(lr: float, layers: int = 2, *, seed: int, folder: str = ""): ...
def configured(cfg): ...
def everything(**kwargs): ...
@decorated
def hidden(size): ...
"""

TWO = """\
python: python3
stages:
  load: {function: train.py::load, args: {bytes: size}}
  fit: {function: train.py::fit, after: load, args: {output: folder}, start_method: spawn}
  all: {function: train.py::configured, after: fit}
parameters: {bytes: [10, 20], lr: [0.1, 0.2]}
defaults: {opt.rate: 3}
repeat: 2
"""


def read(folder: Path, text: str) -> Experiment:
    (folder / "train.py").write_text(TRAIN)
    return load(folder / "e.yaml", text)


def said(folder: Path, text: str) -> list[str]:
    """What is wrong with an experiment beside train.py, by place."""
    with pytest.raises(SpecError) as raised:
        read(folder, text)
    return [str(problem).removeprefix(f"{folder}/e.yaml:") for problem in raised.value.problems]


def test_a_function_uses_what_it_takes(tmp_path: Path) -> None:
    experiment = read(tmp_path, TWO)
    stages = experiment.stages
    assert {name: one.uses for name, one in stages.items()} == {
        "load": ("bytes",),
        "fit": ("lr",),
        "all": ("bytes", "lr", "opt.rate"),
    }
    assert {name: (one.begins_repeats, one.repeated) for name, one in stages.items()} == {
        "load": (False, False),
        "fit": (True, True),
        "all": (False, True),
    }
    fit = experiment.of_stage("fit")
    assert (fit.python, fit.start_method) == ("python3", "spawn")
    assert fit.signature is not None and fit.signature.names == ("lr", "layers", "seed", "folder")
    # What it reads besides joins its identity, and is no argument.
    env = read(tmp_path, TWO.replace("start_method: spawn", "env: {BYTES: '{bytes}'}")).stages["fit"]
    assert (env.uses, env.passed) == (("bytes", "lr"), ("lr",))


def test_a_copy_in_a_lab_means_what_the_file_meant(tmp_path: Path) -> None:
    experiment = read(tmp_path, TWO)
    records = {name: one.recorded() for name, one in experiment.origin.stage_signatures.items()}
    (tmp_path / "train.py").unlink()
    signatures = {name: Signature.of_record(record) for name, record in records.items()}
    copy = load(tmp_path / "e.yaml", TWO, templates={}, signatures=signatures)
    assert copy.stages == experiment.stages


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    text = "stages: {a: {function: train.py::load%s}}\nparameters: {size: [1]}\n"
    assert said(tmp_path, text % "er") == [
        '1:24: train.py has no function "loader"; did you mean "load"?',
    ]
    assert said(tmp_path, (text % "").replace("size", "sise")) == [
        '1:24: nothing gives the argument "size" of train.py::load; add it to parameters or defaults',
    ]
    assert said(tmp_path, (text % "").replace("[1]", "[many]")) == [
        '2:21: "many" is not a whole number; train.py::load has size: int',
    ]
    assert said(tmp_path, text % ", args: {size: sise}") == [
        '1:24: nothing gives the argument "size" of train.py::load; add it to parameters or defaults',
        '1:53: train.py::load has no argument "sise"; did you mean "size"?',
    ]
    assert said(tmp_path, text % ", args: {sise: size}")[0] == (
        '1:47: there is no parameter "sise"; did you mean "size"?'
    )
    assert said(tmp_path, "stages: {a: {function: train.py::hidden}}\nparameters: {size: [1]}\n") == [
        (
            "1:24: the source of train.py::hidden does not tell what it takes; "
            "say which parameters: add uses: all, or uses: [NAME, ...]"
        ),
    ]
    assert said(
        tmp_path, "stages: {a: {function: train.py::load, uses: [size, x]}}\nparameters: {size: 1, x: 2}\n"
    ) == [
        '1:53: train.py::load has no argument "x"; it takes size, scale',
    ]
    assert said(tmp_path, "stages: {a: {function: train.py::load, command: x}}\nparameters: {size: 1}\n")[0] == (
        '1:14: there are both "command" and "function"; a stage does one of them'
    )
    assert said(tmp_path, "stages: {a: {command: x, args: {b: c}}}\npython: python3\n") == [
        '1:26: "args" goes with "function"',
        '2:1: "python" goes with "function", which no stage has',
    ]
    assert said(
        tmp_path, "stages: {a: {function: train.py::load}}\nfunction: train.py::load\ndefaults: {size: 1}\n"
    ) == [
        '2:1: with "stages", "function" stands at a stage; move it there',
    ]
    shared = "stages: {a: {function: train.py::everything, args: {task_id: id}}, b: {command: x, after: a}}\n"
    assert said(tmp_path, shared) == [
        (
            '1:62: {task_id} can\'t stand at the stage "a": several tasks share a run of it; '
            "{output} is a folder of the run's own"
        ),
    ]
    two = "stages: {a: {function: train.py::everything}, b: {command: x, after: a}}\nmetrics: {m: {returned: n}}\n"
    assert said(tmp_path, two) == ['2:11: "returned" goes with "function", and the stage "b" runs a command']
    assert read(tmp_path, two.replace("returned: n", "stage: a")).metrics["m"].stage == "a"


PASSED = """\
def load(size: int): ...
def fit(load, lr: float, *, rest=None, seed: int): ...
def score(fit, built, load=None): ...
def configured(cfg): ...
@decorated
def hidden(size): ...
"""

CHAIN = """\
stages:
  load: {function: passed.py::load}
  make: {command: 'make'}
  fit: {function: passed.py::fit}
  score: {function: passed.py::score, args: {make: built}}
parameters: {size: [10, 20], lr: [0.1, 0.2]}
repeat: 2
"""


def test_an_argument_of_the_name_of_a_stage_takes_what_it_returns(tmp_path: Path) -> None:
    (tmp_path / "passed.py").write_text(PASSED)
    experiment = read(tmp_path, CHAIN)
    stages = experiment.stages
    assert {name: (one.after, one.uses, dict(one.values)) for name, one in stages.items()} == {
        "load": ((), ("size",), {}),
        "make": ((), (), {}),
        "fit": (("load",), ("lr",), {"load": "load"}),
        "score": (("load", "make", "fit"), (), {"load": "load", "make": "built", "fit": "fit"}),
    }
    records = {name: one.recorded() for name, one in experiment.origin.stage_signatures.items()}
    (tmp_path / "passed.py").unlink()
    signatures = {name: Signature.of_record(record) for name, record in records.items()}
    assert load(tmp_path / "e.yaml", CHAIN, templates={}, signatures=signatures).stages == stages
    # Where the source does not tell, what comes before may be an argument.
    (tmp_path / "passed.py").write_text(PASSED)
    unknown = read(
        tmp_path, CHAIN.replace("py::score, args: {make: built}", "py::hidden, uses: [], after: fit, args: {make: b}")
    ).of_stage("score")
    assert unknown.stages["score"].after == ("make", "fit") and unknown.values_before == {"make": "b", "fit": "fit"}
    assert (unknown.must_take("make"), unknown.must_take("fit")) == (True, False)


def test_what_clashes_with_the_value_of_a_stage_is_said(tmp_path: Path) -> None:
    (tmp_path / "passed.py").write_text(PASSED)
    hint = "rename the parameter or the stage, or give one of them another argument by args"
    fit, score = (
        f'the argument "load" of passed.py::{one} takes what the stage "load" returns, and this, too; {hint}'
        for one in ("fit", "score")
    )
    for old, new, problems in [
        ("{size:", "{load: [1], size:", [f"6:14: {fit}", f"6:14: {score}"]),
        (
            "py::fit}",
            "py::fit, args: {lr: load}}",
            [
                '4:19: nothing gives the argument "lr" of passed.py::fit; add it to parameters or defaults',
                f"6:30: {fit}",
            ],
        ),
        ("py::fit}", "py::fit, args: {output: load}}", [f"4:50: {fit}"]),
        ("make: built", "made: built", ['5:46: there is no parameter or stage "made"; did you mean "make"?']),
        ("make: built", "make: built.on", ["5:52: what a stage returns is an argument of its own, without a dot"]),
        (
            "score, args",
            "configured, args",
            [
                (
                    "5:57: all that the function takes are parameters in cfg; "
                    "what a stage returns needs an argument of its own"
                )
            ],
        ),
        (
            "py::load",
            "py::score, args: {make: built}",
            ["2:3: these stages wait for each other: load -> fit -> load"],
        ),
    ]:
        assert said(tmp_path, CHAIN.replace(old, new)) == problems
    assert said(
        tmp_path, CHAIN.replace("make: {", "lo-ad: {command: x}\n  lo_ad: {").replace("make: b", "lo_ad: b")
    ) == [
        '4:3: "lo_ad" and "lo-ad" have the same variable, TUI_LAB_OUTPUT_LO_AD; rename one of them',
    ]
    both = CHAIN.replace("{size:", "{make: 1, size:")
    (tmp_path / "passed.py").write_text(PASSED.replace("fit, built", "fit, built=1"))
    assert said(tmp_path, both) == ['5:46: "make" is a parameter and a stage; rename one of them']
