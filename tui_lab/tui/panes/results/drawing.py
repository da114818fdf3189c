"""The metric of the Results pane over the parameters, for a chart."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from tui_lab.results.charts.model import Request
from tui_lab.results.charts.registry import DISTRIBUTION, MEANS, MEANS_OF_TEXTS
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.tui.charts.defaults import of_answer
from tui_lab.tui.charts.linked import Subject


@dataclass(frozen=True)
class Drawing:
    """A metric over the parameters."""

    frame: pl.DataFrame
    title: str
    request: Request

    def subject(self, report: Report) -> Subject:
        """Return it as what a chart follows."""
        return Subject(
            self.title, lambda: of_answer(self.frame, report.results.spec, report.results.name), self.request
        )


def drawing_of(report: Report, metric: MetricReport) -> Drawing | None:
    """Return what is drawn of a metric; None where its values are no column."""
    results = report.results
    column = results.metrics.get(metric.name, metric.name)
    grid = results.grid
    if column not in grid.columns:
        return None
    numeric = any(grid[name].dtype.is_numeric() for name in report.settings.by)
    kind = MEANS if numeric else MEANS_OF_TEXTS if report.settings.by else DISTRIBUTION
    request = Request(kind, {"x": column} if kind == DISTRIBUTION else {"y": column}, log=None)
    wanted = dict.fromkeys([*report.settings.by, column, "task_id", "repeat"])
    return Drawing(grid.select(list(wanted)), f"{results.name}: {metric.name}", request)
