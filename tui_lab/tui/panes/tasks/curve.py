"""The curves of the task under the cursor: what it has said by step, one chart below the other, live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl
from textual.message import Message

from tui_lab.results.charts.choice import choose
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Chart, ChartError, Request, Source
from tui_lab.results.charts.registry import CURVES
from tui_lab.results.curves import Curve
from tui_lab.results.live import Ask, LiveReader
from tui_lab.store.errors import LabError
from tui_lab.tui.base.empty import Empty
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.tasks.frame import TaskSource
from tui_lab.tui.widgets.log.choice import TaskDetail
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.plot.plot import Plot

MOST: Final = 4
"""Charts at most."""
HIGH: Final = 9
"""Lines that a chart needs."""
LOOKS: Final = 20
"""Times at most that a task which has ended is read on: each takes as long as a task in a table may."""


TRIES: Final = 3
"""Tasks in which curves are looked for although the panel is not displayed: it has its place once there are any."""


class CurvePanel(Panel):
    """Shows the curves of one task. They are read and made in a thread, and only while the panel is displayed."""

    class Found(Message):
        """There are curves in this experiment."""

    def __init__(self, id: str | None = None) -> None:
        super().__init__(title="Curves", id=id)
        self._source: TaskSource | None = None
        self._reader: LiveReader | None = None
        self._submissions = -1
        self._ask: Ask | None = None
        self._wanted: TaskDetail | None = None
        self._shown: tuple[int, int, int] | None = None  # task, attempt, and for how many charts there was room
        self._curves: Mapping[str, Curve] = {}
        self._busy = False
        self._tries = 0

    def follow(self, source: TaskSource | None, detail: TaskDetail | None, ask: Ask | None) -> None:
        """Show the curves of a task, as they are now. ask: the engine's `request`, for outputs on other machines."""
        if source is not self._source:
            self._source, self._reader, self._curves, self._shown, self._tries = source, None, {}, None, 0
        self._wanted, self._ask = detail, ask
        if detail is None or source is None:
            self._put_charts([], "")
        elif not self._busy and (detail.running or self._shown != (*_run(detail), self._room)):
            if not self.display:
                self._tries += 1
                if self._tries > TRIES:
                    return
            self._busy = True
            self._read(source, detail, self._room)

    def on_resize(self) -> None:
        super().on_resize()
        self.follow(self._source, self._wanted, self._ask)

    @property
    def _room(self) -> int:
        return max(1, min(MOST, self.size.height // HIGH))

    @work(thread=True, group="curve")
    def _read(self, source: TaskSource, detail: TaskDetail, room: int) -> None:
        found: Mapping[str, Curve] | None
        try:
            found = self._curves_of(source, detail)
        except (LabError, LookupError, OSError):
            found = None
        charts = [] if found is None else _charts(found, room)
        deliver(self, self._take, source, (*_run(detail), room), detail.address, found, charts)

    def _curves_of(self, source: TaskSource, detail: TaskDetail) -> Mapping[str, Curve]:
        with source.reading() as folder:
            count = len(folder.state().submissions)
            if self._reader is None or count != self._submissions:
                self._reader, self._submissions = LiveReader(folder.path, folder.spec(), self._ask), count
        found: Mapping[str, Curve] = {}
        for _ in range(1 if detail.running else LOOKS):
            before, found = found, self._reader.read([(detail.task, detail.attempts)])[detail.task].curves
            if found == before:
                break
        order = self._reader.metrics
        return {name: found[name] for name in sorted(found, key=order.index) if len(found[name].steps) > 1}

    def _take(
        self,
        source: TaskSource,
        at: tuple[int, int, int],
        address: str,
        found: Mapping[str, Curve] | None,
        charts: list[Chart],
    ) -> None:
        self._busy = False
        if source is not self._source:
            return
        if found is not None and (at != self._shown or found != self._curves):
            self._shown, self._curves = at, found
            if charts:
                self.post_message(self.Found())
            more = f", and {len(found) - len(charts)} more" if len(found) > len(charts) else ""
            names = ", ".join(list(found)[: len(charts)])
            self._put_charts(charts, f"{names}{more}  {address}" if charts else "")
        wanted = self._wanted
        if wanted is not None and (*_run(wanted), self._room) != at:  # the cursor went on meanwhile
            self.follow(self._source, wanted, self._ask)

    def _put_charts(self, charts: list[Chart], title: str) -> None:
        self.set_title(title or "Curves")
        plots = list(self.query(Plot))
        wanted = max(1, len(charts))
        while len(plots) < wanted:
            plots.append(Plot())
            plots[-1].ascii = host_of(self).config.ascii
            self.mount(plots[-1])
        for number, plot in enumerate(plots):
            plot.display = number < wanted
            if number < len(charts):
                plot.show_chart(charts[number])
            else:
                plot.say(Empty("What the task says by step is drawn here", "app.results", "shows its results"))


def _run(detail: TaskDetail) -> tuple[int, int]:
    return detail.task, detail.attempts


def _charts(curves: Mapping[str, Curve], most: int) -> list[Chart]:
    """Return a chart of each curve, at most some; without those that can't be drawn."""
    found = []
    for name, curve in list(curves.items())[:most]:
        frame = pl.DataFrame({"step": curve.steps, name: curve.values})
        source = Source(frame, ("step",), (name,))
        request = Request(CURVES, {"x": "step", "y": name})
        try:
            found.append(make(Request(CURVES, choose(request, source), error="none"), source))
        except ChartError:
            continue
    return found
