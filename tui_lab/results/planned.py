"""Which rows count in statistics and charts, and on the screen: those of tasks that the newest plan has.

In SQL and exports, `NAME_tasks`, `NAME_steps` and `NAME_rows` have every task ever.
"""

from __future__ import annotations

import polars as pl


def of_plan(rows: pl.DataFrame, tasks: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return the rows of tasks that the newest plan has. tasks: the table of all tasks, where the rows don't say it."""
    if (rows if tasks is None else tasks)["planned"].all():
        return rows
    if tasks is None:
        return rows.filter(pl.col("planned"))
    planned = of_plan(tasks)["task_id"]
    return rows.filter(pl.col("task_id").is_in(planned.implode()))


def without_unplanned(rows: pl.DataFrame, tasks: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Return the same, and a note where tasks were left out."""
    kept = of_plan(rows, tasks)
    count = rows["task_id"].n_unique() - kept["task_id"].n_unique() if kept.height < rows.height else 0
    if not count:
        return kept, ()
    what = "task no longer planned is" if count == 1 else "tasks no longer planned are"
    return kept, (f"{count:,} {what} left out",)
