"""A metric source that another package could bring: `{ini: FILE, option: SECTION.KEY}`, a value of an INI file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from typing import ClassVar

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.record import Fields, documented
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.sources.source import MetricSource
from tui_lab.experiment.yaml.reader import Keypath, Reader
from tui_lab.results.extraction.extractor import Reading
from tui_lab.results.extraction.files import locate
from tui_lab.results.extraction.readers import FileReader, notation
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.text import read_whole
from tui_lab.results.extraction.values import Scalar, converter
from tui_lab.store.task_files import TaskFile


class IniSource(MetricSource):
    """A value of an INI file."""

    kind: ClassVar[str] = "ini"
    schemas: ClassVar[Mapping[str, Schema]] = {"ini": TEXT, "option": TEXT}

    ini: str = documented(description="Read an INI file in `{output}`.", examples=["result.ini"])
    option: str = documented(description="Section and key. Needed with `ini`.", examples=["test.acc"])

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        if "option" not in found:
            r.add((*path, cls.kind), f'{owner} needs "option", as in test.acc', at_key=True)

    @property
    def file(self) -> str:
        return self.ini


class IniReader(FileReader):
    """Reads one option."""

    def __init__(self, name: str, metric: Metric, source: IniSource) -> None:
        super().__init__(name, metric)
        self.source = source
        self.convert = converter(self.type, "text", metric.unit, notation(metric))

    def values(self, folder: str, files: Iterable[TaskFile] | None, live: bool) -> Iterator[Scalar | None]:
        self.refused = ""
        parser = ConfigParser()
        try:
            parser.read_string(read_whole(locate(folder, self.source.ini)).decode("utf-8", "replace"))
        except IniError as error:
            raise SourceError(str(error).split("\n", 1)[0]) from None
        section, _, key = self.source.option.rpartition(".")
        text = parser.get(section, key, fallback=None)
        if text is not None:
            value = text if self.type == "cells" else self.convert(text)
            if value is None:
                self.refused = text
            yield value


class IniExtractor(Reading):
    """Reads INI files."""

    def reader(self, name: str, metric: Metric) -> IniReader:
        assert isinstance(metric.source, IniSource)
        return IniReader(name, metric, metric.source)

    def not_found(self, metric: Metric) -> str:
        assert isinstance(metric.source, IniSource)
        return f"there is no {metric.source.option} in {metric.source.ini}"


EXTRACTOR = IniExtractor()
