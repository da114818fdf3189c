"""A plan: the tasks of one submission, written whole before the journal names it.

`plans/N.parquet` has a row per task, in listed order:

    task_id      Int64    given once per key and version, never changed or reused
    key          Binary   SHA-256, see `keys`
    version      Int32    1, 2, ...
    combination  Int64    index of the combination in this plan
    repeat       Int32    from 0
    seed         Int64    value of {seed}
    stage        String   null; in a row that is no task but a run of an earlier stage, its name
    added        Boolean  not of the file: added by `name=value` on the command line
    parameters.X UInt32   index into the typed values of X in the metadata;
                          or a plain typed column (drawn, derived)
    stages.NAME  Int64    id of the run of that stage that the task, or the run, depends on

Runs of stages have ids as tasks have, and stand behind them. Their parameters, repeat and seed are those of the first
task that shares the run; only those that the stage uses mean anything.

The file's metadata holds, under "tui_lab", JSON with `values` (name -> list of values) and `about` (what the
plan was made from). `N.yaml` beside it is the experiment's file as submitted, `N.csv` the same table for
people (up to 100,000 tasks).
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np
import numpy.typing as npt
import polars as pl

from tui_lab.experiment.axes import frame as as_frame
from tui_lab.experiment.combinations import Combinations
from tui_lab.experiment.domains.canonical import canonical
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.signature import RecordedSignature, Signature
from tui_lab.store import parquet, ranges, spec_file
from tui_lab.store.errors import LabError, StorageError, storage_error
from tui_lab.store.naming import parameter_columns

PREFIX: Final = "parameters."
CSV_LIMIT: Final = 100_000
LINK: Final = "stages."
FORMAT: Final = 2  # 1 is written where there are no stages
_METADATA: Final = "tui_lab"

# The system lets a file not be read now; that says nothing of the file.
_REFUSED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EACCES, errno.EPERM)


class PlanAbout(spec_file.FilePlace, total=False):
    """What a plan was made from.

    `templates`: their texts. `components`: digests of the parts of a key that all tasks share. `seed`: its base, and
    what has one of its own; None where it is no part of a task. `defaults`, `unhashed`, `version`: as in the file.
    `first_defaults`: those of a function's arguments, see `argument_defaults`; `stage_defaults`: by stage.
    `signatures`: what the functions of stages took. `per_node`: stages of which each node has a run of its own.
    `apart`: the stages on which no task depends, if there are some: those that collect, and those after them.
    """

    templates: dict[str, str]
    components: dict[str, str]
    seed: list[int | str] | None
    version: int
    defaults: dict[str, Value]
    unhashed: list[str]
    first_defaults: dict[str, list[Value]]
    stage_defaults: dict[str, dict[str, list[Value]]]
    signatures: dict[str, RecordedSignature]
    per_node: list[str]
    apart: list[str]


@dataclass(frozen=True)
class Plan:
    """A plan in memory. `about` says what it was made from; `planning.make_plan` fills it."""

    number: int
    tasks: pl.DataFrame
    values: dict[str, list[Value]]
    about: PlanAbout = field(default_factory=PlanAbout)
    runs: pl.DataFrame = field(default_factory=pl.DataFrame)  # of stages before the last, with the columns of `tasks`

    @property
    def rows(self) -> pl.DataFrame:
        """Return the tasks, then the runs of stages."""
        return pl.concat([self.tasks, self.runs], how="diagonal") if self.runs.height else self.tasks

    @property
    def stages(self) -> list[str]:
        """The stages before the last, each behind those that it comes after."""
        return [name.removeprefix(LINK) for name in self.tasks.columns if name.startswith(LINK)]

    @property
    def per_node(self) -> list[str]:
        """The stages of which each node has a run of its own. A row of these stands for the runs of all nodes."""
        return self.about.get("per_node", [])

    @property
    def stage_ranges(self) -> dict[str, ranges.Ranges]:
        """Return the ids of the runs of each stage before the last, as an event has them."""
        if not self.runs.height:
            return {}
        names = self.runs["stage"].unique(maintain_order=True)
        return {name: ranges.to_ranges(self.of_stage(name).tasks["task_id"].to_numpy()) for name in names}

    @property
    def apart(self) -> list[str]:
        """The stages on which no task depends."""
        return self.about.get("apart") or []

    def of_stage(self, stage: str) -> Plan:
        """Return a plan whose tasks are the runs of a stage before the last."""
        return Plan(self.number, self.runs.filter(pl.col("stage") == stage), self.values, self.about)

    @property
    def signatures(self) -> dict[str, Signature]:
        """What the functions of stages took when this was planned, as far as that is known."""
        return {name: Signature.of_record(one) for name, one in (self.about.get("signatures") or {}).items()}

    @property
    def names(self) -> list[str]:
        """The parameters, in order."""
        return [name.removeprefix(PREFIX) for name in self.tasks.columns if name.startswith(PREFIX)]

    @cached_property
    def combinations(self) -> Combinations:
        """The parameters alone, a row per task."""
        columns = [self.tasks[PREFIX + name].alias(name) for name in self.names]
        return Combinations(as_frame(columns, self.tasks.height), self.values)

    def parameters(self, row: int) -> dict[str, Value]:
        """The values of one task, exactly as the file gave them."""
        return self.combinations.row(row)

    def typed(self) -> pl.DataFrame:
        """Parameters as columns of real types, a row per task."""
        return self.combinations.typed()

    @cached_property
    def _rows(self) -> npt.NDArray[np.int64]:
        ids = self.tasks["task_id"].to_numpy()
        rows = np.full(int(ids.max(initial=-1)) + 1, -1, dtype=np.int64)
        rows[ids] = np.arange(len(ids))
        return rows

    def row(self, task_id: int) -> int | None:
        """Row of a task, None where the plan does not have it."""
        if not 0 <= task_id < len(self._rows):
            return None
        row = int(self._rows[task_id])
        return None if row < 0 else row

    def tasks_behind(self, run: int, stage: str) -> list[int]:
        """Return the tasks that depend on a run of a stage."""
        if stage not in self.stages:
            return []
        return self.tasks.filter(pl.col(LINK + stage) == run)["task_id"].to_list()

    def run_behind(self, task: int, stage: str) -> int | None:
        """Return the run of a stage that a task, or another run, depends on; None where it does not."""
        row = self.row(task)
        if row is None and stage in self.stages and self.has_run(task):
            return self.runs.filter(pl.col("task_id") == task)[LINK + stage].to_list()[0]  # type: ignore[no-any-return]
        return None if row is None or stage not in self.stages else self.tasks[LINK + stage][row]

    def has_run(self, one: int) -> bool:
        """Return whether a run of a stage is in the plan."""
        return one in self._run_ids

    @cached_property
    def _run_ids(self) -> frozenset[int]:
        return frozenset(self.runs["task_id"].to_list()) if self.runs.height else frozenset()

    # --- On disk

    def write(self, folder: Path, text: str) -> None:
        """Write `N.parquet`, `N.yaml` and for small plans `N.csv`. Raises StorageError."""
        metadata = {
            "format": FORMAT if self.runs.height else 1,
            "number": self.number,
            "values": self.values,
            "about": self.about,
        }
        partial = folder / f"{self.number}.partial"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.write_text(text, encoding="utf-8")
            partial.replace(folder / f"{self.number}.yaml")
            self.rows.write_parquet(partial, metadata={_METADATA: json.dumps(metadata)})
            partial.replace(folder / f"{self.number}.parquet")
            if self.tasks.height <= CSV_LIMIT:
                partial.write_bytes(self.csv().encode())
                partial.replace(folder / f"{self.number}.csv")
        except (OSError, pl.exceptions.PolarsError) as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            if (failed := _of_the_system(error)) is not None:
                raise storage_error(folder, failed) from error
            raise StorageError(f"{folder}: the plan can't be written: {error}") from error

    def remove(self, folder: Path) -> None:
        """Remove what `write` has written, which nothing names. Raises StorageError."""
        for path in folder.glob(f"{self.number}.*"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise storage_error(path, error) from error

    def csv(self) -> str:
        """The tasks as a table to read."""
        facts = self.tasks.select("task_id", "repeat", "version")
        columns = parameter_columns(self.names, facts.columns)
        return pl.concat([facts, self.typed().rename(columns)], how="horizontal").write_csv()

    @staticmethod
    def read_names(folder: Path, number: int) -> list[str]:
        """Return the parameters of a plan, without reading it. Raises StorageError where it can't be read."""
        path = folder / f"{number}.parquet"
        try:
            columns = pl.read_parquet_schema(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise StorageError(f"{path}: can't be read: {error}") from error
        return [name.removeprefix(PREFIX) for name in columns if name.startswith(PREFIX)]

    @classmethod
    def read(cls, folder: Path, number: int, columns: list[str] | None = None, crc: str | None = None) -> Plan:
        """Read a plan, or some of its columns. crc: of the file, as the journal has it. Raises LabError, StorageError
        where it is damaged."""
        path = folder / f"{number}.parquet"
        try:
            if crc is not None and file_crc(path) != crc:
                raise ValueError("its bytes are not those that were written")
            metadata = parquet.about(path, _METADATA)
            if metadata["format"] > FORMAT:
                raise LabError(f"{path}: written by a newer tui-lab", "upgrade tui-lab")
            tasks = parquet.read(path, columns)
            runs = pl.DataFrame()
            if metadata["format"] > 1:
                staged = parquet.read(path, ["stage"])["stage"].is_not_null()
                tasks, runs = tasks.filter(~staged), tasks.filter(staged)
        except (OSError, KeyError, ValueError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            failed = _of_the_system(error)
            if failed is not None and failed.errno in _REFUSED:
                raise storage_error(path, failed) from error
            said = (failed.strerror if failed is not None else None) or str(error) or type(error).__name__
            why = said.splitlines()[0]
            hint = f"`tui-lab check --repair {folder.parent.parent}` makes it again from what lies beside it"
            raise StorageError(f"{path}: can't be read: {why}", hint) from error
        return cls(number, tasks, metadata["values"], metadata["about"], runs)


def _of_the_system(error: BaseException) -> OSError | None:
    """Return the system's error, also where Polars has turned it into text."""
    if isinstance(error, OSError):
        return error
    hidden = re.search(r"\(os error (\d+)\)|\bOs \{ code: (\d+)", str(error))
    return OSError(number := int(hidden[1] or hidden[2]), os.strerror(number)) if hidden is not None else None


def file_crc(path: Path) -> str:
    """CRC-32 of a file's bytes. Raises OSError."""
    value = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            value = crc32(block, value)
    return f"{value:08x}"


def keys_digest(tasks: pl.DataFrame) -> str:
    """SHA-256 over the ids and the keys of a plan's rows, in order: what a plan that is made again must equal."""
    digest = hashlib.sha256(tasks["task_id"].to_numpy().tobytes())
    for key in tasks["key"]:
        digest.update(key)
    return digest.hexdigest()


def merge(first: Combinations, second: Combinations) -> Combinations:
    """The rows of both, the first's first; what one lacks is null there. Values keep their types."""
    names = list(dict.fromkeys([*first.frame.columns, *second.frame.columns]))
    columns, values = [], {}
    for name in names:
        if name not in first.values and name not in second.values:
            sides = [_plain(side, name) for side in (first, second)]
            types = {side.dtype for side in sides} - {pl.Null()}
            if len(types) <= 1:
                columns.append(pl.concat([side.cast(next(iter(types), pl.String())) for side in sides]))
                continue
        index: dict[bytes, int] = {}
        listed: list[Value] = []
        codes = [_recoded(side, name, index, listed) for side in (first, second)]
        columns.append(pl.concat(codes).alias(name))
        values[name] = listed
    return Combinations(as_frame(columns, first.height + second.height), values)


def _plain(side: Combinations, name: str) -> pl.Series:
    if name in side.frame.columns:
        return side.frame[name]
    return pl.Series(name, [None] * side.height, dtype=pl.Null)


def _recoded(side: Combinations, name: str, index: dict[bytes, int], listed: list[Value]) -> pl.Series:
    """Codes of a parameter in the values that both sides share; `index` and `listed` take in what is new."""
    coded = name in side.values
    codes = []
    for value in side.values[name] if coded else _plain(side, name):
        code = index.setdefault(canonical(value), len(listed))
        if code == len(listed):
            listed.append(value)
        codes.append(code)
    series = pl.Series(name, codes, dtype=pl.UInt32)
    return series.gather(side.frame[name]) if coded else series


def only(combinations: Combinations, rows: pl.Series) -> Combinations:
    """Some of the rows, by index."""
    return Combinations(combinations.frame[rows], combinations.values)
