"""`{function: parsers.py::history}`: rows that a Python function finds in a task's folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tui_lab.experiment.function import FORMS, Function, function_error, parse_function
from tui_lab.experiment.record import documented
from tui_lab.experiment.row_sources.source import RowSource
from tui_lab.experiment.schema_parts import QUANTITY, TEXT, Schema
from tui_lab.experiment.sources.source import TIMEOUT
from tui_lab.experiment.times import read_time
from tui_lab.experiment.yaml.reader import Keypath, Reader


class FunctionRows(RowSource):
    """The dicts of a list that a function returns, or the dicts that it yields."""

    kind: ClassVar[str] = "function"
    schemas: ClassVar[Mapping[str, Schema]] = {"function": TEXT, "timeout": QUANTITY}
    executes: ClassVar[bool] = True
    reads_numbers: ClassVar[bool] = False

    function: str = documented(
        description="Python function that gets the task's folder once the task has ended, as for a metric. Each dict "
        "of the list that it returns, or that it yields, is a row.",
        examples=["parsers.py::history"],
    )
    timeout: float | None = documented(default=None, texts=TIMEOUT)

    @classmethod
    def read_key(cls, r: Reader, path: Keypath) -> Any:
        if path[-1] == "timeout":
            return read_time(r, path)
        text = r.text(path)
        if text is not None and (why := function_error(text)):
            r.add(path, why, FORMS)
        return text

    @property
    def file(self) -> None:
        return None

    @property
    def called(self) -> Function:
        """The function."""
        return parse_function(self.function)

    @property
    def call(self) -> tuple[Function, float | None]:
        return self.called, self.timeout
