"""Some settings side by side: the parameters that differ, their curves, their differences, and a log of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

import polars as pl
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.results.charts.choice import choose
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Chart, ChartError, Request, Source
from tui_lab.results.charts.registry import CURVES
from tui_lab.results.charts.sources import source_of
from tui_lab.results.plain import shown
from tui_lab.results.statistics.comparison import ComparisonMethod, against, ranked
from tui_lab.results.statistics.power import MOST, needed
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.results.statistics.text import brackets, interval, number, p_value
from tui_lab.store.errors import LabError
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.results.rows import words
from tui_lab.tui.widgets.log.choice import TaskDetail
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.plot.plot import Plot
from tui_lab.tui.widgets.table.cells import visible

FEWEST: Final = 2
MOST_SETTINGS: Final = 5
LETTERS: Final = "ABCDE"
_TONES: Final = {"better": "$text-success", "worse": "$text-error"}


@dataclass(frozen=True)
class Compared:
    """What the settings differ in, as texts; and a task of each, None where it has none with a value."""

    parameters: Content
    differences: Content
    chart: Chart | str
    """The curves, or why there are none."""
    tasks: tuple[TaskDetail | None, ...]


def compare(report: Report, metric: MetricReport, places: Sequence[int]) -> Compared:
    """Compare some settings of a report, by one metric. Blocks. Raises LabError, SpecError."""
    return Compared(
        _parameters(report, places),
        _differences(report, metric, places),
        _curves(report, metric, places),
        tuple(_detail(report, metric, place) for place in places),
    )


def _parameters(report: Report, places: Sequence[int]) -> Content:
    """Return a table of the parameters whose values are not all equal."""
    labels = [report.settings.label(place) for place in places]
    rows = [["setting", *LETTERS[: len(places)]]]
    for name in report.settings.by:
        values = [visible("null" if label[name] is None else shown(label[name]), 40) for label in labels]
        if len(set(values)) > 1:
            rows.append([visible(name, 40), *values])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows]
    return Content("\n").join([Content.styled(lines[0], "bold"), *map(Content, lines[1:])])


def _differences(report: Report, metric: MetricReport, places: Sequence[int]) -> Content:
    """Return the differences of the others from the one with the best mean, each with its interval and a verdict."""
    samples, exact = [metric.samples[place] for place in places], [metric.exact[place] for place in places]
    first = ranked(exact, metric.goal)[0]
    options = report.options
    how = ComparisonMethod(metric.level, options.correction, report.paired, metric.known, offset=metric.offset)
    found = against(samples, exact, first, how)
    lines = []
    for at, place in enumerate(places):
        summary = metric.summaries[place]
        half = summary.half
        mean = interval(summary.mean, half) if summary.mean is not None and half else number(summary.mean)
        said = [f"{LETTERS[at]}  {mean or 'no value'}  n {summary.n}"]
        tone, one = "", found[at]
        if at == first:
            said.append("the others are compared with it")
        elif one is not None and one.difference is not None:
            difference, ends = number(one.difference), ""
            if one.low is not None and one.high is not None:
                difference, ends = brackets(one.difference, one.low, one.high)
            verdict = one.verdict(metric.goal, metric.level)
            tone = _TONES.get(verdict or "", "")
            said.append(f"{'+' if one.difference > 0 else ''}{difference} {ends}".rstrip())
            said += [verdict] if verdict else []
            said += [f"p {p_value(one.p_adjusted)}"] if one.p_adjusted is not None else []
            guess = needed(metric, place, places[first], report.paired) if verdict == "can't tell" else None
            if guess is not None:
                said.append(f"about {max(guess.more)} more repeats" if guess.total else f"more than {MOST} repeats")
        lines.append(Content.styled("  ".join(said), tone))
    several = f", corrected for {len(places) - 1} comparisons" if len(places) > FEWEST else ""
    lines.append(Content.styled(f"{metric.name}{several}", MUTED))
    return Content("\n").join(lines)


def _curves(report: Report, metric: MetricReport, places: Sequence[int]) -> Chart | str:
    """Return the curves of the settings in one chart, of the metric if it has steps, else of the first that has."""
    nothing = "no curves: metrics by step are drawn here"
    results = report.results
    try:
        source, _ = source_of(results, CURVES)
    except (ChartError, LabError, OSError) as error:
        return str(error)
    names = {task: LETTERS[at] for at, place in enumerate(places) for task in metric.samples[place].tasks}
    frame = source.frame
    if not names or not frame.height or "task_id" not in frame.columns:
        return nothing
    frame = frame.filter(pl.col("task_id").is_in([*names])).with_columns(
        pl.col("task_id").replace_strict(names, default=None, return_dtype=pl.String).alias("\0setting")
    )
    frame = frame.sort("\0setting", maintain_order=True)
    numeric = [name for name in source.metrics if frame[name].dtype.is_numeric() and frame[name].count()]
    if not numeric or not frame.height:
        return nothing
    y = next((name for name in (results.metrics.get(metric.name, metric.name),) if name in numeric), numeric[0])
    steps = [name for name in frame.columns if name == "step"]
    own = Source(frame.select(*steps, "\0setting", y, "task_id").rename({"\0setting": "setting"}), ("setting",), (y,))
    try:
        request = Request(CURVES, {"y": y, "hue": "setting"})
        return make(Request(CURVES, choose(request, own)), own)
    except ChartError as error:
        return str(error)


def _detail(report: Report, metric: MetricReport, place: int) -> TaskDetail | None:
    """Return the first task of a setting."""
    tasks = metric.samples[place].tasks
    if not tasks:
        return None
    folder, task = report.results.folder, tasks[0]
    facts = folder.task_record(task)
    return TaskDetail(
        experiment=folder.name,
        task=task,
        state=facts["state"],
        folder=folder.task_folder(task),
        address=f"{folder.name}/{task}",
        reason=facts["reason"],
        exit_code=facts["exit_code"],
        signal=facts["signal"],
        attempts=facts["attempts"],
        node=facts["node"],
        duration=facts["duration"],
        steps=tuple(dict.fromkeys(step.name for step in folder.spec_of(task).steps)) or (None,),
    )


class ComparingSettings(ModalScreen[None]):
    """The settings over the whole screen; `escape` goes back."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Back")]
    DEFAULT_CSS = """
    ComparingSettings {
        background: $background;
        & > VerticalScroll { height: 1fr; }
        & .side { height: 1fr; min-height: 9; }
        & .side > Panel { min-width: 24; }
        & .side > #compare-curves { width: 2fr; }
        & Static { padding: 0 1; }
        & LogPanel > #log-command { display: none; }
    }
    """

    def __init__(self, report: Report, metric: MetricReport, places: Sequence[int]) -> None:
        super().__init__()
        self._report, self._metric, self._places = report, metric, tuple(places)

    def compose(self) -> ComposeResult:
        with VerticalScroll(can_focus=False):
            with Horizontal(classes="side"):
                with Panel(title="Parameters that differ", id="compare-parameters"):
                    yield Static("reading")
                with Panel(title=f"{self._metric.name} by step", id="compare-curves"):
                    yield Plot()
            with Panel(title="Differences", id="compare-differences"):
                yield Static()
            with Horizontal(classes="side", id="compare-logs"):
                for letter, _ in zip(LETTERS, self._places, strict=False):
                    yield LogPanel(id=f"compare-{letter}")

    def on_mount(self) -> None:
        names = [f"{letter} {words(self._report, place)}" for letter, place in zip(LETTERS, self._places, strict=False)]
        self.query_one("#compare-parameters", Panel).set_subtitle("esc goes back")
        self.query_one("#compare-differences", Panel).set_title(Content(f"Differences  {', '.join(names)}"))
        differences = self.query_one("#compare-differences")
        differences.styles.height = len(self._places) + 3
        self.query_one(Plot).ascii = host_of(self).config.ascii
        self.query_one("#compare-A", LogPanel).view.focus()
        self._compare()

    @work(thread=True, exclusive=True, group="compare")
    def _compare(self) -> None:
        try:
            found = compare(self._report, self._metric, self._places)
        except (LabError, SpecError, OSError) as error:
            deliver(self, self._failed, str(error))
        else:
            deliver(self, self._show, found)

    def _failed(self, problem: str) -> None:
        self.query_one("#compare-parameters Static", Static).update(Content(problem))

    def _show(self, found: Compared) -> None:
        self.query_one("#compare-parameters Static", Static).update(found.parameters)
        self.query_one("#compare-differences Static", Static).update(found.differences)
        plot = self.query_one(Plot)
        if isinstance(found.chart, str):
            plot.say(found.chart)
        else:
            self.query_one("#compare-curves", Panel).set_title(found.chart.y.label + " by step")
            plot.show_chart(found.chart)
        for letter, detail in zip(LETTERS, found.tasks, strict=False):
            panel = self.query_one(f"#compare-{letter}", LogPanel)
            if detail is None:
                panel.clear("no task with a value")
            else:
                panel.open(detail)

    def action_leave(self) -> None:
        self.dismiss(None)
