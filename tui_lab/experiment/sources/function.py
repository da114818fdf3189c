"""`{function: parsers.py::bleu}`: a value that a Python function finds in a task's folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final, Literal

from tui_lab.experiment.function import FORMS, Function, function_error, parse_function
from tui_lab.experiment.record import Fields, documented, plain
from tui_lab.experiment.schema_parts import QUANTITY, TEXT, Schema
from tui_lab.experiment.sources.source import TIMEOUT, MetricSource
from tui_lab.experiment.times import read_time
from tui_lab.experiment.yaml.reader import Keypath, Reader

EVERY: Final = "*"


class FunctionSource(MetricSource):
    """A value that a Python function finds in a task's folder."""

    kind: ClassVar[str] = "function"
    schemas: ClassVar[Mapping[str, Schema]] = {"function": TEXT, "value": TEXT, "timeout": QUANTITY}
    column_type: ClassVar[Literal["json", "cells"]] = "json"

    function: str = documented(
        description="Python function that gets the task's folder once the task has ended: FILE.py::NAME, relative to "
        "the experiment's file, or package.module:NAME. It returns a number, a dict of values (where they are lists of "
        "one length: values by step), or a list of dicts, or it yields dicts. It is called once for all metrics that "
        "name it.",
        examples=["parsers.py::bleu"],
    )
    value: str | None = documented(
        default=None, description="Name of the value among those that it returns, by default that of the metric."
    )
    timeout: float | None = documented(default=None, texts=TIMEOUT)

    @classmethod
    def read_key(cls, r: Reader, path: Keypath, take: str) -> str | float | None:
        if path[-1] == "timeout":
            return read_time(r, path)
        text = r.text(path)
        if text is not None and path[-1] == cls.kind and (why := function_error(text)):
            r.add(path, why, FORMS)
        return text

    def definition(self) -> Fields:
        return plain(self, leave_out=() if self.timeout else ("timeout",))

    @classmethod
    def of_all(cls, function: str) -> FunctionSource:
        """Return what stands for all values of a function."""
        return cls(function=function, value=EVERY)

    @property
    def several(self) -> bool:
        return self.value == EVERY

    def single(self, name: str) -> FunctionSource:
        return FunctionSource(function=self.function, value=name, timeout=self.timeout)

    @property
    def called(self) -> Function:
        """The function."""
        return parse_function(self.function)

    @property
    def call(self) -> tuple[Function, float | None]:
        return self.called, self.timeout
