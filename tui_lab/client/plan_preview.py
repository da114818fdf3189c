"""What a submission would run: its first commands, and how long it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_lab.client.shortage import cores

if TYPE_CHECKING:
    from tui_lab.client.submission import Prepared


EXAMPLES = 3


def commands(prepared: Prepared, most: int | None) -> list[str]:
    """The first commands that would run, as the user would type them."""
    builder, tasks = prepared.builder, prepared.plan.tasks
    rows = tasks.select("task_id", "repeat").with_row_index("row")
    rows = rows.filter(rows["task_id"].is_in(prepared.queued.implode()))
    if prepared.experiment.order == "interleaved":
        rows = rows.sort("repeat", maintain_order=True)
    return [" && ".join(builder.shown(row)) for row in rows["row"].head(most or rows.height)]


def expected(prepared: Prepared, slots: int | None = None) -> float | None:
    """Seconds that the run takes on so many slots (by default as many as this machine has cores), going by the
    tasks that are done; None without any."""
    import polars as pl

    from tui_lab.store import fold

    columns = prepared.folder.state().columns
    known = pl.DataFrame({name: pl.Series(columns[name]) for name in ("state", "duration")})
    durations = known.filter(pl.col("state") == fold.DONE)["duration"].cast(pl.Float64).fill_nan(None)
    mean = durations.mean()
    if not isinstance(mean, float):
        return None
    return len(prepared.queued) * mean / max(1, slots or cores())
