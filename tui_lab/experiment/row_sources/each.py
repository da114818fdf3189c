"""`{each: ..., from: ...}`: pieces of an output or a file, each of which is a row of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tui_lab.experiment.record import documented
from tui_lab.experiment.row_sources.source import TextRows
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.sources.pattern import read_pattern
from tui_lab.experiment.yaml.reader import Keypath, Reader


class EachRows(TextRows):
    """The pieces of an output."""

    kind: ClassVar[str] = "each"
    schemas: ClassVar[Mapping[str, Schema]] = {"each": TEXT, **TextRows.schemas}
    of_metrics: ClassVar[bool] = True

    each: str = documented(
        description="Regular expression: a row begins at each line that it matches, and its columns are the metrics "
        "that are patterns over the same output.",
        examples=["^Epoch"],
    )

    @classmethod
    def read_key(cls, r: Reader, path: Keypath) -> Any:
        if path[-1] != cls.kind:
            return r.text(path)
        pattern = read_pattern(r, path)
        return pattern and pattern.text
