"""A value that the function of an experiment returned."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.sources.returned import ReturnedSource
from tui_lab.results.extraction.extractor import Reading
from tui_lab.results.extraction.readers import FileReader, notation
from tui_lab.results.extraction.returned import read_returned
from tui_lab.results.extraction.values import Scalar, from_json, json_text
from tui_lab.store.task_files import TaskFile


class ReturnedExtractor(Reading):
    """Reads what functions returned."""

    def reader(self, name: str, metric: Metric) -> ReturnedReader:
        return ReturnedReader(name, metric)

    def not_found(self, metric: Metric) -> str:
        return f"the function returned no {_source(metric).returned}"


def _source(metric: Metric) -> ReturnedSource:
    assert isinstance(metric.source, ReturnedSource)
    return metric.source


class ReturnedReader(FileReader):
    """One value of those that a function returned."""

    def values(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Iterator[Scalar | None]:
        """Yield the value, if there is one."""
        value = read_returned(folder).metrics.get(_source(self.metric).returned)
        self.refused = ""
        if value is not None:
            found = from_json(value, self.type, self.metric.unit, notation(self.metric))
            if found is None:
                self.refused = value if isinstance(value, str) else json_text(value)
            yield found
