"""A chart in as many cells as there are, drawn anew when they change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rich.text import Text
from textual import events, on
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget

from tui_lab.results.charts.model import Chart
from tui_lab.results.charts.terminal.draw import LEAST, draw
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

    class Drawn(Message):
        """The chart is on the screen."""

    @dataclass
    class _Ready(Message):
        number: int
        text: Text

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.chart: Chart | None = None
        self.ascii = False
        self._shown = Text("")
        self._number = 0  # of the newest drawing that was asked for
        self._timer: Timer | None = None

    @property
    def text(self) -> str:
        """What is on the screen, without colours."""
        return self._shown.plain

    @property
    def look(self) -> Look:
        """How the chart is drawn: in colour, in ASCII."""
        return Look(color=not self.app.no_color, ascii=self.ascii)

    def show_chart(self, chart: Chart) -> None:
        """Draw a chart."""
        self.chart = chart
        self._draw()

    def say(self, sentence: str) -> None:
        """Show a sentence in place of a chart."""
        self.chart = None
        self._number += 1
        self._shown = Text(f"\n  {sentence}", style="dim", overflow="fold")
        self.refresh()

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
            self._shown = Text("there is no room for a chart here", style="dim")
            self.refresh()
            return
        self._draw_in_thread(self._number, self.chart, width, height, self.look)

    @work(thread=True, group="plot")
    def _draw_in_thread(self, number: int, chart: Chart, width: int, height: int, look: Look) -> None:
        if number != self._number:
            return  # another one is wanted by now
        try:
            text = Text.from_ansi(draw(chart, width, height, look), no_wrap=True, overflow="crop")
        except Exception as error:  # noqa: BLE001 - said in place of the chart
            text = Text(f"\n  this can't be drawn: {error}", style="dim")
        self.post_message(self._Ready(number, text))

    @on(_Ready)
    def _ready(self, event: _Ready) -> None:
        event.stop()
        if event.number == self._number:
            self._shown = event.text
            self.refresh()
            self.post_message(self.Drawn())

    def render(self) -> Text:
        return self._shown
