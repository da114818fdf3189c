"""The statistics of settings as the rows of a table on screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from tui_lab.client.formatting import STATE_MARKS
from tui_lab.experiment.data_types import Row
from tui_lab.results.plain import read
from tui_lab.results.sql.text import is_equal
from tui_lab.results.statistics.comparison import Verdict
from tui_lab.results.statistics.report import MetricReport, Report, Standing
from tui_lab.results.statistics.table import even_means, finished, mean_texts, of_equal, parameter_texts
from tui_lab.results.statistics.text import aligned, even, even_values, joined, moved, number, p_value
from tui_lab.tui.base.charted import Charted
from tui_lab.tui.panes.results.forest import Forest, forest
from tui_lab.tui.widgets.table.cells import visible
from tui_lab.tui.widgets.table.table import Column

KEY: Final = "setting"
"""Column that tells a setting apart, whatever order it is in."""
PLACE: Final = "place"
"""Column with its place in the report."""
RATIO: Final = 0.01
"""Step of the ratios: one more digit is written."""
FOREST: Final = "forest"
"""Column with the intervals drawn over one axis."""
WIDTHS: Final = ((100, 24), (60, 16))
"""Cells of the table from which that column has so many; the first of them grows."""
_VERDICTS: Final[dict[Verdict | None, str]] = {
    "better": "▲ better",
    "worse": "▼ worse",
    "can't tell": "≈ can't tell",
    None: "",
}
_STANDINGS: Final[dict[Standing | None, str]] = {
    "best": "★ best",
    "tied": "≈ tied",
    "worse": "  worse",
    "untested": "?",
    "incomplete": "! incomplete",
}
_EQUAL: Final = "= best"
"""Of settings that no test tells from the best, and whose mean is the same."""
_TONES: Final = {
    "★": "success",
    "◆": "primary",
    "◇": "accent",
    "▲": "success",
    "▼": "error",
    "!": "warning",
    "?": "muted",
}


@dataclass(frozen=True)
class Rows:
    """A frame with a row per setting, the format of its columns, and which of them belong together."""

    frame: pl.DataFrame
    columns: tuple[Column, ...]
    metrics: Mapping[str, str]
    """Column -> metric."""
    parameters: Mapping[str, str]
    """Column -> parameter."""


def rows(
    report: Report,
    current: MetricReport,
    places: Sequence[int],
    front: Sequence[bool] | None = None,
    room: int = WIDTHS[0][0],
    charted: Charted | None = None,
) -> Rows:
    """Return the settings in `places`, in that order. current: the metric that they are ranked by. room: cells of the
    table. charted: the values that have a colour in a chart."""
    data: dict[str, pl.Series] = {
        KEY: pl.Series([key(report, place) for place in places], dtype=pl.String),
        PLACE: pl.Series(list(places), dtype=pl.Int64),
    }
    columns: list[Column] = []
    metrics: dict[str, str] = {}
    parameters: dict[str, str] = {}

    def add(title: str, cells: Sequence[Any], **look: Any) -> str:
        name = f"c{len(columns)}"
        data[name] = pl.Series(list(cells), dtype=pl.String)
        columns.append(Column(name, title, **look))
        return name

    add(" ", marks(report, current, places, front), style=_tone)
    metrics[add(metric_title(report, current, "▾"), _means(current, places), style=_bold)] = current.name
    add("n", counts(current, places), style=_short)
    plot = forest(current, places, report.baseline) if plot_width(room) else None
    if plot is not None:
        data[FOREST] = pl.Series([_interval_text(current, place) for place in places], dtype=pl.String)
        columns.append(_forest_column(plot, room))
        metrics[FOREST] = current.name
    if report.baseline is not None:
        for title, cells, look in _differences(current, places):
            add(title, cells, **look)
    for name in report.settings.by:
        values = report.settings.keys[name]
        texts = parameter_texts(values)
        cells = [texts[place] for place in places]
        numeric = values.dtype.is_numeric()
        title = f"in_{name}" if name in {column.label for column in columns} else name
        cells = aligned(cells) if numeric else cells
        shape: dict[str, Any] = {"align": "right" if numeric else None}
        if charted is not None and charted.column == name:
            of = {text: values[place] for text, place in zip(cells, places, strict=True)}
            shape["format"] = lambda text, of=of: charted.marked(of[text], text)
        parameters[add(title, cells, **shape)] = name
    for metric in report.metrics:
        if metric is not current:
            metrics[add(metric_title(report, metric), _other_means(metric, current, places))] = metric.name
    return Rows(pl.DataFrame(data), tuple(columns), metrics, parameters)


def plot_width(room: int) -> int:
    """Return the least width of the drawn column in a table of so many cells; 0 where there is none."""
    return next((width for least, width in WIDTHS if room >= least), 0)


def _forest_column(plot: Forest, room: int) -> Column:
    draw = lambda row, width: plot.row(row[PLACE], width)  # noqa: E731
    return Column(FOREST, width=plot_width(room), draw=draw, head=plot.head, fill=room >= WIDTHS[0][0])


def _interval_text(metric: MetricReport, place: int) -> str:
    """Return the ends of an interval, for who copies the row."""
    found = metric.exact[place]
    low, high = number(found.low), number(found.high)
    return f"[{moved(low, metric.offset)}, {moved(high, metric.offset)}]" if low and high else ""


def metric_title(report: Report, metric: MetricReport, mark: str = "") -> str:
    """Return the title of a metric's column, with its unit and the confidence level."""
    unit = f" [{metric.unit}]" if metric.unit else ""
    return f"{metric.name}{unit} ± {report.options.level * 100:g} %{mark and ' ' + mark}"


