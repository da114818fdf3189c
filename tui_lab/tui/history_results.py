"""The results of two submissions, setting by setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from tui_lab.results.comparison import Goal, How, against
from tui_lab.results.settings import Settings, leading_metric, numeric_metrics, varying
from tui_lab.results.statistics import CONFIDENCE, Sample, Summary, describe
from tui_lab.results.statistics_resolution import Resolution, resolution
from tui_lab.results.statistics_text import means_and_intervals
from tui_lab.results.tables import Results, refresh
from tui_lab.results.whole_numbers import side_by_side
from tui_lab.store.experiment import ExperimentFolder

_NOTHING = Sample(())
LIKELY = 0.05  # p-values below this tell two means apart


@dataclass(frozen=True)
class Compared:
    """frame: a row per setting, those that differ most first. metric: what was compared, None where the two have
    none in common."""

    metric: str | None
    goal: Goal | None
    frame: pl.DataFrame
    same: bool = False  # both have the same tasks
    equal: int = 0  # settings with the same values on both sides, which have no row


def compare_results(first: tuple[ExperimentFolder, int], second: tuple[ExperimentFolder, int]) -> Compared:
    """Means of the leading metric in each setting. Each side is an experiment and the number of a plan.

    Raises LabError, SpecError.
    """
    results = [refresh(folder) for folder, _ in (first, second)]
    tables = [_done(one, side) for one, side in zip(results, (first, second), strict=True)]
    metric = _common_metric(results[0], results[1])
    if metric is None:
        return Compared(None, None, pl.DataFrame())
    wanted = dict.fromkeys([*varying(results[0]), *varying(results[1])])
    by = [name for name in wanted if all(name in one.parameters for one in results)]
    parts, offset = side_by_side([table[one.metrics[metric]] for table, one in zip(tables, results, strict=True)])
    sides = [_samples(table, by, part) for table, part in zip(tables, parts, strict=True)]
    known = resolution((sample.values for side in sides for sample in side.values()), offset)
    keys = list(dict.fromkeys([*sides[1], *sides[0]]))
    differing = [key for key in keys if not _equal(sides[0].get(key), sides[1].get(key))]
    told = [_row(sides[0].get(key), sides[1].get(key), known) for key in differing]
    means = [
        means_and_intervals([summaries[side].ends for summaries, _ in told], known.step, offset=offset)
        for side in (0, 1)
    ]
    rows = [
        {**dict(zip(by, key, strict=True)), **facts, "mean_1": first_mean, "mean_2": second_mean}
        for key, (_, facts), first_mean, second_mean in zip(differing, told, *means, strict=True)
    ]
    schema = dict.fromkeys(by, pl.String) | {
        "n_1": pl.Int64, "mean_1": pl.String, "n_2": pl.Int64, "mean_2": pl.String,
        "change": pl.Float64, "p": pl.Float64,
    }  # fmt: skip
    blank = pl.col("mean_1", "mean_2").str.strip_chars_end().replace("", None)
    frame = pl.DataFrame(rows, schema=schema).with_columns(blank)
    frame = frame.sort(pl.col("p").fill_null(2.0), pl.col("change").abs(), descending=[False, True])
    same = tables[0]["task_id"].equals(tables[1]["task_id"]) and first[0].path == second[0].path
    return Compared(metric, results[1].spec.metrics[metric].goal, frame, same, len(keys) - len(differing))


def _common_metric(first: Results, second: Results) -> str | None:
    """The leading metric of one that the other has, too; else any that both have."""
    both = [name for name in numeric_metrics(second) if name in numeric_metrics(first)]
    return next((name for name in (leading_metric(second), leading_metric(first), *both) if name in both), None)


def _done(results: Results, side: tuple[ExperimentFolder, int]) -> pl.DataFrame:
    """The done tasks of a plan."""
    folder, plan = side
    ids = folder.plan(plan).tasks.select(pl.col("task_id").cast(pl.Int64))
    return results.tasks.filter(pl.col("state") == "done").join(ids, on="task_id", how="semi", maintain_order="left")


def _samples(table: pl.DataFrame, by: Sequence[str], values: pl.Series) -> dict[tuple[str, ...], Sample]:
    """The values in each setting, told by its parameters as text: two experiments may type them differently."""
    settings = Settings(table, tuple(by), (), ("repeat",))
    keys = [tuple(str(value) for value in settings.label(index).values()) for index in range(settings.count)]
    return dict(zip(keys, settings.samples(values), strict=True))


def _equal(one: Sample | None, two: Sample | None) -> bool:
    return one is not None and two is not None and sorted(one.values) == sorted(two.values)


def _row(one: Sample | None, two: Sample | None, known: Resolution) -> tuple[list[Summary], dict[str, object]]:
    """What each side says of a setting, and what is told of it beside the means."""
    samples = [one or _NOTHING, two or _NOTHING]
    summaries = [describe(sample, CONFIDENCE, None, known) for sample in samples]
    found = against(samples, summaries, 0, How(CONFIDENCE, "none", False, known))[1]
    facts: dict[str, object] = {
        "n_1": len(one.values) if one else None,
        "n_2": len(two.values) if two else None,
        "change": found.difference if found else None,
        "p": found.p if found else None,
    }
    return summaries, facts
