"""Queries written for patas: its tables call a parameter `in_NAME` and a metric `out_NAME`."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from tui_lab.results.tables import Results

_FACTS: Final = {"repeat_id": "repeat", "tries": "attempts", "node_name": "node"}
"""What patas calls some facts of a task."""


def with_patas_names(frame: pl.DataFrame, results: Results, mentioned: Collection[str]) -> pl.DataFrame:
    """The table with those columns also under patas' names that a query mentions (lower case) and the table
    does not have; a query that mentions none sees the table as it is."""
    own = {name.lower() for name in frame.columns}
    named = {f"in_{column}": column for column in results.parameters}
    named |= {f"out_{name}": column for name, column in results.metrics.items()} | _FACTS
    wanted = {
        name: column
        for name, column in named.items()
        if name.lower() in mentioned and name.lower() not in own and column in frame.columns
    }
    added = [pl.col(column).alias(name) for name, column in wanted.items()]
    if "experiment_name" in mentioned and "experiment_name" not in own:
        added.append(pl.lit(results.name).alias("experiment_name"))
    return frame.with_columns(added) if added else frame
