"""The part of a chart that is shown: from where to where its axes go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

from tui_lab.results.charts.model import Chart
from tui_lab.results.charts.terminal.marks import Plan, plan
from tui_lab.results.charts.ticks import Scale

Which = Literal["x", "y"]
Range = tuple[float, float]
LEAST: Final = 1e-6
"""Of the whole axis that a part of it is at least."""


@dataclass(frozen=True)
class Window:
    """The ranges of both axes; None for all of it."""

    x: Range | None = None
    y: Range | None = None

    def of(self, which: Which) -> Range | None:
        """Return the range of an axis."""
        return self.x if which == "x" else self.y

    def on(self, chart: Chart) -> Chart:
        """Return the chart with these axes. Lines of which a part is shown have the height of that part."""
        y = self.y
        if self.x is not None:
            y = _height(chart, self.x) if y is None and chart.y.range is None else y
            chart = replace(chart, x=replace(chart.x, range=self.x))
        return chart if y is None else replace(chart, y=replace(chart.y, range=y))

    def zoomed(self, whole: Plan, which: Which, at: float, factor: float) -> Window:
        """Return a window in which an axis has `factor` times its length; `at`, from 0 to 1, stays in its place."""
        low, high = self._parts(whole, which)
        length = (high - low) * factor
        if length >= 1:
            return self._set(which, None)
        if length < LEAST:
            return self
        begin = low + at * (high - low) - at * length
        begin = max(0.0, min(begin, 1 - length))
        return self._put(whole, which, begin, begin + length)

    def panned(self, whole: Plan, which: Which, by: float) -> Window:
        """Return a window that lies farther along an axis by a part of its length."""
        if self.of(which) is None:
            return self
        low, high = self._parts(whole, which)
        shift = max(-low, min(by * (high - low), 1 - high))
        return self._put(whole, which, low + shift, high + shift)

    def _parts(self, whole: Plan, which: Which) -> Range:
        """Where the window is in the whole axis, from 0 to 1."""
        scale, range = _scale(whole, which), self.of(which)
        return (0.0, 1.0) if range is None else (scale(range[0]), scale(range[1]))

    def _put(self, whole: Plan, which: Which, low: float, high: float) -> Window:
        scale = _scale(whole, which)
        found = scale.value(low), scale.value(high)
        return self._set(which, found) if found[0] < found[1] else self

    def _set(self, which: Which, range: Range | None) -> Window:
        return replace(self, x=range) if which == "x" else replace(self, y=range)


def _height(chart: Chart, x: Range) -> Range | None:
    """Return from where to where lines go between two values of x; None where that says nothing."""
    kind = chart.kind
    if not kind.connected or kind.bars or kind.filled or chart.z is not None or chart.y.kind == "category":
        return None
    seen = [one.points.filter(one.points["x"].is_between(*x)) for one in chart.series]
    known = tuple(
        replace(one, points=points)
        for one, points in zip(chart.series, seen, strict=True)
        if points["y"].is_finite().any()
    )
    if not known:
        return None
    found = plan(replace(chart, series=known), 1).y
    return found.low, found.high


def _scale(plan: Plan, which: Which) -> Scale:
    return plan.x if which == "x" else plan.y


def can_zoom(chart: Chart, which: Which) -> bool:
    """Return whether there is something between two values of an axis."""
    return (chart.x if which == "x" else chart.y).kind != "category"
