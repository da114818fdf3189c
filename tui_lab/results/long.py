"""Tables with many rows per task: values by step, and the rows that `rows` finds.

`NAME_steps` has a row for each task and step: the parameters, `step`, a column for each name that was reported, then
FACTS. Values come from two places. A program may append JSON objects, one a line, to its file of live metrics
(`metrics.jsonl`); `step` in them is the step, otherwise they are counted from 0; of several objects with the same step
each adds its names, and of several values of one name the last counts. A metric with `take: all` gives every one of
its values; the step is the group named `step`, otherwise they are counted from 0.

`NAME_rows` has the parameters, the columns that `rows` finds, `row` (from 0 within the task), then FACTS.

A column whose name is also one of a parameter is called `out_NAME`, and so is one with the name of a fact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from tui_lab.results import cache
from tui_lab.results.columns import build
from tui_lab.results.extract import Task, read_text
from tui_lab.results.readers import CsvReader, JsonReader, TextReader, match_value
from tui_lab.results.search import all_matches
from tui_lab.results.sources import locate, stream_names, task_path
from tui_lab.results.structured import SourceError, loads, table
from tui_lab.results.text import Text, complete_lines, read_whole
from tui_lab.results.values import ColumnType, Scalar, converter, from_json
from tui_lab.spec.model import Experiment
from tui_lab.spec.pattern import Pattern, compile_pattern
from tui_lab.store import layout
from tui_lab.store.experiment import ExperimentFolder

FACTS: Final = ("task_id", "repeat", "seed", "version", "planned", "state", "attempt")
FILES: Final = {"steps": "results.steps.parquet", "rows": "results.rows.parquet"}

Record = dict[str, Any]
"""One row: values by name, with the step or row number under INDEX."""
INDEX: Final = "\0"


@dataclass(frozen=True)
class LongTable:
    frame: pl.DataFrame
    skipped: int
    """Lines that could not be read."""


class Reader:
    """Reads the records of one task; `types` says how the columns that it knows are typed, others are JSON's."""

    types: dict[str, ColumnType]

    def __init__(self) -> None:
        self.types = {}
        self.skipped = 0

    def records(self, folder: str, attempt: int, live: bool) -> Iterable[Record]:
        raise NotImplementedError


def refresh(
    kind: str,
    folder: ExperimentFolder,
    spec: Experiment,
    tasks: pl.DataFrame,
    parameters: Sequence[str],
    live: bool = False,
) -> LongTable:
    """The table `kind` (`steps` or `rows`) for the tasks of the table of all tasks, from the cache and what is new."""
    reader: Reader = StepsReader(spec) if kind == "steps" else RowsReader(spec)
    index = "step" if kind == "steps" else "row"
    print_ = cache.fingerprint([kind, *definition(kind, spec)])
    path = folder.path / FILES[kind]
    ended = tasks.filter(pl.col("attempt").is_not_null()).select("task_id", "attempt")
    with cache.writing(folder.path) as may_write:
        found = cache.read(path)
        known = pl.DataFrame(schema=ended.schema)
        kept, skipped = pl.DataFrame(), 0
        if found is not None and found[1].get("fingerprint") == print_:
            known = ended.join(cache.pairs(found[1]["covered"]), on=["task_id", "attempt"], how="semi")
            kept = found[0].join(known, on=["task_id", "attempt"], how="semi")
            skipped = found[1]["skipped"]
        new = ended.join(known, on=["task_id", "attempt"], how="anti")
        if new.height or known.height != ended.height or found is None:
            fresh = _read(reader, folder.path, new.rows(), False)
            kept = _below(kept, fresh)
            skipped += reader.skipped
            if may_write:
                cache.write(
                    path, kept, {"fingerprint": print_, "covered": cache.covered(ended), "skipped": skipped}
                )
    if live:
        running = tasks.filter(pl.col("state") == "running").select("task_id", "attempts").rows()
        ids = [task_id for task_id, _ in running]
        fresh = _read(reader, folder.path, running, True)
        kept = _below(kept.filter(~pl.col("task_id").is_in(ids)) if kept.width else kept, fresh)
    return LongTable(_with_facts(kept, tasks, parameters, index), skipped)


