"""The Chart pane: rows drawn in the terminal, and every choice a key away."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl
from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from tui_lab.experiment.model import Experiment
from tui_lab.results.charts.model import Error, Request, Role, Source
from tui_lab.results.charts.registry import KINDS, MEANS, kind_of
from tui_lab.results.charts.sources import geometric
from tui_lab.results.plain import shown
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.pane import Pane, nothing
from tui_lab.tui.base.problem import Problem
from tui_lab.tui.base.selection import Chosen
from tui_lab.tui.base.snapshot import LabSnapshot
from tui_lab.tui.base.workers import promised, work
from tui_lab.tui.panes.chart import making
from tui_lab.tui.panes.chart.choices import (
    AGGREGATES,
    COLUMN_ERROR,
    ERRORS,
    LOGS,
    NONE,
    choices_line,
    column_items,
    error_items,
    log_words,
    range_of,
    range_verdict,
)
from tui_lab.tui.panes.chart.defaults import counted, default_request, described, error_column, of_kind
from tui_lab.tui.panes.chart.making import MadeChart, made
from tui_lab.tui.panes.chart.source import Rows, What, read
from tui_lab.tui.panes.chart.summary import summary
from tui_lab.tui.widgets.choice import ChoiceScreen, Item
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.plot.plot import Plot
from tui_lab.tui.widgets.prompt import PromptScreen
from tui_lab.tui.widgets.table.table import FrameTable


# --- What the workers of the Chart pane report. Numbers tell what was asked for last from what came too late
@dataclass
class RowsRead(Message):
    """The rows, or why there are none."""

    number: int
    rows: Rows | None
    problem: str = ""


@dataclass
class ChartMade(Message):
    """Sent when a chart was computed. number: of the request."""

    number: int
    made: MadeChart


@dataclass
class ChartWritten(Message):
    """Sent when a chart was written to a file, or could not be."""

    text: str
    failed: bool = False


# --- Actions of the Chart pane, and their choices
HELP: Final = """
Draws the answer of a query (`p` in the Query pane), or the steps or results of an experiment; `o` chooses. Steps grow
during a run. With `task` as hue, each task has its own curve: the tasks that are marked in the Tasks pane, else those
that its filter shows. The line at the top names them.

The line above the chart says what is drawn. Each of its keys opens a list. Null and NaN are left out, and counted in
the line below. `T` shows the same data in words and numbers.

