"""What every kind of metric source is."""

from __future__ import annotations

from typing import Any, ClassVar, Final, Literal

from tui_lab.experiment.record import Fields, Texts, plain
from tui_lab.experiment.source import Source
from tui_lab.experiment.yaml.reader import Keypath, Reader

TIMEOUT: Final = Texts(
    "Time that the command or function may take for one task, in seconds or with units; by default a minute. Where "
    "several metrics share it, the longest counts.",
    ["5m"],
)
"""Of the key `timeout` of what runs."""


class MetricSource(Source):
    """Where the value of a metric is. In the file some of the metric's keys, one of which is the kind."""

    reads_numbers: ClassVar[bool] = True
    """Whether it reads text, in which `decimal` and `thousands` say how numbers are written."""
    column_type: ClassVar[Literal["json", "cells"]] = "cells"
    """How values without a `type` and a pattern get one: as values of JSON, or as cells of CSV."""

    names: ClassVar[frozenset[str]] = frozenset()
    """Placeholders that only its command knows."""

    @classmethod
    def read_key(cls, r: Reader, path: Keypath, take: str) -> Any:
        """Return what stands behind one of its keys, or None after noting what is wrong. take: that of the metric."""
        return r.text(path)

    def definition(self) -> Fields:
        """Return all that decides its values, in JSON's types."""
        return plain(self)

    @property
    def several(self) -> bool:
        """Whether it stands for all values that it finds, each of which is a metric of its own."""
        return False

    def single(self, name: str) -> MetricSource:
        """Return the source of one of several values."""
        raise NotImplementedError

    @property
    def file(self) -> str | None:
        """The output (`stdout`, `stderr`) or file in which it looks; None where it reads none."""
        return None

    @property
    def search(self) -> str | None:
        """The pattern that it searches for."""
        return None

    @property
    def expression(self) -> str | None:
        """SQL over other columns that computes it."""
        return None

    @property
    def command(self) -> str | None:
        """A command with placeholders that runs once a task has ended."""
        return None
