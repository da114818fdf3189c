"""Response surfaces in a terminal: shaded cells, lines of equal values, and the measured points."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from tui_lab.results.charts.terminal.canvas import Color
from tui_lab.results.charts.terminal.marks import Field, shade
from tui_lab.results.charts.terminal.style import readable
from tui_lab.results.charts.ticks import Scale, ticks

LINES: Final = 6
"""Lines of equal values, about."""
_ACROSS, _DOWN = 2, 4
"""Dots of a cell."""


def draw(field: Field) -> None:
    """Draw the surface, then its lines, their values, and the points over them."""
    values = _values(field)
    _shade(field, values)
    taken = _points(field)
    _lines(field, values, taken)
    _points(field)


def _values(field: Field) -> Any:
    """The surface at each dot, the lowest row first; NaN where nothing is known."""
    chart, canvas, plan = field.chart, field.canvas, field.plan
    assert chart.fitted is not None
    across, up = canvas.width * _ACROSS, canvas.height * _DOWN
    xs = np.array([plan.x.value((n + 0.5) / across) for n in range(across)])
    ys = np.array([plan.y.value((n + 0.5) / up) for n in range(up)])
    return chart.fitted(xs[None, :], ys[:, None])


def _shade(field: Field, values: Any) -> None:
    """Give each cell the colour of its middle."""
    canvas = field.canvas
    by_color: dict[int, list[tuple[float, float]]] = {}
    for row, column in np.argwhere(np.isfinite(values[1::_DOWN, ::_ACROSS])).tolist():
        tint = _tint(field, float(values[row * _DOWN + 1, column * _ACROSS]))
        if tint is not None:
            by_color.setdefault(tint, []).append((column + 0.5, row + 0.5))
    for color, places in by_color.items():
        canvas.paint(places, color)


def _tint(field: Field, z: float) -> int | None:
    """The colour of a value; None where there are characters alone."""
    assert field.chart.z is not None
    ramp = field.look.ramp()
    color = ramp[shade(z, field.chart.z, len(ramp))]
    return color if isinstance(color, int) else None


def _on(tint: int | None) -> Color:
    """The colour of characters on a ground."""
    return None if tint is None else (readable(tint), tint)


def _lines(field: Field, values: Any, taken: set[tuple[int, int]]) -> None:
    chart, canvas = field.chart, field.canvas
    assert chart.z is not None and chart.z.range is not None
    low, high = chart.z.range
    labels = list[tuple[int, int, str, Color]]()
    for level, text in ticks(chart.z, Scale(low, high), LINES) if low < high else ():
        with np.errstate(invalid="ignore"):
            above = values >= level
        known = np.isfinite(values)
        crossed = np.zeros(values.shape, dtype=np.bool_)
        crossed[:, :-1] |= (above[:, :-1] != above[:, 1:]) & known[:, :-1] & known[:, 1:]
        crossed[:-1] |= (above[:-1] != above[1:]) & known[:-1] & known[1:]
        up, across = np.nonzero(crossed)
        tint = _tint(field, level)
        canvas.dots((across + 0.5) / _ACROSS, (up + 0.5) / _DOWN, readable(tint) if tint is not None else None)
        cells = {(int(row), int(column)) for row, column in zip(up // _DOWN, across // _ACROSS, strict=True)}
        place = _room(cells, len(text), canvas.width, taken)
        if place is not None:
            taken |= {(place[0], place[1] + n) for n in range(-1, len(text) + 1)}
            labels.append((place[1], place[0], text, _on(tint)))
    for column, row, text, color in labels:
        canvas.text(column, row, text, color)


def _room(cells: set[tuple[int, int]], wide: int, width: int, taken: set[tuple[int, int]]) -> tuple[int, int] | None:
    """Where the value of a line can stand: on it, near the middle, beside what is there already."""
    for row, column in sorted(cells, key=lambda cell: (abs(cell[1] - width // 2), cell)):
        first = max(0, min(column - wide // 2, width - wide))
        if not taken & {(row, first + n) for n in range(-1, wide + 1)}:
            return row, first
    return None


def _points(field: Field) -> set[tuple[int, int]]:
    """Draw what was measured, each point on the colour of its own value; return the cells."""
    canvas, look = field.canvas, field.look
    cells = dict[tuple[int, int], tuple[str, float]]()
    for series in field.chart.series:
        places = field.places(series.points["x"], series.points["y"])
        for (x, y), z in zip(places.tolist(), series.points["z"], strict=True):
            if 0 <= x < canvas.width and 0 <= y < canvas.height:
                cells[int(y), int(x)] = look.mark(series.style), z
    by_look = dict[tuple[str, Color], list[tuple[float, float]]]()
    for (row, column), (mark, z) in cells.items():
        by_look.setdefault((mark, _on(_tint(field, z))), []).append((column + 0.5, row + 0.5))
    for (mark, color), middles in by_look.items():
        canvas.points(middles, mark, color)
    return set(cells)
