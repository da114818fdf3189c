"""Metrics computed from others: `{sql: in_size / out_size}`, over parameters, metrics and facts of a task."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tui_lab.experiment.expressions.expression import ExpressionError, check, evaluate
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment
from tui_lab.results.extraction.columns import DTYPES
from tui_lab.results.extraction.expression_names import named
from tui_lab.results.extraction.extractor import Computing


class SqlExtractor(Computing):
    """Computes metrics. A name means the metric, parameter or fact of that name, also where its column has another name
    for being shared; the metric comes first. A metric may use others computed before or after it."""

    not_tried = "It is computed from other metrics when tables are read."

    def add(
        self,
        frame: pl.DataFrame,
        experiment: Experiment,
        metrics: Mapping[str, Metric],
        columns: Mapping[str, str],
    ) -> tuple[pl.DataFrame, dict[str, str]]:
        waiting = dict(metrics)
        problems: dict[str, str] = {}
        ended = frame["attempt"].is_not_null()
        while waiting:
            names = named(frame, columns, waiting)
            ready = [
                name for name, metric in waiting.items() if not _uses(metric.source.expression or "", names, waiting)
            ]
            for name in ready or list(waiting):
                metric = waiting.pop(name)
                try:
                    if not ready:
                        raise ExpressionError("it depends on itself", 0)
                    series = evaluate(metric.source.expression or "", names)
                    if metric.type is not None:
                        series = series.cast(DTYPES[metric.type], strict=False)
                except ExpressionError as error:
                    problems[name] = str(error)
                    series = pl.Series([None] * frame.height, dtype=DTYPES[metric.type or "float"])
                empty = pl.Series([None], dtype=series.dtype)
                frame = frame.with_columns(
                    series.zip_with(ended, empty.new_from_index(0, frame.height)).alias(columns[name])
                )
        return frame, problems


def _uses(expression: str, names: pl.DataFrame, waiting: Mapping[str, object]) -> bool:
    """Whether an expression uses a metric that is not computed yet."""
    try:
        return bool(set(check(expression, names.columns)) & set(waiting))
    except ExpressionError:
        return False
