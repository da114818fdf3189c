"""From combinations to a plan: keys, task ids, versions, and why each task would run.

Known keys keep their task ids, new keys take the next; so a grown grid runs only what is new, and an equal
combination from two sweeps is one task. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice, repeat
from pathlib import Path
from typing import Final, Literal

import numpy as np
import polars as pl

from tui_lab.experiment.combinations import Combinations, carried
from tui_lab.experiment.domains.canonical import canonical
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.uses import SEED_VARIABLE
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store import argument_defaults, declared_files, keys
from tui_lab.store.argument_defaults import ArgumentDefaults
from tui_lab.store.fold import DONE, State
from tui_lab.store.matching import match
from tui_lab.store.plan import LINK, PREFIX, Plan, PlanAbout, merge
from tui_lab.store.seeds import repeat_seed, task_seed
from tui_lab.store.stage_planning import StageTables, identified, next_versions, stage_tables

_BLOCK: Final = 1 << 16  # keys at a time
MAX_TASKS: Final = 20_000_000  # of one plan


@dataclass(frozen=True)
class Planned:
    """A plan with what the user wants to know of it before it runs."""

    plan: Plan
    known: pl.Series  # Boolean, a row per task: the task id existed before
    chosen: pl.Series  # Boolean, a row per task: of the combinations that `name=value` asks for
    again: Mapping[str, pl.Series] = field(default_factory=dict)
    """Why tasks that were done before are new -> which ones: Boolean, a row per task; each task has one reason."""
    adopted: pl.Series = field(default_factory=lambda: pl.Series([], dtype=pl.Int64))  # ids of tasks that were adopted
    notices: tuple[str, ...] = ()

    def reasons(self, selected: pl.Series) -> dict[str, int]:
        """Return why tasks that were done before are new, and how many. selected: a row per task."""
        counts = {why: int((rows & selected).sum()) for why, rows in self.again.items()}
        return {why: count for why, count in counts.items() if count}


def components(experiment: Experiment) -> dict[str, Value]:
    """The parts of a key that all tasks of an experiment share."""
    function = experiment.function
    return {
        "command": [] if function is not None else [[step.name, step.command] for step in experiment.steps],
        "function": None if function is None else function.text,
        "args": {**experiment.args},
        "files": dict(experiment.templates),
        "inputs": {**declared_files.digests(experiment, "inputs")},
    }


def _digests(experiment: Experiment) -> dict[str, str]:
    """Return digests of the parts of keys, by which a change is reported; of stages, of each as a whole."""
    if experiment.stage is not None:
        return {f"stage {one.stage}": keys.digest([components(one), one.version]) for one in experiment.per_stage}
    return {name: keys.digest(value) for name, value in components(experiment).items() if value}


def all_templates(experiment: Experiment) -> dict[str, str]:
    """Return the texts of the templates by target; those of stages by `stages.NAME.TARGET`."""
    texts = experiment.origin.stage_templates
    staged = {f"stages.{name}.{target}": text for name, some in texts.items() for target, text in some.items()}
    return staged if experiment.stage is not None else dict(experiment.templates)


SeedUse = Literal["named", "given", "none"]
"""Why the seed is part of a task's identity: a placeholder names it; the file gives one, or the command reads the
variable; or it is no part, and then it is the same for ever."""


def seed_use(experiment: Experiment, named: bool) -> SeedUse:
    """`named`: `{seed}` stands in what a task is made of. A program may take the variable without a word of it in the
    file, so a file that gives a seed is assumed to use it."""
    if named:
        return "named"
    given = experiment.seed is not None
    return "given" if given or any(SEED_VARIABLE in step.command for step in experiment.steps) else "none"


def task_table(
    experiment: Experiment,
    combinations: Combinations,
    seed: SeedUse,
    shared: Mapping[str, Value],
    defaults: ArgumentDefaults,
) -> pl.DataFrame:
    """All tasks of the combinations, repeats innermost: key, combination, repeat, seed and the parameters; where the
    seed is given, also "plain", the key without it.

    Combinations that differ only in unhashed parameters are one task: the first.
    """
    height, repeats = combinations.height, experiment.repeats
    _check_size(experiment, combinations)
    names = combinations.frame.columns
    own_seeds = [repeat_seed(experiment.seeding.base, repeat) for repeat in range(repeats)]
    per_task = experiment.seeding.per == "task" or not experiment.repeats_differ
    hashed_seeds = None
    if seed != "none" and "seed" not in names:
        hashed_seeds = [experiment.seeding.base] * repeats if per_task else own_seeds

    def digested(seeds: list[int] | None) -> pl.Series:
        columns: list[Iterable[bytes]] = []
        for name in sorted({*names, *defaults.changed} - set(experiment.unhashed)):
            if name not in names:
                columns.append(repeat(keys.member(name, defaults.changed[name]), height))
                continue
            column = combinations.frame[name]
            if name in combinations.values:
                members = [keys.member(name, defaults.in_key(name, value)) for value in combinations.values[name]]
                columns.append(map(members.__getitem__, column))
            else:
                columns.append(keys.member(name, defaults.in_key(name, value)) for value in column)
        return _binary(keys.keys(shared, columns, height, repeats, seeds=seeds, version=experiment.version))

    digests = digested(hashed_seeds)
    plain = digested(None) if seed == "given" and hashed_seeds is not None else digests
    combination = np.repeat(np.arange(height, dtype=np.int64), repeats)
    if "seed" in names:
        values = combinations.typed()["seed"].cast(pl.Int64, strict=False).gather(combination)
    elif per_task:
        values = pl.Series([task_seed(experiment.seeding.base, key) for key in plain], dtype=pl.Int64)
    else:
        values = pl.Series(np.tile(np.array(own_seeds, dtype=np.int64), height))
    table = pl.DataFrame(
        {
            "key": digests,
            "combination": combination,
            "repeat": np.tile(np.arange(repeats, dtype=np.int32), height),
            "seed": values,
        }
    )
    if seed == "given":
        table = table.with_columns(plain.alias("plain"))
    parameters = [combinations.frame[name].gather(combination).alias(PREFIX + name) for name in names]
    table = table.with_columns(pl.lit(None, dtype=pl.String).alias("stage"), *parameters)
    if digests.n_unique() == table.height:
        return table
    return table.unique(subset="key", keep="first", maintain_order=True)


def _check_size(experiment: Experiment, combinations: Combinations) -> None:
    height, repeats = combinations.height, experiment.repeats
    if height * repeats > MAX_TASKS:
        message = f"{height:,} combinations with {repeats:,} repeats are too many tasks (at most {MAX_TASKS:,})"
        raise SpecError([experiment.problem(("repeat",) if repeats > 1 else ("parameters",), message)])


def _binary(digests: Iterable[bytes]) -> pl.Series:
    """The keys as a column, without a million Python objects at once."""
    rest = iter(digests)
    blocks = [pl.Series("key", [], dtype=pl.Binary)]
    while block := list(islice(rest, _BLOCK)):
        blocks.append(pl.Series("key", block, dtype=pl.Binary))
    return pl.concat(blocks, rechunk=True)


def named_plans(state: State) -> list[int]:
    """Numbers of the plans that the journal names, the newest first. Another one on disk was never
    submitted."""
    return sorted({event.plan for event in state.submissions}, reverse=True)


def known_tasks(plans: Path, state: State) -> pl.DataFrame:
    """key, version, task_id of every task that a submission ever had."""
    found = pl.DataFrame(schema={"key": pl.Binary, "version": pl.Int32, "task_id": pl.Int64})
    for number in named_plans(state):
        part = Plan.read(plans, number, found.columns, state.plan_crc(number)).tasks
        found = pl.concat([found, part.join(found, on=["key", "version"], how="anti")])
    return found


def find_tasks(table: pl.DataFrame, plans: Path, state: State) -> pl.DataFrame:
    """Return key, version, task_id, plan of the tasks of `table` that exist: the newest version of each key, and the
    newest plan that has it."""
    found = pl.DataFrame(schema={"key": pl.Binary, "version": pl.Int32, "task_id": pl.Int64, "plan": pl.Int64})
    wanted = table.select("key")
    for number in named_plans(state):
        if not wanted.height:
            break
        # Versions only grow, so the newest plan with a key has its newest version.
        part = Plan.read(plans, number, ["key", "version", "task_id"], state.plan_crc(number)).tasks
        part = part.join(wanted, on="key", how="semi").with_columns(pl.lit(number, dtype=pl.Int64).alias("plan"))
        wanted = wanted.join(part, on="key", how="anti")
        found = pl.concat([found, part.select(found.columns)])
    return found


def _ran_with(table: pl.DataFrame, plans: Path, state: State) -> pl.DataFrame:
    """key, version, task_id, plan of tasks whose keys did not hold the seed when they ran, and that ran with the seed
    that they have in `table`. They began in the oldest plan that has them; what later ones say of the seed is none that
    they have seen."""
    plain = table.select("plain", "key", "seed").unique("plain", keep="first")
    before = find_tasks(plain.select(pl.col("plain").alias("key")), plans, state).rename({"key": "plain"})
    began = pl.DataFrame(schema={"plain": pl.Binary, "began_with": pl.Int64})
    for number in reversed(named_plans(state)):
        rest = before.join(began, on="plain", how="anti")
        if not rest.height:
            break
        part = Plan.read(plans, number, ["key", "seed"], state.plan_crc(number)).tasks
        part = part.rename({"key": "plain", "seed": "began_with"}).unique("plain")
        began = pl.concat([began, part.join(rest, on="plain", how="semi").select(began.columns)])
    found = before.join(began, on="plain").join(plain, on="plain").filter(pl.col("began_with") == pl.col("seed"))
    return found.select("key", "version", "task_id", "plan")


def make_plan(
    experiment: Experiment,
    combinations: Combinations,
    *,
    number: int,
    plans: Path,
    previous: Plan | None,
    state: State,
    seed: SeedUse,
    overridden: Combinations | None = None,
    adopt: bool = False,
    without_added: bool = False,
) -> Planned:
    """Give every task its id and version.

    overridden: the combinations of `name=value` on the command line. Those that the file does not have join
    the plan, and stay in the plans to come, unless they come `without_added`. adopt: new tasks take over the
    ids, and so the results, of done tasks of earlier plans that differ from them in nothing but the command,
    a parameter's name, or a new parameter at its default.
    """
    shared = components(experiment)
    if experiment.stage is not None:  # each stage says so itself, and all of them are newer than that question
        seed = "named" if any(one.takes_seed for one in experiment.stages.values()) else "none"
    names = cache(lambda: {name for one in named_plans(state) for name in Plan.read_names(plans, one)})
    first_defaults, defaults = argument_defaults.record(experiment, previous, names)
    first_of_stages, of_stages = argument_defaults.record_stages(experiment, previous, names)
    about: PlanAbout = {
        "file": str(experiment.file.absolute()),
        "templates": all_templates(experiment),
        "components": _digests(experiment),
        "seed": [experiment.seeding.base, experiment.seeding.per] if seed != "none" else None,
        "version": experiment.version,
        "defaults": dict(experiment.defaults),
        "unhashed": sorted(experiment.unhashed),
    }
    if signatures := experiment.origin.stage_signatures:
        about["signatures"] = {name: one.recorded() for name, one in signatures.items()}
    if per_node := [name for name, stage in experiment.stages.items() if stage.per_node]:
        about["per_node"] = per_node
    if experiment.apart:
        about["apart"] = [*experiment.apart]
    if first_defaults:
        about["first_defaults"] = first_defaults
    if first_of_stages:
        about["stage_defaults"] = first_of_stages
    changed: dict[str, Value] = dict(defaults.changed)
    changed |= {name: dict(one.changed) for name, one in of_stages.items() if one.changed}
    if changed:
        about["components"]["argument_defaults"] = keys.digest(changed)

    def tables(rows: Combinations) -> tuple[pl.DataFrame, StageTables | None]:
        if experiment.stage is None:
            return task_table(experiment, rows, seed, shared, defaults), None
        _check_size(experiment, rows)
        constant = {one.stage or "": components(one) for one in experiment.per_stage}
        staged = stage_tables(experiment, rows, constant, of_stages)
        return staged.tasks, staged

    from_file = combinations.height
    added, notices = _added_before(None if without_added else previous, experiment, combinations)
    for extra in (added, overridden):
        if extra is not None:
            combinations = merge(combinations, extra)
    table, staged = tables(combinations)
    values = combinations.values
    chosen = pl.repeat(True, table.height, dtype=pl.Boolean, eager=True)
    if overridden is not None:
        asked, _ = tables(overridden)
        chosen = table["key"].is_in(asked["key"].implode())
        table, values = _as_asked(table, values, Plan(0, asked, overridden.values), experiment.unhashed)
    table = table.with_columns((pl.col("combination") >= from_file).alias("added"))
    known = find_tasks(table, plans, state)
    if seed == "given":
        known = pl.concat([known, _ran_with(table.join(known, on="key", how="anti"), plans, state)])
    table = table.join(known, on="key", how="left", maintain_order="left").with_columns(
        pl.col("version").fill_null(experiment.version)
    )
    table, values = _as_run(table, values, plans, state, experiment.unhashed)
    table = table.drop("plan")
    adopted = pl.Series([], dtype=pl.Int64)
    again: dict[str, pl.Series] = {}
    if table["task_id"].null_count() and previous is not None:
        fresh = Plan(number, table.filter(pl.col("task_id").is_null()), values, about)
        if adopt:
            taken, said = _adopt(fresh, previous, plans, state)
            adopted = taken["task_id"]
            table = table.join(taken, on="key", how="left", maintain_order="left", suffix="_adopted")
            table = table.with_columns(
                pl.coalesce("task_id", "task_id_adopted").alias("task_id"),
                pl.coalesce("version_adopted", "version").alias("version"),
            )
            notices += said
        else:
            found = match(fresh, previous, _done(previous.tasks["task_id"], state))
            if found.pairs.height:
                why = " and ".join(found.differences) or "its key changed"
                again[why] = table["key"].is_in(found.pairs["key"].implode()) & table["task_id"].is_null()
    elif adopt:
        notices += ("--adopt: nothing to adopt, for every task is known",)
    known_flags = table["task_id"].is_not_null()
    tasks = numbered(table, state)
    plan = Plan(number, tasks, values, about)
    if staged is not None:
        known_runs = _known_runs(staged.runs, plans, state)
        tasks, runs = identified(tasks, staged.runs, known_runs, max(state.size, next_id(tasks)), experiment)
        plan = replace(plan, tasks=tasks, runs=runs)
    return Planned(plan, known_flags, chosen, again, adopted, notices)


def next_id(tasks: pl.DataFrame) -> int:
    """Return the first id behind those of some tasks."""
    last = tasks["task_id"].max()
    return 0 if last is None else int(str(last)) + 1


def _known_runs(runs: pl.DataFrame, plans: Path, state: State) -> pl.DataFrame:
    """Return key, version, task_id of the runs of stages that exist: the newest version of each key."""
    found = pl.DataFrame(schema={"key": pl.Binary, "version": pl.Int32, "task_id": pl.Int64})
    wanted = runs.select("key")
    for number in named_plans(state):
        if not wanted.height:
            break
        part = Plan.read(plans, number, [*found.columns, "stage"], state.plan_crc(number)).runs
        if part.height:
            part = part.join(wanted, on="key", how="semi")
            wanted = wanted.join(part, on="key", how="anti")
            found = pl.concat([found, part.select(found.columns)])
    return found


def numbered(table: pl.DataFrame, state: State) -> pl.DataFrame:
    """The table in the order of a plan's columns, with the next free task ids in the rows that have none."""
    order = pl.col("task_id").is_null().cast(pl.Int64).cum_sum() - 1 + state.size
    columns = ["task_id", "key", "version", "combination", "repeat", "seed", "stage", "added"]
    parameters = [name for name in table.columns if name.startswith((PREFIX, LINK))]
    types = {"task_id": pl.Int64, "version": pl.Int32}
    return table.with_columns(pl.coalesce("task_id", order)).select(*columns, *parameters).cast(types)  # type: ignore[arg-type]


