"""Warnings on a report: missing tasks, few repeats, equal values, outliers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from tui_lab.results.extraction.hints import too_slow
from tui_lab.results.numeric.whole_numbers import TOO_FAR_APART, beyond_floats
from tui_lab.results.plain import read
from tui_lab.results.statistics.intervals import FEWEST
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.results.statistics.sample import FENCE, outliers
from tui_lab.results.statistics.steps import split
from tui_lab.results.statistics.table import ALLOW, NOTHING_SCATTERS, incomplete_leaders
from tui_lab.store.spare import spare_tasks

FEW_REPEATS: Final = 5
APART: Final = 0.5
"""Share of its tasks that a setting may have on other nodes than the one it is compared with."""


def warnings(report: Report, metrics: Sequence[MetricReport] | None = None, allow: str = ALLOW) -> list[str]:
    """Return the warnings, one line each; only of some metrics where those are named. allow: what lets incomplete
    settings be the best."""
    metrics = report.metrics if metrics is None else metrics
    return [
        *_unfinished(report),
        *(texts for one in metrics if (texts := incomplete_leaders(report, one, allow))),
        *_repeats(report, metrics),
        *_equal(metrics),
        *_rounded(report, metrics),
        *_averages(report),
        *_values(metrics),
        *_outliers(metrics),
        *_nodes(report, metrics),
        *_lines(report, metrics),
    ]


def warnings_per(reports: Sequence[Report], texts: Sequence[Sequence[str]]) -> list[str]:
    """The warnings of the reports on each value of a parameter, each line once, with the values that it is of."""
    of_line: dict[str, list[str]] = {}
    for report, lines in zip(reports, texts, strict=True):
        value = read(report.per[1]) if report.per and report.per[1] is not None else "null"
        for line in lines:
            of_line.setdefault(line, []).append(value)
    name = reports[0].per[0] if reports[0].per else ""
    found = []
    for line, values in of_line.items():
        some = ",".join(values[:3]) + (f" and {len(values) - 3:,} more" if len(values) > 3 else "")
        found.append(line if len(values) == len(reports) else f"{name}={some}: {line}")
    return found


def _lines(report: Report, metrics: Sequence[MetricReport]) -> Iterator[str]:
    results = report.results
    for one in metrics:
        if one.name in results.slow_planned:
            yield str(too_slow(one.name, results.slow_planned[one.name]))
    if any(split(one.name) for one in metrics if one.name not in results.metrics):
        yield from results.left_out("steps", planned=True)


def _unfinished(report: Report) -> Iterator[str]:
    spare = pl.Series("task_id", spare_tasks(report.results.folder.state()))
    planned = report.results.planned.filter(~pl.col("task_id").is_in(spare.implode()))
    states = planned.filter(pl.col("state") != "done")["state"].value_counts(sort=True)
    if states.height:
        texts = ", ".join(f"{count:,} {state}" for state, count in states.rows())
        yield f"{states['count'].sum():,} of {planned.height:,} planned tasks are not included: {texts}"
    if report.settings.by:
        asked = planned.select(report.settings.by).unique(maintain_order=True)
        absent = asked.join(report.settings.keys, on=list(report.settings.by), how="anti", nulls_equal=True).height
        if absent:
            yield f"{absent:,} of {asked.height:,} settings {'has' if absent == 1 else 'have'} no finished task at all"


def _repeats(report: Report, metrics: Sequence[MetricReport]) -> Iterator[str]:
    counts = [
        max((one.summaries[place].n for one in report.metrics), default=0) for place in range(report.settings.count)
    ]
    single = sum(count == 1 for count in counts)
    if single:
        yield f"{_settings(single, len(counts))} a single value: no interval, and no difference can be shown"
    if all(one.known.binary or one.known.deterministic for one in metrics):
        return
    fewest = FEW_REPEATS if report.options.bootstrap is None else FEWEST
    trust = "intervals rest on a normal distribution"
    if report.options.bootstrap is not None:
        trust = "no bootstrap interval"
    few = sum(1 < count < fewest for count in counts)
    if few:
        yield f"{_settings(few, len(counts))} fewer than {fewest} values: {trust}"


def _equal(metrics: Sequence[MetricReport]) -> Iterator[str]:
    """Warn of settings without any spread."""
    for metric in metrics:
        flat = sum(one.sd == 0 for one in metric.summaries)
        if metric.known.deterministic:
            yield f"{metric.name}: {NOTHING_SCATTERS}"
        elif flat and not metric.known.binary:
            yield (
                f"{metric.name}: {_settings(flat, len(metric.samples))} equal values (chance, or printed in steps of "
                f"{metric.known.step:g}), which proves nothing: assumed to scatter like the others"
            )


def _rounded(report: Report, metrics: Sequence[MetricReport]) -> Iterator[str]:
    """Warn of whole numbers that floats can't distinguish."""
    for metric in metrics:
        column = report.results.metrics.get(metric.name, metric.name)
        if column in report.results.grid.columns and beyond_floats(report.results.grid[column]):
            yield f"{metric.name}: {TOO_FAR_APART}"


