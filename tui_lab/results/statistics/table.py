"""A report as text: lines that fit a terminal, best setting first."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl
from rich.cells import cell_len
from rich.text import Text

from tui_lab.experiment.model import Repeat
from tui_lab.results.plain import digits, read, shown
from tui_lab.results.precision import telling
from tui_lab.results.statistics.columns import Column, cut, table, wrapped
from tui_lab.results.statistics.comparison import Comparison
from tui_lab.results.statistics.importance import Importance
from tui_lab.results.statistics.intervals import interval_name
from tui_lab.results.statistics.report import MetricReport, Report
from tui_lab.results.statistics.sample import Summary
from tui_lab.results.statistics.text import (
    aligned,
    brackets,
    even,
    even_brackets,
    even_values,
    exact,
    joined,
    means_and_intervals,
    moved,
    number,
    p_value,
    share,
)

GOALS: Final = {"max": "more is better", "min": "less is better", None: "no goal"}
_MARKS: Final = {
    "best": ("★ best", "bold green"),
    "tied": ("≈ tied", ""),
    "equal": ("= best", ""),
    "worse": ("  worse", "dim"),
    "untested": ("?", "dim"),
    "incomplete": ("! incomplete", "yellow"),
    "base": ("◆ base", "bold cyan"),
    "": ("", ""),
}
_OWN: Final = ("n", "sd", "median", "min", "max", "q1", "q3", "p", "NaN", "infinite", "null", "failed", "open")
"""Columns of the table itself: a parameter of such a name is shown with `in_`, as everywhere."""
VERDICTS: Final = {
    "better": ("▲ better", "green"),
    "worse": ("▼ worse", "red"),
    "can't tell": ("· can't tell", "dim"),
    None: ("", ""),
}
CORRECTIONS: Final = {"holm": "Holm", "bh": "Benjamini-Hochberg", "bonferroni": "Bonferroni", "none": "none"}
_METHODS: Final = {"Brown-Forsythe": "Brown and Forsythe", "blocks": "in blocks of pairs"}
NOTHING_SCATTERS: Final = (
    "every repeat of every setting gives the same value: a deterministic program, an ignored seed, or coarse printing; "
    "nothing is tested"
)
_EXACT: Final = 5  # digits of a parameter's value up to which it is shown as it is,
_LEAST: Final = 4  # and to which it is rounded, or more
_ALIKE: Final = 1e3  # sizes of values, one to the other, up to which they have equally many places
_BAR: Final = 30


def metric_lines(report: Report, metric: MetricReport, width: int, limit: int) -> Iterator[Text]:
    """The table of one metric: `limit` rows (0: all), among them always the baseline."""
    yield _heading(report, metric)
    order = metric.order
    places = order if not limit else order[:limit]
    if report.baseline is not None and report.baseline not in places:
        places = [*places, report.baseline]
    columns = [_marks(report, metric, places), *_values(report, metric, places)]
    yield from table(columns, parameter_columns(report, places), width)
    if len(places) < len(order):
        yield Text(f"{len(order) - len(places):,} more settings: --limit 0 shows all", style="dim")
    yield from _legend(report, metric, width)


def _heading(report: Report, metric: MetricReport) -> Text:
    unit = f" [{metric.unit}]" if metric.unit else ""
    count = report.settings.count
    words = f", {GOALS[metric.goal]}: {count:,} setting{'' if count == 1 else 's'}"
    if report.settings.averaged:
        words += f", averaged over {', '.join(report.settings.averaged)}"
    if report.options.where is not None:
        words += f", where {report.options.where}"
    return Text.assemble((metric.name + unit, "bold"), words)


def _marks(report: Report, metric: MetricReport, places: Sequence[int]) -> Column:
    marks: list[str] = []
    for place in places:
        if place == metric.best:
            marks.append("best")
        elif place == report.baseline:
            marks.append("base")
        else:
            standing = "equal" if place in metric.equal else metric.standing(place)
            lacking = "incomplete" if metric.incomplete(place) else ""
            marks.append(standing if standing in _MARKS and not (lacking and standing == "worse") else lacking)
    texts = [_MARKS[mark][0] + (of_equal(metric) if mark == "best" else "") for mark in marks]
    return Column("", texts, styles=[_MARKS[mark][1] for mark in marks])


def of_equal(metric: MetricReport) -> str:
    """Return what follows `★ best` where others have its mean and no test tells them apart, as in ` (1 of 40)`."""
    return f" (1 of {len(metric.equal) + 1:,})" if metric.equal else ""


def _values(report: Report, metric: MetricReport, places: Sequence[int]) -> Iterator[Column]:
    summaries = [metric.exact[place] for place in places]
    yield from _means(report, metric, summaries, f"{report.options.level * 100:g} %")
    yield Column("n", [finished(metric, place) for place in places], right=True, keep=9)
    for title, counts in lacking(metric, places):
        yield Column(title, counts, right=True, keep=8)
    if report.baseline is not None:
        yield from _differences(report, metric, places)
    yield Column("sd", aligned([number(one.sd) for one in summaries]), right=True, keep=4)
    for title, keep, value in (
        ("median", 3, [one.median for one in summaries]),
        ("min", 2, [one.min for one in summaries]),
        ("max", 2, [one.max for one in summaries]),
        ("q1", 1, [one.q1 for one in summaries]),
        ("q3", 1, [one.q3 for one in summaries]),
    ):
        texts = [moved(text, metric.offset) for text in even_values(value, metric.known.step)]
        yield Column(title, aligned(texts), right=True, keep=keep)


def finished(metric: MetricReport, place: int) -> str:
    """`6`, or `1/6` where a setting has fewer values than it was asked for."""
    n, asked = metric.summaries[place].n, metric.asked[place].asked
    return str(n) if n >= asked else f"{n}/{asked}"


def lacking(metric: MetricReport, places: Sequence[int]) -> Iterator[tuple[str, list[str]]]:
    """Yield how many values of each setting are missing, by reason, where any are."""
    summaries, asked = [metric.summaries[place] for place in places], [metric.asked[place] for place in places]
    for title, counts in (
        ("NaN", [one.not_finite[0][0] for one in summaries]),
        ("infinite", [one.not_finite[1][0] for one in summaries]),
        ("null", [one.n_null for one in summaries]),
        ("failed", [one.failed for one in asked]),
        ("open", [one.open for one in asked]),
    ):
        if any(counts):
            yield title, [str(count) if count else "" for count in counts]


def why_incomplete(metric: MetricReport, place: int) -> str:
    """Return a note such as `1 of 6 values (5 NaN)`."""
    reasons = [f"{counts[0]} {title}" for title, counts in lacking(metric, [place])]
    reasons = [reason.replace(" null", " without one").replace(" open", " not finished") for reason in reasons]
    why = f" ({', '.join(reasons)})" if reasons else ""
    return f"{metric.summaries[place].n} of {metric.asked[place].asked} values{why}"


ALLOW: Final = "--allow-incomplete"
"""Lets settings that lack values be the best."""


def incomplete_leaders(report: Report, metric: MetricReport, allow: str = ALLOW) -> str:
    """Return why the setting with the best mean is not called the best; empty where it is. allow: what lets it be."""
    places = metric.incomplete_leaders()
    if not places:
        return ""
    first = places[0]
    where = words(report, first) or "the only setting"
    why = f"{where} has {why_incomplete(metric, first)}"
    if metric.best is None:
        none = "no setting has all its values" if report.settings.count > 1 else "values are missing"
        return f"no best {metric.name}, because {none}: {why}; {allow} compares incomplete settings"
    mean = moved(exact(metric.exact[first].mean or 0.0), metric.offset)
    more = f" and {len(places) - 1:,} more like it" if len(places) > 1 else ""
    return f"{metric.name} of {mean} is not called the best, because {why}{more}; {allow} allows it"


def words(report: Report, place: int) -> str:
    """Return the name of a setting, such as `lr=0.1 optimizer=sgd`."""
    label = report.settings.label(place)
    return " ".join(f"{name}={'null' if value is None else cut(read(value))}" for name, value in label.items())


def even_means(metric: MetricReport, exact: Sequence[Summary]) -> list[tuple[str, str]]:
    """Means and half-widths of some of the metric's exact summaries, to equally many places."""
    pairs = even([(one.mean, one.half) for one in exact], metric.known.step)
    return [(moved(mean, metric.offset), half) for mean, half in pairs]


