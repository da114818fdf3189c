"""One metric of one task: from the files of an attempt to a typed value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tui_lab.experiment.column_type import column_type
from tui_lab.experiment.metric import Metric, Rows
from tui_lab.experiment.patterns.pattern import compile_pattern
from tui_lab.results.extraction.numbers import USUAL, Notation, number
from tui_lab.results.extraction.search import all_matches, first_match, last_match
from tui_lab.results.extraction.slow_search import Match, TooSlowError
from tui_lab.results.extraction.text import Text
from tui_lab.results.extraction.units import count_unit, quantity
from tui_lab.results.extraction.values import Scalar, converter, exact_sum, mean_of, reduce
from tui_lab.store.task_files import TaskFile


class NoValue:
    """Nothing matched: the column is null (0 for `count`)."""


NO_MATCH: Final = NoValue()
TOO_SLOW: Final = NoValue()
"""The pattern took too long: what it would have found is not known, and the column is null for `count`, too."""


@dataclass
class Tally:
    """Counts for the hints on a metric: what was found, could not be read, and was missing."""

    tasks: int = 0
    found: int = 0
    """Tasks with at least one match, whether or not its text could be read as the type."""
    missing: int = 0
    """Tasks whose file is not there."""
    unread: int = 0
    """Tasks where something matched and could not be read as the type."""
    example: str = ""
    """Such a text, and the task that it is of."""
    example_task: int = 0
    units: Counter[str] = field(default_factory=Counter)
    """Units of the quantities that were read, as they are written, and how often."""
    trouble: str = ""
    """The first thing that was wrong with a file, and where."""
    slow: list[int] = field(default_factory=list)
    """Tasks on whose output the pattern took too long."""
    without: list[tuple[int, int]] = field(default_factory=list)
    """The first tasks, with their attempts, in which nothing was found."""

    def refuse(self, text: str, task: int) -> None:
        """Count a task whose value is null for a text that could not be read (none where one value has no `sd`)."""
        self.unread += bool(text)
        if text and not self.example:
            self.example, self.example_task = text, task

    def miss(self, task: tuple[int, int]) -> None:
        """Note a task without the metric; the first three are named."""
        if len(self.without) < 3:
            self.without.append(task)


MatchValue = Callable[[Match], "Scalar | NoValue | None"]


def notation(what: Metric | Rows) -> Notation:
    """Return how numbers are written in the source of a metric, or of `rows`."""
    if what.decimal in (None, ".") and what.thousands is None:
        return USUAL
    return Notation(what.decimal or ".", what.thousands or "")


class TextReader:
    """A pattern over text, as a whole (`value`) or in blocks (`begin`, `feed` in order of the text,
    `end`)."""

    def __init__(self, name: str, metric: Metric) -> None:
        self.name = name
        self.metric = metric
        self.take = "last" if metric.take == "all" else metric.take
        self.pattern = compile_pattern(metric.source.search or "", metric.thousands == " ")
        self.type = column_type(metric, self.pattern)
        self.refused = ""
        """The text that could not be read last, of the output that was read last."""
        self.units: Counter[str] = Counter()
        """Units of the quantities that were read, as they are written."""
        self.of = self._match_value()
        self._value = {"last": self._last, "first": self._first}.get(self.take, self._reduced)
        if metric.take == "all" and self.pattern.kind == "quantity" and metric.unit is None:
            self._value = self._reduced  # the units of all values tell what they have in common

    def value(self, text: Text) -> Scalar | NoValue | None:
        """Return the value in a text as a whole."""
        self.refused = ""
        try:
            return self._value(text)
        except TooSlowError:
            return TOO_SLOW

    def _match_value(self) -> MatchValue:
        """The function that takes the value from a match: None for what cannot be read, NO_MATCH where the group of the
        value took no part."""
        pattern, wanted, unit = self.pattern, self.type, self.metric.unit
        marks = notation(self.metric)
        group, unit_group = pattern.value, pattern.unit
        apart = unit_group is not None and wanted == "float"
        convert = converter(wanted, pattern.kind, unit, marks)

        def of(match: Match) -> Scalar | NoValue | None:
            text = match[group] if group >= 0 else next((part for part in match.groups() if part is not None), None)
            if text is None:
                return NO_MATCH
            own = match[unit_group] if apart and unit_group is not None else None
            value = quantity(text, own, unit, marks) if apart else convert(text)
            if value is None:
                self.refused = f"{text} {own}" if own else text
            elif apart or measures:
                count_unit(self.units, value, text, own, marks)
            return value

        measures = pattern.kind == "quantity" and wanted in ("float", "int")
        return of

    def of_all(self, text: Text) -> list[Scalar | None]:
        """The values of all matches; None for those that can't be read."""
        values = map(self.of, all_matches(self.pattern, text))
        return [value for value in values if not isinstance(value, NoValue)]

    def by_step(self, text: Text, first: int = 0) -> Iterator[tuple[int | float | str, Scalar | None, str]]:
        """Yield step and value of each match, and the text that could not be read, or an empty one. first: the step of
        the first match, where the pattern names none. Raises TooSlowError."""
        group = self.pattern.step
        for count, match in enumerate(all_matches(self.pattern, text), first):
            step: int | float | str = count
            if group is not None and match[group] is not None:
                found = number(match[group])
                step = match[group] if found is None else found
            value = self.of(match)
            if isinstance(value, NoValue):
                yield step, None, ""
            else:
                yield step, value, self.refused if value is None else ""

    def _last(self, text: Text) -> Scalar | NoValue | None:
        match = last_match(self.pattern, text)
        return NO_MATCH if match is None else self._one(match)

    def _first(self, text: Text) -> Scalar | NoValue | None:
        match = first_match(self.pattern, text)
        return NO_MATCH if match is None else self._one(match)

    def _one(self, match: Match) -> Scalar | None:
        value = self.of(match)
        return None if isinstance(value, NoValue) else value

    def _reduced(self, text: Text) -> Scalar | NoValue | None:
        values = self.of_all(text)
        return reduce(self.take, values) if values else NO_MATCH

    # --- In blocks

    def begin(self) -> None:
        """Start with the output of another attempt."""
        self.refused = ""
        self._parts: list[Scalar | None] = []
        self._count = 0
        self._slow = False

    def feed(self, text: Text) -> None:
        """Read a part of the output. A pattern that takes too long is given up."""
        if not self._slow:
            try:
                self._feed(text)
            except TooSlowError:
                self._slow = True

    def _feed(self, text: Text) -> None:
        if self.take in ("last", "first"):
            found = self._value(text)
            if not isinstance(found, NoValue) and not (self.take == "first" and self._parts):
                self._parts = [found]
            return
        values = self.of_all(text)
        self._count += len(values)
        if self.take in ("median", "sd"):
            self._parts += values
        elif values:
            self._parts.append(reduce("sum" if self.take == "mean" else self.take, values))

    def end(self) -> Scalar | NoValue | None:
        """Return the value of the metric in what was read."""
        if self._slow:
            return TOO_SLOW
        if not self._parts:
            return NO_MATCH
        if self.take == "count":
            return self._count
        if self.take == "mean":
            total = exact_sum([part for part in self._parts if part is not None and not isinstance(part, str)])
            return None if None in self._parts else mean_of(total, self._count)
        return reduce(self.take, self._parts)


class FileReader:
    """A metric in a separate file."""

    def __init__(self, name: str, metric: Metric) -> None:
        self.name = name
        self.metric = metric
        self.type = column_type(metric, None)
        self.refused = ""
        """The text that could not be read last."""
        self.trouble = ""
        """What was wrong with a file of which some could be read."""
        self.units: Counter[str] = Counter()
        """Units of the quantities that were read, as they are written."""

    def read(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Scalar | NoValue | None:
        """Return the value of the metric in the files of a task. Takes and raises what `values` does."""
        values = list(self.values(folder, files, live))
        return reduce(self.metric.take, values) if values else NO_MATCH

    def values(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Iterator[Scalar | None]:
        """Yield all values of the metric in a task's folder, in order; None for those that can't be read.

        files: those of an output, where the source is one. live: the task still runs. Raises OSError, SourceError.
        """
        raise NotImplementedError
