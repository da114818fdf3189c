"""What tasks ended with: of their steps the last."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import polars as pl

from tui_lab.results.charts.model import ChartKind, Source
from tui_lab.tui.charts.source import TASK

LAST: Final = "the last step of each task"
"""The note of such a chart."""
ALL: Final = "each row counts as it stands, so each step does"
"""The note of a chart of rows that someone has asked for by SQL: no step of them is left out."""


def last_steps(source: Source, kind: ChartKind, columns: Collection[str]) -> tuple[Source, str]:
    """Return a row for each task, with its last values, and a note, where a chart of steps doesn't tell them apart: it
    would take all of them together. columns: that it draws."""
    frame = source.frame
    if kind.of_steps or "step" in columns or "step" not in frame.columns:
        return source, ""
    if TASK not in frame.columns or "task_id" not in frame.columns:
        one_each = "task_id" in frame.columns and frame["task_id"].is_unique()
        return source, "" if one_each else ALL
    rows = frame.with_row_index("\0row").sort("step", nulls_last=False, maintain_order=True)
    # A metric that the last step doesn't have has the value of the last that does.
    found = rows.group_by("task_id", maintain_order=True).agg(
        pl.col("\0row").last(),
        pl.exclude("\0row", "task_id", *source.metrics).last(),
        pl.col(source.metrics).drop_nulls().last(),
    )
    found = found.sort("\0row")
    shared = {name: values.gather(found["\0row"]) for name, values in source.shared.items()}
    return replace(source, frame=found.select(frame.columns), shared=shared), LAST
