"""Tables with many rows per task: values by step, and the rows that `rows` finds.

`NAME_steps` has a row for each task and step: the parameters, `step`, a column for each name that was
reported, then the facts that are `in_steps`. Values come from two places. A program may append JSON objects, one a
line, to its file of live metrics (`metrics.jsonl`); `step` in them is the step, otherwise they are counted from 0; of
several objects with the same step each adds its names, and of several values of one name the last counts. A metric
with `take: all` gives every one of its values; the step is the group named `step`, otherwise they are counted
from 0.

`NAME_rows` has the parameters, the columns that `rows` finds, `row` (from 0 within the task), then the same facts.

A column whose name is also one of a parameter is called `out_NAME`, and so is one with the name of a fact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import polars as pl

from tui_lab.experiment.column_type import ColumnType
from tui_lab.experiment.facts import FACTS
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.patterns.pattern import Pattern
from tui_lab.results import cache
from tui_lab.results.extraction.columns import build
from tui_lab.results.extraction.execution import Execution
from tui_lab.results.extraction.extractor import Task
from tui_lab.results.extraction.files import OutputFolders
from tui_lab.results.extraction.records import INDEX, REFUSED
from tui_lab.results.extraction.records_of_tasks import StageRecords, TaskRecords
from tui_lab.results.extraction.row_sources.kinds import rows_reader
from tui_lab.results.extraction.rows import NoRows
from tui_lab.results.extraction.slow_search import TooSlowError
from tui_lab.results.extraction.steps import StepsReader, running_by_step
from tui_lab.results.extraction.units import common_unit
from tui_lab.results.extraction.values import Scalar
from tui_lab.store import ranges
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.naming import parameter_columns

PREFIX: Final = "values."
"""Of columns in the cache, so that none has the name of another."""
_REFUSED: Final = "refused."
"""Of columns with the texts that could not be read, where the value is null."""
_LONGEST: Final = 200
"""Characters of such a text that are kept."""
FILES: Final = {"steps": "results.steps.parquet", "rows": "results.rows.parquet"}


@dataclass(frozen=True)
class Refused:
    """Values of a column that could not be read, and are null."""

    column: str
    count: int
    of: int
    """Of so many values."""
    text: str
    """The first of them, and the attempt that it is of."""
    task: Task


@dataclass(frozen=True)
class LongTable:
    """A table with a row for each step or row of each task."""

    frame: pl.DataFrame
    skipped: int
    """Lines that could not be read."""
    slow: tuple[int, ...] = ()
    """Tasks of which something is missing, as a pattern took too long on their output."""
    waits: bool = False
    """Files of ended tasks are missing; they may come yet."""
    unread: pl.DataFrame = field(default_factory=pl.DataFrame)
    """The values of columns of which some could not be read, and the texts of these."""
    troubles: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """What is wrong with outputs of which not all could be read, and the tasks."""
    patterns: Mapping[str, tuple[Pattern, str]] = field(default_factory=dict)
    """The pattern that finds the values of a column, and where it looks."""
    types: Mapping[str, ColumnType] = field(default_factory=dict)
    units: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Units of the quantities of columns that name none, as programs wrote them, and how often."""
    bases: Mapping[str, str] = field(default_factory=dict)
    """The unit that such a column was read in, where it has several."""
    not_executed: bool = False
    """Something was not executed, as the lab is not trusted: what it would find is missing."""
    stages: Mapping[str, str] = field(default_factory=dict)
    """The stage of which the values of a column are, where tasks share them."""

    @property
    def refused(self) -> tuple[Refused, ...]:
        """What could not be read, by column."""
        return _refused(self.unread)

    def of_tasks(self, tasks: pl.Series) -> LongTable:
        """Return the part that is of some tasks; what was skipped, and the units, are those of all."""
        unread, wanted = self.unread, set(tasks.to_list())
        troubles = {text: [task for task in of if task in wanted] for text, of in self.troubles.items()}
        return replace(
            self,
            frame=self.frame.filter(pl.col("task_id").is_in(tasks.implode())),
            slow=tuple(task for task in self.slow if task in wanted),
            unread=unread.filter(pl.col("task_id").is_in(tasks.implode())) if unread.width else unread,
            troubles={text: of for text, of in troubles.items() if of},
        )