def mean_texts(metric: MetricReport, places: Sequence[int]) -> list[str]:
    """The means of settings with their intervals, as a column."""
    ends = [metric.exact[place].ends for place in places]
    return means_and_intervals(ends, metric.known.step, offset=metric.offset)


def _means(report: Report, metric: MetricReport, summaries: Sequence[Summary], level: str = "") -> Iterator[Column]:
    """Means with their intervals, which a bootstrap and shares need not make symmetric."""
    if report.options.bootstrap is None and not metric.known.binary:
        yield Column(
            f"mean ± {level or 'interval'}",
            joined(even_means(metric, summaries)),
        )
        return
    parts = [
        (moved(mean, metric.offset), moved(rest, metric.offset))
        for mean, rest in even_brackets([one.ends[:3] for one in summaries], metric.known.step)
    ]
    yield Column("mean", aligned([mean for mean, _ in parts]))
    yield Column(f"{level} interval".strip(), [rest for _, rest in parts])


def _differences(report: Report, metric: MetricReport, places: Sequence[int]) -> Iterator[Column]:
    found = [metric.comparisons[place] for place in places]
    known = [one or Comparison(None) for one in found]
    if report.options.bootstrap is None and not metric.known.binary:
        halves = [None if one.low is None or one.high is None else (one.high - one.low) / 2 for one in known]
        differences = [one.difference for one in known]
        parts = even(list(zip(differences, halves, strict=True)), metric.known.step, sign=True)
        yield Column("difference", joined(parts))
    else:
        parts = even_brackets([(one.difference, one.low, one.high) for one in known], metric.known.step)
        yield Column("difference", aligned([mean if mean[:1] in ("-", "") else f"+{mean}" for mean, _ in parts]))
        yield Column("its interval", [rest for _, rest in parts], keep=9)
    verdicts = [None if one is None else one.verdict(metric.goal, metric.level) for one in found]
    words, styles = ([VERDICTS[one][i] for one in verdicts] for i in (0, 1))
    yield Column("", words, styles=styles, short=[word[:1] for word in words])
    yield Column("p", aligned([p_value(one.p_adjusted) if one else "" for one in found]), keep=8)
    ratios = [brackets(one.ratio, one.ratio_low, one.ratio_high) if one else ("", "") for one in found]
    yield Column("ratio", aligned([ratio for ratio, _ in ratios]), right=True, keep=7)
    yield Column("its interval", [interval for _, interval in ratios], keep=5)
    yield Column("g", aligned([number(one.g, 3) if one else "" for one in found]), right=True, keep=6)
    yield Column("rank p", aligned([p_value(one.p_rank_adjusted) if one else "" for one in found]), keep=5)
    yield Column("delta", aligned([number(one.delta, 2) if one else "" for one in found]), right=True, keep=5)


