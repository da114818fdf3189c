"""A preview of a submission: its first commands, and its duration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_lab.client.shortage import cores

if TYPE_CHECKING:
    from tui_lab.client.submission import Prepared


EXAMPLES = 3


def commands(prepared: Prepared, most: int | None) -> list[str]:
    """Return the first commands that would run, as one would type them; with stages, behind one of each."""
    builder, tasks = prepared.builder, prepared.plan.tasks
    rows = tasks.select("task_id", "repeat").with_row_index("row")
    rows = rows.filter(rows["task_id"].is_in(prepared.queued.implode()))
    if prepared.experiment.order == "interleaved":
        rows = rows.sort("repeat", maintain_order=True)
    stages = [" && ".join(one.shown(0)) for one in builder.stages.values() if one.plan.tasks.height and rows.height]
    return [*stages, *(" && ".join(builder.shown(row)) for row in rows["row"].head(most or rows.height))]


def expected(prepared: Prepared, slots: int | None = None) -> float | None:
    """Return the seconds that the run takes on so many slots (by default one per core), judging by done tasks; None
    without any."""
    import polars as pl

    from tui_lab.store import fold

    columns = prepared.folder.state().columns
    known = pl.DataFrame({name: pl.Series(columns[name]) for name in ("state", "duration")})
    durations = known.filter(pl.col("state") == fold.DONE)["duration"].cast(pl.Float64).fill_nan(None)
    mean = durations.mean()
    if not isinstance(mean, float):
        return None
    return len(prepared.queued) * mean / max(1, slots or cores())


def stages_line(prepared: Prepared) -> str:
    """Return how many runs each stage has, and how many of them are done; empty without stages."""
    if not prepared.stages:
        return ""
    runs = [(one.stage, one.runs, one.done) for one in prepared.stages]
    runs.append((prepared.experiment.stage or "", prepared.plan.tasks.height, prepared.counts.get("done", 0)))
    return ", ".join(f"{name} {count:,}" + (f" ({done:,} done)" if done else "") for name, count, done in runs)