def refresh(
    kind: str,
    folder: ExperimentFolder,
    spec: Experiment,
    tasks: pl.DataFrame,
    parameters: Sequence[str],
    executions: Mapping[str | None, Execution],
    live: bool = False,
    force: bool = False,
) -> LongTable:
    """The table `kind` (`steps` or `rows`) for the tasks of the table of all tasks, from the cache and what
    is new; `force` reads everything again. executions: what is needed to run something, of tasks (None) and of those
    stages for which something runs."""
    index = "step" if kind == "steps" else "row"
    more = _fingerprints(kind, spec)
    print_ = cache.fingerprint([kind, *definition(kind, spec), *more])
    written = cache.fingerprint([kind, *definition(kind, spec)])  # whatever has become of what runs
    path = folder.path / FILES[kind]
    ended = tasks.filter(pl.col("attempt").is_not_null()).select("task_id", "attempt")
    absent: list[int] = []
    beside = _beside(folder, spec) if kind == "steps" else {}
    with cache.writing(folder.path) as may_write:
        found = None if force else cache.read(path)
        known = pl.DataFrame(schema=ended.schema)
        kept, skipped = pl.DataFrame(), 0
        slow: list[int] = []
        troubles: dict[str, list[int]] = {}
        units: dict[str, dict[str, int]] = {}
        bases: dict[str, str] = {}
        sources: dict[str, set[str]] = {}
        prints = {} if found is None else found[1]
        came = not executions[None].trusted and prints.get("written") == written
        if found is not None and (prints.get("fingerprint") == print_ or came):
            units, bases = found[1].get("units", {}), found[1].get("bases", {})
            sources = {name: set(stages) for name, stages in found[1].get("sources", {}).items()}
            known = ended.join(cache.pairs(found[1]["covered"]), on=["task_id", "attempt"], how="semi")
            changed = sorted(_pairs(beside) ^ _pairs(found[1].get("beside", {})))
            known = known.filter(~pl.col("task_id").is_in([task for _, _, task in changed]))
            kept = found[0].join(known, on=["task_id", "attempt"], how="semi")
            skipped = found[1]["skipped"]
            slow = _still(found[1]["slow"], known)
            troubles = {text: still for text, of in found[1]["troubles"].items() if (still := _still(of, known))}
        new = ended.join(known, on=["task_id", "attempt"], how="anti")
        reader = _reader(kind, folder, spec, bases, executions)
        if new.height or known.height != ended.height or found is None:
            fresh = _read(reader, new.rows(), False)
            units = _counted(units, reader)
            if (other := _bases(units)) != bases:
                # The values have another unit together than those before had: all of them are read in that.
                reader, bases = _reader(kind, folder, spec, other, executions), other
                fresh = _read(reader, ended.rows(), False)
                units = _counted({}, reader)
                kept, skipped, slow, troubles = pl.DataFrame(), 0, [], {}
            absent = fresh.absent
            slow = sorted({*slow, *fresh.slow})
            for text, of in fresh.troubles.items():
                troubles[text] = sorted({*troubles.get(text, ()), *of})
            kept = _below(kept, fresh.frame)
            skipped += sum(one.skipped for one in reader.readers)
            for name, stages in reader.sources.items():
                sources[name] = sources.get(name, set()) | stages
            covered = cache.covered(ended.filter(~pl.col("task_id").is_in(absent)))
            about = {
                "fingerprint": print_,
                "covered": covered,
                "skipped": skipped,
                "slow": ranges.to_ranges(slow),
                "troubles": {text: ranges.to_ranges(of) for text, of in troubles.items()},
                "units": units,
                "bases": bases,
                **({"written": written} if more else {}),
                **({"beside": beside} if beside else {}),
                **({"sources": {name: sorted(stages) for name, stages in sources.items()}} if sources else {}),
            }
            if (
                may_write
                and not reader.not_executed
                and (found is None or any(found[1].get(key) != value for key, value in about.items()))
            ):
                cache.write(path, kept, about)
    if live:
        running = tasks.filter(pl.col("state") == "running").select("task_id", "attempts").rows()
        ids = [task_id for task_id, _ in running]
        fresh = _read(reader, running, True)
        slow = sorted({*slow, *fresh.slow})
        kept = _below(kept.filter(~pl.col("task_id").is_in(ids)) if kept.width else kept, fresh.frame)
    frame, columns = _with_facts(kept, tasks, parameters, index)
    of_stages = {name: next(iter(stages)) for name, stages in sources.items() if len(stages) == 1}
    return LongTable(
        frame,
        skipped,
        tuple(slow),
        bool(absent),
        _unread(kept),
        troubles,
        reader.own.patterns,
        _types(reader),
        units,
        bases,
        reader.not_executed,
        {columns[name]: stage for name, stage in of_stages.items() if stage and name in columns},
    )


