"""A report as a table for programs: a row for each metric and setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl

from tui_lab.results.statistics.comparison import Comparison
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.store.naming import parameter_columns

_FLOATS: Final = ("mean", "sd", "se", "low", "high", "median", "q1", "q3", "min", "max")
SUMMARY: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "metric": pl.String,
    "unit": pl.String,
    "goal": pl.String,
    "n": pl.Int64,
    "asked": pl.Int64,
    "n_null": pl.Int64,
    "n_nan": pl.Int64,
    "n_failed": pl.Int64,
    "n_open": pl.Int64,
    **dict.fromkeys(_FLOATS, pl.Float64),
    "outliers": pl.Int64,
    "best": pl.Boolean,
    "tied": pl.Boolean,
    "p_best": pl.Float64,
    "standing": pl.String,
}
"""`low` and `high` are the confidence interval of the mean. `asked` are the tasks of the plan, of which `n_failed`
failed and `n_open` have not ended. `tied` was tested and does not differ from the best; null if nothing was tested."""
COMPARISON: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "baseline": pl.Boolean,
    "difference": pl.Float64,
    "difference_low": pl.Float64,
    "difference_high": pl.Float64,
    "ratio": pl.Float64,
    "ratio_low": pl.Float64,
    "ratio_high": pl.Float64,
    "pairs": pl.Int64,
    "t": pl.Float64,
    "df": pl.Float64,
    "p": pl.Float64,
    "p_adjusted": pl.Float64,
    "rank_test": pl.String,
    "rank_statistic": pl.Float64,
    "p_rank": pl.Float64,
    "p_rank_adjusted": pl.Float64,
    "hedges_g": pl.Float64,
    "cliffs_delta": pl.Float64,
    "verdict": pl.String,
}


def frame(report: Report) -> pl.DataFrame:
    """The settings' parameters (`in_NAME` where a column of this table has the name), then SUMMARY, and with
    a baseline COMPARISON; metrics one below the other, best first."""
    schema = {**SUMMARY, **(COMPARISON if report.baseline is not None else {})}
    parts = []
    for metric in report.metrics:
        order = pl.Series(metric.order, dtype=pl.UInt32)
        rows = pl.DataFrame(list(_rows(report, metric)), schema=schema, orient="row")
        if report.settings.by:
            keys = report.settings.keys[order]
            keys = keys.rename(parameter_columns(keys.columns, schema))
            rows = pl.concat([keys, rows], how="horizontal")
        parts.append(rows)
    return pl.concat(parts)


_SETTINGS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "n": pl.Int64,
    "mean": pl.Float64,
    "ci95": pl.Float64,
    "min": pl.Float64,
    "max": pl.Float64,
    "asked": pl.Int64,
    "standing": pl.String,
}


def settings_table(report: Report) -> pl.DataFrame:
    """The settings' parameters (`in_NAME` where a column of this table has the name) and their judgement by the
    report's first metric, best first; `ci95` is half of the interval."""
    (metric,) = report.metrics
    found = [
        (one.n, one.mean, one.half, one.min, one.max, metric.asked[place].asked, metric.standing(place))
        for place in metric.order
        for one in (metric.summaries[place],)
    ]
    rows = pl.DataFrame(found, schema=_SETTINGS, orient="row")
    if not report.settings.by:
        return rows
    keys = report.settings.keys[pl.Series(metric.order, dtype=pl.UInt32)]
    return pl.concat([keys.rename(parameter_columns(keys.columns, _SETTINGS)), rows], how="horizontal")


def frame_per(reports: Sequence[Report], tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Tables of the reports on each value of a parameter, one below the other, with that value first."""
    parts = []
    for report, table in zip(reports, tables, strict=True):
        name, value = report.per or ("", None)
        column = parameter_columns([name], table.columns).get(name, name)
        values = pl.Series(column, [value] * table.height, dtype=report.results.tasks[name].dtype)
        parts.append(table.select(values, pl.all()))
    return pl.concat(parts, how="vertical_relaxed")


def _rows(report: Report, metric: MetricReport) -> Iterator[list[Any]]:
    for place in metric.order:
        summary = metric.summaries[place]
        about: list[Any] = [metric.name, metric.unit, metric.goal]
        asked = metric.asked[place]
        about += [summary.n, asked.asked, summary.n_null, summary.n_nan, asked.failed, asked.open]
        about += [getattr(summary, name) for name in _FLOATS]
        about.append(summary.outliers)
        standing = metric.standing(place)
        tied = None if standing in ("untested", "no value", None) else metric.tied(place)
        known = metric.best is not None
        about += [place == metric.best if known else None, tied, metric.p_best[place], standing]
        if report.baseline is not None:
            about.append(place == report.baseline)
            about += _compared(metric.comparisons[place], metric)
        yield about


def _compared(found: Comparison | None, metric: MetricReport) -> list[Any]:
    if found is None:
        return [None] * (len(COMPARISON) - 1)
    return [
        found.difference,
        found.low,
        found.high,
        found.ratio,
        found.ratio_low,
        found.ratio_high,
        found.pairs,
        found.t,
        found.df,
        found.p,
        found.p_adjusted,
        found.rank_test,
        found.statistic,
        found.p_rank,
        found.p_rank_adjusted,
        found.g,
        found.delta,
        found.verdict(metric.goal, metric.level),
    ]
