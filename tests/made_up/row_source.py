"""A source of rows that another package could bring: `{sections: FILE}`, a row for each section of an INI file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as IniError
from typing import ClassVar

from tui_lab.experiment.record import Fields, documented
from tui_lab.experiment.row_sources.source import RowSource
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader
from tui_lab.results.extraction.files import locate
from tui_lab.results.extraction.records import Record
from tui_lab.results.extraction.rows import RowsReader
from tui_lab.results.extraction.structured import SourceError
from tui_lab.results.extraction.text import read_whole


class SectionRows(RowSource):
    """The sections of an INI file."""

    kind: ClassVar[str] = "sections"
    schemas: ClassVar[Mapping[str, Schema]] = {"sections": TEXT, "prefix": TEXT}

    sections: str = documented(description="An INI file in `{output}`: each section is a row.", examples=["all.ini"])
    prefix: str = documented(default="", description="Sections whose name begins with it.", examples=["epoch"])

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        if not str(found["sections"]).endswith(".ini"):
            r.add((*path, "sections"), f"{owner} needs an .ini file")

    @property
    def file(self) -> str:
        return self.sections


class SectionRowsReader(RowsReader):
    """Reads INI files."""

    def found(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        assert isinstance(self.rows.source, SectionRows)
        parser = ConfigParser()
        try:
            parser.read_string(read_whole(locate(folder, self.file)).decode("utf-8", "replace"))
        except IniError as error:
            raise SourceError(str(error).split("\n", 1)[0]) from None
        for name in parser.sections():
            if name.startswith(self.rows.source.prefix):
                found = {"section": name, **parser[name]}
                self.types.update(dict.fromkeys(found, "cells"))
                yield found
