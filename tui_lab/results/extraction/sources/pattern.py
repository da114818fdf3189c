"""A pattern over an output or file."""

from __future__ import annotations

from tui_lab.experiment.metric import Metric
from tui_lab.results.extraction.extractor import Reading
from tui_lab.results.extraction.readers import TextReader


class PatternExtractor(Reading):
    """Searches text. All patterns over one output read it together."""

    def reader(self, name: str, metric: Metric) -> TextReader:
        return TextReader(name, metric)
