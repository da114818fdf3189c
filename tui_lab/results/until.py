"""`repeat: {until}`: which further repeats are needed.

With `repeat: {min, max, until}` a plan holds all `max` repeats of every setting. The first `min` are asked for at
once. Whenever nothing more is under way, each setting whose condition is not true yet gets one further repeat: its
first that was never asked for. A setting is a combination of all parameters but one named `seed`.

Who looks again and again stops where the interval happens to be narrow, and no interval here is corrected for that.

A condition sees finite values alone: a task that failed, or printed NaN, costs a repeat and adds nothing. One that
can't be computed (of too few values, say) is not true yet.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Final, NamedTuple

import duckdb
import polars as pl

from tui_lab.experiment.duckdb_tables import register
from tui_lab.experiment.expressions import until
from tui_lab.experiment.expressions.bounded import bounded
from tui_lab.experiment.expressions.syntax import ExpressionError
from tui_lab.experiment.metric import Metric
from tui_lab.experiment.model import Experiment, Repeat
from tui_lab.results.numeric.whole_numbers import as_floats, is_far
from tui_lab.results.sql.connection import add_summaries, close, with_knowledge
from tui_lab.results.statistics.resolution import Resolution, resolution
from tui_lab.results.tables import Results, codes, refresh
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import DONE, PENDING, State
from tui_lab.store.naming import SEED
from tui_lab.store.plan import Plan
from tui_lab.store.spare import spare_tasks


class More(NamedTuple):
    """The further tasks of the newest submission, and a note."""

    tasks: list[int]
    """None where all conditions are true or all repeats used up."""
    note: str
    """What the user should know of the condition: that it can't become true; else empty."""


def more(folder: ExperimentFolder) -> More:
    """Return what `repeat.until` needs next. Opens the experiment itself, so that it may be called in another thread
    than the one that holds `folder`. Writes only the results' cache, and only if no one else does. Raises LabError,
    SpecError."""
    folder = ExperimentFolder(folder.path)
    state = folder.state()
    spare = spare_tasks(state)
    if not spare.size:
        return More([], "")
    experiment = folder.spec()
    if isinstance(experiment.repeat, int):
        return More([], "")
    rows = Rows(folder.plan(), state)
    chosen = rows.tasks["task_id"].is_in(pl.Series(spare).implode())
    found = verdict(rows, experiment.repeat, experiment.metrics, refresh(folder))
    tasks = _next(rows, chosen, rows.waits, found.true).to_list()
    return More(tasks, _hopeless(experiment.repeat, found) if tasks else "")


class Rows:
    """The tasks of a plan, which may not be submitted yet, by setting."""

    def __init__(self, plan: Plan, state: State) -> None:
        self.tasks = plan.tasks.select("task_id", "repeat")
        self.settings = _settings(plan)
        """A number for each task."""
        self.state = _of_state(state, "state", self.tasks["task_id"], PENDING)
        self.waits = _of_state(state, "queued", self.tasks["task_id"], 0) == 1
        """Whether a task is requested and has not ended."""
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
    true = pl.Series([], dtype=pl.Int64)
    if results is not None:
        true = verdict(rows, experiment.repeat, experiment.metrics, results).true
    return _next(rows, chosen, waits, true)


def _next(rows: Rows, chosen: pl.Series, waits: pl.Series, true: pl.Series) -> pl.Series:
    """The earliest of the chosen tasks of each setting of which none waits, but those of which the condition is true:
    task ids."""
    table = rows.tasks.with_columns(
        rows.settings.alias("setting"), (chosen & ~rows.asked).alias("chosen"), waits.alias("waits")
    )
    table = table.filter(pl.col("chosen") & ~pl.col("waits").any().over("setting"))
    table = table.filter(~pl.col("setting").is_in(true.implode())).sort("repeat", maintain_order=True)
    return table.unique("setting", keep="first", maintain_order=True)["task_id"]


def _hopeless(repeat: Repeat, found: Verdict) -> str:
    """Return the note on a condition that can't become true of some settings; else empty."""
    said = f"until: {repeat.until} can't become true"
    if found.absent:
        what = f"no done task has a number for {', '.join(found.absent)} so far"
        return f"{said}: {what}; each setting runs up to {repeat.max} times"
    if found.hopeless.len():
        count = f"{found.hopeless.len():,} of {found.settings:,} settings"
        why = f"as their means are so far, however little they scatter {_ADVICE}"
        return f"{said} of {count}, {why}; each runs up to {repeat.max} times"
    return ""


_ADVICE: Final = "(a negative mean? abs(mean(x)))"


