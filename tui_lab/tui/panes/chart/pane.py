"""The Chart pane: rows drawn in the terminal, and every choice a key away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, cast

import polars as pl
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Static

from tui_lab.client.formatting import plural
from tui_lab.results.charts.model import Aggregate, Request, Role, Source
from tui_lab.results.charts.registry import KINDS, MEANS, kind_of
from tui_lab.results.charts.terminal.style import Look
from tui_lab.results.plain import shown
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.base.charted import Charted
from tui_lab.tui.base.empty import Empty, Instead
from tui_lab.tui.base.pane import NO_EXPERIMENT, Pane, nothing
from tui_lab.tui.base.problem import Problem
from tui_lab.tui.base.selection import Chosen
from tui_lab.tui.base.snapshot import LabSnapshot, NodeSample
from tui_lab.tui.base.workers import promised, work
from tui_lab.tui.charts.charted import charted
from tui_lab.tui.charts.defaults import default_request, error_column, of_answer, of_kind, of_kind_again
from tui_lab.tui.charts.making import MadeChart, made
from tui_lab.tui.charts.source import Rows, What, read, spec_of
from tui_lab.tui.panes.chart import saving
from tui_lab.tui.panes.chart.actions import ACTIONS, HELP
from tui_lab.tui.panes.chart.brush import ChartPlot
from tui_lab.tui.panes.chart.choices import (
    AGGREGATES,
    COLUMN_ERROR,
    ERRORS,
    LOGS,
    NONE,
    SMOOTHING,
    choices_line,
    column_items,
    error_items,
    log_words,
    range_of,
    range_verdict,
    source_items,
)
from tui_lab.tui.panes.chart.grid import NODES, ChartGrid, Subject, of_metric
from tui_lab.tui.panes.chart.messages import ChartMade, ChartWritten, RowsRead
from tui_lab.tui.panes.chart.summary import summary
from tui_lab.tui.widgets.choice import ChoiceScreen, Item
from tui_lab.tui.widgets.panels.layout import Arrangement, Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import ALONE, PanelRow
from tui_lab.tui.widgets.plot.grid import PlotGrid
from tui_lab.tui.widgets.plot.plot import Plot
from tui_lab.tui.widgets.prompt import PromptScreen
from tui_lab.tui.widgets.table.table import FrameTable

PAUSE: Final = 1.0  # seconds at least between two readings of what grows
ARRANGEMENTS: Final[tuple[Arrangement, ...]] = (
    (("chart-panel", "chart-values"),),
    (("chart-panel",),),
    (("chart-panel",), ("chart-values",)),
)
LONGEST: Final = 10.0  # seconds that it rests at most, where reading is slow


@dataclass(frozen=True)
class ChartPlace:
    """What is drawn. request: what the user chose, if anything."""

    what: What | None
    given: Rows | None
    request: Request | None
    grid: bool


class ChartPane(Pane):
    """The pane with a chart of the current experiment."""

    NAME = "chart"
    TITLE = "Chart"
    ACTIONS = ACTIONS
    HELP = HELP
    DEFAULT_CSS = """
    ChartPane {
        & #chart-choices { height: auto; max-height: 2; padding: 0 1; color: $text-muted; }
        & #chart-notes { height: auto; max-height: 2; padding: 0 1; color: $text-warning; }
        & #chart-summary { height: auto; max-height: 50%; padding: 0 1 1 1; }
        & #chart-table { height: 1fr; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.plot = ChartPlot(id="plot")
        self.grid = ChartGrid(id="chart-grid")
        self.choices = Static("", id="chart-choices")
        self.notes = Static("", id="chart-notes", markup=False)
        self.summary = Static("", id="chart-summary", markup=False)
        self.table = FrameTable(id="chart-table")
        self.panel = Panel(self.choices, self.plot, self.grid, self.notes, title="Chart", id="chart-panel")
        self.values = Panel(self.summary, self.table, title="Values", id="chart-values")
        self.rows: Rows | None = None
        self.request = Request(MEANS)
        self.errors: str | None = None  # a column of half widths
        self.made: MadeChart | None = None
        self._charted: Charted | None = None  # what has a colour in it
        self._crossed: Sequence[Text] = ()  # what is at the crosshair, a line for each series
        self._given: Rows | None = None  # the answer that was handed over last
        self._of: tuple[str | None, What | None] = (None, None)  # experiment and table that are read
        self._wanted: Request | None = None  # of the rows that are read, after going back
        self._own = False  # whether the user chose something: then new rows keep it
        self._reading = 0  # number of the reading that is going, else 0
        self._kinds: dict[str, Request] = {}  # what each kind of chart of these rows was asked for last
        self._making = self._count = 0
        self._seen: object = None
        self._ended = 0.0
        self._picture = saving.PICTURES[0]  # the kind that was written last
        self._samples: Mapping[str, Sequence[NodeSample]] = {}  # that the grid shows

    def compose(self) -> ComposeResult:
        yield PanelRow(
            self.panel,
            self.values,
            rooms={"chart-panel": Room(76, 3), "chart-values": Room(44, 1)},
            arrangements=ARRANGEMENTS,
            chosen=self.lab_app.arrangements(self.NAME),
        )

    def on_mount(self) -> None:
        self.grid.display = self.notes.display = False
        self.plot.ascii = self.grid.ascii = self.lab_app.config.ascii
        self.set_interval(0.25, self._tick)

    def on_show(self) -> None:
        if self.made is not None:
            self.lab_app.show_charted(self._charted)

    def focus_first(self) -> None:
        self.call_after_refresh(self._focus_part)

    def _focus_part(self) -> None:
        shown = self.grid if self.grid.display else self.plot
        (self.table if self.row.alone == "chart-values" else shown).focus()

    @property
    def row(self) -> PanelRow:
        """The chart, and its values beside it or in its place."""
        return self.query_one(PanelRow)

    # --- Where one is

    def place(self) -> ChartPlace:
        what = self._of[1]
        chosen = self._full if self._own else self._wanted
        return ChartPlace(what, self._given if what == "given" else None, chosen, self.grid.display)

    def go(self, place: object) -> None:
        if not isinstance(place, ChartPlace):
            return
        here = self.place()
        if place.given is not None:
            if place.given is not here.given or place.request != here.request:
                self._show_given(place.given, place.request)
        elif place.what == "given":
            return  # it was left while they were read
        elif place.what != here.what or self._of[0] != self.lab_app.current:
            self._open(place.what)
            self._wanted = place.request
        elif self._reading:
            self._wanted = place.request
        elif place.request is None and self._own:
            self.action_defaults()
        elif place.request is not None and place.request != here.request:
            self._set(place.request)
        if place.grid is not here.grid:
            self.action_grid()

    # --- Rows

    def open_chart(self, frame: pl.DataFrame, title: str, request: Any = None) -> None:
        """Draw a frame, by default as its columns suggest."""
        self._given, self._of = None, (None, "given")
        self._making, self._wanted = 0, None
        self._count += 1
        self._reading = self._count
        self.hold_keys()
        wanted = request if isinstance(request, Request) else None
        self._read_given(self._reading, frame, title, wanted, self._folder(), self.lab_app.current or "")
        self.focus_first()

    @work(thread=True, group="chart-read")
    def _read_given(
        self,
        number: int,
        frame: pl.DataFrame,
        title: str,
        request: Request | None,
        folder: ExperimentFolder | None,
        current: str,
    ) -> None:
        try:
            rows = Rows(of_answer(frame, spec_of(folder), current), "given", title)
            self.post_message(RowsRead(number, rows, request=request))
        except Exception as error:  # noqa: BLE001 - said in place of the chart
            self.post_message(RowsRead(number, None, Problem.of(error).message))

    def _show_given(self, rows: Rows, request: Request | None) -> None:
        """Draw rows that were handed over."""
        self._given, self._of = rows, (None, "given")
        self._reading, self._wanted = 0, None
        self._take(rows, request, fresh=True)

    def _folder(self) -> ExperimentFolder | None:
        """The experiment's, as it was last seen: whether it is still there is found out where it is read."""
        lab, current = self.lab_app.lab, self.lab_app.current
        if lab is None or current is None or self.lab_app.snapshot.experiment(current) is None:
            return None
        return ExperimentFolder(lab.path / current)

    def show(self, snapshot: LabSnapshot) -> None:
        if self._of[1] == "given":
            return
        if snapshot.lab is None or not snapshot.experiments:
            self._of = (None, None)
            self._clear()
            self._say(nothing(snapshot, Empty("No chart yet", *NO_EXPERIMENT)))
        elif self.lab_app.current != self._of[0]:
            self._open(None)

    def _open(self, what: What | None) -> None:
        """Read an experiment's rows; None: its steps where it has some, else its results."""
        self._of = (self.lab_app.current, what)
        self._own, self._wanted = False, None
        self._clear()
        self.panel.set_title(Content(self._of[0] or "Chart"))
        self._say(f"reading {self._of[0]} ...")
        self.hold_keys()
        self._start_reading()

    def _clear(self) -> None:
        """Remove the chart: it is of something else."""
        self.rows = self.made = None
        self._reading = self._making = 0
        self.panel.set_title("Chart")
        self.choices.update("")

    def _start_reading(self) -> None:
        folder = self._folder()
        if folder is not None:
            self._seen = self._stand()
            self._count += 1
            self._reading = self._count
            self._read(self._reading, folder, self._of[1], self.lab_app.chosen)

    @work(thread=True, group="chart-read")
    def _read(self, number: int, folder: ExperimentFolder, what: What | None, chosen: Chosen | None) -> None:
        try:
            folder.require_journal()
            self.post_message(RowsRead(number, read(folder, what, chosen)))
        except Exception as error:  # noqa: BLE001 - said in place of the chart
            self.post_message(RowsRead(number, None, Problem.of(error).message))

    @on(RowsRead)
    def _have_rows(self, event: RowsRead) -> None:
        event.stop()
        if event.number != self._reading:
            return
        self._reading, self._ended = 0, time.monotonic()
        if event.rows is None:
            self._seen = None  # it may be in the middle of a change: look again
            self.let_keys_go()
            self._say(event.problem)
            return
        fresh = self.rows is None or self.rows.what != event.rows.what or self.rows.title != event.rows.title
        if event.rows.what == "given":
            self._show_given(event.rows, event.request)
            return
        wanted, self._wanted = self._wanted, None
        self._take(event.rows, wanted, fresh=fresh)

    def _take(self, rows: Rows, request: Request | None, fresh: bool) -> None:
        self.rows = rows = replace(rows, source=replace(rows.source, palette=self.lab_app.palette))
        if fresh:
            self._own = request is not None
            self._kinds = {}
            self.errors = error_column(rows.source.frame) if rows.what == "given" else None
        if request is not None:
            self.request = request
        elif not self._own:
            self.request = default_request(rows.source)
        self.request = replace(self.request, goals={**dict(rows.goals), **self.request.goals})
        if rows.what != "given" and not rows.source.frame.height:
            self.made, self._making = None, 0
            self._describe()
            which = f" ({rows.which})" if rows.which else ""
            self._say(
                Empty(
                    f"No chart: there are no values in the {rows.title}{which}", "chart.source", "draws something else"
                )
            )
            self.let_keys_go()
            return
        self._draw()

    def _tick(self) -> None:
        if self.lab_app.pane is not self:
            return
        if self.grid.display and self.lab_app.snapshot.samples != self._samples:
            self._draw_grid()
        if self._of[0] is None or self._reading:
            return
        took = (self.rows.seconds if self.rows is not None else 0) + self.grid.display * self.grid.seconds
        rested = time.monotonic() - self._ended >= min(max(PAUSE, 3 * took), LONGEST)
        if rested and self._stand() != self._seen:
            self._start_reading()

    def _stand(self) -> object:
        """Return another value when the rows may have grown. Steps grow without an event in the journal."""
        one = self.lab_app.snapshot.experiment(self._of[0])
        if one is None:
            return None
        if self._of[1] == "results":
            return one.revision
        return one.revision, self.lab_app.chosen, one.active and time.monotonic() // PAUSE

    # --- The chart

    def _draw(self, instead: Request | None = None) -> None:
        if self.rows is not None:
            self._count += 1
            self._making = self._count
            self._make(self._making, self.request, self.rows.source, self.errors, instead, self.plot.look)
            self._draw_grid()

    @work(thread=True, group="chart-make")
    def _make(
        self, number: int, request: Request, source: Source, errors: str | None, instead: Request | None, look: Look
    ) -> None:
        if number == self._making:
            try:
                found = made(request, source, errors, instead)
                self.post_message(ChartMade(number, found, charted(found, source, look)))
            except Exception as error:  # noqa: BLE001 - said in place of the chart
                self.post_message(ChartMade(number, MadeChart(request, problem=f"this can't be drawn: {error}")))

    @on(ChartMade)
    def _have_chart(self, event: ChartMade) -> None:
        event.stop()
        if event.number != self._making:
            return
        self.made = event.made
        self._charted = event.charted
        if self.lab_app.pane is self:
            self.lab_app.show_charted(event.charted)
        self.let_keys_go()
        if self._own:
            self.request = event.made.request
        self._describe()
        chart = event.made.chart
        if chart is None:
            self._say(event.made.problem)
            return
        self.plot.show_chart(chart)
        self._summarize()
        self.table.set_frame(chart.table)
        self.values.set_title(f"Values, {plural(chart.table.height, 'row')}")
        self.notes.update("; ".join(event.made.notes))
        self.notes.display = bool(event.made.notes)

    def _summarize(self) -> None:
        """Show what is at the crosshair, which is shorter, or else all of the chart, in words. A layout is made only
        where they need another number of lines."""
        if self.made is not None and self.made.chart is not None:
            lines = self._crossed
            words = Text("\n").join(lines) if lines else Text("\n".join(summary(self.made.chart)))
            width = self.summary.content_size.width
            tall = len(words.wrap(self.app.console, width)) if width else 0
            self.summary.update(words, layout=not lines and (not tall or tall != self.summary.content_size.height))

    def _say(self, said: Instead) -> None:
        self.plot.say(said)
        self.summary.update("")
        self.table.placeholder = said
        self.table.set_frame(pl.DataFrame())
        self.notes.display = False

    def _describe(self) -> None:
        """Show what is drawn, each choice behind its key."""
        rows, request = self.rows, self._full
        if rows is None:
            return
        title = rows.described(self._is_live())
        self.panel.set_title(Content(title))
        self.choices.update(
            choices_line(
                request,
                log_words(request, self.made.chart if self.made is not None else None),
                self.errors,
                self.plot.ascii,
                self.choices.content_size.width,
            )
        )

    def on_resize(self) -> None:
        self.call_after_refresh(self._describe)

    def _is_live(self) -> bool:
        one = self.lab_app.snapshot.experiment(self._of[0])
        return one is not None and one.active

    # --- Choices

    def _choose(self, title: str, items: list[Item], current: str | None, take: Callable[[str], None]) -> None:
        def taken(value: str | None) -> None:
            if value is not None:
                take(value)

        self.app.push_screen(ChoiceScreen(title, items, current), taken)

    def _set(self, request: Request, instead: Request | None = None) -> None:
        self._own = True
        self.request = request
        self.hold_keys()
        self._draw(instead)

    @property
    def _full(self) -> Request:
        """Return the request with every column named, as it is drawn."""
        return self.made.request if self.made is not None else self.request

    def action_kind(self) -> None:
        items = [Item(name, name, kind.about) for name, kind in KINDS.members().items()]
        self._choose("Kind of chart", items, self._full.kind, self._take_kind)

    def _take_kind(self, value: str) -> None:
        kind, full = kind_of(value), self._full
        fresh = of_kind(full, kind, ())
        log = None if fresh.log is None else frozenset[Literal["x", "y"]]()
        if self.made is not None and self.made.chart is not None:
            self._kinds[full.kind] = full
        before = self._kinds.get(value)
        wanted = of_kind_again(full, before) if before is not None else of_kind(full, kind, kind.roles)
        self._set(wanted, replace(fresh, log=log))

    def action_pick(self, role: Role) -> None:
        request = self._full
        if self.rows is None or role not in kind_of(request.kind).roles:
            self.lab_app.tell(f"{request.kind} has no {role}", "warning")
            return
        items = column_items(self.rows.source, role)
        self._choose(f"Column for {role}", items, request.columns.get(role, NONE), lambda v: self._take_column(role, v))

    def _take_column(self, role: Role, value: str) -> None:
        columns = dict(self._full.columns)
        columns.pop(role, None)
        if value != NONE:
            columns[role] = value
        ranges = self._full.ranges
        if role == "y":
            self.errors, ranges = None, {}
        self._set(replace(self._full, columns=columns, ranges=ranges))

    def action_aggregate(self) -> None:
        items = [Item(name, name, about) for name, about in AGGREGATES.items()]
        self._choose("How several values are combined", items, self._full.aggregate, self._take_aggregate)

    def _take_aggregate(self, value: str) -> None:
        self._set(replace(self._full, aggregate=cast("Aggregate", value)))

    def action_error(self) -> None:
        items = error_items(error_column(self.rows.source.frame) if self.rows is not None else None)
        current = COLUMN_ERROR + self.errors if self.errors else self._full.error
        self._choose("Error bars and bands", items, current, self._take_error)

    def _take_error(self, value: str) -> None:
        self.errors = value.removeprefix(COLUMN_ERROR) if value.startswith(COLUMN_ERROR) else None
        self._set(replace(self._full, error=next((name for name in ERRORS if name == value), "ci")))

    def action_log(self) -> None:
        items = [Item(value, label) for value, (label, _) in LOGS.items()]
        self._choose(
            "Logarithmic axes",
            items,
            "auto" if self._full.log is None else "".join(sorted(self._full.log)),
            self._take_log,
        )

    def _take_log(self, value: str) -> None:
        self._set(replace(self._full, log=LOGS[value][1]))

    def action_smooth(self) -> None:
        """Smooth learning curves more, or not at all."""
        if not kind_of(self._full.kind).of_steps:
            self.lab_app.tell("only learning curves are smoothed: kind steps", "warning")
            return
        later = [weight for weight in SMOOTHING if weight > self._full.smooth]
        self._set(replace(self._full, smooth=later[0] if later else 0.0))

    def action_fit(self) -> None:
        """Begin bars near the least one, or at 0."""
        if not kind_of(self._full.kind).cut:
            self.lab_app.tell("only bars begin elsewhere: kind categories", "warning")
            return
        ranges = dict(self._full.ranges)
        ranges.pop("y", None)
        self._set(replace(self._full, fit=not self._full.fit, ranges=ranges))

    def action_range(self) -> None:
        asked = self._full.ranges.get("y")
        value = "" if asked is None else " ".join(shown(end) for end in asked)
        self.app.push_screen(PromptScreen("Limits of the y axis", value, range_verdict), self._take_range)

    def _take_range(self, text: str | None) -> None:
        if text is not None:
            asked = range_of(text)
            self._set(replace(self._full, ranges={} if asked is None else {"y": asked}))

    def action_source(self) -> None:
        items = source_items(self.lab_app.current, self._given.title if self._given is not None else None)
        self._choose("What to draw", items, self.rows.what if self.rows is not None else None, self._take_source)

    def _take_source(self, value: str) -> None:
        if value == "given" and self._given is not None:
            self._show_given(self._given, None)
        else:
            self._open("steps" if value == "steps" else "results")

    @on(Plot.Crossed)
    def _have_crossed(self, event: Plot.Crossed) -> None:
        event.stop()
        if self.plot.display:
            self.panel.set_subtitle(event.text)
            self._crossed = event.lines
            self._summarize()

    @on(ChartPlot.Brushed)
    def _have_brushed(self, event: ChartPlot.Brushed) -> None:
        event.stop()
        self._set(replace(self._full, brush=event.brush))

    @on(ChartPlot.Chosen)
    def _show_tasks(self, event: ChartPlot.Chosen) -> None:
        event.stop()
        if event.condition and self.rows is not None and self.rows.source.name:
            self.lab_app.show_tasks(self.rows.source.name, event.condition)
        else:
            self.lab_app.tell("nothing is brushed: space begins and ends a brush on an axis", "warning")

    def action_defaults(self) -> None:
        self.plot.show_whole()
        if self.rows is not None:
            self._own = False
            self._take(self.rows, None, fresh=True)

    # --- How it looks, and where it goes

    def action_ascii(self) -> None:
        self.plot.set_ascii(not self.plot.ascii)
        self.grid.ascii = self.plot.ascii
        self._draw_grid()

    def action_table(self) -> None:
        alone = self.row.alone == "chart-values"
        self._view(grid=False)
        self.row.enlarge("chart-values", -ALONE if alone else ALONE)

    def _view(self, grid: bool) -> None:
        """Show the grid, or the chart and beside it its values."""
        self.grid.display, self.plot.display = grid, not grid
        self.row.reveal("chart-panel")
        self.row.set_present("chart-values", not grid)
        self.panel.set_subtitle("")
        self.refresh_bindings()
        self.focus_first()

    # --- The grid

    def action_grid(self) -> None:
        self._view(grid=not self.grid.display)
        self.call_after_refresh(self._draw_grid)

    def action_filter(self) -> None:
        self.grid.ask_part()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return self.grid.display if action == "filter" else super().check_action(action, parameters)

    def _draw_grid(self) -> None:
        """Draw the charts of its page."""
        if self.grid.display:
            self._samples = self.lab_app.snapshot.samples
            self.grid.show_subject(Subject(self.rows, self._full, self._samples, self.lab_app.palette))

    @on(ChartGrid.Told)
    def _tell_of_grid(self, event: ChartGrid.Told) -> None:
        event.stop()
        if self.grid.display:
            self.panel.set_subtitle(event.text)

    @on(PlotGrid.Enlarged)
    def _enlarge(self, event: PlotGrid.Enlarged) -> None:
        event.stop()
        self._view(grid=False)
        subject = self.grid.subject
        if event.name in NODES and subject is not None:
            rows = Rows(subject.of_nodes(event.name), "given", event.name)
            self._show_given(rows, subject.made(event.name).request)
        else:
            self._set(of_metric(self._full, event.name))

    def action_save(self) -> None:
        self._write_to(self._picture)

    def action_write(self) -> None:
        about = f"a picture ({' '.join(saving.PICTURES)}), a text (.txt) or a table (.csv .parquet .json .md)"
        self.app.push_screen(PromptScreen("Write the chart to", "chart.svg", saving.verdict, about), self._write_to)

    def _write_to(self, text: str | None) -> None:
        """Write the chart; an ending alone: to the next file in the lab's folder of charts."""
        if text is None:
            return
        if self.made is None or self.made.chart is None:
            self.lab_app.tell("there is no chart to write", "warning")
            return
        self._picture = next((ending for ending in saving.PICTURES if text.endswith(ending)), self._picture)
        self._write(self.made, text)

    @work(thread=True, group="chart-write")
    def _write(self, chart: MadeChart, text: str) -> None:
        try:
            assert chart.chart is not None
            with promised():
                if text in saving.PICTURES:
                    text = str(saving.next_file(self.lab_app.lab_path, chart.chart.y.label, text))
                path = saving.write(chart.chart, text, self.plot.ascii)
            self.post_message(ChartWritten(f"written to {path}"))
        except Exception as error:  # noqa: BLE001 - said in place of a file
            self.post_message(ChartWritten(Problem.of(error).message, failed=True))

    @on(ChartWritten)
    def _have_written(self, event: ChartWritten) -> None:
        event.stop()
        self.lab_app.tell(event.text, "error" if event.failed else "information")
