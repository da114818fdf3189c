"""All kinds of metric source: who adds one adds its module to this package, and its class here. Other packages bring
theirs as entry points of `tui_lab.metric_sources`."""

from __future__ import annotations

from typing import Final

from tui_lab.experiment.registry import Registry, by_kind
from tui_lab.experiment.sources.csv import CsvSource
from tui_lab.experiment.sources.function import FunctionSource
from tui_lab.experiment.sources.json import JsonSource
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.experiment.sources.returned import ReturnedSource
from tui_lab.experiment.sources.run import RunSource
from tui_lab.experiment.sources.source import MetricSource
from tui_lab.experiment.sources.sql import SqlSource

RETURNED: Final = ReturnedSource.kind
"""What a metric of a function is read from where it does not say."""
_OWN: Final = (PatternSource, JsonSource, CsvSource, SqlSource, RunSource, FunctionSource, ReturnedSource)
KINDS: Final[Registry[type[MetricSource]]] = Registry("tui_lab.metric_sources", MetricSource, by_kind(_OWN))
"""By the key that stands in the file, in the order of the reference."""
