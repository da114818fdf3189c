"""What every kind of source of rows is."""

from __future__ import annotations

from typing import Any, ClassVar

from tui_lab.experiment.record import Fields, plain
from tui_lab.experiment.source import Source
from tui_lab.experiment.yaml.reader import Keypath, Reader


class RowSource(Source):
    """Where the rows of a task are. In the file some of the keys of `rows`, one of which is the kind."""

    of_metrics: ClassVar[bool] = False
    """Whether its columns are metrics of the experiment."""

    @classmethod
    def read_key(cls, r: Reader, path: Keypath) -> Any:
        """Return what stands behind one of its keys, or None after noting what is wrong."""
        return r.text(path)

    @property
    def file(self) -> str:
        """The output (`stdout`, `stderr`) or file in which it looks."""
        raise NotImplementedError

    def definition(self) -> Fields:
        """Return all that decides its rows, in JSON's types."""
        return plain(self, without_none=True)