def rerun(
    planned: Planned, selected: pl.Series, state: State, stages: Collection[str] = (), *, apart: bool = False
) -> Planned:
    """The next version of every selected task that is done: a new task with the same key; and of the runs of some
    stages behind them. apart: no task depends on these, so the tasks stay."""
    tasks = planned.plan.tasks
    chosen = selected & planned.known & tasks["task_id"].is_in(_done(tasks["task_id"], state).implode())
    again = chosen & (not apart)
    table = tasks.with_columns(
        pl.when(again).then(pl.col("version") + 1).otherwise(pl.col("version")).alias("version"),
        pl.when(again | ~planned.known).then(None).otherwise(pl.col("task_id")).alias("task_id"),
    )
    plan = replace(planned.plan, tasks=numbered(table, state))
    if plan.runs.height:
        tasks, runs = next_versions(plan, chosen, _done(plan.runs["task_id"], state), stages, next_id(plan.rows))
        plan = replace(plan, tasks=tasks, runs=runs)
    return replace(planned, plan=plan, known=planned.known & ~again, again={**planned.again, "--rerun": again})


def _done(tasks: pl.Series, state: State) -> pl.Series:
    """Those of the task ids that are done."""
    codes = np.frombuffer(state.columns["state"], dtype=np.int8)
    ids = tasks.to_numpy()
    ids = ids[ids < state.size]
    return pl.Series("task_id", ids[codes[ids] == DONE], dtype=pl.Int64)


