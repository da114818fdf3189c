"""The statistics of settings as the rows of a table on screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from tui_lab.experiment.data_types import Row
from tui_lab.results.plain import shown
from tui_lab.results.sql.text import is_equal
from tui_lab.results.statistics.comparison import Verdict
from tui_lab.results.statistics.report import MetricReport, Report, Standing
from tui_lab.results.statistics.table import even_means, finished, lacking, mean_texts, parameter_texts
from tui_lab.results.statistics.text import aligned, even, joined, number, p_value
from tui_lab.tui.widgets.table.cells import visible
from tui_lab.tui.widgets.table.table import Column

KEY: Final = "setting"
"""Column that tells a setting apart, whatever order it is in."""
PLACE: Final = "place"
"""Column with its place in the report."""
_VERDICTS: Final[dict[Verdict | None, str]] = {
    "better": "▲ better",
    "worse": "▼ worse",
    "can't tell": "≈ can't tell",
    None: "",
}
_STANDINGS: Final[dict[Standing | None, str]] = {
    "best": "★ best",
    "tied": "≈ tied",
    "untested": "?",
    "incomplete": "! incomplete",
}
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
) -> Rows:
    """Return the settings in `places`, in that order. current: the metric that they are ranked by."""
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

    add(" ", [mark(report, current, place, front) for place in places], style=_tone)
    metrics[add(metric_title(report, current, "▾"), _means(current, places), style=_bold)] = current.name
    add("n", [finished(current, place) for place in places], align="right", style=_short)
    for title, counts in lacking(current, places):
        add(title, counts, align="right", style=_warn)
    if report.baseline is not None:
        for title, cells, look in _differences(current, places):
            add(title, cells, **look)
    for name in report.settings.by:
        values = report.settings.keys[name]
        texts = parameter_texts(values)
        cells = [texts[place] for place in places]
        numeric = values.dtype.is_numeric()
        title = f"in_{name}" if name in {column.label for column in columns} else name
        parameters[add(title, aligned(cells) if numeric else cells, align="right" if numeric else None)] = name
    for metric in report.metrics:
        if metric is not current:
            metrics[add(metric_title(report, metric), _other_means(metric, current, places))] = metric.name
    return Rows(pl.DataFrame(data), tuple(columns), metrics, parameters)


def metric_title(report: Report, metric: MetricReport, mark: str = "") -> str:
    """Return the title of a metric's column, with its unit and the confidence level."""
    unit = f" [{metric.unit}]" if metric.unit else ""
    return f"{metric.name}{unit} ± {report.options.level * 100:g} %{mark and ' ' + mark}"


def mark(report: Report, metric: MetricReport, place: int, front: Sequence[bool] | None = None) -> str:
    """Return the standing of a setting, as a sign and a word."""
    words = []
    if front is not None and front[place]:
        words.append("◇ front")
    words += [_STANDINGS[standing]] if (standing := metric.standing(place)) in _STANDINGS else []
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
    yield "ratio", aligned([number(one.ratio) if one else "" for one in found]), {}


def _tone(text: str) -> str:
    return "muted" if "can't" in text else _TONES.get(text[:1], "")


def _bold(text: str) -> str:
    return "muted" if text == "no value" else "bold"


def _short(text: str) -> str:
    return "warning" if "/" in text else ""


def _warn(text: str) -> str:
    return "warning"


# --- Which setting


def key(report: Report, place: int) -> str:
    """Return a text by which a setting is found again."""
    return " ".join(f"{name}={value!r}" for name, value in report.settings.label(place).items())


def words(report: Report, place: int) -> str:
    """Return the name of a setting, such as `lr=0.1 optimizer=sgd`."""
    label = report.settings.label(place)
    said = [f"{name}={'null' if value is None else shown(value)}" for name, value in label.items()]
    return visible(" ".join(said)) or "the only setting"


def condition(report: Report, place: int) -> str:
    """Return a SQL condition for the tasks of a setting; empty where there is a single setting."""
    parts = [is_equal(name, value) for name, value in report.settings.label(place).items()]
    return " AND ".join(parts)
