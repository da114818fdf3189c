"""From rows and a request to a chart, or a sentence that says why there is none."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import polars as pl

from tui_lab.results.charts.choice import choose
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Chart, ChartError, Request, Role, Series, Source
from tui_lab.results.charts.registry import kind_of
from tui_lab.tui.charts.last_steps import last_steps
from tui_lab.tui.charts.source import TASK, overlaid

_FLAG: Final = re.compile(r"(?:--)(x|y|z|hue|style)-column")


@dataclass(frozen=True)
class MadeChart:
    """A chart and the request with all its columns named, or else what is wrong."""

    request: Request
    chart: Chart | None = None
    problem: str = ""
    notes: tuple[str, ...] = ()


def made(
    request: Request, source: Source, error_column: str | None = None, instead: Request | None = None
) -> MadeChart:
    """Return the chart of a request. error_column: holds half the width of each interval, where rows are means already.
    instead: a request to try if this one is impossible."""
    if not source.frame.height:
        return MadeChart(request, problem="there are no rows to draw")
    try:
        columns = choose(request, source)
        full = replace(request, columns=columns)
        rows, which = overlaid(source) if columns.get("hue") == TASK else (source, "")
        rows, what = last_steps(rows, kind_of(full.kind), columns.values())
        chart = make(full, rows)
        if error_column is not None:
            chart = with_errors(chart, full, rows, error_column)
    except ChartError as error:
        if instead is not None:
            return made(instead, source, error_column)
        return MadeChart(request, problem=_FLAG.sub(_key, str(error)))
    except (pl.exceptions.PolarsError, ValueError, TypeError, ArithmeticError) as error:
        return MadeChart(request, problem=f"this can't be drawn: {error}")
    return MadeChart(full, chart, notes=tuple(filter(None, (*chart.notes, which, what))))


def _key(match: re.Match[str]) -> str:
    return f"a column for {match[1]} (key {match[1][0]})"


def with_errors(chart: Chart, request: Request, source: Source, column: str) -> Chart:
    """Return the chart with errors from a column of the rows, where every point is one row."""
    points = [series.points for series in chart.series]
    if not chart.kind.errors or not points:
        return chart
    if any((one["n"] > 1).any() for one in points) or column in request.columns.values():
        return chart
    columns: dict[Role, str] = {**request.columns, "y": column}
    halves = make(
        replace(request, columns=columns, changes={}, error="none", log=frozenset({"x"} if chart.x.log else ())), source
    )
    known = {series.name: series.points.select("x", half=pl.col("y")) for series in halves.series}
    found = [_widened(series, known.get(series.name)) for series in chart.series]
    both = pl.concat([series.points.select("low", "high") for series in found])
    table = chart.table
    if table.height == both.height and {"low", "high"} <= set(table.columns):
        table = table.with_columns(both["low"], both["high"])
    what = "bars" if chart.kind.bars or request.error_style == "bars" else "band"
    return replace(chart, series=tuple(found), table=table, caption=f"{what}: {column} on both sides")


def _widened(series: Series, halves: pl.DataFrame | None) -> Series:
    if halves is None:
        return series
    joined = series.points.join(halves, on="x", how="left", maintain_order="left")
    low, high = pl.col("y") - pl.col("half"), pl.col("y") + pl.col("half")
    return replace(series, points=joined.with_columns(low=low, high=high).drop("half"))