def _added_before(
    previous: Plan | None, experiment: Experiment, combinations: Combinations
) -> tuple[Combinations | None, tuple[str, ...]]:
    """The combinations that `name=value` added to the previous plan, as the file means them now."""
    rows = None if previous is None else previous.tasks.filter("added")
    if previous is None or rows is None or not rows.height:
        return None, ()
    rows = rows.unique("combination", keep="first", maintain_order=True)
    kept, why = carried(Plan(0, rows, previous.values).combinations, experiment, combinations)
    gone = rows.height - kept.height
    if not gone or not why:
        return kept, ()
    what = "combination added by name=value leaves" if gone == 1 else "combinations added by name=value leave"
    return kept, (f"{gone:,} {what} the plan: {why}",)


def _adopt(new: Plan, previous: Plan, plans: Path, state: State) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """key, task_id, version of the done tasks, of any earlier plan, that new tasks take over; and what to say
    of it."""
    taken = pl.DataFrame(schema={"key": pl.Binary, "task_id": pl.Int64, "version": pl.Int32})
    said: dict[str, None] = {}
    rest = new
    for number in named_plans(state):
        if not rest.tasks.height:
            break
        old = previous if number == previous.number else Plan.read(plans, number)
        candidates = _done(old.tasks["task_id"], state)
        candidates = candidates.filter(~candidates.is_in(taken["task_id"].implode()))
        found = match(rest, old, candidates)
        if found.pairs.height:
            count, what = found.pairs.height, " and ".join(found.differences)
            said[f"--adopt: {count:,} done task{'s' * (count > 1)} adopted, though {what}"] = None
        elif number == previous.number:
            why = found.unmatched or "no done task of the previous plan has the same setting as a new one"
            said[f"--adopt: {why}"] = None
        taken = pl.concat([taken, found.pairs])
        rest = replace(rest, tasks=rest.tasks.join(found.pairs, on="key", how="anti"))
    return taken, tuple(said)


