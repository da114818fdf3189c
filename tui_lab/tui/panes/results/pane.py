"""The Results pane: a row per setting, best first, with what tests say of the others."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Final

from textual import on
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.timer import Timer
from textual.widgets import Static

from tui_lab.experiment.additions import set_repeat
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.export.described import paper_table
from tui_lab.results.statistics.comparison import Goal
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.store.errors import LabError
from tui_lab.tui.base.actions import Action
from tui_lab.tui.base.empty import Empty, Instead, content
from tui_lab.tui.base.pane import NO_EXPERIMENT, Pane, keys_of, nothing
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.charts.linked import LinkedChart
from tui_lab.tui.comparing.model import FEWEST, MOST
from tui_lab.tui.comparing.screen import Comparing
from tui_lab.tui.panes.results.choice import MetricDialog, ParametersDialog
from tui_lab.tui.panes.results.compared import ComparedSettings
from tui_lab.tui.panes.results.drawing import drawing_of
from tui_lab.tui.panes.results.formatting import how, importance_line, notes, setting, title
from tui_lab.tui.panes.results.repeats import Offer, offer
from tui_lab.tui.panes.results.rows import KEY, PLACE, Rows, condition, key, plot_width, rows, words
from tui_lab.tui.panes.results.view import View, ViewRequest, make_view
from tui_lab.tui.widgets.panels.layout import Arrangement, Room
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow
from tui_lab.tui.widgets.table.table import FrameTable, next_order

if TYPE_CHECKING:
    from tui_lab.store.lab import Lab
    from tui_lab.tui.base.charted import Charted
    from tui_lab.tui.base.snapshot import LabSnapshot


# --- How the Results pane looks, and its keys
ACTIONS: Final[tuple[Action, ...]] = (
    Action("results.metric", "m", "Metric", "Rank by the next metric."),
    Action("results.previous_metric", "M", "Back", "Rank by the previous metric.", shown=False),
    Action("results.baseline", "b", "Baseline", "Compare all settings with the one under the cursor, or stop."),
    Action("results.by", "v", "Settings", "Choose the parameters that make a setting; average over the others."),
    Action("results.pareto", "o", "Pareto", "Show only settings that no other beats in two metrics, or all."),
    Action("results.plot", "p", "Plot", "Draw the metric over the parameters."),
    Action("results.mark", "space", "Mark", "Mark the setting, or take its mark away; two to five can be compared."),
    Action("results.compare", "c", "Compare", "Show the marked settings side by side: values, curves, logs."),
    Action("results.add", "a", "Repeats", "Add the repeats that would separate the setting from the best."),
    Action("results.copy", "y", "Copy", "Copy the table as Markdown."),
    Action("results.goal", "d", "Goal", "Reverse the goal of the metric, in this pane only.", shown=False),
    Action("results.incomplete", "i", "Incomplete", "Let settings that lack values be the best, or not.", shown=False),
    Action("results.refresh", "ctrl+r,f5", "Refresh", "Read the results again now.", shown=False),
)
HELP: Final = """
One row per setting: its mean with the confidence interval, best first. `★ best`, and `≈ tied` for all that do not
differ significantly; `= best` for those with a single value that is as good. Several values of one setting come from
`repeat`, or from a parameter named `seed`. They are drawn over one axis: `●` the mean, `├ ┤` its interval, a dot for
each value, `│` the mean of the baseline. `5/6 ✗1` are five values of six, for one task failed.

`b` makes the setting under the cursor the baseline: each other one shows its difference with interval, a verdict, the
corrected p and the ratio. Of a setting that is tied, the lower line says how many further repeats would probably
separate it from the best, and `a` runs them. Who looks, adds and looks again finds differences a little more often than
the level says. Enter lists the tasks of a setting. `s` on a metric's column ranks by it.

`space` marks two to five settings, and `c` shows them side by side: what they differ in, their curves, their
differences from the baseline or else from the best of them, and a log of each. There the logs scroll together: to the
same line where they have equally many, else by the same progress. `L` lets each scroll for itself, `i` shows pictures
in their place, `m` compares by the next metric, `|` and `+` arrange.

