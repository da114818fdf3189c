"""From combinations to a plan: keys, task ids, versions, and why each task would run.

Known keys keep their task ids, new keys take the next; so a grown grid runs only what is new, and an equal combination
from two sweeps is one task. Nothing is written here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tui_lab.spec import seeds
from tui_lab.spec.combinations import Combinations
from tui_lab.spec.model import Experiment
from tui_lab.store import keys
from tui_lab.store.fold import DONE, State
from tui_lab.store.plan import PREFIX, Plan, merge

# Parts of a file that change no task and no combination.
_COSMETIC = ("metrics", "rows", "description", "tags", "priority", "order", "retries", "retry_on", "max_failures", "timeout", "grace")


@dataclass(frozen=True)
class Planned:
    """A plan with what a person wants to know of it before it runs."""

    plan: Plan
    known: pl.Series  # Boolean, a row per task: the task id existed before
    chosen: pl.Series  # Boolean, a row per task: of the combinations that `name=value` asks for
    reasons: dict[str, int] = field(default_factory=dict)  # why new tasks are new -> how many
    adopted: int = 0


def components(experiment: Experiment) -> dict[str, Any]:
    """The parts of a key that all tasks of an experiment share."""
    return {
        "command": [[step.name, step.command] for step in experiment.steps],
        "files": dict(experiment.templates),
        "inputs": input_digests(experiment),
    }


def input_digests(experiment: Experiment) -> dict[str, str]:
    """SHA-256 of each declared input file, by its path relative to the experiment's file."""
    return file_digests(experiment.folder, experiment.inputs)


def file_digests(folder: Path, globs: tuple[str, ...]) -> dict[str, str]:
    found = {path for pattern in globs for path in folder.glob(pattern) if path.is_file()}
    return {str(path.relative_to(folder)): file_digest(path) for path in sorted(found)}


def file_digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def task_table(experiment: Experiment, combinations: Combinations, uses_seed: bool, shared: dict[str, Any]) -> pl.DataFrame:
    """All tasks of the combinations, repeats innermost: key, combination, repeat, seed and the parameters."""
    height, repeats = combinations.height, experiment.repeat
    names = combinations.frame.columns
    own_seeds = [seeds.seed(experiment.seed.base, repeat) for repeat in range(repeats)]
    hashed_seeds = None
    if uses_seed and "seed" not in names:
        per_task = experiment.seed.per == "task"
        hashed_seeds = [experiment.seed.base] * repeats if per_task else own_seeds
    columns = []
    for name in sorted(set(names) - set(experiment.unhashed)):
        column = combinations.frame[name]
        if name in combinations.values:
            members = [keys.member(name, value) for value in combinations.values[name]]
            columns.append(map(members.__getitem__, column))
        else:
            columns.append(keys.member(name, value) for value in column)
    digests = list(keys.keys(shared, columns, height, repeats, hashed_seeds))
    combination = np.repeat(np.arange(height, dtype=np.int64), repeats)
    if "seed" in names:
        seed = combinations.typed()["seed"].gather(combination).cast(pl.Int64, strict=False)
    elif experiment.seed.per == "task":
        seed = pl.Series([seeds.task_seed(experiment.seed.base, key) for key in digests], dtype=pl.Int64)
    else:
        seed = pl.Series(np.tile(np.array(own_seeds, dtype=np.int64), height))
    table = pl.DataFrame(
        {
            "key": pl.Series(digests, dtype=pl.Binary),
            "combination": combination,
            "repeat": np.tile(np.arange(repeats, dtype=np.int32), height),
            "seed": seed,
            "stage": pl.Series([None], dtype=pl.String).extend_constant(None, max(0, len(digests) - 1))[: len(digests)],
        }
    )
    parameters = [combinations.frame[name].gather(combination).alias(PREFIX + name) for name in names]
    return table.with_columns(parameters).unique(subset="key", keep="first", maintain_order=True)


def known_tasks(plans: Path) -> pl.DataFrame:
    """Every (key, version, task_id) that any plan ever gave out."""
    files = sorted(plans.glob("*.parquet"))
    empty = pl.DataFrame(schema={"key": pl.Binary, "version": pl.Int32, "task_id": pl.Int64})
    parts = [pl.read_parquet(file, columns=["key", "version", "task_id"]) for file in files]
    return pl.concat([empty, *parts]).unique(subset=["key", "version"], keep="any")


