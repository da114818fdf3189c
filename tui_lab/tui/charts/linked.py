"""A chart of what stands beside it: drawn anew when that changes, and only while it is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from textual import on
from textual.content import Content
from textual.message import Message

from tui_lab.results.charts.model import Request, Source
from tui_lab.results.charts.terminal.style import Look
from tui_lab.tui.base.charted import Charted
from tui_lab.tui.base.empty import Empty, Instead
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.base.workers import work
from tui_lab.tui.charts.charted import charted
from tui_lab.tui.charts.defaults import default_request
from tui_lab.tui.charts.making import MadeChart, made
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.plot.plot import Plot


@dataclass(frozen=True)
class Subject:
    """What to draw. rows: gives them, in a thread; it may take a while, but raises nothing. request: of the chart; None
    for the one that the columns suggest."""

    title: str
    rows: Callable[[], Source]
    request: Request | None = None


class LinkedChart(Panel):
    """Shows the chart of a subject, or why there is none. Tables mark what has a colour in it, if it was shown last."""

    @dataclass
    class _Made(Message):
        subject: Subject
        made: MadeChart
        charted: Charted | None = None

    def __init__(self, *, id: str, empty: Empty) -> None:
        """empty: what would be here."""
        self._plot = Plot()
        super().__init__(self._plot, title="Chart", id=id)
        self._empty = empty
        self._wanted: Subject | None = None
        self._drawn: Subject | None = None
        self._busy = False
        self._charted: Charted | None = None  # what has a colour in it

    def on_mount(self) -> None:
        self._plot.ascii = host_of(self).config.ascii
        self._plot.say(self._empty)

    def on_resize(self) -> None:
        super().on_resize()
        self._draw()

    def on_show(self) -> None:
        if self._drawn is not None:
            host_of(self).show_charted(self._charted)

    def follow(self, subject: Subject | None, instead: Instead | None = None) -> None:
        """Draw this from now on; nothing where it is None. instead: what is said then, if not what would be here."""
        self._wanted = subject
        if subject is None:
            self._drawn = None
            self.set_title("Chart")
            self._plot.say(self._empty if instead is None else instead)
        else:
            if self._drawn is None:
                self._plot.say("drawing …")
            self._draw()

    def _draw(self) -> None:
        if self._wanted is not None and self._wanted is not self._drawn and not self._busy and self.size.height > 0:
            self._busy = True
            self._make(self._wanted, self._plot.look)

    @work(thread=True, group="linked")
    def _make(self, subject: Subject, look: Look) -> None:
        try:
            source = replace(subject.rows(), palette=host_of(self).palette)
            found = made(subject.request or default_request(source), source)
            self.post_message(self._Made(subject, found, charted(found, source, look)))
        except Exception as error:  # noqa: BLE001 - said in place of the chart
            problem = f"this can't be drawn: {error}"
            self.post_message(self._Made(subject, MadeChart(subject.request or Request(""), problem=problem)))

    @on(_Made)
    def _have(self, event: _Made) -> None:
        event.stop()
        self._busy, self._drawn = False, event.subject
        if event.subject is self._wanted:
            self.set_title(Content(event.subject.title))
            if event.made.chart is not None:
                self._charted = event.charted
                if self.is_on_screen:
                    host_of(self).show_charted(event.charted)
                self._plot.show_chart(event.made.chart)
            else:
                self._charted = None
                self._plot.say(event.made.problem)
        self._draw()
