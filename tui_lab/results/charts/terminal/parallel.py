"""Parallel coordinates in a terminal."""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl
from rich.cells import cell_len

from tui_lab.results.charts.model import Axis
from tui_lab.results.charts.terminal.canvas import blend
from tui_lab.results.charts.terminal.marks import Field, shade
from tui_lab.results.charts.ticks import texts
from tui_lab.results.terminal.guard import neutral

MOST: Final = 500
"""Lines that are drawn; of more, some that are evenly spread."""
_GREY: Final = 244
_BRUSH: Final = 33
_FAINT: Final = 0.35


def draw(field: Field) -> None:
    """Draw the lines, then the axes over them."""
    chart, canvas, look = field.chart, field.canvas, field.look
    ramp = look.ramp()
    for series in chart.series:
        if series.faint and not look.color:
            continue  # they would be as strong as the others
        grey = _GREY if look.ground is None else blend(_GREY, look.ground, _FAINT)
        for z, xs, ys in _lines(field, series.points):
            assert chart.z is not None
            color = ramp[shade(z, chart.z, len(ramp))]
            tint = grey if series.faint else color if isinstance(color, int) else None
            canvas.line(xs, ys, tint, faint=series.faint)
    for at, axis in enumerate(chart.uprights):
        _upright(field, axis, int((at + 0.5) * canvas.width / len(chart.uprights)))


def _lines(field: Field, points: pl.DataFrame) -> list[tuple[float, list[float], list[float]]]:
    """The value, the columns and the rows of each line; the greatest is drawn last."""
    height, count = field.canvas.height, len(field.chart.uprights)
    xs = [(at + 0.5) * field.canvas.width / count for at in range(count)]
    rows = points.group_by("row").agg(pl.col("z").first(), pl.col("y").sort_by("x")).sort("z", "row")
    if rows.height > MOST:
        rows = rows.gather_every(-(-rows.height // MOST))
    return [
        (z, xs, np.clip(np.array(ys) * height, 0, height - 0.01).tolist())
        for z, ys in rows.select("z", "y").iter_rows()
    ]


def _upright(field: Field, axis: Axis, column: int) -> None:
    canvas, look = field.canvas, field.look
    canvas.points([(column + 0.5, row + 0.5) for row in range(canvas.height)], look("│", "|"))
    if axis.label in field.chart.brush:
        low, high = field.chart.brush[axis.label]
        rows = range(max(0, int(low * canvas.height)), min(canvas.height, int(high * canvas.height) + 1))
        color = _BRUSH if look.color else None
        canvas.points([(column + 0.5, row + 0.5) for row in rows], look("┃", "#"), color)
    room = canvas.width // len(field.chart.uprights) - 2
    if axis.kind == "category":
        every = max(1, -(-len(axis.categories) // canvas.height))
        places = [((at + 0.5) / len(axis.categories), name) for at, name in enumerate(axis.categories)][::every]
    else:
        assert axis.range is not None
        low_text, high_text = texts(axis, axis.range)
        places = [(0.0, low_text), (1.0, high_text)]
    for place, text in places:
        row = min(int(place * canvas.height), canvas.height - 1)
        shown = (
            "".join(one if cell_len(one) == 1 else "?" for one in neutral(text))
            if look.ascii is False
            else ascii_of(text)
        )
        canvas.text(column + 1, row, shown if len(shown) <= room else shown[: max(room - 1, 0)] + look("…", "~"))


def ascii_of(text: str) -> str:
    """A text of ASCII characters."""
    return neutral(text).encode("ascii", "replace").decode()