def definition(kind: str, spec: Experiment) -> list[Any]:
    """What decides the values of a long table, as JSON can say it."""
    steps = [step.name for step in spec.steps]
    if kind == "rows":
        return [steps, spec.rows.model_dump() if spec.rows else None]
    return [steps, {n: m.model_dump(exclude={"goal"}) for n, m in spec.metrics.items() if m.take == "all"}]


def _read(reader: Reader, folder: Path, tasks: Sequence[Task], live: bool) -> pl.DataFrame:
    columns: dict[str, list[Scalar | None]] = {name: [] for name in reader.types}
    ids: list[int] = []
    attempts: list[int] = []
    indices: list[Scalar | None] = []
    for task_id, attempt in tasks:
        for record in reader.records(task_path(folder, task_id), attempt, live):
            ids.append(task_id)
            attempts.append(attempt)
            indices.append(record.pop(INDEX))
            for name, value in record.items():
                if name not in columns:
                    columns[name] = []
                column = columns[name]
                # Names may come and go from row to row.
                column.extend([None] * (len(ids) - 1 - len(column)))
                column.append(value)
    series = [
        build(n, v + [None] * (len(ids) - len(v)), reader.types.get(n, "json")).series
        for n, v in columns.items()
    ]
    return pl.DataFrame(
        [
            pl.Series("task_id", ids, dtype=pl.Int64),
            pl.Series("attempt", attempts, dtype=pl.Int32),
            build(INDEX, indices, "json").series,
            *series,
        ]
    )


def _below(first: pl.DataFrame, second: pl.DataFrame) -> pl.DataFrame:
    parts = [part for part in (first, second) if part.height] or [second]
    return pl.concat(parts, how="diagonal_relaxed")


def _with_facts(
    frame: pl.DataFrame, tasks: pl.DataFrame, parameters: Sequence[str], index: str
) -> pl.DataFrame:
    facts = [name for name in FACTS if name in tasks.columns and name not in parameters]
    taken = {name.lower() for name in [*parameters, *facts, index]}
    names = [name for name in frame.columns if name not in ("task_id", "attempt", INDEX)]
    renamed: dict[str, str] = {}
    for name in names:
        column = name
        while column.lower() in taken:
            column = f"out_{column}"
        taken.add(column.lower())
        renamed[name] = column
    frame = frame.drop("attempt").rename({**renamed, INDEX: index})
    frame = frame.join(tasks.select(*parameters, *facts), on="task_id", how="left", maintain_order="left")
    values = [renamed[name] for name in names]
    order = [index, *values] if index == "step" else [*values, index]
    return frame.select(*parameters, *order, *facts).sort("task_id", index, maintain_order=True)


# ---- steps


