"""`{csv: ..., column: ...}`: a column of a CSV file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from tui_lab.experiment.record import Fields, Texts, documented
from tui_lab.experiment.schema_parts import ANY_TEXT, TEXT, Schema
from tui_lab.experiment.sources.source import MetricSource
from tui_lab.experiment.yaml.reader import Keypath, Reader

# Keys that `rows` has, too.
DELIMITER: Final = Texts(
    "Delimiter of the CSV file; a blank means any number of blanks and tabs. "
    "Default: the one of comma, semicolon and tab that the header has most of.",
    ["||", " "],
)
COMMENT: Final = Texts("Lines of the CSV file that begin with it are left out.", ["#"])
SKIP: Final = Texts("Lines of the CSV file before its header.", [3])
FORM: Final[Mapping[str, Schema]] = {
    "delimiter": {"type": "string", "minLength": 1},
    "comment": TEXT,
    "skip": {"type": "integer", "minimum": 0},
}
"""JSON Schema of the keys that say how a CSV file is laid out."""


class CsvSource(MetricSource):
    """Cells of one column of a CSV file."""

    kind: ClassVar[str] = "csv"
    schemas: ClassVar[Mapping[str, Schema]] = {"csv": TEXT, "column": ANY_TEXT, **FORM}

    csv: str = documented(description="Read a CSV file in `{output}`.", examples=["history.csv"])
    column: str = documented(description="Column of the CSV file. Needed with `csv`.", examples=["val_loss"])
    delimiter: str | None = documented(default=None, texts=DELIMITER)
    comment: str | None = documented(default=None, texts=COMMENT)
    skip: int | None = documented(default=None, texts=SKIP)

    @classmethod
    def read_key(cls, r: Reader, path: Keypath, take: str) -> Any:
        return read_form(r, path) if path[-1] in FORM else r.text(path)

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        if "column" not in found:
            r.add((*path, cls.kind), f'{owner} needs "column", a column of the CSV file', at_key=True)

    @property
    def file(self) -> str:
        return self.csv


def read_form(r: Reader, path: Keypath) -> str | int | None:
    """Return what stands behind a key of FORM, or None after noting what is wrong."""
    if path[-1] == "skip":
        return r.whole(path, least=0)
    if path[-1] == "comment":
        return r.text(path)
    text = r.text(path, blank=True)
    if text is not None and (not text or any(mark in text for mark in '"\r\n')):
        hint = "write the characters between two cells; a blank means any number of blanks"
        r.add(path, "this can't be a delimiter", hint)
        return None
    return text
