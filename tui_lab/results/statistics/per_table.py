"""The best settings per value of a parameter, as text that fits a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from tui_lab.results.plain import shown
from tui_lab.results.statistics.columns import Column, cut, table, wrapped
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.results.statistics.sample import Summary
from tui_lab.results.statistics.table import GOALS, finished, words
from tui_lab.results.statistics.text import (
    aligned,
    means_and_intervals,
    moved,
)


def per_lines(reports: Sequence[Report], name: str, width: int) -> Iterator[Text]:
    """The best setting by one metric for each value of a parameter, a row each."""
    found = [next(metric for metric in report.metrics if metric.name == name) for report in reports]
    first, metric = reports[0], found[0]
    parameter = first.per[0] if first.per else ""
    unit = f" [{metric.unit}]" if metric.unit else ""
    head = Text.assemble((metric.name + unit, "bold"), f", {GOALS[metric.goal]}: the best setting per {parameter}")
    if first.settings.averaged:
        head.append(f", averaged over {', '.join(first.settings.averaged)}")
    if first.options.where is not None:
        head.append(f", where {first.options.where}")
    yield head
    if metric.goal is None:
        yield Text(f"--goal {metric.name}=max (or min) says what is best", style="dim")
        return
    places = [one.best for one in found]
    summaries = [Summary(0) if place is None else one.exact[place] for one, place in zip(found, places, strict=True)]
    texts = means_and_intervals([one.ends for one in summaries], found[0].known.step)
    means = [moved(text.rstrip(), one.offset) for text, one in zip(texts, found, strict=True)]
    values = ["null" if report.per is None or report.per[1] is None else shown(report.per[1]) for report in reports]
    columns = [
        Column(cut(parameter), [cut(value) for value in values]),
        Column(f"best mean ± {first.options.level * 100:g} %", [mean or "! none" for mean in means]),
        Column("n", ["" if p is None else finished(one, p) for one, p in zip(found, places, strict=True)], right=True),
        Column("settings", [f"{report.settings.count:,}" for report in reports], right=True, keep=1),
    ]
    for mark, standing in (("≈", "tied"), ("?", "untested"), ("!", "incomplete")):
        if standing == "incomplete":
            counts = [sum(map(one.incomplete, one.order)) for one in found]
        else:
            counts = [sum(one.standing(place) == standing for place in one.order) for one in found]
        if any(counts):
            columns.append(Column(standing, [f"{mark} {count:,}" if count else "" for count in counts], keep=9))
    yield from table(columns, _best_parameters(reports, places), width)
    note = f"each {parameter} is judged separately; "
    common = _common(reports, found)
    note += f"best or tied for every {parameter}: {', or '.join(common)}" if common else ""
    if not common:
        note += f"no setting is best or tied for every {parameter}"
    yield from wrapped(f"{note}; all settings: --format csv".split(" "), width)


def _best_parameters(reports: Sequence[Report], places: Sequence[int | None]) -> list[Column]:
    columns = []
    for name in reports[0].settings.by:
        values = [
            "" if place is None else shown(report.settings.label(place)[name])
            for report, place in zip(reports, places, strict=True)
        ]
        numeric = reports[0].settings.keys[name].dtype.is_numeric()
        texts = [cut(text) for text in values]
        columns.append(Column(cut(name), aligned(texts) if numeric else texts, right=numeric))
    return columns


def _common(reports: Sequence[Report], found: Sequence[MetricReport], most: int = 3) -> list[str]:
    """The settings that are best or tied in all reports, the first ones."""
    sets = [
        {words(report, place): None for place in one.order if one.tied(place)}
        for report, one in zip(reports, found, strict=True)
    ]
    common = [label for label in sets[0] if all(label in one for one in sets)]
    return [*common[:most], *([f"{len(common) - most:,} more"] if len(common) > most else [])]