@dataclass(frozen=True)
class Verdict:
    """The settings by the result of a condition."""

    true: pl.Series
    hopeless: pl.Series
    """It is not true, and would not be if all repeats had the mean of the setting's values: none can make it so."""
    absent: tuple[str, ...]
    """The metrics of the condition of which no done task has a number, where it is true of no setting."""
    settings: int
    """How many there are of which it was asked."""


def verdict(rows: Rows, repeat: Repeat, metrics: Mapping[str, Metric], results: Results) -> Verdict:
    """Check the condition for the settings that have done tasks. Equal values are not exact: where a condition asks for
    their spread, they scatter as `stats` assumes."""
    condition = repeat.until
    done = rows.tasks.with_columns(rows.settings.alias("setting")).filter(rows.state == DONE)
    try:
        names = until.check(condition, metrics)
    except ExpressionError as error:
        raise LabError(f"repeat.until: {error.message}", error.hint) from None
    values = results.tasks.select(
        "task_id", *(_numbers(results.tasks[results.metrics.get(name, name)], f"v{i}") for i, name in enumerate(names))
    )
    table = done.select("task_id", pl.col("setting").alias("a setting")).join(
        values, on="task_id", how="left", maintain_order="left"
    )
    columns = [f"v{i}" for i in range(len(names))]
    for column, name in zip(columns, names, strict=True):
        runs = results.shared_runs(name, table)
        if runs is not None:  # a value that tasks share counts once
            first = pl.struct("a setting", runs.alias("a run")).is_first_distinct()
            table = table.with_columns(pl.when(first).then(column).alias(column))
    means = table.group_by("a setting", maintain_order=True).agg(pl.col(columns).cast(pl.Float64).mean())
    means = means.drop_nulls(columns)
    every = means.join(pl.select(pl.int_range(repeat.max).alias("a repeat")), how="cross")
    unsure = pl.Series([], dtype=pl.Int64)
    if _SPREAD.search(condition):
        for column in columns:
            table, doubtful = _scattered(table, column, bool(_OTHER_SPREAD.search(condition)))
            unsure = unsure.append(doubtful)
    known = {name.lower(): _known(table, column) for name, column in zip(names, columns, strict=True)}
    constant = {name: one for name, one in known.items() if one.deterministic}
    true = _true(condition, names, table, constant)
    true = true.filter(~true.is_in(unsure.implode()))
    # A mean of 1 is no share: what is known of the values must be known of their means.
    of_means = {name: one for name, one in known.items() if one.deterministic or not one.binary}
    possible = _true(condition, names, every, of_means)
    hopeless = means["a setting"].filter(~means["a setting"].is_in(pl.concat([true, possible]).implode()))
    absent = [name for name, one in zip(names, columns, strict=True) if not table[one].count()]
    asked = table["a setting"].n_unique()
    return Verdict(true, hopeless, tuple(absent if asked and not true.len() else ()), asked)


def _known(table: pl.DataFrame, column: str) -> Resolution:
    _, samples, offset = _samples(table, column)
    return resolution(samples, offset)


def _samples(table: pl.DataFrame, column: str) -> tuple[pl.Series, list[list[float]], int]:
    """The settings that have values, these, and what was subtracted from them all."""
    floats, offset = as_floats(table[column])
    values = table.select("a setting", pl.Series(column, floats, dtype=pl.Float64)).drop_nulls(column)
    groups = values.group_by("a setting", maintain_order=True).agg(column)
    return groups["a setting"], [one.to_list() for one in groups[column]], offset


_SPREAD: Final = re.compile(r"\b(sd|se|ci95|stddev\w*|var(iance)?(_\w+)?|sem|mad|max|range)\s*\(", re.IGNORECASE)
"""What says how values scatter; a range is a maximum less a minimum."""
_OTHER_SPREAD: Final = re.compile(r"\b(sd|se|stddev\w*|var(iance)?(_\w+)?|sem|mad)\s*\(", re.IGNORECASE)


def _scattered(table: pl.DataFrame, column: str, asks_for_sd: bool) -> tuple[pl.DataFrame, pl.Series]:
    """The table with values in the place of equal ones that scatter about them as they are taken to, and the settings
    of which nothing can be said yet: of shares there are no such values, and ci95() does without."""
    nothing = pl.Series([], dtype=pl.Int64)
    numbers, samples, offset = _samples(table, column)
    known = resolution(samples, offset)
    if known.deterministic:
        return table, nothing
    equal = [len(one) > 1 and min(one) == max(one) for one in samples]
    settings = numbers.filter(pl.Series(equal, dtype=pl.Boolean))
    if known.binary:
        return table, settings.cast(pl.Int64) if asks_for_sd else nothing
    moved: dict[int, list[float]] = {}
    for setting, one, is_equal in zip(numbers, samples, equal, strict=True):
        if is_equal:
            n, spread = len(one), known.spread(one, 0.0) or 0.0
            far = spread if n % 2 else spread * math.sqrt((n - 1) / n)  # so that this is their standard deviation
            moved[setting] = [one[0] + far * (0 if n % 2 and place == n - 1 else (-1) ** place) for place in range(n)]
    if not moved:
        return table, nothing
    floats, _ = as_floats(table[column])
    found = [
        value if value is None or setting not in moved else moved[setting].pop()
        for setting, value in zip(table["a setting"], floats, strict=True)
    ]
    return table.with_columns(_put_back(column, found, offset)), nothing


