"""One metric of one task: from the files of an attempt to a typed value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from tui_lab.results.search import all_matches, first_match, last_match
from tui_lab.results.slow_search import Match, TooSlowError
from tui_lab.results.sources import locate
from tui_lab.results.structured import SourceError, cells, documents, parse_path, select
from tui_lab.results.text import Text, complete_lines, read_whole
from tui_lab.results.units import quantity
from tui_lab.results.values import (
    Scalar,
    converter,
    exact_sum,
    from_json,
    reduce,
    to_number,
)
from tui_lab.spec.column_type import NUMERIC, ColumnType, column_type
from tui_lab.spec.metric import Metric
from tui_lab.spec.pattern import Kind, Pattern, compile_pattern
from tui_lab.store.task_files import TaskFile


class Nothing:
    """Nothing matched: the column is null (0 for `count`)."""


NOTHING: Final = Nothing()
TOO_SLOW: Final = Nothing()
"""The pattern took too long: what it would have found is not known, and the column is null for `count`, too."""


@dataclass
class Tally:
    """What became of a metric over the tasks that were read, for the hint where it found nothing."""

    tasks: int = 0
    found: int = 0
    """Tasks with at least one match, whether or not its text could be read as the type."""
    missing: int = 0
    """Tasks whose file is not there."""
    unread: int = 0
    """Tasks where something matched and could not be read as the type."""
    example: str = ""
    """Such a text."""
    trouble: str = ""
    """The first thing that was wrong with a file, and where."""
    slow: list[int] = field(default_factory=list)
    """Tasks on whose output the pattern took too long."""
    without: list[tuple[int, int]] = field(default_factory=list)
    """The first tasks, with their attempts, in which nothing was found."""

    def miss(self, task: tuple[int, int]) -> None:
        if len(self.without) < 3:
            self.without.append(task)


MatchValue = Callable[[Match], "Scalar | None"]


def match_value(pattern: Pattern, wanted: ColumnType, unit: str | None) -> MatchValue:
    """The function that takes the value from a match; None for what cannot be read, or took no part."""
    group, unit_group = pattern.value, pattern.unit
    if group < 0:
        convert_first = converter(wanted, pattern.kind, unit)

        def first_group(match: Match) -> Scalar | None:
            text = next((text for text in match.groups() if text is not None), None)
            return None if text is None else convert_first(text)

        return first_group
    if unit_group is not None and wanted == "float":

        def with_unit(match: Match) -> Scalar | None:
            text = match[group]
            return None if text is None else quantity(text, match[unit_group], unit)

        return with_unit
    convert = converter(wanted, pattern.kind, unit)

    def plain(match: Match) -> Scalar | None:
        text = match[group]
        return None if text is None else convert(text)

    return plain


class TextReader:
    """A pattern over text, as a whole (`value`) or in blocks (`begin`, `feed` in order of the text,
    `end`)."""

    def __init__(self, name: str, metric: Metric) -> None:
        self.name = name
        self.metric = metric
        self.take = "last" if metric.take == "all" else metric.take
        self.pattern = compile_pattern(metric.pattern or "")
        self.type = column_type(metric, self.pattern)
        self.of = match_value(self.pattern, self.type, metric.unit)
        self._value = {"last": self._last, "first": self._first}.get(self.take, self._reduced)

    def value(self, text: Text) -> Scalar | Nothing | None:
        """The value in a text as a whole."""
        try:
            return self._value(text)
        except TooSlowError:
            return TOO_SLOW

    def _last(self, text: Text) -> Scalar | Nothing | None:
        match = last_match(self.pattern, text)
        return NOTHING if match is None else self.of(match)

    def _first(self, text: Text) -> Scalar | Nothing | None:
        match = first_match(self.pattern, text)
        return NOTHING if match is None else self.of(match)

    def _reduced(self, text: Text) -> Scalar | Nothing | None:
        values = list(map(self.of, all_matches(self.pattern, text)))
        return reduce(self.take, values) if values else NOTHING

    # In blocks.

    def begin(self) -> None:
        self._parts: list[Scalar | None] = []
        self._count = self._known = 0
        self._slow = False

    def feed(self, text: Text) -> None:
        if not self._slow:
            try:
                self._feed(text)
            except TooSlowError:
                self._slow = True

    def _feed(self, text: Text) -> None:
        if self.take in ("last", "first"):
            found = self._value(text)
            if not isinstance(found, Nothing) and not (self.take == "first" and self._parts):
                self._parts = [found]
            return
        values = list(map(self.of, all_matches(self.pattern, text)))
        self._count += len(values)
        self._known += sum(value is not None for value in values)
        if values:
            self._parts.append(reduce("sum" if self.take == "mean" else self.take, values))

    def end(self) -> Scalar | Nothing | None:
        if self._slow:
            return TOO_SLOW
        if not self._parts:
            return NOTHING
        if self.take == "count":
            return self._count
        if self.take == "mean":
            sums = [part for part in self._parts if part is not None and not isinstance(part, str)]
            return exact_sum(sums) / self._known if sums else None
        return reduce(self.take, self._parts)


class FileReader(Protocol):
    """A metric in a file that is read by itself. Raises OSError, SourceError."""

    name: str
    metric: Metric
    type: ColumnType

    def read(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Scalar | Nothing | None: ...


class JsonReader:
    """A path into the JSON of a file or stream."""

    def __init__(self, name: str, metric: Metric) -> None:
        self.name = name
        self.metric = metric
        self.type = column_type(metric, None)
        self.path = parse_path(metric.path or "$")

    def read(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Scalar | Nothing | None:
        values = list(self.values(folder, files, live))
        return reduce(self.metric.take, values) if values else NOTHING

    def values(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Iterator[Scalar | None]:
        paths = [locate(folder, self.metric.json_file or "")] if files is None else list(files)
        seen = False
        for path in paths:
            raw = read_whole(path)
            for document in documents(complete_lines(raw) if live and files is not None else raw):
                seen = True
                for value in select(document, self.path):
                    if value is not None:
                        yield from_json(value, self.type, self.metric.unit)
        if not seen:
            raise SourceError("no JSON in it")


class CsvReader:
    """A column of a CSV file."""

    def __init__(self, name: str, metric: Metric) -> None:
        self.name = name
        self.metric = metric
        self.type = column_type(metric, None)
        kind: Kind = "quantity" if metric.unit and self.type == "float" else "text"
        numeric = self.type == "cells" and metric.take in NUMERIC
        self.convert = to_number if numeric else converter(self.type, kind, metric.unit)

    def read(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Scalar | Nothing | None:
        values = list(self.values(folder, files, live))
        return reduce(self.metric.take, values) if values else NOTHING

    def values(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Iterator[Scalar | None]:
        path = locate(folder, self.metric.csv or "")
        for cell in cells(path, self.metric.column or "", torn_end=not live):
            yield self.convert(cell)
