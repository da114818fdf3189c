"""Small charts side by side and below each other, as many as there is room for, on pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.cells import cell_len
from rich.segment import Segment
from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from tui_lab.results.charts.model import Chart, named
from tui_lab.results.charts.terminal.canvas import Run
from tui_lab.results.charts.terminal.draw import drawn
from tui_lab.results.charts.terminal.marks import legend_mark
from tui_lab.results.charts.terminal.style import Look
from tui_lab.results.charts.ticks import texts
from tui_lab.results.statistics.text import apart
from tui_lab.tui.base.actions import Action, bindings
from tui_lab.tui.widgets.plot.plot import CALM, look_of, segment_of
from tui_lab.tui.widgets.table.cells import visible

LEAST: Final = (36, 9)
"""Columns and lines of a small chart, with its border."""
MOST: Final = (4, 4)
"""Small charts side by side and below each other."""
VALUES: Final = 3
"""Series whose newest values are named."""


@dataclass(frozen=True)
class Small:
    """A small chart as lines of cells without their border, and what stands in that."""

    name: str
    values: tuple[Run, ...]
    lines: tuple[tuple[Run, ...], ...]


def small(name: str, chart: Chart | None, problem: str, width: int, height: int, look: Look) -> Small:
    """Draw a chart into the inside of a border, or say what is wrong."""
    if chart is None:
        return Small(name, (), ((Run(visible(problem, width)),),))
    lines = drawn(chart, width, height, look, bare=True).lines
    return Small(name, tuple(_newest(chart, look)), tuple(map(tuple, lines)))


def _newest(chart: Chart, look: Look) -> list[Run]:
    """The last value of the first series."""
    if not chart.kind.connected:
        return []
    several = len(named(chart)) > 1
    known = [series for series in named(chart) if series.points.height][:VALUES]
    last = [series.points["y"][-1] for series in known]
    shown = _even(last) if chart.y.kind == "number" else texts(chart.y, last)
    if not several:
        return [Run(f" {value}") for value in shown]
    return [
        Run(f" {legend_mark(chart, series, look)} {value}", look.tint(series.color))
        for series, value in zip(known, shown, strict=True)
    ]


def _even(values: Sequence[float]) -> list[str]:
    """Numbers with equally many decimals, as many as tell them apart, unless one has an exponent."""
    found = apart(values, 3)
    places = max((len(text.partition(".")[2]) for text in found), default=0)
    return found if any("e" in text for text in found) else [f"{value:.{places}f}" for value in values]


def even_shape(count: int, across: int, down: int) -> tuple[int, int]:
    """Return how many charts are side by side, and below each other, so that rows are equally full. across, down: for
    which there is room."""
    rows = max(1, -(-count // across))
    if rows > down:  # there are pages, and each is full
        return across, down
    return max(1, -(-count // rows)), rows


def _action(name: str, keys: str, label: str, help: str, call: str) -> Action:
    return Action(f"grid.{name}", keys, label, help, shown=False, call=call, listed=False)


class PlotGrid(Widget, can_focus=True):
    """Shows a page of small charts; one of them has the cursor."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"grid--border", "grid--cursor"}
    DEFAULT_CSS = """
    PlotGrid {
        height: 1fr; color: $foreground; background: $surface;
        & > .grid--border { color: $foreground 30%; }
        & > .grid--cursor { color: $text-primary; text-style: bold; }
        &:ansi > .grid--border { color: ansi_bright_black; }
    }
    """
    ALLOW_SELECT = False
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        _action("left", "left", "Left", "The chart to the left.", "move(-1, 0)"),
        _action("right", "right", "Right", "The chart to the right.", "move(1, 0)"),
        _action("up", "up", "Up", "The chart above.", "move(0, -1)"),
        _action("down", "down", "Down", "The chart below.", "move(0, 1)"),
        _action("next", "pagedown", "Next page", "The next page of charts.", "page(1)"),
        _action("back", "pageup", "Page before", "The page of charts before.", "page(-1)"),
        _action("enlarge", "enter", "Enlarge", "Show this chart alone.", "enlarge"),
    )
    BINDINGS = bindings(ACTIONS)

    class Wanted(Message):
        """Other charts are wanted, or in another size."""

    @dataclass
    class Enlarged(Message):
        """A chart was chosen."""

        name: str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.ascii = False
        self.names: tuple[str, ...] = ()
        """Of all charts, on all pages."""
        self._cursor = 0
        self._smalls: tuple[Small, ...] = ()
        self._first = 0  # of the charts that are shown
        self._timer: Timer | None = None

    @property
    def look(self) -> Look:
        """How the charts are drawn."""
        return look_of(self, self.ascii)

    @property
    def shape(self) -> tuple[int, int]:
        """How many charts are side by side, and below each other."""
        width, height = self.size
        across, down = (
            max(1, min(most, one // least)) for one, least, most in zip((width, height), LEAST, MOST, strict=True)
        )
        return even_shape(len(self.names), across, down)

    @property
    def page(self) -> tuple[str, ...]:
        """The names of the charts that are wanted now."""
        across, down = self.shape
        first = self._cursor // (across * down) * across * down
        return self.names[first : first + across * down]

    @property
    def pages(self) -> tuple[int, int]:
        """The page, from 1, and how many there are."""
        across, down = self.shape
        return self._cursor // (across * down) + 1, max(1, -(-len(self.names) // (across * down)))

    @property
    def chosen(self) -> str:
        """The name of the chart with the cursor."""
        return self.names[self._cursor] if self._cursor < len(self.names) else ""

    @property
    def text(self) -> str:
        """What is on the screen, without colours."""
        return "\n".join(self.render_line(y).text for y in range(self.size.height))

    def inside(self, number: int) -> tuple[int, int]:
        """Return the cells inside the border of a chart of the page."""
        across, down = self.shape
        return self._width(number % across, across) - 2, self._height(number // across, down) - 2

    def set_names(self, names: Sequence[str]) -> None:
        """Say which charts there are. The cursor stays on its chart."""
        before = self.chosen
        self.names = tuple(names)
        self._cursor = self.names.index(before) if before in self.names else 0

    def show_page(self, smalls: Sequence[Small]) -> None:
        """Show the charts of the page."""
        self._smalls = tuple(smalls)
        self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(CALM, lambda: self.post_message(self.Wanted()))

    def _width(self, column: int, across: int) -> int:
        return (column + 1) * self.size.width // across - column * self.size.width // across

    def _height(self, row: int, down: int) -> int:
        return (row + 1) * self.size.height // down - row * self.size.height // down

    def render_line(self, y: int) -> Strip:
        across, down = self.shape
        row = next((row for row in range(down) if y < (row + 1) * self.size.height // down), down - 1)
        line = y - row * self.size.height // down
        first = row * across
        strips = [
            self._line(one, line, number % across, self._height(row, down), across)
            for number, one in enumerate(self._smalls[first : first + across], first)
        ]
        return Strip.join(strips).adjust_cell_length(self.size.width, self.rich_style)

    def _line(self, one: Small, line: int, column: int, height: int, across: int) -> Strip:
        base, width = self.rich_style, self._width(column, across)
        with_cursor = one.name == self.chosen and self.has_focus
        style = self.get_component_rich_style("grid--cursor" if with_cursor else "grid--border")
        corners, level, upright = ("++++", "-", "|") if self.ascii else ("╭╮╰╯", "─", "│")
        if line == 0:
            name, values = visible(one.name, width - 6), list(one.values)
            while values and cell_len(name) + sum(cell_len(run.text) for run in values) > width - 7:
                values.pop()
            end = [segment_of(run, base) for run in values]
            rest = width - 5 - cell_len(name) - sum(segment.cell_length for segment in end) - bool(end)
            named = style if with_cursor else base
            end += [Segment(" ", base)] if end else []
            return Strip(
                [
                    Segment(f"{corners[0]} ", style),
                    Segment(name, named),
                    Segment(f" {level * rest}", style),
                    *end,
                    Segment(f"{level}{corners[1]}", style),
                ]
            )
        if line == height - 1:
            return Strip([Segment(f"{corners[2]}{level * (width - 2)}{corners[3]}", style)])
        runs = one.lines[line - 1] if line - 1 < len(one.lines) else ()
        inside = Strip([segment_of(run, base) for run in runs]).adjust_cell_length(width - 2, base)
        return Strip.join([Strip([Segment(upright, style)]), inside, Strip([Segment(upright, style)])])

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()

    def action_move(self, across: int, down: int) -> None:
        """Move the cursor to another chart."""
        self._go(self._cursor + across + down * self.shape[0])

    def action_page(self, by: int) -> None:
        """Turn the page."""
        across, down = self.shape
        self._go(max(0, min(self._cursor + by * across * down, len(self.names) - 1)))

    def action_enlarge(self) -> None:
        """Show the chart with the cursor alone."""
        if self.chosen:
            self.post_message(self.Enlarged(self.chosen))

    def on_click(self, event: events.Click) -> None:
        across, down = self.shape
        column, row = event.x * across // max(1, self.size.width), event.y * down // max(1, self.size.height)
        first = self._cursor // (across * down) * across * down
        self._go(first + row * across + column)
        if event.chain == 2:
            self.action_enlarge()

    def _go(self, cursor: int) -> None:
        if 0 <= cursor < len(self.names) and cursor != self._cursor:
            page = self.page
            self._cursor = cursor
            if self.page != page:
                self.post_message(self.Wanted())
            self.refresh()
