"""What some settings differ in: their parameters, their differences with intervals, their curves, a task of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from textual.content import Content

from tui_lab.client.formatting import plural
from tui_lab.results.charts.colours import Palette
from tui_lab.results.charts.columns import coded
from tui_lab.results.charts.model import Chart, ChartError
from tui_lab.results.charts.registry import CURVES
from tui_lab.results.charts.sources import source_of
from tui_lab.results.plain import shown
from tui_lab.results.statistics.comparison import Comparison, ranked
from tui_lab.results.statistics.power import MOST, needed
from tui_lab.results.statistics.report import Chosen, MetricReport, Report
from tui_lab.results.statistics.table import NOTHING_SCATTERS
from tui_lab.results.statistics.text import brackets, interval, number, p_value
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.comparing.model import LETTERS, Compared, Paint, Subject, curves, table
from tui_lab.tui.panes.results.rows import words
from tui_lab.tui.tasks.detail import read_detail
from tui_lab.tui.tasks.frame import TaskSource
from tui_lab.tui.widgets.log.choice import TaskDetail
from tui_lab.tui.widgets.table.cells import visible

_TONES: Final = {"better": "$text-success", "worse": "$text-error"}
_WIDEST: Final = 24
"""Cells of a parameter's value."""


@dataclass(frozen=True)
class ComparedSettings(Subject):
    """Some settings of a report. metric: the one that they are compared by at first."""

    report: Report
    metric: MetricReport
    places: tuple[int, ...]

    @property
    def count(self) -> int:
        """The number of settings."""
        return len(self.places)

    def compare(self, lab: Lab, metric: str | None, paint: Paint) -> Compared:
        """Compare them. metric: by default the one that leads. Blocks. Raises LabError, SpecError, OSError."""
        report, places = self.report, self.places
        by = next((one for one in report.metrics if one.name == metric), self.metric)
        colors = colors_of(paint.palette, report, places)
        styles = tuple(map(paint.style, colors))
        return Compared(
            tuple(one.name for one in report.metrics),
            by.name,
            _parameters(report, places, styles),
            *_differences(report, by, places, styles),
            _curves(report, by, places, colors),
            _tasks(lab, report, by, places),
            styles,
        )


def colors_of(palette: Palette, report: Report, places: Sequence[int]) -> list[int]:
    """Return the numbers of the colours of settings: those that charts have for the parameter that tells them apart,
    where it is a single one."""
    keys = report.settings.keys
    telling = [name for name in report.settings.by if keys[name].gather(list(places)).n_unique() == len(places)]
    if len(telling) == 1:
        names, codes = coded(keys[telling[0]])
        return palette.indices(report.name, telling[0], [names[int(codes[place])] for place in places])
    return palette.indices(report.name, "\0setting", [words(report, place) for place in places])


def _parameters(report: Report, places: Sequence[int], styles: Sequence[str]) -> Content:
    """Return a table of the parameters whose values are not all equal, a row for each setting."""
    labels = [report.settings.label(place) for place in places]
    columns = [[" ", *LETTERS[: len(places)]]]
    for name in report.settings.by:
        values = [visible("null" if label[name] is None else shown(label[name]), _WIDEST) for label in labels]
        if len(set(values)) > 1:
            columns.append([visible(name, _WIDEST), *values])
    return table(columns, styles)