# Unhashed parameters: one task, whose value may change.


def _as_asked(
    table: pl.DataFrame, values: dict[str, list[Value]], asked: Plan, unhashed: Iterable[str]
) -> tuple[pl.DataFrame, dict[str, list[Value]]]:
    """Tasks that `name=value` asks for take its values of unhashed parameters, too."""
    return _with_values(table, values, asked, unhashed)


def _as_run(
    table: pl.DataFrame, values: dict[str, list[Value]], plans: Path, state: State, unhashed: Iterable[str]
) -> tuple[pl.DataFrame, dict[str, list[Value]]]:
    """Done tasks keep the values of unhashed parameters with which they ran."""
    unhashed = [name for name in unhashed if name in values]
    if not unhashed:
        return table, values
    done = table.filter(pl.col("task_id").is_in(_done(table["task_id"].drop_nulls(), state).implode()))
    for number in done["plan"].unique().sort():
        rows = done.filter(pl.col("plan") == number).select("key")
        source = Plan.read(plans, number)
        source = replace(source, tasks=source.tasks.join(rows, on="key", how="semi"))
        table, values = _with_values(table, values, source, unhashed)
    for name in unhashed:  # without values that no task has any more
        used, codes = np.unique(table[PREFIX + name].to_numpy(), return_inverse=True)
        table = table.with_columns(pl.Series(PREFIX + name, codes, dtype=pl.UInt32))
        values = {**values, name: [values[name][code] for code in used]}
    return table, values


def _with_values(
    table: pl.DataFrame, values: dict[str, list[Value]], source: Plan, names: Iterable[str]
) -> tuple[pl.DataFrame, dict[str, list[Value]]]:
    """`table` with the values that the tasks of `source` have for some of the parameters."""
    for name in names:
        column = PREFIX + name
        if name not in values or name not in source.values:
            continue
        merged = list(values[name])
        index = {canonical(value): code for code, value in enumerate(merged)}
        codes = []
        for value in source.values[name]:
            code = index.setdefault(canonical(value), len(merged))
            if code == len(merged):
                merged.append(value)
            codes.append(code)
        given = pl.Series("given", codes, dtype=pl.UInt32).gather(source.tasks[column])
        table = table.join(source.tasks.select("key", given), on="key", how="left", maintain_order="left")
        table = table.with_columns(pl.coalesce("given", column).alias(column)).drop("given")
        values = {**values, name: merged}
    return table, values
