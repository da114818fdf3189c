"""What the grid of the Chart pane shows: a chart for each metric, and for what the nodes do."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import polars as pl
from textual import on
from textual.message import Message

from tui_lab.client.formatting import plural
from tui_lab.results.charts.colours import Palette
from tui_lab.results.charts.model import Request, Role, Source
from tui_lab.results.charts.natural import is_number
from tui_lab.results.charts.registry import MEANS, kind_of
from tui_lab.results.charts.terminal.style import Look
from tui_lab.results.facts import of_steps
from tui_lab.tui.base.snapshot import NodeSample
from tui_lab.tui.base.verdict import Verdict
from tui_lab.tui.base.workers import work
from tui_lab.tui.charts.defaults import measured_role
from tui_lab.tui.charts.making import MadeChart, made
from tui_lab.tui.charts.source import Rows
from tui_lab.tui.widgets.plot.grid import PlotGrid, Small, small
from tui_lab.tui.widgets.prompt import PromptScreen

NODES: Final[Mapping[str, str]] = {
    "slots in use": "busy",
    "load of nodes, per core": "load",
    "memory of nodes, share": "memory",
    "GPUs of nodes, share": "gpu",
}
"""The facts of samples, by the names of their charts."""
PERIOD: Final = 5.0
"""Seconds between samples of a node, at least those that the lab keeps."""
GAP: Final = 3
"""Periods between samples after which something is missing."""


@dataclass(frozen=True)
class Subject:
    """What all charts of the grid are drawn of."""

    rows: Rows | None
    request: Request
    samples: Mapping[str, Sequence[NodeSample]]
    palette: Palette

    def names(self, part: str = "") -> list[str]:
        """Return the charts that there are, those of metrics first. part: of their names."""
        metrics = _metrics(self.rows.source) if self.rows is not None else []
        nodes = [name for name, fact in NODES.items() if _known(self.samples, fact)]
        return [name for name in (*metrics, *nodes) if part.lower() in name.lower()]

    def made(self, name: str) -> MadeChart:
        """Return one of the charts."""
        if name in NODES:
            source = self.of_nodes(name)
            columns: dict[Role, str] = {"x": "time", "y": name, "hue": "node"}
            top = max(1.0, float(source.frame[name].max() or 0))  # type: ignore[arg-type]
            ranges: dict[Role, tuple[float, float]] = {"y": (0.0, top)}
            request = Request(MEANS, columns, error="none", ranges=ranges, labels={"y": name}, gap=_gap(source))
            return _of_counts(made(request, source)) if NODES[name] == "busy" else made(request, source)
        assert self.rows is not None
        return made(of_metric(self.request, name), self.rows.source)

    def of_nodes(self, name: str) -> Source:
        """Return the samples of nodes as rows."""
        rows = [
            (datetime.fromtimestamp(sample.at, UTC), node, getattr(sample, NODES[name]))
            for node, samples in self.samples.items()
            for sample in samples
        ]
        schema: dict[str, pl.DataType | type[pl.DataType]] = {
            "time": pl.Datetime("us", "UTC"),
            "node": pl.String,
            name: pl.Float64,
        }
        frame = pl.DataFrame(rows, schema=schema, orient="row").drop_nulls(name)
        return Source(frame, ("time", "node"), (name,), "nodes", palette=self.palette)


def _of_counts(one: MadeChart) -> MadeChart:
    """Return a chart whose axis has marks at whole numbers only."""
    return one if one.chart is None else replace(one, chart=replace(one.chart, y=replace(one.chart.y, whole=True)))


def _gap(source: Source) -> float:
    """Return the seconds between two samples after which no line leads from one to the other."""
    apart = source.frame.select(pl.col("time").diff().over("node").dt.total_microseconds())["time"].drop_nulls()
    return GAP * max(PERIOD, float(apart.quantile(0.75) or 0) / 1e6)


def _known(samples: Mapping[str, Sequence[NodeSample]], fact: str) -> bool:
    return any(getattr(sample, fact) is not None for one in samples.values() for sample in one)


def _metrics(source: Source) -> list[str]:
    aside = of_steps(source.frame.columns)
    return [name for name in source.metrics if name not in aside and is_number(source.frame[name])]


def of_metric(request: Request, name: str) -> Request:
    """Return the same request for another metric."""
    columns: dict[Role, str] = {**request.columns, measured_role(kind_of(request.kind)): name}
    return replace(request, columns=columns, ranges={}, labels={})


def page(subject: Subject, names: Sequence[str], sizes: Sequence[tuple[int, int]], look: Look) -> list[Small]:
    """Draw the charts of a page."""
    found = []
    for name, (width, height) in zip(names, sizes, strict=True):
        one = subject.made(name)
        found.append(small(name, one.chart, one.problem, width, height, look))
    return found


class ChartGrid(PlotGrid):
    """The grid: draws its page in a thread."""

    @dataclass
    class Told(Message):
        """Says how many charts there are."""

        text: str

    @dataclass
    class _Made(Message):
        number: int
        smalls: Sequence[Small]
        seconds: float

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.subject: Subject | None = None
        self.seconds = 0.0
        """What drawing takes."""
        self._part = ""
        self._number = 0

    def show_subject(self, subject: Subject) -> None:
        """Draw the charts of a subject."""
        self.subject = subject
        self._draw()

    def ask_part(self) -> None:
        """Ask for a part of the names of the charts that are shown."""
        about = "a part of their names; empty: all"
        self.app.push_screen(PromptScreen("Charts", self._part, lambda text: Verdict(True, ""), about), self._filter)

    def _filter(self, text: str | None) -> None:
        if text is not None:
            self._part = text.strip()
            self._draw()

    @on(PlotGrid.Wanted)
    def _draw(self) -> None:
        subject = self.subject
        if subject is None or not self.display or not self.size:
            return
        self.set_names(subject.names(self._part))
        names = self.page
        at, pages = self.pages
        told = [plural(len(self.names), "chart")]
        told += [f'with "{self._part}"'] if self._part else []
        told += [f"page {at} of {pages}"] if pages > 1 else []
        self.post_message(self.Told(", ".join(told)))
        self._number += 1
        sizes = [self.inside(number) for number in range(len(names))]
        self._make(self._number, subject, names, sizes, self.look)

    @work(thread=True, group="chart-grid")
    def _make(
        self, number: int, subject: Subject, names: Sequence[str], sizes: list[tuple[int, int]], look: Look
    ) -> None:
        if number == self._number:
            began = time.monotonic()
            smalls = page(subject, names, sizes, look)
            self.post_message(self._Made(number, smalls, time.monotonic() - began))

    @on(_Made)
    def _have_made(self, event: _Made) -> None:
        event.stop()
        if event.number == self._number:
            self.seconds = event.seconds
            self.show_page(event.smalls)
