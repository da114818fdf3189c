"""From rows and a request to a chart."""

from __future__ import annotations

from dataclasses import replace

from tui_lab.results.charts.choice import choose, natural_log
from tui_lab.results.charts.columns import prepare
from tui_lab.results.charts.model import Chart, Request, Source
from tui_lab.results.charts.registry import kind_of


def make(request: Request, source: Source) -> Chart:
    """Return the chart of the rows; roles without a column get one. Raises ChartError."""
    columns = choose(request, source)
    if request.log is None:
        request = replace(request, log=natural_log(kind_of(request.kind), columns, request.changes, source))
    chart = kind_of(request.kind).make(prepare(request, source, columns))
    return replace(chart, notes=(*chart.notes, *source.notes)) if source.notes else chart
