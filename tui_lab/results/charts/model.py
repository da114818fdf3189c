"""Charts as data: what a chart shows, computed once, for whatever draws it.

`making.make` turns rows into a Chart: which column is on which axis, one Series for each pair of hue and style, a
point for each place with its aggregate and its error. A Chart knows nothing of cells, pixels or libraries;
`terminal` and `files` draw it in a terminal or into a file, and its `table` is the same as text.

Null, NaN and infinite values are left out and counted in `notes`, and so is what a log axis can't show. On an
axis of categories null is a category of its own; texts stand in the order of their first row, everything else
ascending.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final, Literal, get_args

import polars as pl

from tui_lab.experiment.error import TuiLabError
from tui_lab.results.charts.colours import Palette
from tui_lab.results.charts.response import Response
from tui_lab.results.statistics.text import apart

Role = Literal["x", "y", "z", "hue", "style"]
Aggregate = Literal["mean", "median", "sum", "std", "product", "min", "max", "count"]
Error = Literal["none", "sd", "se", "pi", "ci"]
ErrorStyle = Literal["band", "bars"]
Goal = Literal["max", "min"]

AGGREGATES: Final[tuple[Aggregate, ...]] = get_args(Aggregate)
ERRORS: Final[tuple[Error, ...]] = get_args(Error)


class ChartError(TuiLabError):
    """A chart that can't be made; the text says why."""


class NothingToDraw(ChartError):  # noqa: N818 (it says what happened)
    """No row has a value on every axis."""


@dataclass(frozen=True)
class Request:
    """The requested chart. A role without a column gets a default one by `choice.choose`."""

    kind: str
    columns: Mapping[Role, str] = field(default_factory=dict)
    changes: Mapping[Role, str] = field(default_factory=dict)
    """SQL expressions that take the place of a column's values, as in `X / 1000`."""
    labels: Mapping[Role | Literal["title", "legend"], str] = field(default_factory=dict)
    aggregate: Aggregate = "mean"
    error: Error = "ci"
    error_style: ErrorStyle = "band"
    log: frozenset[Literal["x", "y"]] | None = frozenset()
    """None: those whose parameter is geometric by its domain or its values."""
    bins: int | None = None
    annotate: bool | None = None
    """Whether the cells of a heatmap have numbers; None: where there is room."""
    number_format: str | None = None
    """Of numbers in cells: Python's format specification; None for as many digits as tell them apart."""
    ranges: Mapping[Role, tuple[float, float]] = field(default_factory=dict)
    """From where to where an axis goes, or the colours of z."""
    goals: Mapping[str, Goal] = field(default_factory=dict)
    """By column, for pareto."""
    brush: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """By axis of `parallel`: from which to which part of its length, from 0 to 1, settings stand out."""
    fit: bool = False
    """Whether bars begin near their least value, not at 0."""
    gap: float | None = None
    """Of lines: how far along x two points are apart at least to have no line between them."""
    smooth: float = 0.0
    """Of learning curves: the weight, below 1, that the mean of what was before has against each new value."""


@dataclass(frozen=True)
class Source:
    """Rows to draw, and what is known of their columns."""

    frame: pl.DataFrame
    parameters: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ()
    name: str = ""
    shared: Mapping[str, pl.Series] = field(default_factory=dict)
    """What the values of a column were measured on, where rows share it: one such value is one observation."""
    geometric: frozenset[str] = frozenset()
    """Parameters whose domains have equal ratios."""
    palette: Palette | None = None
    """Which values keep their colours from chart to chart."""
    notes: tuple[str, ...] = ()
    """What is to be said of the rows, such as which were left out."""


@dataclass(frozen=True)
class Axis:
    """`number` (as it is), `time` (seconds since 1970, UTC), `clock` (seconds since midnight), `duration` (seconds)
    or `category` (0, 1, ... in the order of `categories`)."""

    label: str
    kind: Literal["number", "time", "clock", "duration", "category"] = "number"
    categories: tuple[str, ...] = ()
    numbers: bool = False
    """Whether the categories are numbers, of which no part can be left out."""
    log: bool = False
    range: tuple[float, float] | None = None
    """From where to where it goes; None for as far as its values do."""
    whole: bool = False
    """Counts: there is nothing between two integers."""