def _put_back(name: str, values: Sequence[float | None], offset: int) -> pl.Series:
    """The values with `offset` added to each, exactly: as floats without one, else with as many decimals as there is
    room for."""
    if not offset:
        return pl.Series(name, values, dtype=pl.Float64)
    places = max(0, min(9, 37 - len(str(offset))))
    step = Decimal(1).scaleb(-places)
    wide = Context(prec=80)
    found = [None if one is None else wide.quantize(wide.add(Decimal(one), Decimal(offset)), step) for one in values]
    return pl.Series(name, found, dtype=pl.Decimal(38, places))


def _true(condition: str, names: Sequence[str], table: pl.DataFrame, known: Mapping[str, Resolution]) -> pl.Series:
    """The settings for which a condition is true of the values of a table."""
    condition = with_knowledge(condition, known).text
    columns = ", ".join(['"a setting"', *(f'v{i} AS "{name}"' for i, name in enumerate(names))])
    grouped = f'SELECT ({condition}\n) AS holds, "a setting" FROM (SELECT {columns} FROM done) GROUP BY "a setting"'
    connection = duckdb.connect(":memory:")
    try:
        connection.execute("SET memory_limit = '50%'")
        connection.execute("SET temp_directory = ''")
        add_summaries(connection, flat=0.0, known=known)
        register(connection, "done", table)
        query = f'SELECT "a setting" FROM ({grouped}) WHERE holds'
        answer = bounded(lambda: connection.execute(query).fetchall(), connection.interrupt, until.SECONDS)
    except TimeoutError:
        why = f"repeat.until: this takes longer than {until.SECONDS:g} s"
        raise LabError(why, "make the condition simpler") from None
    except duckdb.Error as error:
        raise LabError(f"repeat.until: {str(error).splitlines()[0]}", "correct the condition") from None
    finally:
        close(connection)
    return pl.Series("setting", [setting for (setting,) in answer], dtype=pl.Int64)


def unreached(folder: ExperimentFolder, results: Results) -> str:
    """Settings whose repeats are used up though the condition of `until` is not true, or why that is unknown, in one
    line; empty for none."""
    try:
        return _unreached(folder, results)
    except (LabError, OSError) as error:
        return f"until: {error}"


def _unreached(folder: ExperimentFolder, results: Results) -> str:
    experiment = results.spec
    if isinstance(experiment.repeat, int):
        return ""
    rows = Rows(folder.plan(), folder.state())
    table = rows.tasks.with_columns(rows.settings.alias("setting"), (rows.asked & ~rows.waits).alias("ended"))
    over = table.group_by("setting").agg(pl.col("ended").all()).filter("ended")["setting"]
    found = verdict(rows, experiment.repeat, experiment.metrics, results)
    missed = over.filter(~over.is_in(found.true.implode()))
    if not missed.len():
        return ""
    count = rows.settings.n_unique()
    hopeless = missed.is_in(found.hopeless.implode()).sum()
    said = (
        f"until: {experiment.repeat.until} is not true of {missed.len():,} of {count:,} settings "
        f"after all {experiment.repeat.max} repeats"
    )
    if hopeless:
        said += f"; of {hopeless:,} it can't become true, however little they scatter {_ADVICE}"
    return said


def _settings(plan: Plan) -> pl.Series:
    names = [name for name in plan.names if name != SEED]
    return plan.tasks["combination"] if len(names) == len(plan.names) else codes(plan.typed(), names)


def _of_state(state: State, name: str, tasks: pl.Series, unknown: int) -> pl.Series:
    """A column of the state for each task; `unknown` for those that were never submitted."""
    known = pl.Series(name, [*state.columns[name], unknown], dtype=pl.Int64)
    return known.gather(tasks.clip(0, state.size))


def _numbers(values: pl.Series, name: str) -> pl.Series:
    """A column as numbers, whole ones of any size as they are; what is no finite number is null."""
    if is_far(values):
        return values.cast(pl.Int128).alias(name)
    if values.dtype == pl.String:  # whole numbers of which nothing else holds all digits
        values = values.set(values.str.contains(r"^[-+]?\d{39,}$").fill_null(False), None)
    floats = values.cast(pl.Float64, strict=False).alias(name)
    return floats.set(~floats.is_finite().fill_null(False), None)