def _averages(report: Report) -> Iterator[str]:
    if report.settings.averaged:
        names = ", ".join(report.settings.averaged)
        yield f"averaged over {names}: ± and sd include their effect, not only the noise of repeats"


def _settings(count: int, all_: int) -> str:
    if count == all_:
        return "every setting has" if all_ > 1 else "the only setting has"
    return f"{count:,} of {all_:,} settings {'has' if count == 1 else 'have'}"


def _values(metrics: Sequence[MetricReport]) -> Iterator[str]:
    for metric in metrics:
        null = sum(one.n_null for one in metric.summaries)
        infinite = sum(one.n_infinite for one in metric.summaries)
        nan = sum(one.n_nan for one in metric.summaries) - infinite
        counted = ((null, "without a value"), (nan, "NaN"), (infinite, "infinite"))
        parts = [f"{count:,} {title}" for count, title in counted if count]
        if parts:
            said = " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
            yield f"{metric.name}: left out {said}"


def _outliers(metrics: Sequence[MetricReport]) -> Iterator[str]:
    for metric in metrics:
        found = [task for place in range(len(metric.samples)) for task in outlying_tasks(metric, place)]
        if found:
            tasks = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
            what, which = ("outlier", "task") if len(found) == 1 else ("outliers", "tasks")
            yield (
                f"{metric.name}: {len(found):,} {what}, kept: {which} {tasks} "
                f"(beyond {FENCE:g} interquartile ranges from the quartiles)"
            )


def outlying_tasks(metric: MetricReport, place: int) -> list[int]:
    """Tasks of one setting whose value is an outlier."""
    sample, summary = metric.samples[place], metric.exact[place]
    if summary.q1 is None or summary.q3 is None or not summary.outliers:
        return []
    return [sample.tasks[i] for i in outliers(sample.values, summary.q1, summary.q3)]


def _nodes(report: Report, metrics: Sequence[MetricReport]) -> Iterator[str]:
    nodes = report.settings.nodes()
    if len({node for one in nodes for node in one}) < 2:
        return
    what, reference = "the baseline", report.baseline
    if reference is None and metrics:
        what, reference = f"the best {metrics[0].name}", metrics[0].best
    if reference is not None:
        apart = [place for place in range(len(nodes)) if _distance(nodes[place], nodes[reference]) > APART]
        if apart:
            of = "setting" if len(apart) == 1 else "settings"
            yield (f"{len(apart):,} {of} ran mostly on other nodes than {what}: a difference may come from the nodes")


def _distance(a: dict[str, int], b: dict[str, int]) -> float:
    """Half the sum of differences of shares: 0 for the same nodes, 1 for none in common."""
    size_a, size_b = sum(a.values()), sum(b.values())
    if not size_a or not size_b:
        return 0.0
    return sum(abs(a.get(node, 0) / size_a - b.get(node, 0) / size_b) for node in {*a, *b}) / 2
