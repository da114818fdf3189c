"""`{returned: ...}`: rows that the experiment's function returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tui_lab.experiment.programs import calls_functions
from tui_lab.experiment.record import Fields, documented
from tui_lab.experiment.row_sources.source import RowSource
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader
from tui_lab.portable.function.returned import FILE


class ReturnedRows(RowSource):
    """A list of dicts that the function returned."""

    kind: ClassVar[str] = "returned"
    schemas: ClassVar[Mapping[str, Schema]] = {"returned": TEXT}

    returned: str = documented(
        description="Name of a list of dicts that the function returned, each of which is a row. A list alone is "
        "called `result`. Without `rows`, the first such list is taken.",
        examples=["history"],
    )

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        if not calls_functions(r):
            r.add((*path, cls.kind), f'"{cls.kind}" goes with "function"', at_key=True)

    @property
    def file(self) -> str:
        return FILE
