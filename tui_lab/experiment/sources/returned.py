"""`{returned: ...}`: a value that the experiment's function returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal

from tui_lab.experiment.programs import calls_functions
from tui_lab.experiment.record import Fields, documented
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.sources.source import MetricSource
from tui_lab.experiment.yaml.reader import Keypath, Reader
from tui_lab.portable.function.returned import FILE


class ReturnedSource(MetricSource):
    """A value that the function returned."""

    kind: ClassVar[str] = "returned"
    schemas: ClassVar[Mapping[str, Schema]] = {"returned": TEXT}
    column_type: ClassVar[Literal["json", "cells"]] = "json"

    returned: str = documented(
        description="Name of a value that the function returned, by default that of the metric. A number alone is "
        "called `result`; values within are named with dots.",
        examples=["test.acc"],
    )

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        if not calls_functions(r):
            r.add((*path, cls.kind), f'"{cls.kind}" goes with "function"', at_key=True)

    @property
    def file(self) -> str:
        return FILE