def _differences(
    report: Report, metric: MetricReport, places: Sequence[int], styles: Sequence[str]
) -> tuple[Content, Content]:
    """Return the differences of the others from the baseline, or else from the one with the best mean, each with its
    interval and a verdict; and how they were tested."""
    exact = [metric.exact[place] for place in places]
    first = places.index(report.baseline) if report.baseline in places else ranked(exact, metric.goal)[0]
    chosen = report.chosen(metric, places, first)
    found, tests = chosen.comparisons, chosen.tests
    rows, tones = [], []
    for at, place in enumerate(places):
        summary, one = metric.summaries[place], found[at]
        mean = interval(summary.mean, summary.half) if summary.mean is not None and summary.half else ""
        asked = metric.asked[place].asked
        row = [LETTERS[at], mean or number(summary.mean) or "no value"]
        row.append(f"{summary.n}/{asked}" if asked > summary.n else str(summary.n))
        verdict = None
        if at == first:
            row += ["baseline" if place == report.baseline else "", "", ""]
        elif one is None or one.difference is None:
            row += ["", "", ""]
        else:
            verdict = one.verdict(metric.goal, metric.level)
            p = "" if one.p_adjusted is None else p_value(one.p_adjusted)
            row += [_difference(one), f"{p} ({one.pairs} pairs)" if one.pairs is not None else p, verdict or ""]
        guess = needed(metric, place, places[first], report.paired, tests) if verdict == "can't tell" else None
        if guess is not None:
            more = max(guess.more)
            row[-1] += f": about {more} more repeats" if guess.total else f": more than {MOST} repeats"
        rows.append(row)
        tones.append(_TONES.get(verdict or "", ""))
    heads = [" ", metric.name, "n", f"difference from {LETTERS[first]}", "p", ""]
    text = table([list(column) for column in zip(heads, *rows, strict=True)], styles, tones)
    return text, Content.styled(_how(report, metric, chosen), MUTED)


def _difference(one: Comparison) -> str:
    assert one.difference is not None
    sign = "+" if one.difference > 0 else ""
    if one.low is None or one.high is None:
        return f"{sign}{number(one.difference)}"
    difference, ends = brackets(one.difference, one.low, one.high)
    return f"{sign}{difference} {ends}"


def _how(report: Report, metric: MetricReport, chosen: Chosen) -> str:
    """Return which tests were made, and what they are corrected for."""
    tested = [one for one in chosen.comparisons if one is not None and one.p is not None]
    if not tested:
        return NOTHING_SCATTERS if metric.known.deterministic else "a single value of a setting allows no test"
    if metric.known.binary:
        paired, unpaired = "McNemar's exact test", "Fisher's exact test"
    else:
        paired, unpaired = "paired t", "Welch's t"
    names = dict.fromkeys(unpaired if one.pairs is None else paired for one in tested)
    said = f"{' and '.join(names)}; each interval {100 * metric.level:g} % by itself"
    if report.options.correction == "none":
        return f"{said}, and each p, too"
    corrected = f"corrected for {plural(chosen.tests, 'comparison')} ({report.options.correction.title()})"
    if chosen.of_all:
        return f"{said}; p and verdict as in Results, {corrected}"
    own = f"p and verdict {corrected}" if chosen.tests > 1 else "one comparison, not corrected"
    return f"{said}; {own}: Results corrects for all settings, and compares with its best"


def _curves(report: Report, metric: MetricReport, places: Sequence[int], colors: Sequence[int]) -> Chart | str:
    """Return the curves of the settings in one chart, of the metric if it has steps, else of the first that has."""
    results = report.results
    try:
        source, _ = source_of(results, CURVES)
    except (ChartError, LabError, OSError) as error:
        return str(error)
    names = {task: LETTERS[at] for at, place in enumerate(places) for task in metric.samples[place].tasks}
    wanted = results.metrics.get(metric.name, metric.name)
    return curves(source, names, wanted, dict(zip(LETTERS, colors, strict=False)))


def _tasks(lab: Lab, report: Report, metric: MetricReport, places: Sequence[int]) -> tuple[TaskDetail | None, ...]:
    """Return a task of each setting: all of the same pair where there is one, else the first of each."""
    samples = [metric.samples[place] for place in places]
    pair = min(set.intersection(*(set(sample.pairs) for sample in samples)), default=None)
    source = TaskSource(lab, report.name)
    found: list[TaskDetail | None] = []
    for place, sample in zip(places, samples, strict=True):
        if pair is not None:
            task: int | None = sample.tasks[sample.pairs.index(pair)]
        else:
            task = sample.tasks[0] if sample.tasks else _any_task(report, place)
        found.append(None if task is None else read_detail(source, task))
    return tuple(found)


def _any_task(report: Report, place: int) -> int | None:
    """Return a task of a setting without values."""
    conditions = [
        pl.col(name).eq_missing(pl.lit(value, dtype=report.settings.table[name].dtype))
        for name, value in report.settings.label(place).items()
    ]
    tasks = report.settings.table.filter(*conditions)["task_id"]
    return int(tasks[0]) if tasks.len() else None
