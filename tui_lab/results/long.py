"""Tables with many rows per task: values by step, and the rows that `rows` finds.

`NAME_steps` has a row for each task and step: the parameters, `step`, a column for each name that was
reported, then FACTS. Values come from two places. A program may append JSON objects, one a line, to its file
of live metrics (`metrics.jsonl`); `step` in them is the step, otherwise they are counted from 0; of several
objects with the same step each adds its names, and of several values of one name the last counts. A metric
with `take: all` gives every one of its values; the step is the group named `step`, otherwise they are counted
from 0.

`NAME_rows` has the parameters, the columns that `rows` finds, `row` (from 0 within the task), then FACTS.

A column whose name is also one of a parameter is called `out_NAME`, and so is one with the name of a fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from tui_lab.results import cache
from tui_lab.results.columns import build
from tui_lab.results.extract import Task
from tui_lab.results.records import INDEX, Reader
from tui_lab.results.rows import RowsReader
from tui_lab.results.slow_search import TooSlowError
from tui_lab.results.sources import task_path
from tui_lab.results.steps import StepsReader
from tui_lab.results.values import Scalar
from tui_lab.spec.model import Experiment
from tui_lab.store import ranges
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.naming import parameter_columns

FACTS: Final = ("task_id", "repeat", "seed", "version", "planned", "state", "attempt")
PREFIX: Final = "values."
"""Of columns in the cache, so that none has the name of another."""
FILES: Final = {"steps": "results.steps.parquet", "rows": "results.rows.parquet"}


@dataclass(frozen=True)
class LongTable:
    frame: pl.DataFrame
    skipped: int
    """Lines that could not be read."""
    slow: tuple[int, ...] = ()
    """Tasks of which something is missing, as a pattern took too long on their output."""
    waits: bool = False
    """Files of ended tasks are missing; they may come yet."""


def refresh(
    kind: str,
    folder: ExperimentFolder,
    spec: Experiment,
    tasks: pl.DataFrame,
    parameters: Sequence[str],
    live: bool = False,
    force: bool = False,
) -> LongTable:
    """The table `kind` (`steps` or `rows`) for the tasks of the table of all tasks, from the cache and what
    is new; `force` reads everything again."""
    reader: Reader = StepsReader(spec) if kind == "steps" else RowsReader(spec)
    index = "step" if kind == "steps" else "row"
    print_ = cache.fingerprint([kind, *definition(kind, spec)])
    path = folder.path / FILES[kind]
    ended = tasks.filter(pl.col("attempt").is_not_null()).select("task_id", "attempt")
    absent: list[int] = []
    with cache.writing(folder.path) as may_write:
        found = None if force else cache.read(path)
        known = pl.DataFrame(schema=ended.schema)
        kept, skipped = pl.DataFrame(), 0
        slow: list[int] = []
        if found is not None and found[1].get("fingerprint") == print_:
            known = ended.join(cache.pairs(found[1]["covered"]), on=["task_id", "attempt"], how="semi")
            kept = found[0].join(known, on=["task_id", "attempt"], how="semi")
            skipped = found[1]["skipped"]
            slow = [int(task) for task in np.intersect1d(ranges.to_ids(found[1].get("slow", [])), known["task_id"])]
        new = ended.join(known, on=["task_id", "attempt"], how="anti")
        if new.height or known.height != ended.height or found is None:
            fresh, absent, too_slow = _read(reader, folder.path, new.rows(), False)
            slow = sorted({*slow, *too_slow})
            kept = _below(kept, fresh)
            skipped += reader.skipped
            covered = cache.covered(ended.filter(~pl.col("task_id").is_in(absent)))
            about = {
                "fingerprint": print_,
                "covered": covered,
                "skipped": skipped,
                "slow": ranges.to_ranges(slow),
            }
            if may_write and (found is None or any(found[1].get(key) != value for key, value in about.items())):
                cache.write(path, kept, about)
    if live:
        running = tasks.filter(pl.col("state") == "running").select("task_id", "attempts").rows()
        ids = [task_id for task_id, _ in running]
        fresh, _, too_slow = _read(reader, folder.path, running, True)
        slow = sorted({*slow, *too_slow})
        kept = _below(kept.filter(~pl.col("task_id").is_in(ids)) if kept.width else kept, fresh)
    return LongTable(_with_facts(kept, tasks, parameters, index), skipped, tuple(slow), bool(absent))


def definition(kind: str, spec: Experiment) -> list[Any]:
    """What decides the values of a long table, as JSON can say it."""
    steps = [step.name for step in spec.steps]
    if kind == "rows":
        if spec.rows is not None and spec.rows.each is not None:
            metrics = {name: metric.model_dump(exclude={"goal"}) for name, metric in spec.metrics.items()}
            return [steps, spec.rows.model_dump(exclude_none=True), metrics]
        return [steps, spec.rows.model_dump(exclude_none=True) if spec.rows else None]
    return [steps, {n: m.model_dump(exclude={"goal"}) for n, m in spec.metrics.items() if m.take == "all"}]


def _read(reader: Reader, folder: Path, tasks: Sequence[Task], live: bool) -> tuple[pl.DataFrame, list[int], list[int]]:
    """The records of tasks, the tasks that lack the file, and those of which a pattern took too long."""
    columns: dict[str, list[Scalar | None]] = {name: [] for name in reader.types}
    ids: list[int] = []
    attempts: list[int] = []
    indices: list[Scalar | None] = []
    absent: list[int] = []
    slow: list[int] = []
    for task_id, attempt in tasks:
        before = len(ids)
        try:
            for record in reader.records(task_path(folder, task_id), attempt, live):
                ids.append(task_id)
                attempts.append(attempt)
                indices.append(record.pop(INDEX))
                for name, value in record.items():
                    column = columns.setdefault(name, [])
                    # Names may come and go from row to row.
                    column.extend([None] * (len(ids) - 1 - len(column)))
                    column.append(value)
        except TooSlowError:
            slow.append(task_id)
            del ids[before:], attempts[before:], indices[before:]
            for column in columns.values():
                del column[before:]
            continue
        if reader.slow:
            slow.append(task_id)
        if reader.absent:
            absent.append(task_id)
    series = [
        build(PREFIX + name, values + [None] * (len(ids) - len(values)), reader.types.get(name, "json")).series
        for name, values in columns.items()
    ]
    frame = pl.DataFrame(
        [
            pl.Series("task_id", ids, dtype=pl.Int64),
            pl.Series("attempt", attempts, dtype=pl.Int32),
            build(INDEX, indices, "json").series,
            *series,
        ]
    )
    return frame, absent, slow


def _below(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    parts = [part for part in (first, second) if part.height] or [second]
    return pl.concat(parts, how="diagonal_relaxed")


def _with_facts(frame: pl.DataFrame, tasks: pl.DataFrame, parameters: Sequence[str], index: str) -> pl.DataFrame:
    facts = [name for name in FACTS if name in tasks.columns and name not in parameters]
    asked = parameter_columns([*parameters], [index])
    taken = {name.lower() for name in [*asked.values(), *facts, index]}
    names = [name for name in frame.columns if name.startswith(PREFIX)]
    renamed = {}
    for name in names:
        column = name.removeprefix(PREFIX)
        while column.lower() in taken:
            column = f"out_{column}"
        taken.add(column.lower())
        renamed[name] = column
    known = tasks.select(*parameters, *facts).rename(asked)
    frame = frame.drop("attempt").rename({**renamed, INDEX: index})
    frame = frame.join(known, on="task_id", how="left", maintain_order="left")
    values = [renamed[name] for name in names]
    order = [index, *values] if index == "step" else [*values, index]
    return frame.select(*asked.values(), *order, *facts).sort("task_id", index, maintain_order=True)
