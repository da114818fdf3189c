"""A row for each dict of a list that the function returned."""

from __future__ import annotations

from collections.abc import Iterator

from tui_lab.experiment.row_sources.returned import ReturnedRows
from tui_lab.results.extraction.records import Record
from tui_lab.results.extraction.returned import read_returned
from tui_lab.results.extraction.rows import RowsReader
from tui_lab.results.extraction.values import from_json


class ReturnedRowsReader(RowsReader):
    """Reads rows that functions returned."""

    def found(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        assert isinstance(self.rows.source, ReturnedRows)
        for row in read_returned(folder).rows.get(self.rows.source.returned, ()):
            yield {name: from_json(value, "json") for name, value in row.items()}

    @property
    def not_found(self) -> str:
        return f"the function returned no row in {self.rows.source.file}"
