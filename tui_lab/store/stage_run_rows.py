"""The runs of stages as rows of a table: those of a plan, and those that nodes have of their own."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Final

import polars as pl

from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.stages import differing
from tui_lab.store.fold import State
from tui_lab.store.naming import parameter_columns
from tui_lab.store.plan import LINK, Plan

RUN_COLUMNS: Final = {
    "stage": pl.String(),
    "run_id": pl.Int64(),
    "tasks": pl.Int64(),
    "key": pl.String(),
    "repeat": pl.Int32(),
    "version": pl.Int32(),
    "seed": pl.Int64(),
}


def runs_of_plan(plan: Plan, spec: Experiment, name: str, known: set[int], newest: bool) -> pl.DataFrame:
    """The runs of a stage that only this plan has, or that it has as the newest."""
    stage = spec.stages[name]
    mine = plan.of_stage(name)
    mine = replace(mine, tasks=mine.tasks.filter(~pl.col("task_id").is_in(list(known))))
    counts = plan.tasks[LINK + name].drop_nulls().value_counts(name="tasks").rename({LINK + name: "run_id"})
    runs = mine.tasks.select(
        pl.lit(name).alias("stage"),
        pl.col("task_id").alias("run_id"),
        pl.Series("key", [key.hex() for key in mine.tasks["key"]], dtype=pl.String),
        "repeat" if stage.repeated else pl.lit(None, pl.Int32).alias("repeat"),
        "version",
        "seed",
    )
    runs = runs.join(counts.cast({"tasks": pl.Int64}), on="run_id", how="left", maintain_order="left")
    names = differing(spec.stages)[name] if stage.apart else stage.uses
    used = [one for one in mine.names if one in names]
    taken = (*FACTS, *RUN_COLUMNS)
    typed = mine.typed().select(used).rename(parameter_columns(used, taken))
    tasks = pl.col("tasks").fill_null(0) if newest else pl.lit(0, pl.Int64).alias("tasks")
    return pl.concat(
        [
            runs.select("stage", "run_id", tasks, "key"),
            typed,
            runs.select("repeat", "version", *(["seed"] if "seed" not in used else [])),
        ],
        how="horizontal",
    )


def runs_of_nodes(rows: pl.DataFrame, plan: Plan, state: State, stage: str) -> pl.DataFrame:
    """The runs that nodes have of their own, in the place of the rows that stand for them. `tasks` are those that ran
    on the node."""
    pairs = [(run, one) for run in rows["run_id"] for one in state.node_runs.get(run, {}).values()]
    ran = [state.on_node(run, task) for task, run in plan.tasks.select("task_id", LINK + stage).drop_nulls().rows()]
    counts = Counter(ran) if rows["tasks"].sum() else Counter[int]()
    own = pl.DataFrame(
        {
            "run_id": pl.Series([run for run, _ in pairs], dtype=pl.Int64),
            "own": pl.Series([one for _, one in pairs], dtype=pl.Int64),
            "tasks": pl.Series([counts[one] for _, one in pairs], dtype=pl.Int64),
        }
    )
    found = own.join(rows.drop("tasks"), on="run_id", how="left", maintain_order="left")
    return found.with_columns(pl.col("own").alias("run_id")).select(rows.columns)
