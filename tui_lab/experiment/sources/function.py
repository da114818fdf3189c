"""`{function: parsers.py::bleu}`: a value that a Python function finds in a task's folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from tui_lab.experiment.function import FORMS, Function, parse_function
from tui_lab.experiment.record import Fields, documented
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.sources.source import MetricSource
from tui_lab.experiment.yaml.reader import Keypath, Reader

EVERY: Final = "*"


class FunctionSource(MetricSource):
    """A value that a Python function finds in a task's folder."""

    kind: ClassVar[str] = "function"
    schemas: ClassVar[Mapping[str, Schema]] = {"function": TEXT, "value": TEXT}
    column_type: ClassVar[Literal["json", "cells"]] = "json"

    function: str = documented(
        description="Python function that gets the task's folder once the task has ended: FILE.py::NAME, relative to "
        "the experiment's file, or package.module:NAME. It returns a number, a dict of values, or a list of dicts, or "
        "it yields dicts. It is called once for all metrics that name it.",
        examples=["parsers.py::bleu"],
    )
    value: str | None = documented(
        default=None, description="Name of the value among those that it returns, by default that of the metric."
    )

    @classmethod
    def read_key(cls, r: Reader, path: Keypath, take: str) -> str | None:
        text = r.text(path)
        if text is not None and path[-1] == cls.kind and (why := function_error(text)):
            r.add(path, why, FORMS)
        return text

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        if r.has((*path, "take")) and r.node((*path, "take")).text == "all":
            r.add((*path, "take"), f'"take: all" is for patterns and files, not for "{cls.kind}"')

    @classmethod
    def of_all(cls, function: str) -> FunctionSource:
        """Return what stands for all values of a function."""
        return cls(function=function, value=EVERY)

    @property
    def several(self) -> bool:
        return self.value == EVERY

    def single(self, name: str) -> FunctionSource:
        return FunctionSource(function=self.function, value=name)

    @property
    def called(self) -> Function:
        """The function."""
        return parse_function(self.function)


def function_error(text: str) -> str:
    """Return why a text names no function; empty where it does."""
    try:
        return "" if parse_function(text).name else f'"{text.strip()}" names no function'
    except ValueError as error:
        return str(error)
