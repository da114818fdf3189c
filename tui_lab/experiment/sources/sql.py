"""`{sql: ...}`: an expression over other columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tui_lab.experiment.record import documented
from tui_lab.experiment.schema_parts import ANY_TEXT, Schema
from tui_lab.experiment.sources.source import MetricSource


class SqlSource(MetricSource):
    """A value computed from others."""

    kind: ClassVar[str] = "sql"
    schemas: ClassVar[Mapping[str, Schema]] = {"sql": ANY_TEXT}
    reads_numbers: ClassVar[bool] = False

    sql: str = documented(description="SQL expression over the other metrics.", examples=["in_size / out_size"])

    @property
    def expression(self) -> str:
        return self.sql