def _reader(
    kind: str,
    folder: ExperimentFolder,
    spec: Experiment,
    bases: Mapping[str, str],
    executions: Mapping[str | None, Execution],
) -> TaskRecords:
    if kind == "rows":
        return TaskRecords(NoRows() if spec.rows is None else rows_reader(spec, bases), executions[None])
    stages = []
    for stage in spec.earlier_stages:
        own, behind = StepsReader(spec.of_stage(stage), stage), folder.attempts_behind(stage)
        outputs = OutputFolders(folder.path, stage)
        stages.append(StageRecords(stage, own, outputs, behind, executions.get(stage)))
    return TaskRecords(StepsReader(spec), executions[None], stages)


def _fingerprints(kind: str, spec: Experiment) -> list[Any]:
    """Return what else decides the values, where something runs for them."""
    if kind == "rows":
        more = "" if spec.rows is None else rows_reader(spec).fingerprint()
        return [more] if more else []
    found = {
        name: [metric.definition(), one.fingerprint(spec, metric)]
        for one, some in running_by_step(spec.metrics).items()
        for name, metric in some.items()
    }
    return [found] if found else []


def _beside(folder: ExperimentFolder, spec: Experiment) -> dict[str, dict[str, ranges.Ranges]]:
    """Return the runs of stages that tasks did not wait for: the tasks by stage, and by run and attempt. These may
    change while the attempt of the task stays."""
    found: dict[str, dict[str, ranges.Ranges]] = {}
    for stage in (*spec.beside, *spec.apart):
        tasks: dict[str, list[int]] = {}
        for task, (run, attempt) in folder.attempts_behind(stage).items():
            tasks.setdefault(f"{run}.{attempt}", []).append(task)
        found[stage] = {attempt: ranges.to_ranges(sorted(ids)) for attempt, ids in tasks.items()}
    return found


def _pairs(beside: Mapping[str, Mapping[str, ranges.Ranges]]) -> set[tuple[str, str, int]]:
    """Return stage, attempt and task of each."""
    return {
        (stage, attempt, task)
        for stage, attempts in beside.items()
        for attempt, tasks in attempts.items()
        for task in ranges.each(tasks)
    }


def _types(reader: TaskRecords) -> dict[str, ColumnType]:
    return {name: dtype for one in reader.readers for name, dtype in one.types.items()}


def _counted(units: Mapping[str, Mapping[str, int]], reader: TaskRecords) -> dict[str, dict[str, int]]:
    """The units that were counted before, and those that the reader has met."""
    found = {name: Counter(counts) for name, counts in units.items()}
    for name, counts in (pair for one in reader.readers for pair in one.units.items()):
        found[name] = found.get(name, Counter()) + counts
    return {name: dict(counts) for name, counts in found.items() if counts}


