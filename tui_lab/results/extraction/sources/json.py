"""A place in the JSON of a file or output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tui_lab.experiment.column_type import NUMERIC
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.sources.json import JsonSource
from tui_lab.results.extraction.extractor import Reading
from tui_lab.results.extraction.files import locate
from tui_lab.results.extraction.numbers import USUAL, Unrepresentable, number
from tui_lab.results.extraction.readers import FileReader, notation
from tui_lab.results.extraction.structured import Broken, SourceError, documents, parse_path, select
from tui_lab.results.extraction.text import complete_lines, read_whole
from tui_lab.results.extraction.units import count_unit, quantity
from tui_lab.results.extraction.values import Scalar, from_json, json_text
from tui_lab.store.task_files import TaskFile


class JsonExtractor(Reading):
    """Reads JSON."""

    def reader(self, name: str, metric: Metric) -> JsonReader:
        return JsonReader(name, metric, source(metric))

    def not_found(self, metric: Metric) -> str:
        return f"path {source(metric).path} leads nowhere in {source(metric).json_file}"


def source(metric: Metric) -> JsonSource:
    """Return the source of a metric of this kind."""
    assert isinstance(metric.source, JsonSource)
    return metric.source


class JsonReader(FileReader):
    """A path into the JSON of a file or stream."""

    def __init__(self, name: str, metric: Metric, source: JsonSource) -> None:
        """Raises ValueError where the path is none."""
        super().__init__(name, metric)
        self.source = source
        self.path = parse_path(source.path)

    def values(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Iterator[Scalar | None]:
        """Yield the values at the metric's path, in the order of the files."""
        paths = [locate(folder, self.source.json_file)] if files is None else list(files)
        seen = False
        self.refused = ""
        for path in paths:
            raw = read_whole(path)
            for document in documents(complete_lines(raw) if live and files is not None else raw):
                seen = True
                if isinstance(document, Broken):
                    if not document.may_hold(self.path):
                        continue
                    self.trouble = f"broken JSON in line {document.line}: {document.why}"
                    yield None
                    continue
                for value in select(document, self.path):
                    if value is not None:
                        yield self._converted(value)
        if not seen:
            raise SourceError("no JSON in it")

    def _converted(self, value: Value) -> Scalar | None:
        marks, unit = notation(self.metric), self.metric.unit
        found = from_json(value, self.type, unit, marks)
        if isinstance(value, str) and not isinstance(value, Unrepresentable):
            if self.type == "json" and unit:
                found = quantity(value, None, unit, marks)
            elif self.type == "json" and (self.metric.take in NUMERIC or marks is not USUAL):
                read = number(value, marks)
                if read is None:
                    self.refused = value
                else:
                    found = read
            if unit and self.type in ("float", "json") and found is not None:
                count_unit(self.units, found, value, None, marks)
        if found is None:
            self.refused = value if isinstance(value, str) else json_text(value)
        return found
