"""All kinds of metric source: who adds one adds its module to this package, and its class here. Other packages bring
theirs as entry points of `tui_lab.metric_sources`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tui_lab.experiment.record import Documented
from tui_lab.experiment.registry import Registry, by_kind
from tui_lab.experiment.schema_parts import Schema
from tui_lab.experiment.sources.csv import CsvSource
from tui_lab.experiment.sources.json import JsonSource
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.experiment.sources.run import RunSource
from tui_lab.experiment.sources.source import MetricSource
from tui_lab.experiment.sources.sql import SqlSource

_OWN: Final = (PatternSource, JsonSource, CsvSource, SqlSource, RunSource)
KINDS: Final[Registry[type[MetricSource]]] = Registry("tui_lab.metric_sources", MetricSource, by_kind(_OWN))
"""By the key that stands in the file, in the order of the reference."""


def keys(kinds: Iterable[type[MetricSource]]) -> tuple[str, ...]:
    """Return all keys of these kinds, in order."""
    return tuple(dict.fromkeys(key for kind in kinds for key in kind.schemas))


def documented_keys() -> dict[str, Documented]:
    """Return what the reference says of the keys of all kinds."""
    return {key: about for kind in KINDS.members().values() for key, about in kind.documented().items()}


def schemas() -> dict[str, Schema]:
    """Return the JSON Schema of what stands behind the keys of all kinds."""
    found: dict[str, Schema] = {}
    for kind in KINDS.members().values():
        found = {**kind.schemas, **found}
    return {key: found[key] for key in keys(KINDS.members().values())}
