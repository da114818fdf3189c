"""What every kind of metric source is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from tui_lab.experiment.record import Documented, Fields, Model, keys_of
from tui_lab.experiment.schema_parts import Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader


class MetricSource(Model):
    """Where the value of a metric is. In the file some of the metric's keys, one of which is the kind.

    Its fields are those keys; the texts of the reference stand at them.
    """

    kind: ClassVar[str]
    schemas: ClassVar[Mapping[str, Schema]]
    """JSON Schema of what stands behind each of its keys, the kind included, in the order of the reference."""
    reads_numbers: ClassVar[bool] = True
    """Whether it reads text, in which `decimal` and `thousands` say how numbers are written."""
    column_type: ClassVar[Literal["json", "cells"]] = "cells"
    """How values without a `type` and a pattern get one: as values of JSON, or as cells of CSV."""

    @classmethod
    def documented(cls) -> dict[str, Documented]:
        """Return what the reference says of its own keys."""
        keys = {cls.renamed.get(name, name): key for name, key in keys_of(cls).items()}
        return {key: dataclasses.replace(about, required=False) for key, about in keys.items()}

    @classmethod
    def read_key(cls, r: Reader, path: Keypath, take: str) -> Any:
        """Return what stands behind one of its keys, or None after noting what is wrong. take: that of the metric."""
        return r.text(path)

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        """Note what is missing or does not go together. found: values by key. owner: the metric, for messages."""

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