The same on the command line: `tui-lab stats`.
"""
ROOMS: Final = {"results-list": Room(72, 3), "results-detail": Room(40, 3), "results-chart": Room(44, 2)}
ARRANGEMENTS: Final[tuple[Arrangement, ...]] = (
    (("results-list", "results-chart"),),
    (("results-list", "results-detail"),),
    (("results-list", "results-detail"), ("results-chart",)),
)
CSS: Final = """
ResultsPane {
    & #results-detail { height: auto; }
    & #results-how { height: auto; max-height: 2; padding: 0 1; }
    & #results-table { height: 1fr; }
    & #results-importance { height: auto; max-height: 2; padding: 0 1; }
    & #results-notes { height: auto; max-height: 5; padding: 0 1; }
    &.short #results-how, &.short #results-importance { max-height: 1; }
    &.short #results-notes { max-height: 2; }
    &.tiny #results-how, &.tiny #results-detail { display: none; }
    &.short #results-how, &.short #results-importance, &.short #results-notes {
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    & #results-message { height: 1fr; display: none; }
    &.empty #results-message { display: block; }
    &.empty #results-table, &.empty #results-how, &.empty #results-importance { display: none; }
}
"""


NO_CHART: Final = Empty("The metric over the parameters is drawn here", "app.tasks", "shows the tasks")
PAUSE: Final = 2.0
"""Seconds at least between two looks at a run that goes on."""
SHARE: Final = 5
"""And so many times as long as the last look took: the rest of the machine belongs to the tasks."""
SHORT: Final = 30
TINY: Final = 16  # lines below which the table needs the room of the notes
"""Lines of the screen below which the words around the table are cut."""
_GOALS: Final[dict[Goal | None, Goal]] = {None: "max", "max": "min", "min": "max"}


class SettingsTable(FrameTable):
    """Leaves `y` to the pane, which copies all rows."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "pass_on", show=False)]

    class Resized(FrameTable.TableMessage):
        """It has another size."""

    def on_resize(self) -> None:
        super().on_resize()
        self.post_message(self.Resized(self))

    def action_pass_on(self) -> None:
        raise SkipAction


