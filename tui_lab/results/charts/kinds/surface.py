"""Response surfaces: what z is over two numbers, fitted to the aggregate of z for each pair of x and y."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
import polars as pl

from tui_lab.results.charts import files, natural
from tui_lab.results.charts.columns import Prepared
from tui_lab.results.charts.kinds.grouping import caption, no_point, renamed, shown, shown_x
from tui_lab.results.charts.model import Axis, Chart, ChartError, ChartKind, Series
from tui_lab.results.charts.registry import OWN
from tui_lab.results.charts.response import NoSurface, Response, fit
from tui_lab.results.charts.statistics import aggregate
from tui_lab.results.charts.terminal import surface
from tui_lab.results.charts.ticks import texts

_BEYOND: Final = 0.1
"""Of the range of the points: by how much the surface may be better than the best of them without a note."""
_BEST, _FITTED = 3, 7
"""The marks of the best point, and of the best place of the surface."""


def make(prepared: Prepared) -> Chart:
    """The surface, the points to which it was fitted, and the best of both."""
    request = prepared.request
    x, y = (prepared.number(role, role in prepared.log) for role in ("x", "y"))
    z = prepared.number("z")
    prepared.require()
    found = aggregate(prepared.rows.rename({"y": "row", "z": "y"}), ["row", "x"], request.aggregate, "none")
    found = found.rename({"y": "z", "row": "y"}).sort("y", "x")
    if not found.height:
        raise ChartError(no_point(request.aggregate))
    xs, ys, zs = (found[name].to_numpy() for name in ("x", "y", "z"))
    weights = found["n"].to_numpy() if request.aggregate == "mean" else np.ones(found.height)
    try:
        response = fit(xs, ys, zs, weights, x.log, y.log)
    except NoSurface as error:
        raise ChartError(f"no surface over {prepared.columns['x']} and {prepared.columns['y']}: {error}") from None
    least = request.goals.get(prepared.columns["z"]) == "min"
    ends = [*(response.best(which)[2] for which in (True, False)), float(zs.min()), float(zs.max())]
    label = z.label if request.labels.get("z") or request.aggregate == "mean" else f"{request.aggregate} of {z.label}"
    z = Axis(label, z.kind, range=z.range or (min(ends), max(ends)))
    notes = [*prepared.notes()]
    if prepared.columns["z"] not in request.goals:
        notes.append(f"{prepared.columns['z']} has no goal, so more is taken to be better")
    measured = found.select("x", "y", "z")
    best = measured[int(zs.argmin() if least else zs.argmax())]
    place = pl.DataFrame([response.best(least)], schema=measured.schema, orient="row")
    beyond = (place["z"][0] - best["z"][0]) * (-1 if least else 1)
    if beyond > _BEYOND * float(np.ptp(zs)):
        notes.append(
            "the best of the surface is better than all that was measured: measure there before you rely on it"
        )
    chart = Chart(
        KIND,
        x,
        y,
        (Series("measured", measured),),
        renamed(
            prepared,
            [
                shown_x(found["x"], x),
                shown_x(found["y"], y),
                shown(found["z"], z),
                pl.Series("fitted", response(xs, ys)),
                found["n"],
            ],
        ),
        z=z,
        title=request.labels.get("title", ""),
        caption="; ".join(filter(None, (_described(response), caption(prepared, KIND, found["n"], "")))),
        notes=tuple(notes),
        fitted=response,
    )
    bests = (
        Series(_named(chart, "best measured", best), best, style=_BEST),
        Series(_named(chart, "best fitted", place), place, style=_FITTED),
    )
    return replace(chart, series=(*chart.series, *bests))


def _described(response: Response) -> str:
    if response.r2 is None:
        return "all values are equal"
    what = f"{response.name} by least squares"
    if response.exact:
        return f"{what}, exact: as many points as terms"
    assert response.adjusted is not None
    return f"{what}, {response.points:,} points: R² {response.r2:.2f}, adjusted {response.adjusted:.2f}"


def _named(chart: Chart, name: str, one: pl.DataFrame) -> str:
    """What a mark shows, with its place."""
    row = one.row(0, named=True)
    assert chart.z is not None
    x, y, z = (
        texts(axis, [float(f"{row[which]:.3g}") if axis.kind == "number" else row[which]])[0]
        for axis, which in ((chart.x, "x"), (chart.y, "y"), (chart.z, "z"))
    )
    return f"{name} {z} ({x}, {y})"


KIND: Final = ChartKind(
    name="surface",
    about=OWN["surface"],
    roles=("x", "y", "z"),
    make=make,
    draw=surface.draw,
    picture=files.surface,
    column=natural.of_surface,
    missing={
        "x": "surface needs two parameters that are numbers, and a metric",
        "y": "surface needs two parameters that are numbers; --y-column names another column",
    },
    aggregated=True,
    scaled=True,
    called="response surface",
)
