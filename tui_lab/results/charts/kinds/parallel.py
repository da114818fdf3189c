"""Parallel coordinates: each setting as a line through an axis for each parameter, to the mean of a metric."""

from __future__ import annotations

from typing import Final

import polars as pl

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.choice import SPREAD
from tui_lab.results.charts.columns import Prepared, coded
from tui_lab.results.charts.kinds.grouping import caption, settings_of, varying
from tui_lab.results.charts.model import Axis, Chart, ChartError, ChartKind, Series
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.terminal import parallel
from tui_lab.results.charts.ticks import scale

MOST: Final = 12
"""Axes of parameters."""


def make(prepared: Prepared) -> Chart:
    """A line for each setting, in the colour of its mean of y; those outside of the brush are faint."""
    metric = prepared.columns["y"]
    names = [name for name in varying(prepared) if name != metric and not prepared.source.frame[name].dtype.is_nested()]
    if not names:
        raise ChartError("parallel needs parameters that vary, and there are none")
    settings, codes = settings_of(prepared, names)
    prepared.rows = prepared.rows.with_columns(codes.alias("setting"))
    y = prepared.number("y")
    prepared.require()
    means = prepared.rows.group_by("setting", maintain_order=True).agg(
        pl.col("y").mean(), pl.len().cast(pl.Float64).alias("n")
    )
    means = means.filter(pl.col("y").is_finite())
    if not means.height:
        raise ChartError("the means are too large for floats")
    notes = [*prepared.notes()]
    if len(names) > MOST:
        notes.append(f"{len(names) - MOST} more parameters have no axis")
    shown = {name: settings[name].gather(means["setting"]) for name in names[:MOST]}
    uprights, places = list[Axis](), list[pl.Series]()
    for name, values in shown.items():
        geometric = natural.is_geometric(values, 1 if name in prepared.source.geometric else SPREAD)
        axis, place = _upright(name, values, geometric)
        uprights.append(axis)
        places.append(place)
    axis, place = _upright(y.label, means["y"], False)
    uprights.append(axis)
    places.append(place)
    rows = pl.int_range(means.height, eager=True).cast(pl.Float64)
    points = pl.concat(
        pl.DataFrame({"row": rows, "x": pl.repeat(float(at), means.height, eager=True), "y": one, "z": means["y"]})
        for at, one in enumerate(places)
    )
    brush = {name: ends for name, ends in prepared.request.brush.items() if any(name == one.label for one in uprights)}
    inside = _inside(points, uprights, brush)
    table = pl.DataFrame([*shown.values(), means["y"].alias(metric), means["n"].cast(pl.Int64)])
    low, high = float(means["y"].min()), float(means["y"].max())  # type: ignore[arg-type]
    said = caption(prepared, KIND, means["n"], "")
    if brush:
        chosen = points.filter(inside)["row"].n_unique()
        said = "; ".join(filter(None, (said, f"{chosen} of {means.height} settings are in the brush")))
    return Chart(
        KIND,
        Axis("", "category", tuple(one.label for one in uprights)),
        Axis("", "category", range=(0.0, 1.0)),
        tuple(
            Series("", points.filter(which), faint=faint)
            for which, faint in ((~inside, True), (inside, False))
            if not faint or which.any()
        ),
        table,
        z=Axis(y.label, y.kind, range=(low, high)),
        title=prepared.request.labels.get("title", ""),
        caption=said,
        notes=tuple(notes),
        uprights=tuple(uprights),
        brush=brush,
    )


def _upright(name: str, values: pl.Series, log: bool) -> tuple[Axis, pl.Series]:
    """An axis, and the place of each value on it, from 0 to 1."""
    if values.dtype.is_numeric() and not values.null_count():
        numbers = values.cast(pl.Float64)
        finite = numbers.filter(numbers.is_finite())
        if finite.len() == numbers.len():
            on = scale(float(finite.min()), float(finite.max()), log)  # type: ignore[arg-type]
            return Axis(name, log=log, range=(on.low, on.high)), pl.Series(on.many(numbers.to_numpy()))
    names, codes = coded(values)
    return Axis(name, "category", tuple(names)), (codes + 0.5) / len(names)


def _inside(points: pl.DataFrame, uprights: list[Axis], brush: dict[str, tuple[float, float]]) -> pl.Series:
    """Which points are of settings that are in the brush on all axes."""
    rows = points["row"].unique()
    for at, axis in enumerate(uprights):
        if axis.label in brush:
            found = points.filter((pl.col("x") == at) & pl.col("y").is_between(*brush[axis.label]))
            rows = rows.filter(rows.is_in(found["row"].implode()))
    return points["row"].is_in(rows.implode())


KIND: Final = ChartKind(
    name="parallel",
    about=OWN["parallel"],
    roles=("y",),
    make=make,
    draw=parallel.draw,
    picture=files.parallel,
    column=natural.of_metrics,
    aggregated=False,
    log=frozenset(),
    ranges=False,
    called="parallel coordinates",
)