class ResultsPane(Pane):
    """The pane with the settings of the current experiment, best first."""

    NAME = "results"
    TITLE = "Results"
    ACTIONS = ACTIONS
    HELP = HELP
    DEFAULT_CSS = CSS

    def __init__(self) -> None:
        super().__init__(classes="empty")
        self._requests: dict[str, ViewRequest] = {}
        self.chart = LinkedChart(id="results-chart", empty=NO_CHART)
        self._view: View | None = None
        self._rows: Rows | None = None
        self._charted: Charted | None = None  # as the rows have their marks
        self._asked: tuple[str, ViewRequest, int] | None = None
        self._looking = False
        self._next = 0.0
        self._later: Timer | None = None
        self._plot_width = 0
        self._offer: Offer | None = None

    def compose(self) -> ComposeResult:
        how, message = Static(id="results-how"), Static(id="results-message")
        yield PanelRow(
            Panel(
                how, SettingsTable(id="results-table", key=KEY, frozen=2), message, title="Results", id="results-list"
            ),
            Panel(Static(id="results-importance"), Static(id="results-notes"), id="results-detail"),
            self.chart,
            rooms=ROOMS,
            arrangements=ARRANGEMENTS,
            chosen=self.lab_app.arrangements(self.NAME),
        )

    def on_mount(self) -> None:
        self.table.rests_on_first = True
        self.on_resize()
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.show(self.lab_app.snapshot)

    def focus_first(self) -> None:
        shown = self.query(SettingsTable) and not self.has_class("empty")
        (self.table if shown else self).focus()

    def on_resize(self) -> None:
        self.set_class(self.app.size.height < SHORT, "short")
        self.set_class(self.app.size.height < TINY, "tiny")

    @property
    def table(self) -> SettingsTable:
        """The table of settings."""
        return self.query_one(SettingsTable)

    @property
    def request(self) -> ViewRequest:
        """What is shown of the present experiment."""
        return self._requests.get(self.lab_app.current or "", ViewRequest())

    def place(self) -> object:
        return self.request, self.table.sort_by, self.table.key_at(self.table.cursor_row)

    def go(self, place: object) -> None:
        match place:
            case (ViewRequest() as request, order, setting):
                self.table.sort_by = (str(order[0]), bool(order[1])) if isinstance(order, tuple) else None
                self.table.go_to(setting)
                if request != self.request and self.lab_app.current is not None:
                    self._requests[self.lab_app.current] = request
                    self.show(self.lab_app.snapshot)
                elif self._view is not None and self._view.experiment == self.lab_app.current:
                    self._draw()

    # --- Reading

    def show(self, snapshot: LabSnapshot) -> None:
        if not self.query(SettingsTable):
            return
        experiment = snapshot.experiment(self.lab_app.current)
        if snapshot.lab is None or experiment is None:
            self._asked = None
            self._say(nothing(snapshot, Empty("No results yet", *NO_EXPERIMENT)))
            return
        asked = (experiment.name, self.request, experiment.revision)
        if self.lab_app.charted is not self._charted:
            self._charted = self.lab_app.charted
            if self._shown is not None and self._view is not None and self._view.experiment == experiment.name:
                self._fill(self._view, *self._shown)
        if asked == self._asked:
            return
        new = self._asked is None or asked[:2] != self._asked[:2]
        if self._looking and not new:
            return  # the look that is under way calls this again
        wait = 0.0 if new else self._next - time.monotonic()
        if wait > 0:
            if self._later is None:
                self._later = self.set_timer(wait, self._again)
            return
        self._asked = asked
        if self._view is None or self._view.experiment != experiment.name:
            self.table.rest()
            self.table.marked.clear()
            self._say(reading := f"reading {experiment.name} …", reading)
        self._looking = True
        if new:
            self.hold_keys()
        self._make_view(asked)

    def _again(self) -> None:
        self._later = None
        if self.is_on_screen:
            self.show(self.lab_app.snapshot)

    @work(thread=True, exclusive=True, group="results")
    def _make_view(self, asked: tuple[str, ViewRequest, int]) -> None:
        lab = self.lab_app.lab
        if lab is None:
            return
        name, request, revision = asked
        began = time.monotonic()
        view = make_view(lab.path / name, request, revision, self.lab_app.key("results.incomplete"))
        took = time.monotonic() - began
        deliver(self, self._take, view, took)

    def _take(self, view: View, took: float) -> None:
        self._looking = False
        self._next = time.monotonic() + max(PAUSE, SHARE * took)
        if view.experiment != self.lab_app.current:
            return
        if self._asked is not None and view.request != self._asked[1]:
            # What was wished for can't be had any more.
            self._requests[view.experiment] = view.request
            self._asked = (view.experiment, view.request, view.revision)
            self.lab_app.tell("the baseline or the parameters are no longer in the results", "warning")
        self._view = view
        self._draw()
        self.let_keys_go()
        self._again()

    def worker_failed(self, text: str) -> None:
        self.let_keys_go()
        if self._looking:
            self._looking = False
            if self._view is None:
                self._say(text)

    def _change_request(self, **changes: Any) -> None:
        name = self.lab_app.current
        if name is not None:
            self._requests[name] = replace(self.request, **changes)
            self.show(self.lab_app.snapshot)

    # --- Showing

    def _say(self, said: Instead, chart: Instead | None = None) -> None:
        """Show this in place of the table. chart: and this in place of the chart, if not what would be there."""
        if self.table.has_focus:
            self.focus()  # the table is about to go
        self.set_class(True, "empty")
        self.query_one("#results-list", Panel).set_title(Content(self.lab_app.current or "Results"))
        self.query_one("#results-detail", Panel).set_title("")
        self.query_one(PanelRow).set_present("results-detail", False)
        message = self.query_one("#results-message", Static)
        message.update(content(said, self.lab_app.config.ascii, keys_of(self), message.content_size.width))
        self.query_one("#results-notes", Static).update("")
        self.query_one("#results-importance", Static).display = False
        self._view = self._rows = None
        self.chart.follow(None, chart)

    def _draw(self) -> None:
        view = self._view
        assert view is not None
        report, metric = view.report, view.metric
        if report is None or metric is None:
            message, texts = view.message, notes(view)
            self._say(Empty(message.rstrip("."), "app.tasks", "shows the tasks"))
            self.query_one(PanelRow).set_present("results-detail", bool(texts))
            self.query_one("#results-notes", Static).update(texts)
            return
        self.set_class(False, "empty")
        self.query_one(PanelRow).set_present("results-detail", True)
        if self.has_focus:
            self.table.focus()
        drawn = drawing_of(report, metric)
        self.chart.follow(drawn.subject(report) if drawn is not None else None)
        self.query_one("#results-list", Panel).set_title(title(report, metric, view))
        self.query_one("#results-how", Static).update(how(report, metric, self.lab_app.key("results.goal")))
        self.query_one("#results-notes", Static).update(notes(view))
        importance = self.query_one("#results-importance", Static)
        importance.display = view.explained is not None
        if view.explained is not None:
            single = all(sample.n < 2 for sample in metric.samples)
            importance.update(importance_line(view.explained, single))
        self._fill(view, report, metric)

    def _fill(self, view: View, report: Report, metric: MetricReport) -> None:
        """Put the settings into the table."""
        self._plot_width = plot_width(self._room)
        charted = self._charted if self._charted is not None and self._charted.experiment == view.experiment else None
        places = self._sorted(report, metric, view.places)
        self._rows = rows(report, metric, places, view.front, self._room, charted)
        self.table.set_frame(self._rows.frame, columns=self._rows.columns)

    @property
    def _room(self) -> int:
        return self.table.scrollable_content_region.width

    @on(SettingsTable.Resized)
    def _fit(self, event: SettingsTable.Resized) -> None:
        event.stop()
        if self._shown is not None and plot_width(self._room) != self._plot_width:
            self._draw()

    def _sorted(self, report: Report, metric: MetricReport, places: tuple[int, ...]) -> list[int]:
        """Return the places in the order of a parameter, if the user sorted by one; else best first."""
        order = self.table.sort_by
        name = self._rows.parameters.get(order[0]) if order is not None and self._rows is not None else None
        if order is None or name not in report.settings.by:
            self.table.sort_by = None
            return list(places)
        values = report.settings.keys[name]
        known = [place for place in places if values[place] is not None]
        known.sort(key=lambda place: values[place], reverse=order[1])
        return [*known, *(place for place in places if values[place] is None)]

    @property
    def _shown(self) -> tuple[Report, MetricReport] | None:
        view = self._view
        return None if view is None or view.report is None or view.metric is None else (view.report, view.metric)

    def _here(self) -> int | None:
        """Return the place of the setting under the cursor."""
        row = self.table.row(self.table.cursor_row)
        return None if row is None else int(row[PLACE])

    # --- Keys

    @on(FrameTable.HeaderSelected)
    def _header(self, event: FrameTable.HeaderSelected) -> None:
        event.stop()
        if self._rows is None or self._view is None:
            return
        if event.column in self._rows.metrics:
            self.table.sort_by = None
            self._change_request(metric=self._rows.metrics[event.column])
        elif event.column in self._rows.parameters:
            self.table.sort_by = next_order(self.table.sort_by, event.column)
            self._draw()

    @on(FrameTable.RowHighlighted)
    def _highlighted(self, event: FrameTable.RowHighlighted) -> None:
        event.stop()
        here = self.query_one("#results-detail", Panel)
        if self._shown is None or event.row is None:
            here.set_title("")
            here.set_subtitle("")
            self._offer = None
            return
        place = int(event.row[PLACE])
        here.set_title(setting(*self._shown, place))
        self._offer = offer(*self._shown, place, self.lab_app.key("results.by"))
        here.set_subtitle(self._offer.sentence if self._offer is not None else "")

    @on(FrameTable.RowSelected)
    def _selected(self, event: FrameTable.RowSelected) -> None:
        event.stop()
        view = self._view
        if view is None or view.report is None:
            return
        report = view.report
        self.lab_app.show_tasks(view.experiment, condition(report, int(event.row[PLACE])))

    def action_metric(self, step: int = 1) -> None:
        if self._shown is not None and self._view is not None:
            names = self._view.metrics
            self._change_request(metric=names[(names.index(self._shown[1].name) + step) % len(names)])

    def action_previous_metric(self) -> None:
        self.action_metric(-1)

    def action_baseline(self) -> None:
        place = self._here()
        if self._shown is None or place is None:
            return
        report = self._shown[0]
        if not report.settings.by:
            self.lab_app.tell("there is a single setting: nothing to compare with", "warning")
        elif place == report.baseline:
            self._change_request(baseline=None)
        else:
            self._change_request(baseline=condition(report, place))
            self.lab_app.tell(f"baseline: {words(report, place)}")

    def action_mark(self) -> None:
        self.table.toggle_mark()

    def action_compare(self) -> None:
        """Show the marked settings side by side; one that is marked alone, with the one under the cursor."""
        shown, here, lab = self._shown, self._here(), self.lab_app.lab
        if shown is None or lab is None:
            return
        report, metric = shown
        marked = [place for place in metric.order if key(report, place) in self.table.marked]
        if len(marked) == 1 and here is not None and here not in marked:
            marked.append(here)
        if not FEWEST <= len(marked) <= MOST:
            said = f"marks {FEWEST} to {MOST} settings to compare: {len(marked)} are marked"
            self.lab_app.tell(f"{self.lab_app.key('results.mark')} {said}")
            return
        self.app.push_screen(Comparing(lab, ComparedSettings(report, metric, tuple(marked))))

    def action_add(self) -> None:
        """Open the file with the repeats that the setting needs, and ask whether to run them."""
        found = self._offer
        if found is None:
            self.lab_app.tell("it can't be said how many repeats would help here", "information")
        elif found.reason or not found.tasks:
            self.lab_app.tell(found.reason or found.sentence, "information")
        elif self.lab_app.lab is not None:
            self._add(self.lab_app.lab, found)

    @work(thread=True, exclusive=True, group="results-add")
    def _add(self, lab: Lab, found: Offer) -> None:
        try:
            path = lab.experiment(found.report.name).file()
            text = path.read_text(encoding="utf-8-sig")
            changed = set_repeat(text, str(path), found.repeat).applied(text)
        except (LabError, SpecError, OSError, UnicodeDecodeError) as error:
            self.lab_app.tell(str(error), "error")
            return
        origin = f"with {found.question}"
        self.app.call_from_thread(self.lab_app.open_text, path, changed, origin, found.choice)

    @work(exclusive=True, group="results-ask")
    async def action_by(self) -> None:
        if self._shown is None or self._view is None:
            return
        names, chosen = self._view.vary, self._shown[0].settings.by
        if not names:
            self.lab_app.tell("no parameter varies", "warning")
            return
        by = await self.app.push_screen_wait(ParametersDialog(names, chosen))
        if by is not None:
            self._change_request(by=None if by == names else by, baseline=None)

    @work(exclusive=True, group="results-ask")
    async def action_pareto(self) -> None:
        if self._shown is None:
            return
        if self.request.front is not None:
            self._change_request(front=None)
            return
        report, metric = self._shown
        others = [one.name for one in report.metrics if one.goal is not None and one is not metric]
        if metric.goal is None or not others:
            self.lab_app.tell(
                "a front needs two metrics with a goal: `goal: max` or `goal: min` in the file", "warning"
            )
            return
        chosen = others[0]
        if len(others) > 1:
            question = f"Pareto front of {metric.name} and"
            picked: str | None = await self.app.push_screen_wait(MetricDialog(question, others))
            chosen = picked or ""
        if chosen:
            self._change_request(front=chosen)

    def action_goal(self) -> None:
        if self._shown is not None:
            metric = self._shown[1]
            self._change_request(goals={**self.request.goals, metric.name: _GOALS[metric.goal]})

    def action_incomplete(self) -> None:
        if self._shown is not None:
            self._change_request(incomplete=not self.request.incomplete)
            self.lab_app.tell(
                "settings that lack values may be the best"
                if self.request.incomplete
                else "only complete settings can be the best"
            )

    def action_plot(self) -> None:
        if self._shown is None:
            return
        report, metric = self._shown
        drawn = drawing_of(report, metric)
        if drawn is None:
            self.lab_app.tell(f"{metric.name} can't be drawn", "warning")
        else:
            self.lab_app.open_chart(drawn.frame, drawn.title, drawn.request)

    def action_copy(self) -> None:
        if self._shown is None or self._view is None:
            return
        from tui_lab.results.export.output import write

        report, metric = self._shown
        ordered = replace(report, metrics=[metric, *(one for one in report.metrics if one is not metric)])
        text = io.StringIO()
        write(paper_table(ordered), "markdown", stream=text)
        self.lab_app.copy(text.getvalue(), "the table as Markdown")

    def action_refresh(self) -> None:
        self._asked = None
        self.show(self.lab_app.snapshot)
