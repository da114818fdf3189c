"""Repeats until enough is known: which further tasks to ask for.

With `repeat: {min, max, until}` a plan holds all `max` repeats of every setting. The first `min` are asked for at
once. Whenever nothing more is under way, each setting whose condition is not true yet gets one further repeat: its
first that was never asked for. A setting is a combination of all parameters but one named `seed`.

A condition sees finite values alone: a task that failed, or printed NaN, costs a repeat and adds nothing. One that
can't be told (of too few values, say) is not true yet.
"""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import polars as pl

from tui_lab.results.settings import codes
from tui_lab.results.sql_connection import add_summaries
from tui_lab.results.tables import Results, refresh
from tui_lab.spec import until
from tui_lab.spec.metric import Metric
from tui_lab.spec.model import Experiment
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import DONE, PENDING, State
from tui_lab.store.naming import SEED
from tui_lab.store.plan import Plan
from tui_lab.store.spare import spare_tasks


def more(folder: ExperimentFolder) -> list[int]:
    """Further tasks that the newest submission of an experiment needs now that nothing of it is under way: none
    where all conditions are true or all repeats used up.

    Reads with eyes of its own, so that it may be called in another thread than the one that holds `folder`. Writes
    nothing but the results' cache, and that only where no one else does. Raises LabError, SpecError.
    """
    folder = ExperimentFolder(folder.path)
    state = folder.state()
    spare = spare_tasks(state)
    if not spare.size:
        return []
    experiment = folder.spec()
    rows = Rows(folder.plan(), state)
    chosen = rows.tasks["task_id"].is_in(pl.Series(spare).implode())
    return further(rows, chosen, rows.waits, experiment, refresh(folder)).to_list()


class Rows:
    """The tasks of a plan, which may not be submitted yet, by setting."""

    def __init__(self, plan: Plan, state: State) -> None:
        self.tasks = plan.tasks.select("task_id", "repeat")
        self.settings = _settings(plan)
        """A number for each task."""
        self.state = _of_state(state, "state", self.tasks["task_id"], PENDING)
        self.waits = _of_state(state, "queued", self.tasks["task_id"], 0) == 1
        """Asked for, and not yet at its end."""
        self.asked = self.waits | (self.state != PENDING) | (_of_state(state, "attempts", self.tasks["task_id"], 0) > 0)
        """Was ever asked for."""

    def begun(self, least: int) -> pl.Series:
        """Tasks of the first `least` repeats, and of those to which earlier runs went: Boolean for each row."""
        repeat = self.tasks["repeat"]
        asked = pl.DataFrame({"setting": self.settings, "repeat": repeat.set(~self.asked, None)})
        last = asked.select(pl.col("repeat").max().over("setting").fill_null(-1)).to_series()
        return (repeat < least) | (repeat <= last)


def further(
    rows: Rows, chosen: pl.Series, waits: pl.Series, experiment: Experiment, results: Results | None
) -> pl.Series:
    """The next of the chosen tasks of each setting of which none waits and whose condition is not true: task ids, the
    earliest repeat first. `results` are those of the experiment so far."""
    if isinstance(experiment.repeat, int):
        return pl.Series("task_id", [], dtype=pl.Int64)
    table = rows.tasks.with_columns(
        rows.settings.alias("setting"), (chosen & ~rows.asked).alias("chosen"), waits.alias("waits")
    )
    table = table.filter(pl.col("chosen") & ~pl.col("waits").any().over("setting"))
    if table.height and results is not None:
        done = rows.tasks.with_columns(rows.settings.alias("setting")).filter(rows.state == DONE)
        true = settings_where(experiment.repeat.until, experiment.metrics, results, done)
        table = table.filter(~pl.col("setting").is_in(true.implode()))
    table = table.sort("repeat", maintain_order=True)
    return table.unique("setting", keep="first", maintain_order=True)["task_id"]


def settings_where(condition: str, metrics: Mapping[str, Metric], results: Results, done: pl.DataFrame) -> pl.Series:
    """The settings among those of `done` (`task_id`, `setting`) for which a condition is true."""
    names = until.check(condition, metrics)
    values = results.tasks.select(
        "task_id", *(_finite(results.metrics.get(name, name)).alias(f"v{i}") for i, name in enumerate(names))
    )
    table = done.select("task_id", pl.col("setting").alias("a setting")).join(values, on="task_id", how="left")
    columns = ", ".join(['"a setting"', *(f'v{i} AS "{name}"' for i, name in enumerate(names))])
    grouped = f'SELECT ({condition}\n) AS holds, "a setting" FROM (SELECT {columns} FROM done) GROUP BY "a setting"'
    with duckdb.connect(":memory:") as connection:
        add_summaries(connection)
        connection.register("done", table.to_arrow())
        try:
            answer = connection.execute(f'SELECT "a setting" FROM ({grouped}) WHERE holds').fetchall()
        except duckdb.Error as error:
            raise LabError(f"repeat.until: {str(error).splitlines()[0]}", "mend the condition") from None
    return pl.Series("setting", [setting for (setting,) in answer], dtype=pl.Int64)


def _settings(plan: Plan) -> pl.Series:
    names = [name for name in plan.names if name != SEED]
    return plan.tasks["combination"] if len(names) == len(plan.names) else codes(plan.typed(), names)


def _of_state(state: State, name: str, tasks: pl.Series, unknown: int) -> pl.Series:
    """A column of the state for each task; `unknown` for those that were never submitted."""
    known = pl.Series(name, [*state.columns[name], unknown], dtype=pl.Int64)
    return known.gather(tasks.clip(0, state.size))


def _finite(column: str) -> pl.Expr:
    """A column as numbers; what is no finite number is null."""
    value = pl.col(column).cast(pl.Float64, strict=False)
    return pl.when(value.is_finite()).then(value)
