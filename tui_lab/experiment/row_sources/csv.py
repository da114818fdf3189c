"""`{csv: ...}`: a CSV file, of which each line is a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tui_lab.experiment.record import Fields, documented
from tui_lab.experiment.row_sources.source import RowSource
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.sources.csv import COMMENT, DELIMITER, FORM, SKIP, read_form
from tui_lab.experiment.yaml.reader import Keypath, Reader


class CsvRows(RowSource):
    """The lines of a CSV file."""

    kind: ClassVar[str] = "csv"
    schemas: ClassVar[Mapping[str, Schema]] = {"csv": TEXT, **FORM}

    csv: str = documented(description="A CSV file in `{output}`: each line is a row.", examples=["history.csv"])
    delimiter: str | None = documented(default=None, texts=DELIMITER)
    comment: str | None = documented(default=None, texts=COMMENT)
    skip: int | None = documented(default=None, texts=SKIP)

    @classmethod
    def read_key(cls, r: Reader, path: Keypath) -> Any:
        return read_form(r, path) if path[-1] in FORM else r.text(path)

    @property
    def file(self) -> str:
        return self.csv

    def definition(self) -> Fields:
        return {**super().definition(), "source": "stdout"}  # as tables that were kept before have it
