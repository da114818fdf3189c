"""Calls of Python functions: what the context of an experiment's tasks has, so that each runs one in its process.

The code that does that (`tui_lab.portable.function`) travels as text in a variable, so a node needs nothing but Python;
the program itself is short, and so is what `ps` shows of it.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Final

from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.function import Function
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.stages import COLLECTED_VARIABLE, OUTPUT, output_variable
from tui_lab.portable.function.arguments import nested
from tui_lab.portable.function.main import MAY_TAKE, TAKES
from tui_lab.portable.function.values import ARRAY, JSON, PICKLE, kept_file
from tui_lab.portable.starter import CALL, FUNCTION, SERVER

PACKAGE: Final = "tui_lab.portable"
SENT_AS: Final = "_tui_lab"
"""The package's name in the process: `tui_lab` itself is the user's there, if it is installed."""
MODULES: Final = ("__init__", "starter")
"""Those that its package `function` needs."""
RUNNER: Final = "TUI_LAB_RUNNER"
PYTHON: Final = "python3"

_HEAD: Final = """\
import os, sys
class Bundle:
    def find_spec(self, name, path=None, target=None):
        if name in SOURCES:
            return type(sys.__spec__)(name, self, is_package=name in PACKAGES)
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(compile(SOURCES[module.__name__], module.__name__.replace(".", "/") + ".py", "exec"), module.__dict__)
"""
_TAIL: Final = """\
sys.meta_path.append(Bundle())
os.environ.pop("{function}", None)
if os.environ.pop("{server}", None):
    from {package}.function.server import serve as start
else:
    from {package}.function.main import main as start
