"""The metric of the Results pane over the parameters, for a chart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from tui_lab.results.charts.model import Request, Role
from tui_lab.results.charts.registry import DISTRIBUTION, MEANS, MEANS_OF_TEXTS
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.tui.charts.defaults import of_answer
from tui_lab.tui.charts.linked import Subject

HUES: Final = 8
"""Values of a parameter up to which each gets a line of its own."""


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
    by = report.settings.by
    axes = [name for name in by if grid[name].dtype.is_numeric()]
    if not axes:
        kind = MEANS_OF_TEXTS if by else DISTRIBUTION
        columns: dict[Role, str] = {"y": column} if by else {"x": column}
    else:
        x = max(axes, key=lambda name: grid[name].n_unique())
        kind, columns = MEANS, {"x": x, "y": column}
        others = {name: grid[name].n_unique() for name in by if name != x}
        if others and min(others.values()) <= HUES:
            columns["hue"] = min(others, key=lambda name: others[name])  # else the mean is that of different settings
    wanted = dict.fromkeys([*by, column, "task_id", "repeat"])
    request = Request(kind, columns, log=None)
    return Drawing(grid.select(list(wanted)), f"{results.name}: {metric.name}", request)
