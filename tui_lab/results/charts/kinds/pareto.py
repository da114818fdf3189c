"""The Pareto front of two metrics: the settings that no other setting beats in both."""

from __future__ import annotations

from typing import Final

import polars as pl

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds.grouping import settings_of, varying
from tui_lab.results.charts.model import Chart, ChartKind, Goal, Role, Series
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.terminal import marks

_AXES: Final[tuple[Role, ...]] = ("x", "y")


def make(prepared: Prepared) -> Chart:
    """A point for each setting, at the means of its repeats, and the front among them."""
    request = prepared.request
    names = varying(prepared)
    settings, codes = settings_of(prepared, names)
    prepared.rows = prepared.rows.with_columns(codes.alias("setting"))
    axes = {role: prepared.number(role, role in prepared.log) for role in _AXES}
    own = {role: prepared.columns[role] for role in _AXES}
    notes = [
        f"{name} has no goal, so more is taken to be better; say otherwise with --goal {name}=min"
        for name in own.values()
        if name not in request.goals
    ]
    goals: dict[Role, Goal] = {role: request.goals.get(name, "max") for role, name in own.items()}
    prepared.require()
    means = prepared.rows.group_by("setting", maintain_order=True).agg(
        pl.col("x").mean(), pl.col("y").mean(), pl.len().cast(pl.Int64).alias("n")
    )
    front = in_front(means["x"], means["y"], goals["x"], goals["y"])
    ordered = pl.concat(
        [
            means.filter(front).sort("x", "y").with_columns(front=True),
            means.filter(~front).with_columns(front=False),
        ]
    )
    best, rest = ordered.filter("front"), ordered.filter(~pl.col("front"))
    columns = [settings[name].gather(ordered["setting"]) for name in names]
    shown = {name: ordered[role] for role, name in own.items()}
    for name in ("n", "front"):
        shown.setdefault(name, ordered[name])
    columns += [column.alias(name) for name, column in shown.items() if name not in names]
    wanted = ", ".join(f"{goals[role]} {name}" for role, name in own.items())
    return Chart(
        KIND,
        axes["x"],
        axes["y"],
        (Series("front", best.select("x", "y"), 0, 0), Series("others", rest.select("x", "y"), 1, 1, faint=True)),
        pl.DataFrame(columns),
        title=request.labels.get("title", ""),
        legend=request.labels.get("legend", "settings"),
        caption=f"front: {best.height:,} of {ordered.height:,} settings, means; {wanted}",
        notes=(*prepared.notes(), *notes),
    )


def in_front(x: pl.Series, y: pl.Series, x_goal: Goal, y_goal: Goal) -> pl.Series:
    """Which points no other point beats: at least as good in both, and better in one. Equal points stand
    together."""
    points = pl.DataFrame({"x": -x if x_goal == "max" else x, "y": -y if y_goal == "max" else y, "row": range(len(x))})
    # Per x the least y; a point of the front has it, and it is below the least y of every smaller x.
    least = points.group_by("x").agg(pl.col("y").min().alias("least")).sort("x")
    before = pl.col("least").cum_min().shift(1)
    least = least.with_columns(front=before.is_null() | (pl.col("least") < before))
    joined = points.join(least, on="x", how="left", maintain_order="left")
    return (joined["front"] & (joined["y"] == joined["least"])).alias("front")


KIND: Final = ChartKind(
    name="pareto",
    about=OWN["pareto"],
    roles=("x", "y"),
    make=make,
    draw=marks.pareto,
    picture=files.pareto,
    column=natural.of_metrics,
    of_goals=True,
)
