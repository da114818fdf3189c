"""What patas calls the columns of its tables: a parameter is `in_NAME`, a metric `out_NAME`, and its facts of a task
have names of their own. Each of them once, with our counterpart, or with what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

import polars as pl

from tui_lab.results.extraction.files import task_path
from tui_lab.results.tables import Results, codes

_Values = Callable[[pl.DataFrame, Results], pl.Expr | pl.Series | None]
"""The values of a fact for the rows of a table; None where the table has nothing of the kind."""


def _named(column: str) -> _Values:
    return lambda frame, _: pl.col(column) if column in frame.columns else None


def _breaks(frame: pl.DataFrame, results: Results) -> pl.Expr | None:
    """The number of a task's row; where tasks have no rows, the one line of each is number 0."""
    if "row" in frame.columns:
        return pl.col("row")
    return pl.lit(0, dtype=pl.Int64) if results.spec.rows is None else None


def _combinations(frame: pl.DataFrame, results: Results) -> pl.Series:
    """Combinations are counted by their first task, so a larger plan changes no number."""
    tasks = results.tasks.sort("task_id")
    numbers = tasks.select("task_id", codes(tasks, results.parameters).alias("combination_id"))
    return frame.select("task_id").join(numbers, on="task_id", how="left", maintain_order="left")["combination_id"]


def _folders(frame: pl.DataFrame, results: Results) -> pl.Series:
    folder = results.folder.path.absolute()
    return pl.Series([task_path(folder, task) for task in frame["task_id"]], dtype=pl.String)


_FACTS: Final[Mapping[str, _Values | str]] = {
    "break_id": _breaks,
    "task_id": _named("task_id"),
    "repeat_id": _named("repeat"),
    "combination_id": _combinations,
    "experiment_id": "write experiment_name",
    "experiment_name": lambda _, results: pl.lit(results.name),
    "tries": _named("attempts"),
    "max_tries": lambda _, results: pl.lit(results.spec.retries + 1),
    "duration": _named("duration"),
    "started_at": _named("started_at"),
    "ended_at": _named("ended_at"),
    "cluster_name": "nodes are known by their names: write node",
    "node_name": _named("node"),
    "cluster_in_lab": "nodes are known by their names: write node",
    "node_in_lab": "nodes are known by their names: write node",
    "node_in_cluster": "nodes are known by their names: write node",
    "worker_in_lab": "slots are kept in no table; write node",
    "worker_in_cluster": "slots are kept in no table; write node",
    "worker_in_node": "slots are kept in no table; write node",
    "output_dir": _folders,
    "work_dir": "output_dir is a task's folder; `tui-lab show --command TASK` says where it started",
}
"""patas' facts in its order: their values, or what to write where there are none."""

NAMES: Final = frozenset(_FACTS)


def hint(name: str, columns: Collection[str]) -> str:
    """Return what to write for a fact of patas that is no column; empty for another name."""
    known = _FACTS.get(name.lower())
    if known is None:
        return ""
    if isinstance(known, str):
        return known
    if name.lower() == "break_id":
        return "the rows of a task are in EXPERIMENT_rows, where it is row (or break_id)"
    return "it is a column of the tables of an experiment" if "task_id" not in columns else ""


def with_patas_names(frame: pl.DataFrame, results: Results, mentioned: Collection[str]) -> pl.DataFrame:
    """The table with those columns also under patas' names that a query mentions (lower case) and the table
    does not have; a query that mentions none sees the table as it is."""
    own = {name.lower() for name in frame.columns}
    wanted = {name: column for name, column in _columns(results).items() if name.lower() not in own}
    added: list[pl.Expr | pl.Series] = [pl.col(column).alias(name) for name, column in wanted.items()
        if name.lower() in mentioned and column in frame.columns]  # fmt: skip
    for name, known in _FACTS.items():
        if name in mentioned and name not in own and not isinstance(known, str):
            values = known(frame, results)
            if values is not None:
                added.append(values.alias(name))
    return frame.with_columns(added) if added else frame


def patas_table(results: Results) -> pl.DataFrame:
    """The table that patas writes: parameters, metrics and facts under its names; a line for each row of a task where
    `rows` finds some."""
    frame, named = results.grid, _columns(results)
    if results.spec.rows is not None:
        rows = results.rows
        first, last = len(results.parameters), rows.columns.index("row")
        named = {f"in_{name}": column for name, column in zip(results.parameters, rows.columns[:first], strict=True)}
        named |= {f"out_{column.removeprefix('out_')}": column for column in rows.columns[first:last]}
        facts = [name for name in frame.columns if name not in rows.columns]
        frame = rows.join(frame.select("task_id", *facts), on="task_id", maintain_order="left")
    columns: list[pl.Expr | pl.Series] = [pl.col(column).alias(name) for name, column in named.items()]
    for name, known in _FACTS.items():
        if not isinstance(known, str) and (values := known(frame, results)) is not None:
            columns.append(values.alias(name))
    return frame.select(columns)


def _columns(results: Results) -> dict[str, str]:
    """Return the name in patas of each parameter and metric, with our column."""
    return {f"in_{column}": column for column in results.parameters} | {
        f"out_{name}": column for name, column in results.metrics.items()
    }