def _legend(report: Report, metric: MetricReport, width: int) -> Iterator[Text]:
    notes = [] if metric.known.deterministic else [interval_note(report, metric)]
    if metric.goal is None:
        notes.append(f"--goal {metric.name}=max (or min) says what is best")
    elif metric.known.deterministic:  # which the warnings say
        notes += [f"≈ {tied:,} equal to the best"] if (tied := metric.count("tied")) else []
    elif verdict := verdict_text(report, metric):
        notes.append(verdict)
    if together := _together(metric):
        notes.append(together)
    if report.baseline is not None and metric.known.deterministic:
        notes.append("◆ baseline: ▲ better, ▼ worse, · equal")
    elif report.baseline is not None:
        ranks = "Wilcoxon" if report.paired else "Mann-Whitney"
        notes.append(f"◆ baseline: ▲ better, ▼ worse, · can't tell; p: {_test(report, metric)}")
        notes.append(f"ratio: Fieller's interval; rank p: {ranks}; g: Hedges; delta: Cliff")
    if notes:
        yield from wrapped("; ".join(notes).split(" "), width)


def interval_note(report: Report, metric: MetricReport) -> str:
    """Return which intervals these are, and what they are not corrected for."""
    said = f"interval: {interval_name(report.options.bootstrap, metric.known.binary)}"
    if metric.best is not None and report.settings.count > 1:
        said += ", that of the best not corrected for the choice of the best"
    if isinstance(report.results.spec.repeat, Repeat):
        said += ", none corrected for repeated looks (until)"
    return said