def _bases(units: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    return {name: base for name, counts in units.items() if (base := common_unit(counts)) is not None}


def _still(tasks: list[list[int]], known: pl.DataFrame) -> list[int]:
    """Return, as ranges, the tasks whose attempt is still the one that was read."""
    return [int(task) for task in np.intersect1d(ranges.to_ids(tasks), known["task_id"])]


def _unread(frame: pl.DataFrame) -> pl.DataFrame:
    texts = [name for name in frame.columns if name.startswith(_REFUSED) and frame[name].count()]
    values = [PREFIX + name.removeprefix(_REFUSED) for name in texts]
    return frame.select("task_id", "attempt", *texts, *values) if texts else pl.DataFrame()


def _refused(frame: pl.DataFrame) -> tuple[Refused, ...]:
    found = []
    for column in frame.columns:
        if column.startswith(_REFUSED) and (count := frame[column].count()):
            name = column.removeprefix(_REFUSED)
            first = frame.filter(pl.col(column).is_not_null()).sort("task_id", maintain_order=True)
            task, attempt, text = first.select("task_id", "attempt", column).row(0)
            found.append(Refused(name, count, count + frame[PREFIX + name].count(), text, (task, attempt)))
    return tuple(found)


def definition(kind: str, spec: Experiment) -> list[Any]:
    """Return all that decides the values of a long table, as JSON."""
    steps = [step.name for step in spec.steps]
    if kind == "rows":
        if spec.rows is None:
            return [steps, None]
        if spec.rows.source.of_metrics:
            metrics = {name: metric.definition() for name, metric in spec.metrics.items()}
            return [steps, spec.rows.definition(), metrics]
        return [steps, spec.rows.definition()]
    of_stages = {name: [step.name for step in spec.of_stage(name).steps] for name in spec.earlier_stages}
    by_step = {n: m.definition() for n, m in spec.metrics.items() if m.take == "all"}
    return [steps, by_step, of_stages] if of_stages else [steps, by_step]


@dataclass
class _Read:
    """The records of tasks, the tasks that lack the file, those of which a pattern took too long, and by what is wrong
    those of which not all could be read."""

    frame: pl.DataFrame = field(default_factory=pl.DataFrame)
    absent: list[int] = field(default_factory=list)
    slow: list[int] = field(default_factory=list)
    troubles: dict[str, list[int]] = field(default_factory=dict)


def _read(reader: TaskRecords, tasks: Sequence[Task], live: bool) -> _Read:
    read = _Read()
    if not live:
        reader.prepare(tasks)
    columns: dict[str, list[Scalar | None]] = {name: [] for name in _types(reader)}
    refused: dict[str, dict[int, str]] = {}
    ids: list[int] = []
    attempts: list[int] = []
    indices: list[Scalar | None] = []
    for task_id, attempt in tasks:
        before = len(ids)
        try:
            for record in reader.of(task_id, attempt, live):
                ids.append(task_id)
                attempts.append(attempt)
                indices.append(record.pop(INDEX))
                for name, text in record.pop(REFUSED, {}).items():
                    refused.setdefault(name, {})[len(ids) - 1] = text[:_LONGEST]
                for name, value in record.items():
                    column = columns.setdefault(name, [])
                    # Names may come and go from row to row.
                    column.extend([None] * (len(ids) - 1 - len(column)))
                    column.append(value)
        except TooSlowError:
            read.slow.append(task_id)
            del ids[before:], attempts[before:], indices[before:]
            for column in columns.values():
                del column[before:]
            for texts in refused.values():
                for place in [place for place in texts if place >= before]:
                    del texts[place]
            continue
        if reader.slow:
            read.slow.append(task_id)
        if reader.absent:
            read.absent.append(task_id)
        if reader.trouble:
            read.troubles.setdefault(reader.trouble, []).append(task_id)
    types = _types(reader)
    series = [
        build(PREFIX + name, values + [None] * (len(ids) - len(values)), types.get(name, "json")).series
        for name, values in columns.items()
    ]
    series += [
        pl.Series(_REFUSED + name, map(texts.get, range(len(ids))), dtype=pl.String)
        for name, texts in refused.items()
        if texts
    ]
    read.frame = pl.DataFrame(
        [
            pl.Series("task_id", ids, dtype=pl.Int64),
            pl.Series("attempt", attempts, dtype=pl.Int32),
            build(INDEX, indices, "json").series,
            *series,
        ]
    )
    return read


def _below(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    parts = [part for part in (first, second) if part.height] or [second]
    return pl.concat(parts, how="diagonal_relaxed")


def _with_facts(
    frame: pl.DataFrame, tasks: pl.DataFrame, parameters: Sequence[str], index: str
) -> tuple[pl.DataFrame, dict[str, str]]:
    """Return the table, and the columns of the values by name."""
    wanted = [fact.name for fact in FACTS.values() if fact.in_steps]
    facts = [name for name in wanted if name in tasks.columns and name not in parameters]
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
    columns = {name.removeprefix(PREFIX): column for name, column in renamed.items()}
    return frame.select(*asked.values(), *order, *facts).sort("task_id", index, maintain_order=True), columns