def make_plan(
    experiment: Experiment,
    combinations: Combinations,
    *,
    number: int,
    plans: Path,
    previous: Plan | None,
    state: State,
    uses_seed: bool,
    overridden: Combinations | None = None,
    adopt: bool = False,
) -> Planned:
    """Give every task its id and version.

    overridden: the combinations of `name=value` on the command line. Those that the file does not have join the plan,
    and stay in the plans to come as long as the file means the same. adopt: new tasks take over the ids, and so the results, of tasks of the previous plan that
    differ from them in nothing but the command, a parameter's name, or a new parameter at its default.
    """
    shared = components(experiment)
    meaning = keys.digest(experiment.model_dump(mode="json", by_alias=True, exclude=set(_COSMETIC)))
    extra = overridden
    if previous is not None and previous.about.get("meaning") == meaning and previous.tasks["added"].any():
        carried = previous.tasks.filter(pl.col("added") & (pl.col("repeat") == 0))
        before = Plan(0, carried, previous.values).combinations
        extra = before if extra is None else merge(before, extra)
    from_file = combinations.height
    if extra is not None:
        combinations = merge(combinations, extra)
    table = task_table(experiment, combinations, uses_seed, shared)
    known = known_tasks(plans)
    highest = known.group_by("key").agg(pl.col("version").max())
    table = table.join(highest, on="key", how="left", maintain_order="left").with_columns(
        pl.max_horizontal(pl.col("version").fill_null(1), pl.lit(experiment.version)).cast(pl.Int32),
        (pl.col("combination") >= from_file).alias("added"),
    )
    table = table.join(known, on=["key", "version"], how="left", maintain_order="left")
    about = {
        "file": str(experiment.file.absolute()),
        "templates": dict(experiment.templates),
        "components": {name: keys.digest(value) for name, value in shared.items() if value},
        "seed": [experiment.seed.base, experiment.seed.per] if uses_seed else None,
        "defaults": dict(experiment.defaults),
        "meaning": meaning,
    }
    adopted = 0
    reasons: dict[str, int] = {}
    missing = int(table["task_id"].null_count())
    if missing and previous is not None:
        table, adopted, reasons = _compare(table, combinations.values, previous, about, adopt)
    known_flags = table["task_id"].is_not_null()
    chosen = pl.Series([True]).new_from_index(0, table.height)
    if overridden is not None:
        chosen = table["key"].is_in(task_table(experiment, overridden, uses_seed, shared)["key"].implode())
    table = _number(table, known)
    columns = ["task_id", "key", "version", "combination", "repeat", "seed", "stage", "added"]
    table = table.select(*columns, *[name for name in table.columns if name.startswith(PREFIX)])
    return Planned(Plan(number, table, combinations.values, about), known_flags, chosen, reasons, adopted)