def _together(metric: MetricReport) -> str:
    """Return whether the settings differ at all; empty where that is unknown, or would contradict a single answer."""
    found = metric.anova
    if found is None or math.isnan(found.f):
        return ""
    verdicts = [one.verdict(metric.goal, metric.level) for one in metric.comparisons if one is not None]
    differ = "better" in verdicts or "worse" in verdicts
    if found.p >= 1 - metric.level:
        if differ:
            return ""
        said = "no sign that the settings differ at all"
    elif metric.best is None or metric.count("worse") or differ:
        said = "the settings differ"
    else:
        said = "some settings differ, though none significantly from the best"
    p = p_value(found.p)
    test = f"F({found.df_between:.3g}, {found.df_within:.3g}) = {number(found.f)}"
    return f"{said} (analysis of variance, {_METHODS[found.method]}: {test}, p {p if p.startswith('<') else '= ' + p})"


def verdict_text(report: Report, metric: MetricReport, brief: bool = False) -> str:
    """Return which settings differ from the best, and by which test; empty where there is no best one, or no other."""
    if metric.best is None or report.settings.count < 2:
        return ""
    tied, equal = metric.count("tied"), len(metric.equal)
    untested = metric.count("untested") - equal
    if metric.known.deterministic:
        same = f"≈ {tied:,} equal to the best; " if tied else ""
        return f"{same}{NOTHING_SCATTERS}"
    said = []
    if tied:
        said.append(f"≈ {tied:,} tied with the best ({_test(report, metric, brief)})")
    elif metric.count("worse") == report.settings.count - 1:
        said.append(f"all others differ from the best ({_test(report, metric, brief)})")
    elif worse := metric.count("worse"):
        said.append(f"{worse:,} differ from the best ({_test(report, metric, brief)})")
    if equal:
        said.append(f"= {equal:,} equal to the best, not tested: too few repeats")
    if untested:
        said.append(f"? {untested:,} not tested: too few repeats")
    if short := sum(map(metric.incomplete, metric.order)):
        said.append(f"! {short:,} incomplete")
    return "; ".join(said)


def _test(report: Report, metric: MetricReport, brief: bool = False) -> str:
    if metric.known.binary:
        test = "McNemar's exact test" if report.paired else "Fisher's exact test"
    else:
        test = "paired t" if report.paired else "Welch's t"
    correction = CORRECTIONS[report.options.correction]
    tests = sum(p is not None for p in metric.p_best) - 1
    return f"{test}, {correction} over {tests:,}" if brief else f"{test}, correction: {correction}"