def marks(
    report: Report, metric: MetricReport, places: Sequence[int], front: Sequence[bool] | None = None
) -> list[str]:
    """Return the standings of settings. Of tied ones below each other the first has the word, with their number where
    these are all."""
    found: list[str] = []
    tied = [metric.standing(place) == "tied" for place in places]
    for at, place in enumerate(places):
        text = mark(report, metric, place, front)
        word = _STANDINGS["tied"]
        if tied[at] and at and tied[at - 1]:
            text = text.replace(word, word[0])
        elif tied[at]:
            end = next((below for below in range(at, len(tied)) if not tied[below]), len(tied))
            text = text.replace(word, f"{word} ({end - at})" if 1 < end - at == sum(tied) else word)
        found.append(text)
    return found


def counts(metric: MetricReport, places: Sequence[int]) -> list[str]:
    """Return the numbers of values, such as `5/6 ✗1`: of how many that were requested, and why the others are not
    there."""
    summaries, asked = [metric.summaries[place] for place in places], [metric.asked[place] for place in places]
    if all(one.n >= two.asked for one, two in zip(summaries, asked, strict=True)):
        return aligned([str(one.n) for one in summaries])
    parts = aligned([f"{one.n}/{max(one.n, two.asked)}" for one, two in zip(summaries, asked, strict=True)])
    found = []
    for part, one, two in zip(parts, summaries, asked, strict=True):
        reasons = [(two.failed, f"{STATE_MARKS['failed']}{two.failed}")]
        reasons += [(count, f"{count} {title}") for count, title in one.not_finite]
        reasons += [(one.n_null, f"{one.n_null} null"), (two.open, f"{STATE_MARKS['pending']}{two.open}")]
        found.append(" ".join([part, *(text for count, text in reasons if count)]))
    return found


def mark(report: Report, metric: MetricReport, place: int, front: Sequence[bool] | None = None) -> str:
    """Return the standing of a setting, as a sign and a word."""
    words = []
    if front is not None and front[place]:
        words.append("◇ front")
    standing = metric.standing(place)
    if (standing not in _STANDINGS or standing == "worse") and metric.incomplete(place):
        standing = "incomplete"
    if place in metric.equal:
        words.append(_EQUAL)
    elif standing in _STANDINGS and not (standing == "worse" and place == report.baseline):
        words.append(_STANDINGS[standing] + (of_equal(metric) if standing == "best" else ""))
    if place == report.baseline:
        words.append("◆ base")
    return " ".join(words)


def _means(metric: MetricReport, places: Sequence[int]) -> list[str]:
    summaries = [metric.exact[place] for place in places]
    cells = mean_texts(metric, places) if metric.known.binary else joined(even_means(metric, summaries))
    return [cell if one.mean is not None else "no value" for cell, one in zip(cells, summaries, strict=True)]


def _other_means(metric: MetricReport, current: MetricReport, places: Sequence[int]) -> list[str]:
    """With the number of values where it is another than the column `n` says."""
    counts = [(finished(metric, place), finished(current, place)) for place in places]
    lines = ["" if own == other else f" (n {own})" for own, other in counts]
    width = max(map(len, lines), default=0)
    return [cell + more.ljust(width) for cell, more in zip(_means(metric, places), lines, strict=True)]


def _differences(metric: MetricReport, places: Sequence[int]) -> Iterator[tuple[str, list[str], Row]]:
    found = [metric.comparisons[place] for place in places]
    halves = [None if one is None or one.low is None or one.high is None else (one.high - one.low) / 2 for one in found]
    differences = [None if one is None else one.difference for one in found]
    parts = even(list(zip(differences, halves, strict=True)), metric.known.step, sign=True)
    verdicts = [None if one is None else one.verdict(metric.goal, metric.level) for one in found]
    yield "difference", joined(parts), {}
    yield " ", [_VERDICTS[verdict] for verdict in verdicts], {"style": _tone}
    yield "p", aligned([p_value(one.p_adjusted) if one else "" for one in found]), {}
    yield "ratio", aligned(even_values([one.ratio if one else None for one in found], RATIO)), {}


def _tone(text: str) -> str:
    return "muted" if text[:1] in ("≈", " ") else _TONES.get(text[:1], "")


def _bold(text: str) -> str:
    return "muted" if text == "no value" else "bold"


def _short(text: str) -> str:
    """Return the tone of counts such as `2/6 ·4`: what is still to come is no reason to warn."""
    n, _, rest = text.partition("/")
    asked, *lacking = rest.split() or [""]
    if not rest or n.strip() == asked:
        return ""
    return "muted" if all(part.startswith(STATE_MARKS["pending"]) for part in lacking) else "warning"


# --- Which setting


def key(report: Report, place: int) -> str:
    """Return a text by which a setting is found again."""
    return " ".join(f"{name}={value!r}" for name, value in report.settings.label(place).items())


def words(report: Report, place: int) -> str:
    """Return the name of a setting, such as `lr=0.1 optimizer=sgd`."""
    label = report.settings.label(place)
    said = [f"{name}={'null' if value is None else read(value)}" for name, value in label.items()]
    return visible(" ".join(said)) or "the only setting"


def condition(report: Report, place: int) -> str:
    """Return a SQL condition for the tasks of a setting; empty where there is a single setting."""
    parts = [is_equal(name, value) for name, value in report.settings.label(place).items()]
    return " AND ".join(parts)