@dataclass(frozen=True)
class Series:
    """What is drawn in one colour (the number of its hue) and one look (that of its style).

    Columns of `points`, all Float64 and finite, except where null is named:
    lines, categories, steps  x, y, low, high (null without an error), n
    area                      the same; low and high are the ends of the band
    scatter                   x, y
    heatmap                   x, y, z (null for an empty cell)
    surface                   x, y, z: the measured points; a series each for the best of them, and of the surface
    hist                      left, right, y
    box                       x, low, q1, median, q3, high, n, and outliers (a list)
    parallel                  row (of the table), x (the axis), y (from 0 to 1), z; those that the brush leaves out are
                              a series that is faint
    pareto                    x, y; the series named "front" is in the order of x
    """

    name: str
    points: pl.DataFrame
    color: int = 0
    style: int = 0
    faint: bool = False
    """Whether it only stands behind another one."""


Column = Callable[[Role, dict[Role, str], pl.DataFrame, list[str], list[str]], str | None]
"""Returns the column of a role, from those chosen for others, the rows, the parameters and the metrics."""


@dataclass(frozen=True)
class ChartKind:
    """A kind of chart: what it shows, how it comes from rows, and how it is drawn."""

    name: str
    about: str
    """One line for those who choose."""
    roles: tuple[Role, ...]
    """That columns can have, in the order in which they get one."""
    make: Callable[[Any], Chart]
    """Makes it from `columns.Prepared`. Raises ChartError."""
    draw: Callable[[Any], None]
    """Draws it in a terminal, into a `terminal.marks.Field`."""
    picture: Callable[[Chart, Any], None]
    """Draws it with matplotlib, into `Axes`."""
    column: Column
    """The natural column of a role."""
    optional: tuple[Role, ...] = ()
    """Roles without which it can be drawn, besides hue and style."""
    missing: Mapping[Role, str] = field(default_factory=dict)
    """What to say where there is no column for a role."""
    hues: Literal["none", "text", "any"] = "none"
    """Which parameters give the hue where nobody asks for one."""
    of_steps: bool = False
    """Whether its rows are those of the steps."""
    of_goals: bool = False
    """Whether its axes are metrics, at first those that have goals."""
    aggregated: bool = False
    """Whether a point stands for several rows."""
    errors: bool = False
    """Whether a point has an error: `low` and `high`."""
    log: frozenset[Role] = frozenset(("x", "y"))
    """Axes that can be logarithmic."""
    ranges: bool = True
    """Whether the axes are those of the columns, so that another kind has the same ranges."""
    connected: bool = False
    """Whether a line goes through its points."""
    bars: bool = False
    """Whether its y begins at 0."""
    cut: bool = False
    """Whether bars can begin elsewhere."""
    scaled: bool = False
    """Whether its axes are logarithmic by themselves, also where it is not asked for on the screen."""
    filled: bool = False
    """Whether it draws areas."""
    called: str = ""
    """In a sentence, where that is not the name."""


@dataclass(frozen=True)
class Chart:
    """A chart, ready to be drawn."""

    kind: ChartKind
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    table: pl.DataFrame
    """The same data to read, columns under their own names."""
    z: Axis | None = None
    title: str = ""
    legend: str = ""
    """What the names of the series are values of; empty where there is one series."""
    caption: str = ""
    """What a point and its error are."""
    notes: tuple[str, ...] = ()
    """What the user should know: values left out, goals taken for granted."""
    error_style: ErrorStyle = "band"
    uprights: tuple[Axis, ...] = ()
    """Of `parallel`: what is along each of its axes, each with its range."""
    brush: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    fitted: Response | None = None
    """Of `surface`: what was fitted to its points."""
    gap: float | None = None
    """Of lines: how far along x two points are apart at least to have no line between them."""
    annotate: bool | None = False
    number_format: str | None = None

    def cell_texts(self) -> list[str]:
        """The numbers in the cells of a heatmap, in the order of its points."""
        values = self.series[0].points["z"].to_list()
        return apart(values, 3) if self.number_format is None else [format(z, self.number_format) for z in values]


def stretches(points: pl.DataFrame, gap: float | None) -> list[pl.DataFrame]:
    """Return the parts of a line between its gaps."""
    if gap is None or points.height < 2:
        return [points]
    starts = [0, *(points["x"].diff() > gap).arg_true(), points.height]
    return [points[start:end] for start, end in pairwise(starts)]


def named(chart: Chart) -> list[Series]:
    """Return the series that a legend names: of those with one name the last, which stands before the others."""
    return list({series.name: series for series in chart.series}.values())
