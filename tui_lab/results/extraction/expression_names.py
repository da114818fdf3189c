"""What the names in an expression mean: the metric, parameter or fact of that name, also where its column has another
name for being shared; the metric comes first."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tui_lab.experiment.expressions.expression import check


def names_used(expression: str, frame: pl.DataFrame, columns: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that an expression uses: of metrics, parameters or facts. columns: of metrics, in the frame, by
    name. Raises ExpressionError."""
    return check(expression, named(frame, columns, {}).columns)


def named(frame: pl.DataFrame, columns: Mapping[str, str], waiting: Mapping[str, object]) -> pl.DataFrame:
    """Return the frame under the names that an expression may use. What is not computed yet is there as null."""
    taken = {name.lower() for name in frame.columns}
    more = []
    for name, column in columns.items():
        if name in waiting:
            more.append(pl.lit(None, pl.Float64).alias(name))
        elif name != column:
            more.append(pl.col(column).alias(name))
    names = {expression.meta.output_name().lower() for expression in more}
    kept = frame.select(pl.exclude([name for name in frame.columns if name.lower() in names]), *more)
    plain = {c[3:]: c for c in frame.columns if c.startswith("in_") and c[3:].lower() not in taken | names}
    return kept.with_columns(**{name: pl.col(column) for name, column in plain.items()})
