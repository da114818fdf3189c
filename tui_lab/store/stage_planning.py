"""The runs of stages that the tasks of a plan share, their keys, and their ids.

A run of a stage is found by its key: the stage's name, its commands and files, the parameters that it uses, the keys of
the runs that it comes after, and, where it begins repeats or takes the seed, these. A task is a run of the last stage;
if there are several last ones, of that in the file, and its key has the keys of the others behind it, too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.experiment.axes import frame as as_frame
from tui_lab.experiment.combinations import Combinations
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.stages import REPEATS, differing
from tui_lab.store import keys
from tui_lab.store.argument_defaults import ArgumentDefaults
from tui_lab.store.plan import LINK, PREFIX, Plan
from tui_lab.store.seeds import repeat_seed, task_seed


@dataclass(frozen=True)
class StageTables:
    """tasks: key, combination, repeat, seed, stage (null), parameters, and for each earlier stage `stages.NAME`, a row
    of `runs`. runs: the same columns."""

    tasks: pl.DataFrame
    runs: pl.DataFrame


@dataclass(frozen=True)
class _Runs:
    """The runs of one stage. of_row: the run of each row (combination and repeat). first: a row of each run."""

    of_row: npt.NDArray[np.int64]
    first: npt.NDArray[np.int64]
    keys: list[bytes]
    seeds: list[int | None]


def stage_tables(
    experiment: Experiment,
    combinations: Combinations,
    shared: Mapping[str, Mapping[str, Value]],
    defaults: Mapping[str, ArgumentDefaults],
) -> StageTables:
    """Return the tasks of the combinations and the runs behind them. shared: the parts of keys of each stage that all
    its runs have in common. defaults: those of the arguments of functions, by stage."""
    height, repeats = combinations.height, experiment.repeats
    combination = np.repeat(np.arange(height, dtype=np.int64), repeats)
    repeat = np.tile(np.arange(repeats, dtype=np.int32), height)
    columns = {name: _members(combinations, name) for name in combinations.frame.columns}
    found: dict[str, _Runs] = {}
    varying = differing(experiment.stages)
    for name in experiment.stage_order:
        one = experiment.of_stage(name)
        assert one.stage is not None
        own = defaults.get(one.stage) or ArgumentDefaults()
        other = {name: _members(combinations, name, own) for name in columns if name in own.first}
        parts = shared[one.stage]
        found[one.stage] = _runs(one, parts, {**columns, **other}, own.changed, combination, repeat, found, varying)
    *earlier, last = experiment.stages
    starts = dict(zip(earlier, np.cumsum([0, *(len(found[name].keys) for name in earlier)]).tolist(), strict=False))

    def table(stage: str) -> pl.DataFrame:
        runs = found[stage]
        rows = combination[runs.first]
        frame = pl.DataFrame(
            {
                "key": pl.Series(runs.keys, dtype=pl.Binary),
                "combination": rows,
                "repeat": repeat[runs.first],
                "seed": pl.Series(runs.seeds, dtype=pl.Int64),
                "stage": pl.Series([None if stage == last else stage] * len(rows), dtype=pl.String),
            }
        )
        parameters = [combinations.frame[name].gather(rows).alias(PREFIX + name) for name in columns]
        before = _before(experiment, stage)
        links = [
            pl.Series(LINK + name, starts[name] + found[name].of_row[runs.first] if name in before else None)
            if name in before
            else pl.Series(LINK + name, [None] * len(rows), dtype=pl.Int64)
            for name in earlier
        ]
        return pl.concat([frame, as_frame([*parameters, *links], len(rows))], how="horizontal")

    tables = [table(name) for name in earlier]
    tasks = table(last)
    taking = [stage.takes_seed for stage in experiment.stages.values()]
    calls = experiment.of_stage(last).function is not None
    if not taking[-1] and experiment.seeding.per == "repeat" and (any(taking) or not calls):
        # A column of the results: an earlier stage may take it.
        seeds = [repeat_seed(experiment.seeding.base, number) for number in tasks["repeat"].to_list()]
        tasks = tasks.with_columns(pl.Series("seed", seeds, dtype=pl.Int64))
    return StageTables(tasks, pl.concat(tables) if tables else tasks.clear())


def _before(experiment: Experiment, stage: str) -> set[str]:
    """Return all stages of which one run joins the identity of a run of a stage, near or far; of a task, also those
    that collect it."""
    wanted = [stage]
    for name in wanted:
        wanted += [other for other in experiment.stages[name].single if other not in wanted]
    return {*wanted[1:], *(experiment.apart if stage == list(experiment.stages)[-1] else ())}


def _members(
    combinations: Combinations, name: str, defaults: ArgumentDefaults | None = None
) -> tuple[npt.NDArray[np.int64], list[bytes]]:
    """Return a code for each combination, and what each code adds to a key. Equal values have one code."""
    column = combinations.frame[name]
    coded = name in combinations.values
    values: Any = combinations.values[name] if coded else column
    known: dict[bytes, int] = {}
    if defaults is not None:
        values = (defaults.in_key(name, value) for value in values)
    codes = np.array([known.setdefault(keys.member(name, value), len(known)) for value in values], dtype=np.int64)
    return codes[column.to_numpy()] if coded else codes, list(known)


def _runs(
    one: Experiment,
    shared: Mapping[str, Value],
    columns: Mapping[str, tuple[npt.NDArray[np.int64], list[bytes]]],
    changed: Mapping[str, Value],
    combination: npt.NDArray[np.int64],
    repeat: npt.NDArray[np.int32],
    found: Mapping[str, _Runs],
    varying: Mapping[str, Collection[str]],
) -> _Runs:
    """Return the runs of a stage. one: the experiment as the stage has it. changed: defaults of arguments that join
    keys where no parameter is given. found: the runs of the stages before. varying: in which parameters the runs of
    each stage differ."""
    assert one.stage is not None
    stage = one.stages[one.stage]
    hashed = [name for name in sorted(stage.uses) if name in columns and name not in one.unhashed]
    own = {
        name: keys.member(name, value)
        for name, value in changed.items()
        if name not in hashed and name not in one.unhashed
    }
    parts: list[npt.NDArray[Any]] = [columns[name][0][combination] for name in hashed]
    parts += [found[name].of_row for name in stage.single]
    if stage.collected is not None:
        rest = sorted({*varying[stage.collected]} - stage.over)
        parts += [repeat if name == REPEATS else columns[name][0][combination] for name in rest]
    if stage.begins_repeats:
        parts.append(repeat)
    of_row, first = _groups(parts, len(combination))
    texts: list[_AfterKeys | _CollectedKeys] = [
        _CollectedKeys(found[name], name, of_row) if name == stage.collected else _AfterKeys(found[name], name)
        for name in sorted(stage.linked)
    ]
    seeding = one.seeding
    per_task = seeding.per == "task"

    def rows(with_seed: bool) -> Iterator[tuple[bytes, int | None, int | None, bytes]]:
        for row in first.tolist():
            parameters = b"".join(
                own[name] if name in own else columns[name][1][columns[name][0][combination[row]]]
                for name in sorted((*hashed, *own))
            )
            seed = None
            if stage.takes_seed and with_seed:
                seed = seeding.base if per_task else repeat_seed(seeding.base, int(repeat[row]))
            number = int(repeat[row]) if stage.begins_repeats else None
            yield parameters, number, seed, b",".join(text.of(row) for text in texts)

    constant = {**shared, "stage": one.stage}
    digests = list(keys.stage_keys(constant, rows(True), one.version))
    seeds: list[int | None] = [None] * len(digests)
    if stage.takes_seed and per_task:
        plain = keys.stage_keys(constant, rows(False), one.version)
        seeds = [task_seed(seeding.base, key) for key in plain]
    elif stage.takes_seed:
        seeds = [repeat_seed(seeding.base, number) for number in repeat[first].tolist()]
    elif one.function is not None:  # seeded by its key
        seeds = [task_seed(0, key) for key in digests]
    return _Runs(of_row, first, digests, seeds)


class _AfterKeys:
    """The keys of the runs of a stage, as they stand in the keys of those after it."""

    def __init__(self, runs: _Runs, name: str) -> None:
        self._of_row = runs.of_row
        self._texts: list[bytes] = [keys.member(name, key.hex())[:-1] for key in runs.keys]

    def of(self, row: int) -> bytes:
        """Return the member for the run behind a row."""
        return self._texts[int(self._of_row[row])]


class _CollectedKeys:
    """The keys of the runs that a run collects, as they stand in its key: sorted, so that their order in the file does
    not matter."""

    def __init__(self, runs: _Runs, name: str, of_row: npt.NDArray[np.int64]) -> None:
        self._name = name
        self._of_row = of_row
        self._members: dict[int, set[str]] = {}
        for one, run in np.unique(np.stack([of_row, runs.of_row], axis=1), axis=0).tolist():
            self._members.setdefault(one, set()).add(runs.keys[run].hex())

    def of(self, row: int) -> bytes:
        """Return the member for the run behind a row."""
        found: list[Value] = [*sorted(self._members[int(self._of_row[row])])]
        return keys.member(self._name, found)[:-1]


def _groups(parts: list[npt.NDArray[Any]], height: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the group of each row, rows that agree in all parts being one, and the first row of each group; groups are
    in the order of their first rows."""
    of_row = np.zeros(height, dtype=np.int64)
    for part in parts:
        _, codes = np.unique(part, return_inverse=True)
        _, of_row = np.unique(of_row * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)
    _, first, of_row = np.unique(of_row, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[of_row], first[order]


# --- Ids


def identified(
    tasks: pl.DataFrame, runs: pl.DataFrame, known: pl.DataFrame, first: int, experiment: Experiment
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return tasks and runs with the ids of runs. known: key, version, task_id of runs that exist. first: the next free
    id."""
    table = runs.join(known, on="key", how="left", maintain_order="left")
    versions = {name: experiment.of_stage(name).version for name in experiment.earlier_stages}
    given = pl.Series([versions[name] for name in table["stage"]], dtype=pl.Int32)
    order = pl.col("task_id").is_null().cast(pl.Int64).cum_sum() - 1 + first
    table = table.with_columns(
        pl.coalesce("task_id", order).alias("task_id"),
        pl.coalesce("version", given).alias("version"),
        pl.lit(False).alias("added"),
    )
    ids = table["task_id"]
    links = [name for name in table.columns if name.startswith(LINK)]
    tasks = tasks.with_columns(ids.gather(tasks[name]).alias(name) for name in links)
    table = table.with_columns(ids.gather(table[name]).alias(name) for name in links)
    return tasks, table.select(tasks.columns).cast(dict(tasks.schema))  # type: ignore[arg-type]


def next_versions(
    plan: Plan, again: pl.Series, done: pl.Series, stages: Collection[str], first: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return tasks and runs in which the done runs of some stages behind tasks have their next version, and a new id.
    again: whether each task is to be run again. first: the next free id."""
    links = [name for name in plan.tasks.columns if name.startswith(LINK)]
    behind = plan.tasks.filter(again)
    wanted = pl.concat([behind[name] for name in links if name.removeprefix(LINK) in stages] or [done.clear()])
    runs = plan.runs
    chosen = runs["task_id"].is_in(wanted.drop_nulls().implode()) & runs["task_id"].is_in(done.implode())
    ids = pl.DataFrame({"old": runs["task_id"], "chosen": chosen}).with_columns(
        pl.when("chosen").then(pl.col("chosen").cum_sum() - 1 + first).otherwise("old").cast(pl.Int64).alias("new")
    )
    new = dict(ids.select("old", "new").rows())
    runs = runs.with_columns((pl.col("version") + chosen.cast(pl.Int32)).alias("version"), ids["new"].alias("task_id"))

    def linked(table: pl.DataFrame) -> pl.DataFrame:
        return table.with_columns(pl.col(name).replace(new) for name in links)

    return linked(plan.tasks), linked(runs).select(plan.runs.columns)
