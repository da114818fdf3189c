"""A preview of a submission: its first commands, and its duration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui_lab.client.shortage import cores

if TYPE_CHECKING:
    from tui_lab.client.submission import Prepared


EXAMPLES = 3


def commands(prepared: Prepared, most: int | None) -> list[str]:
    """Return the first commands that would run, as one would type them; with stages, one of each that has runs to do
    before them: that of the first task."""
    builder, tasks = prepared.builder, prepared.plan.tasks
    rows = tasks.select("task_id", "repeat").with_row_index("row")
    rows = rows.filter(rows["task_id"].is_in(prepared.queued.implode()))
    if prepared.experiment.order == "interleaved":
        rows = rows.sort("repeat", maintain_order=True)
    needed = {one.stage for one in prepared.stages if one.to_run}
    chain = [] if rows.is_empty() else [*builder.chain(rows["row"][0])][:-1]
    stages = [" && ".join(one.shown(row)) for one, row in chain if one.stage in needed]
    return [
        *stages,
        *(" && ".join(builder.shown(row)) for row in rows["row"].head(most or rows.height)),
        *(" && ".join(builder.stages[name].shown(0)) for name in prepared.experiment.apart if name in needed),
    ]


def expected(prepared: Prepared, slots: int | None = None) -> float | None:
    """Return the seconds that the run takes on so many slots (by default one per core), judging by done tasks; None
    without any."""
    import polars as pl

    from tui_lab.store import fold

    state = prepared.folder.state()
    known = pl.DataFrame({name: pl.Series(state.columns[name]) for name in ("state", "stage", "duration")})
    known = known.filter(pl.col("state") == fold.DONE).with_columns(pl.col("duration").cast(pl.Float64).fill_nan(None))
    means = dict(known.group_by("stage").agg(pl.col("duration").mean()).rows())
    numbers = {one.stage: one.to_run for one in prepared.stages}
    wanted = {0: len(prepared.queued), **{code: numbers.get(name, 0) for code, name in enumerate(state.stages, 1)}}
    if means.get(0) is None:
        return None
    return sum(count * (means.get(code) or 0.0) for code, count in wanted.items()) / max(1, slots or cores())


def stages_line(prepared: Prepared) -> str:
    """Return how many runs each stage has, and how many of them are done; empty without stages."""
    if not prepared.stages:
        return ""
    runs = {one.stage: (f"{one.runs:,}" + " per node" * one.per_node, one.done) for one in prepared.stages}
    last = prepared.experiment.stage or ""
    runs[last] = (f"{prepared.plan.tasks.height:,}", prepared.counts.get("done", 0))
    counts = [(name, *runs[name]) for name in prepared.experiment.stage_order]
    return ", ".join(f"{name} {count}" + (f" ({done:,} done)" if done else "") for name, count, done in counts)
