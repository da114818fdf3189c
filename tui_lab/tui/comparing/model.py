"""What is shown of some settings, or some tasks, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import polars as pl
from textual.content import Content

from tui_lab.results.charts.choice import choose
from tui_lab.results.charts.colours import Palette
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Chart, ChartError, Request, Source
from tui_lab.results.charts.registry import CURVES
from tui_lab.results.charts.terminal.canvas import rgb
from tui_lab.results.charts.terminal.style import Look
from tui_lab.store.lab import Lab
from tui_lab.tui.widgets.log.choice import TaskDetail

LETTERS: Final = "ABCDE"
FEWEST: Final = 2
MOST: Final = len(LETTERS)
NO_CURVES: Final = "no curves: metrics by step are drawn here"
_SHOWN: Final = "\0shown"


@dataclass(frozen=True)
class Paint:
    """Which colour something has, in charts and in texts."""

    palette: Palette
    look: Look

    def style(self, color: int) -> str:
        """Return the style of a text in a colour of the palette."""
        tint = self.look.tint(color)
        return "bold" if tint is None else "bold #{:02x}{:02x}{:02x}".format(*rgb(tint))


@dataclass(frozen=True)
class Compared:
    """What they differ in, as texts; and a task of each, None where it has none with a value."""

    metrics: tuple[str, ...]
    """By which they can be compared."""
    metric: str
    """By which they are, empty where there is none."""
    parameters: Content
    differences: Content
    how: Content
    """How the differences were tested."""
    chart: Chart | str
    """The curves, or why there are none."""
    tasks: tuple[TaskDetail | None, ...]
    styles: tuple[str, ...]
    """Of each, in texts."""


class Subject(Protocol):
    """What is compared."""

    @property
    def count(self) -> int:
        """How many there are."""
        ...

    def compare(self, lab: Lab, metric: str | None, paint: Paint) -> Compared:
        """Compare them. metric: by default the one that leads. Blocks. Raises LabError, SpecError, OSError."""
        ...


def table(columns: Sequence[Sequence[str]], styles: Sequence[str], tones: Sequence[str] = ()) -> Content:
    """Return columns of texts, the first line bold; the first column has the style of its row, the rest its tone."""
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row, texts in enumerate(zip(*columns, strict=True)):
        first, *rest = (text.ljust(width) for text, width in zip(texts, widths, strict=True))
        said = "  ".join(rest).rstrip()
        if row == 0:
            lines.append(Content.styled(f"{first}  {said}", "bold"))
        else:
            lines.append(Content.assemble((first, styles[row - 1]), "  ", (said, tones[row - 1] if tones else "")))
    return Content("\n").join(lines)


def curves(source: Source, names: Mapping[int, str], wanted: str, colors: Mapping[str, int]) -> Chart | str:
    """Return the curves of some tasks in one chart: of the wanted metric if it has steps, else of the first that has.
    names: of the series of each task. colors: of each series."""
    frame = source.frame
    if not names or not frame.height or "task_id" not in frame.columns:
        return NO_CURVES
    named = pl.col("task_id").replace_strict(names, default=None, return_dtype=pl.String).alias(_SHOWN)
    frame = frame.filter(pl.col("task_id").is_in([*names])).with_columns(named).sort(_SHOWN, maintain_order=True)
    numeric = with_steps(source, frame)
    if not numeric:
        return NO_CURVES
    y = wanted if wanted in numeric else numeric[0]
    steps = [name for name in frame.columns if name == "step"]
    own = Source(frame.select(*steps, _SHOWN, y, "task_id").rename({_SHOWN: "shown"}), ("shown",), (y,))
    try:
        chart = make(Request(CURVES, choose(Request(CURVES, {"y": y, "hue": "shown"}), own)), own)
    except ChartError as error:
        return str(error)
    series = [
        replace(one, color=colors.get(one.name, one.color), style=colors.get(one.name, one.style))
        for one in chart.series
    ]
    return replace(chart, series=tuple(series), legend="")


def with_steps(source: Source, frame: pl.DataFrame) -> list[str]:
    """Return the metrics that have numbers by step in some rows."""
    return [name for name in source.metrics if frame[name].dtype.is_numeric() and frame[name].count()]
