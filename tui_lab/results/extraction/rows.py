"""Rows: what a task says often, in a table of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tui_lab.experiment.metric import Rows
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.patterns.pattern import Pattern
from tui_lab.results.extraction.extract import read_all
from tui_lab.results.extraction.files import stream_names, task_files
from tui_lab.results.extraction.readers import notation
from tui_lab.results.extraction.records import INDEX, Reader, Record
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.text import Text


class NoRows(Reader):
    """Reads nothing: an experiment without `rows`."""

    def records(self, folder: str, attempt: int, live: bool) -> Iterable[Record]:
        """Return nothing."""
        return ()


class RowsReader(Reader):
    """Reads what `rows` asks for; an output that is missing or unreadable has no rows.

    `records` raises TooSlowError where a pattern takes too long. bases: the unit that the quantities of a column are
    read in, where it names none."""

    def __init__(self, experiment: Experiment, rows: Rows, bases: Mapping[str, str]) -> None:
        super().__init__()
        self.experiment = experiment
        self.rows = rows
        self.bases = bases
        self.file = rows.source.file or rows.source.kind
        """The output or file in which it looks."""
        self.marks = notation(rows)

    not_tried: str = ""
    """Why the screen can't try such rows on an output."""

    def fingerprint(self) -> str:
        """Return what else than the definition of `rows` decides them: they are read again where that changes."""
        return ""

    def forget(self, folder: Path) -> None:
        """Forget what was kept in an experiment's folder besides the tables: all is to be read again."""

    def records(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        """Yield the rows of an attempt. live: the task still runs, so the last line may be incomplete."""
        self.absent = self.slow = False
        self.trouble = ""
        try:
            for index, record in enumerate(self.found(folder, attempt, live)):
                yield {INDEX: index, **record}
        except FileNotFoundError:
            self.absent = True
        except OSError as error:
            self.trouble = f"{self.file} {error.strerror or error}"
        except SourceError as error:
            self.trouble = f"{self.file}: {error}"

    def found(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        """Yield the rows of an attempt, in order. Raises FileNotFoundError, OSError, SourceError."""
        raise NotImplementedError

    @property
    def not_found(self) -> str:
        """Why a file that can be read may have no row."""
        return f"there is no row in {self.file}"


class TextRowsReader(RowsReader):
    """Rows that a pattern finds in an output or a file."""

    pattern: Pattern
    """What finds them."""

    def find(self, text: Text) -> Iterator[Record]:
        """Yield the rows of a text, in order. Raises TooSlowError."""
        raise NotImplementedError

    def found(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        """Yield the rows of an attempt, in order. Raises FileNotFoundError, OSError, SourceError, TooSlowError."""
        names = stream_names(self.file, tuple(step.name for step in self.experiment.steps))
        yield from self.find(read_all(task_files(folder, self.file, names, attempt), live))
