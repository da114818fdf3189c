"""What a table with many rows per task is read from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from tui_lab.experiment.column_type import ColumnType
from tui_lab.experiment.patterns.pattern import Pattern
from tui_lab.results.extraction.execution import Execution

Record = dict[str, Any]
"""One row: values by name, with the step or row number under INDEX."""
INDEX: Final = "\0"
REFUSED: Final = "\1"
"""Under it a record may say what it could not read: the texts that were there, by name."""


class Reader:
    """Reads the records of one task; `types` says how the columns that it knows are typed, others are
    JSON's."""

    types: dict[str, ColumnType]

    def __init__(self) -> None:
        self.types = {}
        self.patterns: dict[str, tuple[Pattern, str]] = {}
        """The pattern that finds the values of a column, and where it looks."""
        self.units: dict[str, Counter[str]] = {}
        """Units of the quantities of a column that names none, as they are written, and how often."""
        self.skipped = 0
        self.absent = False
        """The task that was read last lacks the file, which may come later (from a node)."""
        self.slow = False
        """A pattern took too long on the output of that task: what it would have found is missing."""
        self.trouble = ""
        """What is wrong with an output of that task of which not all could be read."""

    not_executed = False
    """Something that it needs was not executed, as the lab is not trusted."""

    def prepare(self, execution: Execution, tasks: Sequence[tuple[int, int]]) -> None:
        """Run what is to be run for attempts, before their records are asked for."""

    def records(self, folder: str, attempt: int, live: bool) -> Iterable[Record]:
        """Raises TooSlowError where nothing can be said of a task, whose records so far don't count either."""
        raise NotImplementedError
