"""What some settings differ in: their parameters, their differences with intervals, their curves, a task of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import polars as pl
from textual.content import Content

from tui_lab.results.charts.choice import choose
from tui_lab.results.charts.colours import Palette
from tui_lab.results.charts.columns import coded
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Chart, ChartError, Request, Source
from tui_lab.results.charts.registry import CURVES
from tui_lab.results.charts.sources import source_of
from tui_lab.results.plain import shown
from tui_lab.results.statistics.comparison import Comparison, ComparisonMethod, against, ranked
from tui_lab.results.statistics.power import MOST, needed
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.results.statistics.table import NOTHING_SCATTERS
from tui_lab.results.statistics.text import brackets, interval, number, p_value
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab
from tui_lab.tui.base.formatting import MUTED
from tui_lab.tui.panes.results.rows import words
from tui_lab.tui.tasks.detail import read_detail
from tui_lab.tui.tasks.frame import TaskSource
from tui_lab.tui.widgets.log.choice import TaskDetail
from tui_lab.tui.widgets.table.cells import visible

LETTERS: Final = "ABCDE"
_TONES: Final = {"better": "$text-success", "worse": "$text-error"}
_WIDEST: Final = 24
"""Cells of a parameter's value."""


@dataclass(frozen=True)
class Compared:
    """What the settings differ in, as texts; and a task of each, None where it has none with a value."""

    parameters: Content
    differences: Content
    how: Content
    """How the differences were tested."""
    chart: Chart | str
    """The curves, or why there are none."""
    tasks: tuple[TaskDetail | None, ...]


def compare(
    lab: Lab, report: Report, metric: MetricReport, places: Sequence[int], colors: Sequence[int], styles: Sequence[str]
) -> Compared:
    """Compare some settings of a report, by one metric. colors, styles: of each setting, in charts and in texts.
    Blocks. Raises LabError, SpecError."""
    return Compared(
        _parameters(report, places, styles),
        *_differences(report, metric, places, styles),
        _curves(report, metric, places, colors),
        _tasks(lab, report, metric, places),
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
    return _table(columns, styles)


def _table(columns: Sequence[Sequence[str]], styles: Sequence[str], tones: Sequence[str] = ()) -> Content:
    """Return columns of texts, the first line bold; the first column has the style of its row, the rest its tone."""
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row, texts in enumerate(zip(*columns, strict=True)):
        first, *rest = (text.ljust(width) for text, width in zip(texts, widths, strict=True))
        said = "  ".join(rest).rstrip()
        if row == 0:
            lines.append(Content.styled(f"{first}  {said}", "bold"))
        else:
            lines.append(Content.assemble((first, styles[row - 1]), "  ", (said, tones[row - 1] if tones else "")))
    return Content("\n").join(lines)


def _differences(
    report: Report, metric: MetricReport, places: Sequence[int], styles: Sequence[str]
) -> tuple[Content, Content]:
    """Return the differences of the others from the baseline, or else from the one with the best mean, each with its
    interval and a verdict; and how they were tested."""
    samples, exact = [metric.samples[place] for place in places], [metric.exact[place] for place in places]
    options = report.options
    first = places.index(report.baseline) if report.baseline in places else ranked(exact, metric.goal)[0]
    how = ComparisonMethod(metric.level, options.correction, report.paired, metric.known, offset=metric.offset)
    found = against(samples, exact, first, how)
    tests = sum(one is not None and one.p is not None for one in found)
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
    table = _table([list(column) for column in zip(heads, *rows, strict=True)], styles, tones)
    return table, Content.styled(_how(report, metric, found, tests), MUTED)


def _difference(one: Comparison) -> str:
    assert one.difference is not None
    sign = "+" if one.difference > 0 else ""
    if one.low is None or one.high is None:
        return f"{sign}{number(one.difference)}"
    difference, ends = brackets(one.difference, one.low, one.high)
    return f"{sign}{difference} {ends}"


def _how(report: Report, metric: MetricReport, found: Sequence[Comparison | None], tests: int) -> str:
    """Return which tests were made, and what they are corrected for."""
    if not tests:
        return NOTHING_SCATTERS if metric.known.deterministic else "a single value of a setting allows no test"
    if metric.known.binary:
        paired, unpaired = "McNemar's exact test", "Fisher's exact test"
    else:
        paired, unpaired = "paired t", "Welch's t"
    tested = [one for one in found if one is not None and one.p is not None]
    names = dict.fromkeys(unpaired if one.pairs is None else paired for one in tested)
    said = f"{' and '.join(names)}; each interval {100 * metric.level:g} %"
    if tests == 1 or report.options.correction == "none":
        return said + ("" if tests == 1 else " and each p by itself")
    return f"{said} by itself; p and verdict corrected for {tests} comparisons ({report.options.correction.title()})"


def _curves(report: Report, metric: MetricReport, places: Sequence[int], colors: Sequence[int]) -> Chart | str:
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
        chart = make(Request(CURVES, choose(request, own)), own)
    except ChartError as error:
        return str(error)
    number_of = {LETTERS[at]: color for at, color in enumerate(colors)}
    series = [
        replace(one, color=number_of.get(one.name, one.color), style=number_of.get(one.name, one.style))
        for one in chart.series
    ]
    return replace(chart, series=tuple(series))


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
