"""A chart in as many cells as there are, drawn anew when they change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from rich.color import Color as RichColor
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events, on
from textual.message import Message
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from tui_lab.results.charts.model import Chart
from tui_lab.results.charts.terminal.canvas import Run, mixed, rgb
from tui_lab.results.charts.terminal.draw import LEAST, Drawn, drawn
from tui_lab.results.charts.terminal.style import Look
from tui_lab.tui.base.workers import work

CALM: Final = 0.06
"""Seconds without another size after which a chart is drawn anew."""


class Plot(Widget, can_focus=True):
    """Shows a Chart, or a sentence where there is none. Charts are drawn in a thread: many points take longer than a
    frame."""

    DEFAULT_CSS = """
    Plot { height: 1fr; padding: 0 1; color: $foreground; background: $surface; }
    """

    class Painted(Message):
        """The chart is on the screen."""

    @dataclass
    class _Ready(Message):
        number: int
        shown: Drawn | str

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.chart: Chart | None = None
        self.ascii = False
        self._shown: Drawn | str = ""
        self._number = 0  # of the newest drawing that was asked for
        self._timer: Timer | None = None

    @property
    def text(self) -> str:
        """What is on the screen, without colours."""
        if isinstance(self._shown, str):
            return self._shown
        return "\n".join("".join(run.text for run in line).rstrip() for line in self._shown.lines)

    @property
    def look(self) -> Look:
        """How the chart is drawn: in colour, in ASCII, on which ground."""
        red, green, blue = self.background_colors[1].rgb
        sixteen = self.app.current_theme.ansi or self.app.console.color_system == "standard"
        ground = None if sixteen or self.ascii or self.app.no_color else mixed(red, green, blue)
        return Look(color=not self.app.no_color, ascii=self.ascii, ground=ground)

    def show_chart(self, chart: Chart) -> None:
        """Draw a chart."""
        self.chart = chart
        self._draw()

    def say(self, sentence: str) -> None:
        """Show a sentence in place of a chart."""
        self.chart = None
        self._number += 1
        self._put(f"\n  {sentence}")

    def set_ascii(self, ascii: bool) -> None:
        """Draw in ASCII characters only, or in all."""
        self.ascii = ascii
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(CALM, self._draw)

    def _draw(self) -> None:
        width, height = self.content_size
        if self.chart is None or not width or not height:
            return
        self._number += 1
        if width < LEAST[0] or height < LEAST[1]:
            self._put("there is no room for a chart here")
            return
        self._draw_in_thread(self._number, self.chart, width, height, self.look)

    @work(thread=True, group="plot")
    def _draw_in_thread(self, number: int, chart: Chart, width: int, height: int, look: Look) -> None:
        if number != self._number:
            return  # another one is wanted by now
        try:
            self.post_message(self._Ready(number, drawn(chart, width, height, look)))
        except Exception as error:  # noqa: BLE001 - said in place of the chart
            self.post_message(self._Ready(number, f"\n  this can't be drawn: {error}"))

    @on(_Ready)
    def _ready(self, event: _Ready) -> None:
        event.stop()
        if event.number == self._number:
            self._put(event.shown)
            self.post_message(self.Painted())

    def _put(self, shown: Drawn | str) -> None:
        self._shown = shown
        self.refresh()

    def render(self) -> Text:
        """The sentence in place of a chart."""
        return Text(self._shown if isinstance(self._shown, str) else "", style="dim", overflow="fold")

    def render_line(self, y: int) -> Strip:
        if isinstance(self._shown, str):
            return super().render_line(y)
        lines, base = self._shown.lines, self.rich_style
        segments = [_segment(run, base) for run in lines[y]] if y < len(lines) else []
        return Strip(segments).adjust_cell_length(self.content_size.width, base)


def _segment(run: Run, base: Style) -> Segment:
    if run.color is None and run.ground is None:
        return Segment(run.text, base)
    return Segment(run.text, base + _style(run.color, run.ground))


@lru_cache(4096)
def _style(color: int | None, ground: int | None) -> Style:
    return Style.from_color(*(None if one is None else RichColor.from_rgb(*rgb(one)) for one in (color, ground)))
