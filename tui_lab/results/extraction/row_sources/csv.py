"""A row for each line of a CSV file; its columns are the header's."""

from __future__ import annotations

from collections.abc import Iterator

from tui_lab.experiment.row_sources.csv import CsvRows
from tui_lab.results.extraction.files import locate
from tui_lab.results.extraction.numbers import as_usual
from tui_lab.results.extraction.records import Record
from tui_lab.results.extraction.rows import RowsReader
from tui_lab.results.extraction.sources.csv import csv_form
from tui_lab.results.extraction.structured import Uneven, table


class CsvRowsReader(RowsReader):
    """Reads CSV files."""

    def found(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        assert isinstance(self.rows.source, CsvRows)
        header, lines = table(locate(folder, self.file), csv_form(self.rows.source), torn_end=not live)
        names = [name or f"column{number + 1}" for number, name in enumerate(header)]
        for name in names:
            self.types.setdefault(name, "cells")
        for line in lines:
            if isinstance(line, Uneven):
                self.trouble = self.trouble or f"{self.file}: {line}"
                yield {}
                continue
            yield {name: as_usual(cell.strip(), self.marks) or None for name, cell in zip(names, line, strict=False)}

    @property
    def not_found(self) -> str:
        return f"{self.file} has a header and nothing else"
