"""A row per setting: how a metric does over the repeats of each combination, best first."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

CONFIDENCE = 0.95


def by_setting(tasks: pl.DataFrame, parameters: Sequence[str], metric: str, goal: str | None) -> pl.DataFrame:
    """Columns: the parameters, `n` (tasks in which the metric is a number), `mean`, `half` (half the width of the
    95 % confidence interval of the mean, Student's t with n - 1 degrees of freedom; null for n < 2).

    Null, NaN and infinite values are left out. `goal` is max or min (else the order of first appearance).
    """
    from scipy import stats

    values = tasks.with_columns(pl.col(metric).cast(pl.Float64, strict=False).alias(metric))
    values = values.filter(pl.col(metric).is_finite())
    keys: list[pl.Expr] = [pl.col(name) for name in parameters] or [pl.lit("all").alias("setting")]
    grouped = values.group_by(keys, maintain_order=True).agg(
        pl.len().alias("n"), pl.col(metric).mean().alias("mean"), pl.col(metric).std(ddof=1).alias("sd")
    )
    counts = grouped["n"].to_numpy()
    quantile = pl.Series("t", stats.t.ppf((1 + CONFIDENCE) / 2, counts - 1)).fill_nan(None)
    grouped = grouped.with_columns((quantile * pl.col("sd") / pl.col("n").sqrt()).alias("half")).drop("sd")
    if goal in ("max", "min"):
        grouped = grouped.sort("mean", descending=goal == "max", maintain_order=True)
    return grouped
