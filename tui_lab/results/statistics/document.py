"""A report as a JSON document, and the tables of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

import polars as pl

from tui_lab.experiment.data_types import JsonObject
from tui_lab.experiment.model import Repeat
from tui_lab.results.statistics.errors import StatisticsError
from tui_lab.results.statistics.frame import frame
from tui_lab.results.statistics.importance import Importance, as_rows
from tui_lab.results.statistics.intervals import as_dict
from tui_lab.results.statistics.pareto import front
from tui_lab.results.statistics.report import Report, Standing

_UNDECIDED: Final[tuple[Standing, ...]] = ("tied", "untested", "incomplete")
"""Settings that may be the best in truth."""


def method(report: Report) -> JsonObject:
    """Return how the numbers of a report were computed."""
    return {
        "level": report.options.level,
        "interval": as_dict(report.options.bootstrap),
        "ddof": 1,
        "ratio": "Fieller",
        "quartiles": "linear interpolation (type 7)",
        "correction": report.options.correction,
        "paired": report.paired,
        "where": report.options.where,
        "allow_incomplete": report.options.allow_incomplete,
        "not_corrected_for": ["the choice of the best", *uncorrected(report)],
    }


def uncorrected(report: Report) -> list[str]:
    """Return what the intervals are not corrected for: `until` checks the interval repeatedly, and stops where it
    happens to be narrow."""
    return ["repeated looks (until)"] if isinstance(report.results.spec.repeat, Repeat) else []


def pareto_front(report: Report) -> list[bool]:
    """Whether each setting is on the front of the first two metrics. Raises StatisticsError without their
    goals."""
    first, second = report.metrics[:2]
    for metric in (first, second):
        if metric.goal is None:
            raise StatisticsError(f"{metric.name} has no goal; say --goal {metric.name}=min or {metric.name}=max")
    means = [(a.mean, b.mean) for a, b in zip(first.exact, second.exact, strict=True)]
    return front(means, (first.goal or "min", second.goal or "min"))


def front_frame(report: Report, front: list[bool]) -> pl.DataFrame:
    """A row per setting: means and intervals of the metrics, and whether it is on the front."""
    keys = report.settings.keys if report.settings.by else pl.DataFrame({"setting": ["all"]})
    columns = []
    for metric in report.metrics:
        for name in ("mean", "low", "high"):
            values = [getattr(summary, name) for summary in metric.summaries]
            columns.append(pl.Series(f"{metric.name}_{name}", values, dtype=pl.Float64))
    frame = pl.concat([keys, pl.DataFrame([*columns, pl.Series("front", front)])], how="horizontal")
    return frame[pl.Series(report.metrics[0].order, dtype=pl.UInt32)]


def importance_frame(explained: dict[str, Importance | None]) -> pl.DataFrame:
    """A row for each metric and part of its variance."""
    rows = [{"metric": name, **row} for name, found in explained.items() if found is not None for row in as_rows(found)]
    return pl.DataFrame(rows, schema={"metric": pl.String, "part": pl.String, "kind": pl.String, "share": pl.Float64})


def document_per(reports: Sequence[Report], texts: Sequence[list[str]]) -> JsonObject:
    """The documents on each value of a parameter; `texts` are the warnings of each."""
    name = reports[0].per[0] if reports[0].per else ""
    parts = [
        {"value": report.per[1] if report.per else None, **document(report, None, None, lines)}
        for report, lines in zip(reports, texts, strict=True)
    ]
    return {"experiment": reports[0].name, "per": name, "values": parts}


def document(
    report: Report, front: list[bool] | None, explained: dict[str, Importance | None] | None, texts: list[str]
) -> JsonObject:
    """Everything of a report. `front` and `explained` are left out where they are None; `texts` are
    warnings."""
    best: dict[str, JsonObject] = {}
    for metric in report.metrics:
        if metric.best is not None:
            best[metric.name] = {"goal": metric.goal, "setting": report.settings.label(metric.best)}
            for standing in _UNDECIDED:
                places = [place for place in metric.order if metric.standing(place) == standing]
                best[metric.name][standing] = [report.settings.label(place) for place in places]
    differ = {metric.name: asdict(metric.anova) for metric in report.metrics if metric.anova is not None}
    found: JsonObject = {
        "experiment": report.name,
        "by": list(report.settings.by),
        "averaged_over": list(report.settings.averaged),
        **method(report),
        "settings": frame(report).to_dicts(),
        "best": best,
        "anova": differ,
        "deterministic": [metric.name for metric in report.metrics if metric.known.deterministic],
        "warnings": texts,
    }
    if front is not None:
        found["pareto"] = [report.settings.label(place) for place, on in enumerate(front) if on]
    if explained is not None:
        found["importance"] = importance_frame(explained).to_dicts()
    return found