start(os.environ.pop("{call}"))
"""


@cache
def runner() -> str:
    """Return the code that calls a function, as one text."""
    sources = {}
    packages = {SENT_AS: PACKAGE, f"{SENT_AS}.function": f"{PACKAGE}.function"}
    for package, source in packages.items():
        for file in sorted(resources.files(source).iterdir(), key=lambda file: file.name):
            name = file.name.removesuffix(".py")
            if name != file.name and (package != SENT_AS or name in MODULES):
                sources[package if name == "__init__" else f"{package}.{name}"] = file.read_text("utf-8")
    tail = _TAIL.format(package=SENT_AS, call=CALL, function=FUNCTION, server=SERVER)
    return f"{_HEAD}PACKAGES = {list(packages)!r}\nSOURCES = {sources!r}\n{tail}"


class FunctionCall:
    """How the tasks of an experiment call its function."""

    def __init__(self, experiment: Experiment) -> None:
        assert experiment.function is not None
        self.experiment = experiment
        self.function = experiment.function

    def variables(self, folder: str) -> dict[str, str]:
        """Return the variables that all tasks on a node share. folder: what stands for the experiment's there."""
        call = {
            "folder": folder,
            "file": self.function.file,
            "module": self.function.module,
            "name": self.function.name,
            "args": self.experiment.args,
            "text": self.function.text,
            "parameters": list(self.experiment.passed_names) if self.experiment.stage is not None else None,
            **self._of_stage(),
        }
        return {RUNNER: runner(), CALL: json.dumps(call), FUNCTION: self.function.text}

    def script(self, python: str | None) -> str:
        """Return what the shell runs, the same for all functions. python: that of the node, where the experiment names
        none."""
        code = f'import os; exec(os.environ.pop("{RUNNER}"))'
        return f'exec {self._interpreter(python)} -c {shlex.quote(code)} "${FUNCTION}"'

    def shown(self, parameters: Mapping[str, Value]) -> str:
        """Return the call for readers: `train.py::fit(data=prepare, lr=0.1)`, where `prepare` is a stage."""
        before = {argument: _Code(stage) for stage, argument in self.experiment.values_before.items()}
        return f"{self.function.text}({_keywords(before | self._given(parameters))})"

    def line(
        self,
        parameters: Mapping[str, Value],
        task: Mapping[str, Value],
        folder: str,
        python: str | None,
        collected: Sequence[str] = (),
    ) -> str:
        """Return a line for a shell that does what a task does. task: values of the built-in placeholders. collected:
        the folders that it collects."""
        given = self._given(parameters)
        file = self.function.file
        place = folder if file is None else str(Path(folder, file).parent)
        module = str(self.function.module) if file is None else Path(file).stem
        lines = [f"import sys; sys.path.insert(0, {place!r}); import random; random.seed({task['seed']})"]
        if self.function.name is not None:
            for name, argument in self.experiment.args.items():
                if name in task and name not in parameters:
                    given[argument] = task[name]
            if self.experiment.takes_seed:
                given.setdefault(self.experiment.args.get("seed", "seed"), task["seed"])
            if self.experiment.values_before:
                places = [f"{folder}/{one}" for one in self._paths()]
                lines.append(f"import json, pathlib, pickle; sys.path += {places!r}")
                for stage, argument in self.experiment.values_before.items():
                    if stage == self.experiment.collected:
                        given[argument] = [self._value(stage, one) for one in collected]
                    else:
                        given[argument] = self._value(stage, str(task[f"{stage}{OUTPUT}"]))
            config = self.experiment.signature is not None and self.experiment.signature.config
            arguments = _written(given) if config else _keywords(given)
            lines.append(f"from {module} import {self.function.name}; print({self.function.name}({arguments}))")
        else:
            cfg = given | {"experiment_id": task["task_id"], "run_id": task["repeat"], "out_path": task["output"]}
            lines.append(f"import {module} as m; cfg = {_written(cfg)}; x = m.pre(cfg) if hasattr(m, 'pre') else None")
            lines.append("y = m.fit(cfg, x); print(m.post(cfg, y) if hasattr(m, 'post') else y)")
        return f"{self._interpreter(python)} -c {shlex.quote('; '.join(lines))}"

    def _value(self, stage: str, folder: str) -> _Code:
        """Return the value of a run of a stage, as code for this machine."""
        if not self.experiment.stages[stage].calls_function:
            return _Code(f"pathlib.Path({folder!r})")
        file = kept_file(folder) or f"{folder}/{JSON}"
        if file.endswith(ARRAY):
            return _Code(f"__import__('numpy').load({file!r})")
        read = "pickle.load" if file.endswith(PICKLE) else "json.load"
        return _Code(f"{read}(open({file!r}, 'rb'))")

    def _given(self, parameters: Mapping[str, Value]) -> dict[str, Any]:
        args, passed = self.experiment.args, self.experiment.passed_names
        return nested({args.get(name, name): value for name, value in parameters.items() if name in passed})

    def _of_stage(self) -> dict[str, Any]:
        """Return what is passed on between stages: the values that this one takes, and whether it keeps its own."""
        experiment, stages = self.experiment, self.experiment.stages
        if experiment.stage is None:
            return {}
        before = [
            {
                "stage": stage,
                "argument": argument,
                "variable": COLLECTED_VARIABLE if stage == experiment.collected else output_variable(stage),
                "several": stage == experiment.collected,
                "returns": stages[stage].calls_function,
                "may": not experiment.must_take(stage),
            }
            for stage, argument in experiment.values_before.items()
        ]
        found: dict[str, Any] = {"before": before, "paths": self._paths() if before else []}
        found["keeps"] = TAKES if experiment.value_is_taken else MAY_TAKE
        found["task"] = experiment.stage not in experiment.earlier_stages
        return found

    def _paths(self) -> list[str]:
        """Return the folders from which the functions of all stages are imported."""
        functions: list[Function | None] = [one.function for one in self.experiment.per_stage]
        return list(dict.fromkeys(str(Path(one.file or "").parent) for one in functions if one is not None))

    def _interpreter(self, python: str | None) -> str:
        """Return the interpreter as a word of a shell."""
        interpreter = self.experiment.python or python or PYTHON
        return f"~/{shlex.quote(interpreter[2:])}" if interpreter.startswith("~/") else shlex.quote(interpreter)


class _Code(str):
    """A value as code."""

    __slots__ = ()


def _keywords(given: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_written(value)}" for name, value in given.items())


def _written(value: Any) -> str:
    """Return a value as Python has it."""
    if isinstance(value, _Code):
        return value
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name!r}: {_written(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    return repr(value) if not isinstance(value, float) or math.isfinite(value) else f"float({str(value)!r})"
