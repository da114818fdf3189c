"""A row for each match of a pattern; its columns are the named groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

from tui_lab.experiment.column_type import ColumnType
from tui_lab.experiment.metric import Rows
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.patterns.pattern import compile_pattern
from tui_lab.experiment.row_sources.pattern import PatternRows
from tui_lab.results.extraction.records import REFUSED, Record
from tui_lab.results.extraction.rows import TextRowsReader
from tui_lab.results.extraction.search import all_matches
from tui_lab.results.extraction.text import Text
from tui_lab.results.extraction.units import count_unit
from tui_lab.results.extraction.values import Scalar, converter


class PatternRowsReader(TextRowsReader):
    """Searches text."""

    def __init__(self, experiment: Experiment, rows: Rows, bases: Mapping[str, str]) -> None:
        super().__init__(experiment, rows, bases)
        assert isinstance(rows.source, PatternRows)
        self.pattern = compile_pattern(rows.source.pattern, rows.thousands == " ")
        self._groups: dict[str, tuple[int, Callable[[str], Scalar | None]]] = {}
        for name in self.pattern.groups:
            number = self.pattern.regex.groupindex[name]
            kind = self.pattern.kinds.get(number, "text")
            wanted: ColumnType = "float" if kind in ("float", "quantity") else "int" if kind == "int" else "str"
            self.types[name] = wanted
            self._groups[name] = number, converter(wanted, kind, bases.get(name), self.marks)
            self.patterns[name] = self.pattern, self.file
            if kind == "quantity":
                self.units[name] = Counter()

    def find(self, text: Text) -> Iterator[Record]:
        groups = self._groups
        for match in all_matches(self.pattern, text):
            found = {name: match[number] for name, (number, _) in groups.items()}
            record: Record = {n: None if value is None else groups[n][1](value) for n, value in found.items()}
            for name, counted in self.units.items():
                if record[name] is not None:
                    count_unit(counted, record[name], found[name], None, self.marks)
            if refused := {n: value for n, value in found.items() if value is not None and record[n] is None}:
                record[REFUSED] = refused
            yield record