def parameter_texts(values: pl.Series) -> list[str]:
    """The values of a parameter: computed floats with as many digits as it takes to tell them apart, at least four, and
    to equally many places where their sizes are alike. Where the sizes are not, or some value has a power of ten, one
    notation for all: so their points stand below each other."""
    known = [one for one in values.drop_nulls().unique() if math.isfinite(one)] if values.dtype.is_float() else []
    powers = any("e" in shown(one) for one in known)
    if not powers and not any(digits(one) > _EXACT for one in known):
        return ["null" if one is None else shown(one) for one in values]
    count = next((n for n in range(_LEAST, 17) if len({f"{one:.{n}g}" for one in known}) == len(known)), 17)
    sizes = [abs(one) for one in known if one]
    if not powers and max(sizes) < min(sizes) * _ALIKE:
        places = max(0, count - 1 - math.floor(math.log10(min(sizes))))
        while places > 1 and all(f"{one:.{places}f}"[-1] == "0" for one in known):
            places -= 1
        fixed = {one: f"{one:z.{places}f}" for one in known}
    else:
        how = telling(known)
        fixed = {one: how.text(one) for one in known}
    return ["null" if one is None else fixed.get(one) or shown(one) for one in values]


def parameter_columns(report: Report, places: Sequence[int]) -> list[Column]:
    """Return the columns with the parameters of these settings."""
    keys = report.settings.keys
    columns = []
    for name in report.settings.by:
        known = parameter_texts(keys[name])
        texts = [cut(known[place]) for place in places]
        numeric = keys[name].dtype.is_numeric()
        title = f"in_{name}" if name in _OWN else name
        columns.append(Column(cut(title), aligned(texts) if numeric else texts, right=numeric))
    return columns


def best_lines(report: Report, metrics: Sequence[MetricReport], width: int) -> Iterator[Text]:
    """The best setting by each metric, a row each."""
    known = [metric for metric in metrics if metric.best is not None]
    if not known:
        return
    places = [metric.best for metric in known if metric.best is not None]
    ties = [metric.count("tied") for metric in known]
    yield Text("best setting by metric", style="bold")
    columns = [
        Column("metric", [metric.name for metric in known]),
        Column("goal", [metric.goal or "" for metric in known]),
        Column("mean", [mean_texts(metric, [place])[0] for metric, place in zip(known, places, strict=True)]),
        Column("tied", [f"≈ {count:,}" if count else "" for count in ties], keep=1),
    ]
    yield from table(columns, parameter_columns(report, places), width)
    rest = [metric.name for metric in metrics if metric.goal is None]
    if rest:
        yield from wrapped(f"no goal: {', '.join(rest)} (--goal NAME=max or NAME=min)".split(" "), width)


def pareto_lines(
    report: Report, metrics: tuple[MetricReport, MetricReport], on: Sequence[bool], width: int
) -> Iterator[Text]:
    """Yield the lines that show the Pareto front. on: which settings belong to it."""
    places = [place for place in metrics[0].order if on[place]]
    names = " and ".join(f"{metric.name} ({metric.goal})" for metric in metrics)
    yield Text(f"Pareto front of {names}: {len(places):,} of {report.settings.count:,} settings", style="bold")
    columns = [
        Column(
            metric.name,
            mean_texts(metric, places),
        )
        for metric in metrics
    ]
    yield from table(columns, parameter_columns(report, places), width)


def importance_lines(name: str, found: Importance | None, width: int, single: bool) -> Iterator[Text]:
    """Bars of shares; `single`: settings have one value each."""
    yield Text(f"what explains {name}: shares of its variance", style="bold")
    if found is None:
        yield Text("  it does not vary")
        return
    rest = "interactions and noise" if single else "interactions"
    rows = [*found.parameters.items(), (rest, found.interactions)]
    rows += [] if single else [("repeats (noise)", found.repeats)]
    longest = max(cell_len(name) for name, _ in rows)
    bar = max(5, min(_BAR, width - longest - 14))
    for part, value in rows:
        style = "cyan" if part in found.parameters else "dim"
        line = Text(f"  {part}{' ' * (longest - cell_len(part))}  {share(value):>7}  ")
        line.append("█" * round(bar * value), style=style)
        line.rstrip()
        yield line
    notes = ["main effects of an additive model, averaged over all orders (LMG)"]
    notes += [f"{', '.join(found.binned)} in five ranges"] if found.binned else []
    notes += (
        [f"left out, because each setting has its own value: {', '.join(found.left_out)}"] if found.left_out else []
    )
    yield from wrapped("; ".join(notes).split(" "), width, "  ")
