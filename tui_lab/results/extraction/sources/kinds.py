"""How each kind of metric source is read: who adds one adds its module to this package, and its class here. Other
packages bring theirs, an instance, as entry points of `tui_lab.metric_extractors`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from tui_lab.experiment.metric import Metric
from tui_lab.experiment.registry import PluginError, Registry
from tui_lab.experiment.sources.csv import CsvSource
from tui_lab.experiment.sources.function import FunctionSource
from tui_lab.experiment.sources.json import JsonSource
from tui_lab.experiment.sources.pattern import PatternSource
from tui_lab.experiment.sources.returned import ReturnedSource
from tui_lab.experiment.sources.run import RunSource
from tui_lab.experiment.sources.sql import SqlSource
from tui_lab.results.extraction.extractor import Extractor
from tui_lab.results.extraction.sources.csv import CsvExtractor
from tui_lab.results.extraction.sources.function import FunctionExtractor
from tui_lab.results.extraction.sources.json import JsonExtractor
from tui_lab.results.extraction.sources.pattern import PatternExtractor
from tui_lab.results.extraction.sources.returned import ReturnedExtractor
from tui_lab.results.extraction.sources.run import RunExtractor
from tui_lab.results.extraction.sources.sql import SqlExtractor
from tui_lab.store.errors import LabError

EXTRACTORS: Final[Registry[Extractor]] = Registry(
    "tui_lab.metric_extractors",
    Extractor,
    {
        PatternSource.kind: PatternExtractor(),
        JsonSource.kind: JsonExtractor(),
        CsvSource.kind: CsvExtractor(),
        SqlSource.kind: SqlExtractor(),
        RunSource.kind: RunExtractor(),
        FunctionSource.kind: FunctionExtractor(),
        ReturnedSource.kind: ReturnedExtractor(),
    },
)
"""By the kind of source."""
E = TypeVar("E", bound=Extractor)


def extractor_of(metric: Metric) -> Extractor:
    """Return how a metric is read. Raises LabError where a package has only half of it."""
    try:
        return EXTRACTORS[metric.source.kind]
    except PluginError as error:
        raise LabError(str(error)) from None
    except KeyError:
        raise LabError(
            f'metrics with "{metric.source.kind}" can\'t be read: no package has it in {EXTRACTORS.group}'
        ) from None


def by_extractor(metrics: Mapping[str, Metric], way: type[E]) -> dict[E, dict[str, Metric]]:
    """Return the metrics that are found in one way, by their extractor. Raises LabError."""
    found: dict[E, dict[str, Metric]] = {}
    for name, metric in metrics.items():
        extractor = extractor_of(metric)
        if isinstance(extractor, way):
            found.setdefault(extractor, {})[name] = metric
    return found
