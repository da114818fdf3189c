"""Experiments that Python defines: what they mean, and what is said of mistakes."""

from __future__ import annotations

import inspect
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import tui_lab as tl
from tui_lab.experiment.domains.kinds import KINDS
from tui_lab.experiment.keys import KEYS, STAGE_KEYS, stage_keys
from tui_lab.experiment.load import load, load_text
from tui_lab.experiment.yaml.parser import parse


class Optimizer(Enum):
    ADAM = "adam"


def test_values_of_python_are_plain_ones_of_yaml(tmp_path: Path) -> None:
    given = {
        "a": np.array([1, 2]),
        "b": (np.float64(0.5), np.int64(3), True, None),
        "c": range(3),
        "d": pl.Series(["x", "1e3"]),
        "e": [Optimizer.ADAM, Path("data/x.bin")],
        "f": 7,
    }
    ex = tl.Experiment("e", command="x {a} {b} {c} {d} {e} {f}", parameters=given, folder=tmp_path)
    assert parse(ex.to_yaml(tmp_path / "e.yaml"), "").value["parameters"] == {
        "a": [1, 2],
        "b": [0.5, 3, True, None],
        "c": [0, 1, 2],
        "d": ["x", "1e3"],
        "e": ["adam", "data/x.bin"],
        "f": 7,
    }
    again = tl.Experiment.from_yaml(tmp_path / "e.yaml")
    assert (again.name, again.parameters, again.to_yaml()) == ("e", list("abcdef"), ex.to_yaml())
    assert load(tmp_path / "e.yaml").command == "x {a} {b} {c} {d} {e} {f}"


def test_each_domain_has_a_function_with_its_arguments() -> None:
    for kind, member in KINDS.own.items():
        function: Any = getattr(tl, kind)
        given = parse(member.example, "").value
        arguments = given if len(inspect.signature(function).parameters) > 1 else [given]
        read = load_text(f"command: x {{p}}\nparameters: {{p: {{{kind}: {member.example}}}}}\nsample: 1")
        ex = tl.Experiment("e", command="x {p}", parameters={"p": function(*arguments)}, sample=1)
        assert load_text(ex.to_yaml()).parameters == read.parameters, kind
        assert f"{{{kind}: " in (inspect.getdoc(function) or "")


def test_each_key_is_an_argument() -> None:
    from tui_lab.api.keys import Keys, StageArguments

    assert {"name", "function", *Keys.__annotations__} == set(KEYS)
    stage = {key.name for key in STAGE_KEYS} | stage_keys().keys()
    assert {"command", "function", *StageArguments.__annotations__} == stage


MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"command": "x {lr}", "parameters": {"lr": tl.loguniform(1, 0)}},
        "parameters['lr']: the first number of \"loguniform\" must be below the second; write [low, high]",
    ),
    ({"command": "x", "repeats": 3}, 'repeats: there is no key "repeats"; did you mean "repeat"?'),
    (
        {"command": "x {a}", "parameters": {"a": [1, object()]}},
        "parameters['a'][1]: a value of type object can't be written as YAML; write text or numbers",
    ),
    (
        {"command": "x {a}", "parameters": [{"a": 1}, {"a": 2}], "retry_on": ["never"]},
        (
            'retry_on[0]: "never" is no value of "retry_on"; it takes one of exit, exception, signal, timeout, oom, '
            "outs, start, or an exit status, as in 75"
        ),
    ),
]


@pytest.mark.parametrize(("keys", "message"), MISTAKES)
def test_a_mistake_is_reported_with_its_argument(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(tl.SpecError) as caught:
        tl.Experiment("e", **keys)
    assert str(caught.value) == message
    assert isinstance(caught.value, tl.TuiLabError)


def test_a_mistake_in_a_file_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("command: x\nrepeats: 1\n")
    with pytest.raises(tl.SpecError, match=r"e\.yaml:2:1: there is no key .repeats."):
        tl.Experiment.from_yaml(tmp_path / "e.yaml")


def test_import_and_log_load_the_standard_library_only() -> None:
    code = (
        "import sys, tui_lab as tl\ntl.log(a=1)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names - {'__main__'}))\n"
        "assert not hasattr(tl, 'nothing') and {'Experiment', 'loguniform', 'log'} <= {*dir(tl)}\n"
        "print(sorted({'numpy', 'polars', 'rich', 'duckdb', 'asyncssh'} & {*sys.modules}))\n"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True)
    assert done.stdout == "['tui_lab']\n[]\n", done.stderr
