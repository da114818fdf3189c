"""Two experiments compared, as text that fits a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from tui_lab.results.plain import shown
from tui_lab.results.statistics.against import Against, MetricComparison
from tui_lab.results.statistics.columns import Column, cut, table, wrapped
from tui_lab.results.statistics.comparison import Comparison
from tui_lab.results.statistics.table import CORRECTIONS, GOALS, NOTHING_SCATTERS, VERDICTS
from tui_lab.results.statistics.text import (
    aligned,
    mean_and_interval,
    means_and_intervals,
    number,
    p_value,
)


def against_lines(found: Against, width: int, limit: int) -> Iterator[Text]:
    """A table for each metric."""
    for place, metric in enumerate(found.metrics):
        if place:
            yield Text()
        yield from _versus_lines(found, metric, width, limit)


def _versus_lines(found: Against, metric: MetricComparison, width: int, limit: int) -> Iterator[Text]:
    """The table of one metric of two experiments: `limit` settings (0: all), and what holds for all together."""
    unit = f" [{metric.unit}]" if metric.unit else ""
    count = len(metric.comparisons)
    words = f", {GOALS[metric.goal]}: {found.first.label} against {found.second.label}, "
    words += f"{count:,} setting{'' if count == 1 else 's'} of both"
    words += "" if found.options.where is None else f", where {found.options.where}"
    yield Text.assemble((metric.name + unit, "bold"), words)
    places = metric.order if not limit else metric.order[:limit]
    shown_ones = [metric.comparisons[place] for place in places]
    verdicts = [metric.verdict(one) for one in shown_ones]
    marks = [
        VERDICTS[verdict] if verdict or one.p_adjusted is not None or one.sure else ("?", "dim")
        for verdict, one in zip(verdicts, shown_ones, strict=True)
    ]
    columns = [Column("", [mark for mark, _ in marks], styles=[style for _, style in marks])]
    for side, label in enumerate((found.first.label, found.second.label)):
        summaries = [metric.summaries[side][place] for place in places]
        texts = means_and_intervals([one.ends for one in summaries], metric.known.step, offset=metric.offset)
        columns.append(Column(cut(label), texts))
        columns.append(Column("n", [str(one.n) for one in summaries], right=True, keep=9))
    ends = [
        (one.difference, one.low, one.high, None if one.low is None or one.high is None else (one.high - one.low) / 2)
        for one in shown_ones
    ]
    columns.append(Column("difference", means_and_intervals(ends, metric.known.step, sign=True)))
    columns.append(Column("p", aligned([p_value(one.p_adjusted) for one in shown_ones]), keep=8))
    columns.append(Column("ratio", aligned([number(one.ratio, 4) for one in shown_ones]), right=True, keep=4))
    columns.append(Column("rank p", aligned([p_value(one.p_rank_adjusted) for one in shown_ones]), keep=3))
    columns.append(Column("g", aligned([number(one.g, 3) for one in shown_ones]), right=True, keep=2))
    yield from table(columns, _keys(metric, places), width)
    if len(places) < count:
        yield Text(f"{count - len(places):,} more settings: --limit 0 shows all", style="dim")
    yield from wrapped(_against_notes(found, metric).split(" "), width)


def _keys(metric: MetricComparison, places: Sequence[int]) -> list[Column]:
    columns = []
    for name in metric.keys.columns:
        values = metric.keys[name].gather(list(places))
        texts = [cut("null" if value is None else shown(value)) for value in values]
        numeric = values.dtype.is_numeric()
        columns.append(Column(cut(name), aligned(texts) if numeric else texts, right=numeric))
    return columns


def _difference(found: Comparison) -> str:
    text = mean_and_interval(found.difference, found.low, found.high)
    return text if text[:1] in ("-", "0", "") and not (found.difference or 0) > 0 else f"+{text}"


def _against_notes(found: Against, metric: MetricComparison) -> str:
    """Return the result for all settings together, and its tests."""
    notes = []
    if metric.overall is not None:
        verdict = metric.verdict(metric.overall)
        said = f": {VERDICTS[verdict][0]}" if verdict is not None else ""
        p = p_value(metric.overall.p)
        value = f"p {p if p.startswith('<') else '= ' + p}, " if p else ""
        notes.append(f"overall {_difference(metric.overall)}{said} ({value}{metric.method})")
    counts = [metric.verdict(one) for one in metric.comparisons]
    if len(counts) > 1 and metric.goal is not None:
        listed = [f"{counts.count(one)} {one}" for one in ("better", "worse", "can't tell") if counts.count(one)]
        listed += [f"{counts.count(None)} not tested: too few repeats"] if counts.count(None) else []
        notes.append(f"{found.first.label} by setting: {', '.join(listed)}")
    if metric.known.deterministic:
        notes.append(NOTHING_SCATTERS)
    else:
        test = ("McNemar's exact test" if metric.paired else "Fisher's exact test") if metric.known.binary else None
        test = test or ("paired t" if metric.paired else "Welch's t")
        pairs = ", within pairs of equal seeds or repeats" if metric.paired else ""
        many = f", correction: {CORRECTIONS[found.options.correction]}" if len(counts) > 1 else ""
        notes.append(f"p of a setting: {test}{pairs}{many}")
    if metric.goal is None:
        notes.append(f"--goal {metric.name}=max (or min) says what is better")
    return "; ".join(notes)