class StepsReader(Reader):
    def __init__(self, spec: Experiment) -> None:
        super().__init__()
        self._steps = tuple(step.name for step in spec.steps)
        self._texts: list[TextReader] = []
        self._files: list[JsonReader | CsvReader] = []
        for name, metric in spec.metrics.items():
            if metric.take != "all" or metric.sql is not None or metric.run is not None:
                continue
            if metric.pattern is not None:
                self._texts.append(TextReader(name, metric))
            elif metric.csv is not None:
                self._files.append(CsvReader(name, metric))
            else:
                try:
                    self._files.append(JsonReader(name, metric))
                except ValueError:
                    continue
        self.types = {reader.name: reader.type for reader in [*self._texts, *self._files]}

    def records(self, folder: str, attempt: int, live: bool) -> Iterable[Record]:
        by_step: dict[Any, Record] = {}
        for step, name, value in self._values(folder, attempt, live):
            by_step.setdefault(step, {INDEX: step})[name] = value
        return by_step.values()

    def _values(self, folder: str, attempt: int, live: bool) -> Iterator[tuple[Any, str, Scalar | None]]:
        yield from self._live_metrics(folder, attempt)
        for reader in self._texts:
            names = stream_names(reader.metric.source, self._steps)
            try:
                paths = (
                    [locate(folder, reader.metric.source)]
                    if names is None
                    else [f"{folder}/{n}" for n in names(attempt)]
                )
                text = read_text(paths, live) or Text(b"\n".join(read_whole(path) for path in paths))
            except (OSError, SourceError):
                continue
            step_group = reader.pattern.step
            for count, match in enumerate(all_matches(reader.pattern, text)):
                step: Any = count
                if step_group is not None and match[step_group] is not None:
                    step = _number(match[step_group])
                yield step, reader.name, reader.of(match)
        for file in self._files:
            names = stream_names(file.metric.json_file or "", self._steps)
            streams = None if names is None else [f"{folder}/{name}" for name in names(attempt)]
            try:
                for count, value in enumerate(file.values(folder, streams, live)):
                    yield count, file.name, value
            except (OSError, SourceError):
                continue

    def _live_metrics(self, folder: str, attempt: int) -> Iterator[tuple[Any, str, Scalar | None]]:
        """The file may be torn at its end, and may hold anything at all: lines that are no JSON object are counted."""
        try:
            raw = read_whole(f"{folder}/{layout.attempt_file(layout.METRICS_FILE, attempt)}")
        except OSError:
            return
        count = 0
        for line in complete_lines(raw).splitlines() + ([raw[raw.rfind(b"\n") + 1 :]] if raw else []):
            if not line.strip():
                continue
            try:
                document = loads(line)
            except ValueError:
                self.skipped += 1
                continue
            if not isinstance(document, dict):
                self.skipped += 1
                continue
            step = document.pop("step", None)
            if isinstance(step, bool) or not isinstance(step, (int, float)):
                step, count = count, count + 1
            for name, value in document.items():
                if name != INDEX:
                    yield step, name, from_json(value, "json")


def _number(text: str) -> int | float | str:
    try:
        return int(text)
    except ValueError:
        number = converter("float")(text)
        return text if number is None else float(number)  # type: ignore[arg-type]


# ---- rows


class RowsReader(Reader):
    def __init__(self, spec: Experiment) -> None:
        super().__init__()
        self._rows = spec.rows
        self._pattern: Pattern | None = None
        if spec.rows is None:
            return
        self._names = stream_names(spec.rows.source, tuple(step.name for step in spec.steps))
        if spec.rows.pattern is not None:
            self._pattern = compile_pattern(spec.rows.pattern)
            self._groups: dict[str, tuple[int, Callable[[str], Scalar | None]]] = {}
            for name in self._pattern.groups:
                number = self._pattern.regex.groupindex[name]
                kind = self._pattern.kinds.get(number, "text")
                wanted: ColumnType = (
                    "float" if kind in ("float", "quantity") else "int" if kind == "int" else "str"
                )
                self.types[name] = wanted
                self._groups[name] = number, converter(wanted, kind)

    def records(self, folder: str, attempt: int, live: bool) -> Iterator[Record]:
        if self._rows is None:
            return
        try:
            if self._pattern is None:
                yield from self._cells(locate(folder, self._rows.csv or ""), live)
                return
            source = self._rows.source
            paths = (
                [locate(folder, source)]
                if self._names is None
                else [f"{folder}/{n}" for n in self._names(attempt)]
            )
            text = read_text(paths, live) or Text(b"\n".join(read_whole(path) for path in paths))
        except (OSError, SourceError):
            return
        for index, match in enumerate(all_matches(self._pattern, text)):
            record: Record = {INDEX: index}
            for name, (number, convert) in self._groups.items():
                found = match[number]
                record[name] = None if found is None else convert(found)
            yield record

    def _cells(self, path: str, live: bool) -> Iterator[Record]:
        header, lines = table(path, torn_end=not live)
        names = [name or f"column{number + 1}" for number, name in enumerate(header)]
        for name in names:
            self.types.setdefault(name, "cells")
        for index, line in enumerate(lines):
            yield {
                INDEX: index,
                **{name: cell.strip() or None for name, cell in zip(names, line, strict=False)},
            }


__all__ = ["FACTS", "FILES", "LongTable", "match_value", "refresh"]