def _number(table: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """The next free task ids for the rows that have none."""
    highest = known["task_id"].max()
    first = 0 if highest is None else int(highest) + 1  # type: ignore[arg-type]
    order = pl.col("task_id").is_null().cast(pl.Int64).cum_sum() - 1 + first
    return table.with_columns(pl.coalesce("task_id", order).cast(pl.Int64).alias("task_id"))


def rerun(planned: Planned, selected: pl.Series, state: State, known: pl.DataFrame) -> Planned:
    """The next version of every selected task that is done: a new task with the same key."""
    done = {task for task, code in enumerate(state.columns["state"]) if code == DONE}
    again = selected & planned.plan.tasks["task_id"].is_in(list(done)) & planned.known
    table = planned.plan.tasks.with_columns(
        pl.when(again).then(pl.col("version") + 1).otherwise(pl.col("version")).cast(pl.Int32).alias("version"),
        pl.when(again).then(None).otherwise(pl.col("task_id")).alias("task_id"),
    )
    ids = pl.concat([known, planned.plan.tasks.select("key", "version", "task_id")])
    plan = Plan(planned.plan.number, _number(table, ids), planned.plan.values, planned.plan.about)
    reasons = {**planned.reasons, "rerun": int(again.sum())}
    return replace(planned, plan=plan, known=planned.known & ~again, reasons=reasons)


# Comparing with the plan before.


def _settings(table: pl.DataFrame, values: dict[str, list[Any]], names: list[str], rename: Mapping[str, str]) -> pl.Series:
    """A hash of each row's parameters and repeat, to match tasks whose keys differ."""
    columns = []
    for name in sorted(names, key=lambda name: rename.get(name, name)):
        column, shown = table[PREFIX + name], rename.get(name, name)
        if name in values:
            members = [keys.member(shown, value) for value in values[name]]
            columns.append(map(members.__getitem__, column))
        else:
            columns.append(keys.member(shown, value) for value in column)
    rows = zip(*columns, strict=True) if columns else iter([()] * table.height)
    return pl.Series(
        [hashlib.sha256(b"".join(row) + b"%d" % repeat).digest() for row, repeat in zip(rows, table["repeat"], strict=True)],
        dtype=pl.Binary,
    )


def _compare(
    table: pl.DataFrame, values: dict[str, list[Any]], previous: Plan, about: dict[str, Any], adopt: bool
) -> tuple[pl.DataFrame, int, dict[str, int]]:
    """Match new tasks with tasks of the previous plan that have the same setting; adopt them, or say what differs."""
    new = table.filter(pl.col("task_id").is_null())
    names = [name.removeprefix(PREFIX) for name in table.columns if name.startswith(PREFIX)]
    old_names = previous.names
    appeared = [name for name in names if name not in old_names]
    vanished = [name for name in old_names if name not in names]
    rename: dict[str, str] = {}
    at_default = [name for name in appeared if name in about["defaults"]]
    if appeared and len(appeared) == len(vanished):
        rename = _renames(appeared, vanished, new, values, previous)
    compared = [name for name in names if name not in at_default or name in rename]
    mine = _settings(new, values, compared, rename)
    theirs = _settings(previous.tasks, previous.values, old_names, {})
    match = pl.DataFrame({"setting": mine, "key": new["key"]}).join(
        pl.DataFrame({"setting": theirs, "old": previous.tasks["task_id"], "old_version": previous.tasks["version"]}).unique("setting"),
        on="setting",
        how="inner",
    )
    for name in at_default:
        default = about["defaults"][name]
        is_default = pl.Series(
            [keys.member(name, value) == keys.member(name, default) for value in _column_values(new, values, name)],
            dtype=pl.Boolean,
        )
        match = match.join(new.select("key").filter(is_default), on="key", how="semi")
    if adopt:
        taken = match.group_by("old", maintain_order=True).first().select("key", pl.col("old").alias("task_id_old"))
        table = table.join(taken, on="key", how="left", maintain_order="left")
        table = table.with_columns(pl.coalesce("task_id", "task_id_old").alias("task_id")).drop("task_id_old")
        rest = new.height - taken.height
        return table, taken.height, {"new": rest} if rest else {}
    before = previous.about
    changed = [name for name in ("command", "files", "inputs") if about["components"].get(name) != before["components"].get(name)]
    if about["seed"] != before.get("seed"):
        changed.append("seed")
    if rename:
        changed.append("parameter renamed")
    elif at_default:
        changed.append("parameter added")
    why = " and ".join(f"{name} changed" if name in ("command", "files", "inputs", "seed") else name for name in changed)
    reasons = {}
    if match.height:
        reasons[why or "version raised"] = match.height
    if new.height > match.height:
        reasons["new"] = new.height - match.height
    return table, 0, reasons


def _column_values(table: pl.DataFrame, values: dict[str, list[Any]], name: str) -> list[Any]:
    column = table[PREFIX + name]
    return [values[name][code] for code in column] if name in values else column.to_list()


def _renames(
    appeared: list[str], vanished: list[str], new: pl.DataFrame, values: dict[str, list[Any]], previous: Plan
) -> dict[str, str]:
    """New name -> old name where one new and one old parameter take the same values, and no other pair does."""
    rename = {}
    for name in appeared:
        mine = {keys.canonical(value) for value in _column_values(new, values, name)}
        same = [
            old
            for old in vanished
            if mine <= {keys.canonical(value) for value in _column_values(previous.tasks, previous.values, old)}
        ]
        if len(same) == 1:
            rename[name] = same[0]
    return rename if len(set(rename.values())) == len(appeared) else {}
