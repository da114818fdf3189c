"""A forest plot in a column: the mean of each setting with its interval and its values, over one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tui_lab.results.charts.model import Axis
from tui_lab.results.charts.ticks import Scale, scale, ticks
from tui_lab.results.numeric.quantile import quantile
from tui_lab.results.statistics.report import MetricReport
from tui_lab.results.statistics.text import moved
from tui_lab.tui.widgets.table.cells import Drawing

ROOM: Final = 0.02
"""Of the axis, beyond what is on it."""
FAR: Final = 3.0
"""Means further than so many interquartile ranges from the others are not on the axis, but at its end."""
FEWEST: Final = 5
"""Settings below which all means are on the axis."""
REACH: Final = 1.0
"""How far intervals may widen the axis, as a multiple of what means and values take."""
LABEL: Final = 8
"""Cells for each label of the axis."""
TONES: Final = {"best": "success", "worse": "muted", "incomplete": "warning", "untested": "muted"}


@dataclass(frozen=True)
class Forest:
    """The axis that all settings share. Places on it are values of the metric, as in its exact summaries."""

    metric: MetricReport
    on: Scale
    baseline: float | None
    """The mean of the baseline, which is drawn as a line through all rows."""

    def head(self, width: int) -> Drawing:
        """Return the labels of the axis, each centred on its value."""
        line = [" "] * width
        for value, text in ticks(Axis(self.metric.name), self.on, max(3, width // LABEL)):
            label = moved(text, self.metric.offset)
            at = self._cell(value, width)
            if at is None or len(label) > width:
                continue
            start = min(max(0, at - len(label) // 2), width - len(label))
            if all(cell == " " for cell in line[max(0, start - 1) : start + len(label) + 1]):
                line[start : start + len(label)] = label
        return [("".join(line), "")]

    def row(self, place: int, width: int) -> Drawing:
        """Return the mean of a setting, its interval, and a dot for each value."""
        summary, tone = self.metric.exact[place], TONES.get(self.metric.standing(place) or "", "")
        cells: list[tuple[str, str]] = [(" ", "")] * width
        if self.baseline is not None and (at := self._cell(self.baseline, width)) is not None:
            cells[at] = ("│", "primary")
        if summary.mean is None:
            return _joined(cells)
        for value in self.metric.samples[place].values:
            if (at := self._cell(value, width)) is not None:
                cells[at] = ("·", "bold")
        if summary.low is not None and summary.high is not None:
            self._interval(cells, summary.low, summary.high, tone)
        at = self._cell(summary.mean, width)
        if at is not None:
            cells[at] = ("●", tone)
        else:
            cells[0 if summary.mean < self.on.low else -1] = ("◂" if summary.mean < self.on.low else "▸", tone)
        return _joined(cells)

    def _interval(self, cells: list[tuple[str, str]], low: float, high: float, tone: str) -> None:
        width = len(cells)
        if low > self.on.high or high < self.on.low:
            return  # its mean is marked at that end
        first, last = self._cell(low, width), self._cell(high, width)
        for at in range(first or 0, width if last is None else last + 1):
            if cells[at][0] != "·":
                cells[at] = ("─", tone)
        if first is None or first != last:
            cells[first or 0] = ("◂" if first is None else "├", tone)
            cells[-1 if last is None else last] = ("▸" if last is None else "┤", tone)

    def _cell(self, value: float, width: int) -> int | None:
        """Return the cell of a value; None where it is not on the axis."""
        share = self.on(value)
        return min(width - 1, int(share * width)) if 0 <= share <= 1 else None


def _joined(cells: Sequence[tuple[str, str]]) -> Drawing:
    """Put cells of one tone together."""
    found: list[tuple[str, str]] = []
    for text, tone in cells:
        if found and found[-1][1] == tone:
            found[-1] = (found[-1][0] + text, tone)
        else:
            found.append((text, tone))
    return found


def forest(metric: MetricReport, places: Sequence[int], baseline: int | None) -> Forest | None:
    """Return the axis for some settings; None where none has a mean. Intervals that are far wider than what was found
    run out of it, so that they don't hide it."""
    means = sorted(mean for place in places if (mean := metric.exact[place].mean) is not None and math.isfinite(mean))
    if not means:
        return None
    low, high = means[0], means[-1]
    if len(means) >= FEWEST:
        q1, q3 = quantile(means, 0.25), quantile(means, 0.75)
        fence = FAR * (q3 - q1)
        if fence > 0:
            near = [mean for mean in means if q1 - fence <= mean <= q3 + fence]
            low, high = near[0], near[-1]
    on_axis = [place for place in places if (mean := metric.exact[place].mean) is not None and low <= mean <= high]
    values = [value for place in on_axis for value in metric.samples[place].values]
    first, last = min([low, *values]), max([high, *values])
    ends = [(one.low, one.high) for place in on_axis if (one := metric.exact[place]).low is not None]
    reach = REACH * (last - first) or max((high - low for low, high in ends if high and low), default=0.0)
    low = max(min([first, *(low for low, _ in ends if low is not None)]), first - reach)
    high = min(max([last, *(high for _, high in ends if high is not None)]), last + reach)
    line = None if baseline is None else metric.exact[baseline].mean
    return Forest(metric, scale(low, high, room=ROOM), line)