The arrows move a crosshair, and a click sets it: the lower border has the values there. `]`, `[` or the wheel show less
or more of the x axis, `}`, `{` or shift and the wheel of the y axis; shift and the arrows, or the mouse, move what is
shown. `home` shows all of it again.
"""

ACTIONS: Final = (
    Action("chart.kind", "k", "Kind", "Choose lines, bars, box, histogram, scatter, heatmap ..."),
    Action("chart.x", "x", "X axis", "Choose the column along x.", call="pick('x')"),
    Action("chart.y", "y", "Y axis", "Choose the column along y.", call="pick('y')"),
    Action("chart.hue", "h", "Hue", "Choose the column whose values make several series.", call="pick('hue')"),
    Action("chart.z", "z", "Cells", "Choose the column that a heatmap's cells show.", shown=False, call="pick('z')"),
    Action("chart.aggregate", "m", "Mean", "Choose how several values at one point are combined.", shown=False),
    Action("chart.error", "e", "Error", "Choose what error bars and bands show."),
    Action("chart.log", "l", "Log", "Choose the axes that are logarithmic."),
    Action("chart.range", "r", "Range", "Set the limits of the y axis.", shown=False),
    Action("chart.table", "T", "Table", "Show the same data in words and numbers."),
    Action("chart.source", "o", "Source", "Choose the source: steps, results, or a query's answer."),
    Action("chart.ascii", "a", "ASCII", "Draw with ASCII characters only, or not.", shown=False),
    Action("chart.defaults", "Z", "Defaults", "Choose kind and columns automatically again.", shown=False),
    Action("chart.write", "w", "Write", "Write the chart to a picture, a text or a table.", shown=False),
)


PAUSE: Final = 1.0  # seconds at least between two readings of what grows
LONGEST: Final = 10.0  # seconds that it rests at most, where reading is slow


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
        & #chart-words {
            height: 1fr;
            & > #chart-summary { height: auto; max-height: 50%; padding: 0 1 1 1; }
            & > FrameTable { height: 1fr; }
        }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.plot = Plot(id="plot")
        self.panel = Panel(title="Chart")
        self.choices = Static("", id="chart-choices")
        self.notes = Static("", id="chart-notes", markup=False)
        self.summary = Static("", id="chart-summary", markup=False)
        self.table = FrameTable(id="chart-table")
        self.words = Vertical(self.summary, self.table, id="chart-words")
        self.rows: Rows | None = None
        self.request = Request(MEANS)
        self.errors: str | None = None  # a column of half widths
        self.made: MadeChart | None = None
        self._given: Rows | None = None  # the answer that was handed over last
        self._of: tuple[str | None, What | None] = (None, None)  # experiment and table that are read
        self._own = False  # whether the user chose something: then new rows keep it
        self._reading = 0  # number of the reading that is going, else 0
        self._making = 0
        self._count = 0
        self._seen: object = None
        self._ended = 0.0

    def compose(self) -> ComposeResult:
        with self.panel:
            yield self.choices
            yield self.plot
            yield self.words
            yield self.notes

    def on_mount(self) -> None:
        self.words.display = self.notes.display = False
        self.plot.ascii = self.lab_app.config.ascii
        self.set_interval(0.25, self._tick)

    def focus_first(self) -> None:
        self.call_after_refresh((self.table if self.words.display else self.plot).focus)

    # --- Rows

    def open_chart(self, frame: pl.DataFrame, title: str, request: Any = None) -> None:
        """Draw a frame, by default as its columns suggest."""
        spec = self._spec()
        names = (list(spec.parameter_names), list(spec.metrics)) if spec is not None else ([], [])
        source = replace(
            counted(described(frame, *names)),
            name=self.lab_app.current or "",
            geometric=geometric(spec) if spec is not None else frozenset(),
        )
        self._given = Rows(source, "given", title)
        self._of = (None, "given")
        self._reading = 0
        self._take(self._given, request if isinstance(request, Request) else None, fresh=True)
        self.focus_first()

    def _spec(self) -> Experiment | None:
        """Return what the file of the current experiment says."""
        folder = self._folder()
        try:
            return folder.spec() if folder is not None else None
        except Exception:  # noqa: BLE001 - without its file the columns' types have to do
            return None

    def _folder(self) -> ExperimentFolder | None:
        lab, current = self.lab_app.lab, self.lab_app.current
        if lab is None or current is None or current not in lab.experiments():
            return None
        return lab.experiment(current)

    def show(self, snapshot: LabSnapshot) -> None:
        if self._of[1] == "given":
            return
        if snapshot.lab is None or not snapshot.experiments:
            self._of = (None, None)
            self._clear()
            self._say(nothing(snapshot, "the lab is empty: nothing to draw yet"))
        elif self.lab_app.current != self._of[0]:
            self._open(None)

    def _open(self, what: What | None) -> None:
        """Read an experiment's rows; None: its steps where it has some, else its results."""
        self._of = (self.lab_app.current, what)
        self._own = False
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
        self._take(event.rows, None, fresh=fresh)

    def _take(self, rows: Rows, request: Request | None, fresh: bool) -> None:
        self.rows = rows = replace(rows, source=replace(rows.source, palette=self.lab_app.palette))
        if fresh:
            self._own = request is not None
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
            self._say(f"nothing to draw yet: no values in the {rows.title}{which}")
            self.let_keys_go()
            return
        self._draw()

    def _tick(self) -> None:
        if self._of[0] is None or self._reading or self.lab_app.pane is not self:
            return
        took = self.rows.seconds if self.rows is not None else 0
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
            self._make(self._making, self.request, self.rows.source, self.errors, instead)

    @work(thread=True, group="chart-make")
    def _make(self, number: int, request: Request, source: Source, errors: str | None, instead: Request | None) -> None:
        if number == self._making:
            try:
                self.post_message(ChartMade(number, made(request, source, errors, instead)))
            except Exception as error:  # noqa: BLE001 - said in place of the chart
                self.post_message(ChartMade(number, MadeChart(request, problem=f"this can't be drawn: {error}")))

    @on(ChartMade)
    def _have_chart(self, event: ChartMade) -> None:
        event.stop()
        if event.number != self._making:
            return
        self.made = event.made
        self.let_keys_go()
        if self._own:
            self.request = event.made.request
        self._describe()
        chart = event.made.chart
        if chart is None:
            self._say(event.made.problem)
            return
        self.plot.show_chart(chart)
        self.summary.update(Text("\n".join(summary(chart))))
        self.table.set_frame(chart.table)
        self.notes.update("; ".join(event.made.notes))
        self.notes.display = bool(event.made.notes)

    def _say(self, sentence: str) -> None:
        self.plot.say(sentence)
        self.summary.update(Text(sentence))
        self.table.set_frame(pl.DataFrame())
        self.notes.display = False

    def _describe(self) -> None:
        """Show what is drawn, each choice behind its key."""
        rows, request = self.rows, self.made.request if self.made is not None else self.request
        if rows is None:
            return
        live = " (live)" if rows.what != "given" and self._is_live() else ""
        height = rows.source.frame.height
        count = f"{height:,} row{'' if height == 1 else 's'}"
        which = f", {rows.which}" if rows.which else ""
        title = f"{rows.title}{live}{which}, {count}" if rows.what != "given" else f"{count}: {rows.title}"
        self.panel.set_title(Content(title))
        self.choices.update(
            choices_line(
                request,
                log_words(request, self.made.chart if self.made is not None else None),
                self.errors,
                self.plot.ascii,
            )
        )

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
        kind = kind_of(value)
        self._set(of_kind(self._full, kind, kind.roles), replace(of_kind(self._full, kind, ()), log=frozenset()))

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
        self._set(replace(self._full, aggregate=next(name for name in AGGREGATES if name == value)))

    def action_error(self) -> None:
        items = error_items(error_column(self.rows.source.frame) if self.rows is not None else None)
        current = COLUMN_ERROR + self.errors if self.errors else self._full.error
        self._choose("Error bars and bands", items, current, self._take_error)

    def _take_error(self, value: str) -> None:
        self.errors = value.removeprefix(COLUMN_ERROR) if value.startswith(COLUMN_ERROR) else None
        error: Error = next((name for name in ERRORS if name == value), "ci")
        self._set(replace(self._full, error=error))

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

    def action_range(self) -> None:
        asked = self._full.ranges.get("y")
        value = "" if asked is None else " ".join(shown(end) for end in asked)
        self.app.push_screen(PromptScreen("Limits of the y axis", value, range_verdict), self._take_range)

    def _take_range(self, text: str | None) -> None:
        if text is not None:
            asked = range_of(text)
            self._set(replace(self._full, ranges={} if asked is None else {"y": asked}))

    def action_source(self) -> None:
        current = self.lab_app.current
        items = []
        if current is not None:
            items = [
                Item("steps", f"steps of {current}", "values by step, also during a run"),
                Item("results", f"results of {current}", "its done tasks"),
            ]
        if self._given is not None:
            items.append(Item("given", "answer of a query", self._given.title))
        self._choose("What to draw", items, self.rows.what if self.rows is not None else None, self._take_source)

    def _take_source(self, value: str) -> None:
        if value == "given" and self._given is not None:
            self._of = (None, "given")
            self._take(self._given, None, fresh=True)
        else:
            self._open("steps" if value == "steps" else "results")

    @on(Plot.Crossed)
    def _have_crossed(self, event: Plot.Crossed) -> None:
        event.stop()
        self.panel.set_subtitle(event.text)

    def action_defaults(self) -> None:
        self.plot.show_whole()
        if self.rows is not None:
            self._own = False
            self._take(self.rows, None, fresh=True)

    # --- How it looks, and where it goes

    def action_ascii(self) -> None:
        self.plot.set_ascii(not self.plot.ascii)

    def action_table(self) -> None:
        self.words.display = not self.words.display
        self.plot.display = not self.words.display
        self.focus_first()

    def action_write(self) -> None:
        if self.made is None or self.made.chart is None:
            self.lab_app.tell("there is no chart to write", "warning")
            return
        about = "a picture (.png .svg .pdf), a text (.txt) or a table (.csv .parquet .json .md)"
        self.app.push_screen(PromptScreen("Write the chart to", "chart.svg", making.verdict, about), self._write_to)

    def _write_to(self, text: str | None) -> None:
        if text is not None and self.made is not None and self.made.chart is not None:
            self._write(self.made, text)

    @work(thread=True, group="chart-write")
    def _write(self, chart: MadeChart, text: str) -> None:
        try:
            assert chart.chart is not None
            with promised():
                path = making.write(chart.chart, text, self.plot.ascii)
            self.post_message(ChartWritten(f"written to {path}"))
        except Exception as error:  # noqa: BLE001 - said in place of a file
            self.post_message(ChartWritten(Problem.of(error).message, failed=True))

    @on(ChartWritten)
    def _have_written(self, event: ChartWritten) -> None:
        event.stop()
        self.lab_app.tell(event.text, "error" if event.failed else "information")
