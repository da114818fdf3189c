"""What every kind of source of rows is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tui_lab.experiment.record import Fields, documented, plain
from tui_lab.experiment.schema_parts import TEXT, Schema
from tui_lab.experiment.source import Source
from tui_lab.experiment.yaml.reader import Keypath, Reader


class RowSource(Source):
    """Where the rows of a task are. In the file some of the keys of `rows`, one of which is the kind."""

    of_metrics: ClassVar[bool] = False
    """Whether its columns are metrics of the experiment."""
    executes: ClassVar[bool] = False
    """Whether something runs for it, which it does in labs only that the user has trusted."""
    reads_numbers: ClassVar[bool] = True
    """Whether it reads text, in which `decimal` and `thousands` say how numbers are written."""

    @classmethod
    def read_key(cls, r: Reader, path: Keypath) -> Any:
        """Return what stands behind one of its keys, or None after noting what is wrong."""
        return r.text(path)

    @property
    def file(self) -> str | None:
        """The output (`stdout`, `stderr`) or file in which it looks; None where it reads none."""
        raise NotImplementedError

    def definition(self) -> Fields:
        """Return all that decides its rows, in JSON's types."""
        return plain(self, without_none=True)


class TextRows(RowSource):
    """Rows that a pattern finds in an output or a file. In the file, `source` is written `from`."""

    renamed: ClassVar[dict[str, str]] = {"source": "from"}
    schemas: ClassVar[Mapping[str, Schema]] = {"from": TEXT}

    source: str = documented(default="stdout", description="Where the pattern looks: `stdout`, `stderr` or a file.")

    @property
    def file(self) -> str:
        return self.source
