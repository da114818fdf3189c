"""Frequent questions as tables in SQL: best, compare, failures, slowest.

    best('METRIC'[, 'EXPERIMENT'])     a row per setting, as `stats` judges them: best first (in the order of the plan
                                       where the metric has no goal), what lacks values last
    compare('A', 'B')                  means of two experiments where their shared parameters are equal
    compare('A@1', 'A@2')              of two versions of the tasks of one
    failures(['EXPERIMENT'])           tasks, and runs of stages, that failed or were lost or stopped
    slowest(['EXPERIMENT'][, N])       the N (20) done tasks that took longest

Without an experiment the current one is meant. A call stands where a table may: it is replaced by a query
over the tables of the lab, or by a table, which `SELECT * FROM best(...)` can filter and join like any other.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from tui_lab.experiment import facts
from tui_lab.experiment.duckdb_tables import in_quotes
from tui_lab.experiment.yaml.problem import suggest
from tui_lab.results.numeric.whole_numbers import side_by_side
from tui_lab.results.sql.errors import QueryError
from tui_lab.results.sql.text import Token
from tui_lab.results.statistics.errors import StatisticsError
from tui_lab.results.statistics.frame import settings_table
from tui_lab.results.statistics.report import Options, make
from tui_lab.results.statistics.resolution import resolution
from tui_lab.results.statistics.sample import Sample, describe
from tui_lab.results.statistics.settings import leading_metric, numeric_metrics, varying
from tui_lab.results.tables import Results
from tui_lab.store.naming import SEED

Find = Callable[[str | None], Results]
"""The results of an experiment, by default of the current one. Raises QueryError."""

SLOWEST: Final = 20
_OF_RUNS: Final = ("stage", "run_id", "tasks")
_VERSION: Final = re.compile(r"(?P<name>.+)@(?P<version>\d+)")


@dataclass(frozen=True)
class Call:
    """A macro as it stands in a query: its words from `start` to `end`."""

    name: str
    arguments: tuple[str, ...]
    start: int
    end: int


def calls(words: Sequence[Token]) -> Iterator[Call]:
    """The macros that a query calls."""
    for place, word in enumerate(words):
        before = words[place - 1] if place else None
        after = words[place + 1 : place + 2]
        if word.kind != "name" or word.text.lower() not in MACROS or not after or after[0].text != "(":
            continue
        if before is None or before.text.lower() not in ("from", "join", ","):
            continue
        arguments: list[str] = []
        for token in words[place + 2 :]:
            if token.text == ")" and token.kind == "other":
                yield Call(word.text.lower(), tuple(arguments), word.start, token.end)
                break
            if token.text != "," or token.kind != "other":
                arguments.append(token.text)


def meant(call: Call, find: Find) -> str | pl.DataFrame:
    """Return the query or the table of a call. Raises QueryError."""
    return MACROS[call.name](list(call.arguments), find)


def best(arguments: list[str], find: Find) -> pl.DataFrame:
    """Return the statistics of the settings by one metric, as of `stats`."""
    _at_most(arguments, 2, "best('METRIC', 'EXPERIMENT')")
    results = find(arguments[1] if len(arguments) > 1 else None)
    metric = arguments[0] if arguments else leading_metric(results)
    metrics = numeric_metrics(results)
    if metric is None:
        raise QueryError(f"{results.name} has no metric with numbers")
    if metric not in metrics:
        hint = suggest(metric, metrics) or f"there are {', '.join(metrics) or 'none'}"
        raise QueryError(f'{results.name} has no metric "{metric}" with numbers', hint=hint)
    try:
        report = make(results, Options(metrics=(metric,)))
    except StatisticsError as error:
        raise QueryError(str(error)) from None
    return settings_table(report)


def compare(arguments: list[str], find: Find) -> pl.DataFrame:
    """The means of two experiments or versions, as `stats` computes them, where the parameters that both have are
    equal."""
    if len(arguments) != 2:
        raise QueryError("compare('A', 'B') takes two experiments, or two versions: compare('A@1', 'A@2')")
    (first, of_first), (second, of_second) = (_side(argument, find) for argument in arguments)
    shared = [p for p in first.parameters if p in second.parameters and p != SEED]
    others = numeric_metrics(second)
    metrics = {name: (column, others[name]) for name, column in numeric_metrics(first).items() if name in others}
    if not metrics:
        raise QueryError(f"{arguments[0]} and {arguments[1]} have no metric with numbers in common")
    keys = shared or [_ALL]
    values, offsets = _together((of_first, of_second), metrics)
    sides = [
        _summed(table, shared, values[which], offsets, which + 1) for which, table in enumerate((of_first, of_second))
    ]
    try:
        types = pl.concat([side.select(keys).clear() for side in sides], how="vertical_relaxed").schema
    except pl.exceptions.PolarsError:
        raise QueryError(f"parameters of {arguments[0]} and {arguments[1]} are of different kinds") from None
    left, right = (side.with_columns(pl.col(key).cast(types[key]) for key in keys) for side in sides)
    table = left.join(right, on=keys, how="inner", nulls_equal=True).sort(keys, nulls_last=True)
    shown: list[pl.Expr] = [pl.col(name) for name in (*shared, "n_1", "n_2")]
    for name in metrics:
        one, two = f"{name}_1", f"{name}_2"
        means = [(pl.col(column) + float(offsets[name])).alias(column) for column in (one, two)]
        shown += [*means, (pl.col(two) - pl.col(one)).alias(f"{name}_difference")]
        shown += [pl.col(f"{name}_ci95_1"), pl.col(f"{name}_ci95_2")]
    return table.select(shown)


_ALL: Final = "\0"
"""A column that is equal in all rows."""


def _together(
    sides: tuple[pl.DataFrame, pl.DataFrame], metrics: Mapping[str, tuple[str, str]]
) -> tuple[tuple[dict[str, pl.Series], dict[str, pl.Series]], dict[str, int]]:
    """The values of each metric on both sides, and what was subtracted from them: the same on both."""
    values: tuple[dict[str, pl.Series], dict[str, pl.Series]] = ({}, {})
    offsets = {}
    for name, columns in metrics.items():
        parts = [side[column] for side, column in zip(sides, columns, strict=True)]
        (values[0][name], values[1][name]), offsets[name] = side_by_side(parts)
    return values, offsets


def _summed(
    table: pl.DataFrame,
    parameters: Sequence[str],
    values: Mapping[str, pl.Series],
    offsets: Mapping[str, int],
    side: int,
) -> pl.DataFrame:
    """A row for each combination of some parameters: how many tasks, and of each metric the mean of its values and half
    of the interval."""
    keys = list(parameters) or [_ALL]
    columns = [one.alias(f"{name}_{side}") for name, one in values.items()]
    table = table.with_columns(pl.lit(0).alias(_ALL)).select(*keys, *columns)
    groups = table.group_by(keys, maintain_order=True).agg(
        pl.len().cast(pl.Int64).alias(f"n_{side}"), *(pl.col(column.name) for column in columns)
    )
    for name in values:
        samples = [
            tuple(value for value in values if value is not None and math.isfinite(value))
            for values in groups[f"{name}_{side}"].to_list()
        ]
        known = resolution(filter(None, samples), offsets[name])
        found = [describe(Sample(values), known=known) for values in samples]
        groups = groups.with_columns(
            pl.Series(f"{name}_{side}", [one.mean for one in found], dtype=pl.Float64),
            pl.Series(f"{name}_ci95_{side}", [one.half for one in found], dtype=pl.Float64),
        )
    return groups


def _side(argument: str, find: Find) -> tuple[Results, pl.DataFrame]:
    """The results of `A` or `A@N`, and their done tasks."""
    match = _VERSION.fullmatch(argument)
    if match is None:
        results = find(argument)
        return results, results.grid
    results, version = find(match["name"]), int(match["version"])
    known = sorted(results.tasks["version"].unique().to_list())
    if version not in known:
        listed = ", ".join(f"{results.name}@{one}" for one in known)
        raise QueryError(f"{results.name} has no tasks of version {version}", hint=f"there are {listed}")
    return results, results.tasks.filter((pl.col("version") == version) & (pl.col("state") == "done"))


def failures(arguments: list[str], find: Find) -> str:
    """Return the query of `failures('EXPERIMENT')`: the runs of stages that failed, were stopped or lost, and how many
    tasks need each; then the tasks."""
    _at_most(arguments, 1, "failures('EXPERIMENT')")
    results = find(arguments[0] if arguments else None)
    shown = facts.placed(lambda fact: fact.in_failures)
    columns = _columns(results, shown)
    wanted = "state IN ('failed', 'lost', 'stopped') AND planned"
    tasks = f"SELECT {columns} FROM {in_quotes(f'{results.name}_tasks')} WHERE {wanted}"
    runs = results.stage_runs if results.spec.earlier_stages else pl.DataFrame()
    if not runs.height:
        return f"{tasks} ORDER BY task_id"
    # Parameters that are named like the columns of runs have other names there, and so here.
    names = {name: f"in_{name}" if name.lower() in _OF_RUNS else name for name in varying(results)}
    of_runs = [name for name in (*names.values(), "repeat", *shown) if name in runs.columns]
    stages = f"SELECT {', '.join(map(in_quotes, (*_OF_RUNS, *of_runs)))} FROM {in_quotes(f'{results.name}_stages')}"
    renamed = ", ".join(f"{in_quotes(name)} AS {in_quotes(other)}" for name, other in names.items() if name != other)
    columns = f"* RENAME ({renamed})" if renamed else "*"
    tasks = f"SELECT NULL::VARCHAR AS stage, NULL::BIGINT AS tasks, * FROM (SELECT {columns} FROM ({tasks}))"
    causes = "reason IS DISTINCT FROM 'dependency'"  # what only follows from another one's failure is listed by task
    both = f"{tasks} UNION ALL BY NAME {stages} WHERE {wanted} AND {causes}"
    order = "ORDER BY task_id NULLS FIRST, run_id"
    return f"SELECT stage, tasks, * EXCLUDE (stage, tasks, run_id) FROM ({both}) {order}"


def slowest(arguments: list[str], find: Find) -> str:
    """Return the query of `slowest('EXPERIMENT', N)`: the tasks that took longest."""
    _at_most(arguments, 2, "slowest('EXPERIMENT', N)")
    count = SLOWEST
    if arguments and arguments[-1].isdigit():
        count = int(arguments.pop())
    results = find(arguments[0] if arguments else None)
    columns = _columns(results, facts.placed(lambda fact: fact.in_slowest))
    source = in_quotes(results.name)
    return f"SELECT {columns} FROM {source} ORDER BY duration DESC NULLS LAST LIMIT {count}"


def _columns(results: Results, shown: Iterable[str]) -> str:
    """Return the columns of a query: what tells tasks apart, and some facts."""
    return ", ".join(map(in_quotes, ("task_id", *varying(results), "repeat", *shown)))


MACROS: Final[dict[str, Callable[[list[str], Find], str | pl.DataFrame]]] = {
    "best": best,
    "compare": compare,
    "failures": failures,
    "slowest": slowest,
}


def as_query(words: Sequence[str]) -> str | None:
    """The SQL for `best METRIC`, `compare A B` and the rest as words of a command line; None for other
    words."""
    if not words or words[0] not in MACROS:
        return None
    arguments = ", ".join(word if word.isdigit() else "'" + word.replace("'", "''") + "'" for word in words[1:])
    return f"SELECT * FROM {words[0]}({arguments})"


def _at_most(arguments: Sequence[str], count: int, form: str) -> None:
    if len(arguments) > count:
        raise QueryError(f"too many arguments: it is {form}")
