"""How each kind of source of rows is read: who adds one adds its module to this package, and its class here. Other
packages bring theirs as entry points of `tui_lab.row_readers`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tui_lab.experiment.model import Experiment
from tui_lab.experiment.registry import PluginError, Registry
from tui_lab.experiment.row_sources.csv import CsvRows
from tui_lab.experiment.row_sources.each import EachRows
from tui_lab.experiment.row_sources.function import FunctionRows
from tui_lab.experiment.row_sources.pattern import PatternRows
from tui_lab.experiment.row_sources.returned import ReturnedRows
from tui_lab.results.extraction.row_sources.csv import CsvRowsReader
from tui_lab.results.extraction.row_sources.each import EachRowsReader
from tui_lab.results.extraction.row_sources.function import FunctionRowsReader
from tui_lab.results.extraction.row_sources.pattern import PatternRowsReader
from tui_lab.results.extraction.row_sources.returned import ReturnedRowsReader
from tui_lab.results.extraction.rows import RowsReader
from tui_lab.store.errors import LabError

READERS: Final[Registry[type[RowsReader]]] = Registry(
    "tui_lab.row_readers",
    RowsReader,
    {
        PatternRows.kind: PatternRowsReader,
        CsvRows.kind: CsvRowsReader,
        EachRows.kind: EachRowsReader,
        FunctionRows.kind: FunctionRowsReader,
        ReturnedRows.kind: ReturnedRowsReader,
    },
)
"""By the kind of source."""


def rows_reader(experiment: Experiment, bases: Mapping[str, str] | None = None) -> RowsReader:
    """Return what reads the `rows` of an experiment that has some. Raises LabError where a package has only half of
    their source."""
    assert experiment.rows is not None
    kind = experiment.rows.source.kind
    try:
        return READERS[kind](experiment, experiment.rows, bases or {})
    except PluginError as error:
        raise LabError(str(error)) from None
    except KeyError:
        raise LabError(f'rows with "{kind}" can\'t be read: no package has it in {READERS.group}') from None
