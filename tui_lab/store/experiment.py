"""One experiment's folder in a lab: its file, its plans, its state, and all its tasks as one table."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from tui_lab.experiment.axes import frame as as_frame
from tui_lab.experiment.load import load
from tui_lab.experiment.model import Experiment
from tui_lab.store import checkpoint, fold, journal, layout, spec_file
from tui_lab.store.errors import LabError, StorageError, storage_error
from tui_lab.store.fold import State
from tui_lab.store.locking import locked
from tui_lab.store.naming import parameter_columns
from tui_lab.store.plan import PREFIX, Plan, merge, only

# Facts of a task in the order of the table's columns, behind the parameters.
FACTS: Final[dict[str, pl.DataType]] = {
    "task_id": pl.Int64(),
    "repeat": pl.Int32(),
    "seed": pl.Int64(),
    "version": pl.Int32(),
    "planned": pl.Boolean(),
    "state": pl.String(),
    "reason": pl.String(),
    "attempt": pl.Int32(),
    "attempts": pl.Int32(),
    "duration": pl.Float64(),
    "started_at": pl.Datetime("us", "UTC"),
    "ended_at": pl.Datetime("us", "UTC"),
    "node": pl.String(),
    "exit_code": pl.Int32(),
    "signal": pl.Int32(),
    "peak_rss": pl.Int64(),
    "cpu_time": pl.Float64(),
    "leftover": pl.Int32(),
}
# Those that only a submission changes.
ASKED: Final = ("task_id", "repeat", "seed", "version")


class ExperimentFolder:
    """Reads an experiment. Holds what it has read; `refresh` takes in what the journal has gained since."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self._state: State | None = None
        self._plans: dict[int, Plan] = {}

    @property
    def journal(self) -> Path:
        return self.path / layout.JOURNAL_FILE

    @property
    def plans(self) -> Path:
        return self.path / layout.PLANS

    def exists(self) -> bool:
        return self.journal.exists()

    def state(self) -> State:
        """The fold of the journal as it is now. Raises LabError for a newer journal."""
        if self._state is None:
            self._state = checkpoint.read(self.path)
        self._state.follow(self.journal)
        return self._state

    def require_whole(self) -> None:
        """Raises StorageError where the journal is damaged: what is written behind that would rest on what is not
        known."""
        if damage := self.state().damage:
            raise StorageError(journal.told(self.journal, damage), "until then nothing of it is run or changed")

    def plan(self, number: int | None = None) -> Plan:
        """A plan by number, by default the newest that the journal names. Raises LabError."""
        number = self.state().plan if number is None else number
        if number == 0:
            raise LabError(f"{self.path}: nothing was submitted yet")
        if number not in self._plans:
            self._plans[number] = Plan.read(self.plans, number, crc=self.state().plan_crc(number))
        return self._plans[number]

    def next_plan_number(self) -> int:
        """A number that no plan has, also not one that the journal never came to name."""
        found = [int(match[1]) for file in self.plans.glob("*") if (match := re.match(r"(\d+)\.", file.name))]
        return 1 + max([self.state().plan, *found])

    def spec(self, number: int | None = None) -> Experiment:
        """The experiment as submitted with a plan; by default with the newest, and with the metrics in
        force."""
        plan = self.plan(number)
        text = self.spec_text(plan.number if number is not None else None)
        return load(self.file(number), text=text, templates=plan.about["templates"])

    def file(self, number: int | None = None) -> Path:
        """Where the file of a plan (by default the newest) is, also after the project was moved; it may be gone."""
        return spec_file.found(self.plan(number).about, self.path.parent)

    def plan_of(self, task_id: int) -> Plan:
        """The newest plan that has a task. Raises LabError where none has."""
        for number in sorted({event.plan for event in self.state().submissions}, reverse=True):
            plan = self.plan(number)
            if plan.row(task_id) is not None:
                return plan
        raise LabError(f"{self.name}/{task_id}: no plan has this task")

    def spec_of(self, task_id: int) -> Experiment:
        """The experiment as submitted with the newest plan that has a task."""
        return self.spec(self.plan_of(task_id).number)

    def spec_text(self, number: int | None = None) -> str:
        """The text that `spec` reads."""
        plan = self.plan(number)
        if number is None and self.metrics_file.exists():
            return self.metrics_file.read_text(encoding="utf-8")
        return (self.plans / f"{plan.number}.yaml").read_text(encoding="utf-8")

    @property
    def metrics_file(self) -> Path:
        """The experiment's file with other metrics, where `parse` set them since the submission."""
        return self.path / "parsed.yaml"

    def write_metrics(self, text: str, plan: int) -> None:
        """Let tables be read by the metrics of this text, made for this plan, from now on. Raises StorageError, and
        LabError where there is a newer plan, for the text would hide its file."""
        with locked(self.path.parent / layout.SUBMIT_LOCK):
            if self.state().plan != plan:
                raise LabError(f'{self.path}: "{self.name}" was submitted again meanwhile', "type the same once more")
            self._replace(self.metrics_file, text)

    def write_spec(self, text: str) -> None:
        """Keep the file as submitted, with its metrics in force again. Raises StorageError.

        Only for the holder of the submit lock.
        """
        self._replace(self.path / layout.SPEC_FILE, text)
        self.metrics_file.unlink(missing_ok=True)

    def _replace(self, path: Path, text: str) -> None:
        partial = path.with_suffix(".partial")
        try:
            partial.write_text(text, encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise storage_error(self.path, error) from error

    def task_folder(self, task_id: int) -> Path:
        return layout.task_folder(self.path, task_id)

    # All tasks as one table.

    def parameters(self) -> list[str]:
        """Columns of `tasks` that are parameters, in order. One that collides with a fact is called
        `in_NAME`."""
        return list(self.parameter_columns().values())

    def parameter_columns(self) -> dict[str, str]:
        """Parameter -> its column in `tasks`."""
        return self.columns(self._known(self.state()).names)

    def tasks(self) -> pl.DataFrame:
        """Every task ever, ascending: parameters with real types, then the facts (see FACTS; times in
        seconds, sizes in bytes). A parameter named `seed` takes the place of that fact."""
        state = self.state()
        asked = self._asked(state)
        split = asked.columns.index("task_id")
        facts = asked[:, split:].join(self._facts(state), on="task_id", how="left", maintain_order="left")
        facts = facts.select(pl.col(name).cast(FACTS[name]) for name in FACTS if name in facts.columns)
        return pl.concat([asked[:, :split], facts], how="horizontal")

    def asked(self) -> pl.DataFrame:
        """The part of `tasks` that only a submission changes: parameters, then the facts in ASKED."""
        return self._asked(self.state())

    def _asked(self, state: State) -> pl.DataFrame:
        known = self._known(state)
        typed = known.combinations.typed().rename(self.columns(known.names))
        names = [name for name in ASKED if name not in typed.columns]
        facts = known.tasks.select(pl.col(name).cast(FACTS[name]) for name in names)
        return pl.concat([typed, facts], how="horizontal").sort("task_id")

    def _known(self, state: State) -> Plan:
        """Every task that a plan ever had, each as the newest plan with it says."""
        named = sorted({event.plan for event in state.submissions}, reverse=True)
        if not named:
            return Plan(
                0,
                pl.DataFrame(schema={name: FACTS[name] for name in ("task_id", "repeat", "version", "seed")}),
                {},
            )
        newest = self.plan(named[0])
        facts = newest.tasks.select("task_id", "repeat", "version", "seed")
        combinations = newest.combinations
        for number in named[1:]:
            if facts.height == state.size:
                break
            plan = self.plan(number)
            rows = plan.tasks.select("task_id").with_row_index("row").join(facts, on="task_id", how="anti")["row"]
            if rows.len():
                facts = pl.concat([facts, plan.tasks.select(facts.columns)[rows]])
                combinations = merge(combinations, only(plan.combinations, rows))
        columns = [combinations.frame[name].alias(PREFIX + name) for name in combinations.frame.columns]
        return Plan(
            newest.number,
            pl.concat([facts, as_frame(columns, facts.height)], how="horizontal"),
            combinations.values,
        )

    @staticmethod
    def columns(names: list[str]) -> dict[str, str]:
        """Parameter -> its column in `tasks`: `in_NAME` where a fact has the name (SQL does not tell
        case)."""
        return parameter_columns(names, FACTS)

    def _facts(self, state: State) -> pl.DataFrame:
        column = state.columns
        planned = np.frombuffer(column["planned"], dtype=np.int8) if state.size else np.empty(0, np.int8)

        def integers(name: str, dtype: pl.DataType) -> pl.Series:
            series = pl.Series(name, column[name], dtype=pl.Int64)
            return series.set(series == fold.NONE, None).cast(dtype)

        def names(column_name: str, known: list[str], dtype: Any = pl.String) -> pl.Series:
            codes = pl.Series(column_name, column[column_name], dtype=pl.Int64)
            codes = codes.set(codes == fold.NONE, None)
            return pl.Series(known, dtype=dtype).gather(codes).alias(column_name) if known else codes.cast(dtype)

        def floats(name: str) -> pl.Series:
            return pl.Series(name, column[name], dtype=pl.Float64).fill_nan(None)

        reasons = names("reason", list(fold.REASONS))
        return pl.DataFrame(
            {
                "task_id": pl.Series(range(state.size), dtype=pl.Int64),
                "planned": pl.Series(planned, dtype=pl.Int8) == 1,
                "state": names("state", list(fold.STATES)),
                "reason": reasons.set(reasons == "", None),
                "attempt": integers("attempt", pl.Int32()),
                "attempts": pl.Series(column["attempts"], dtype=pl.Int32),
                "duration": floats("duration"),
                "started_at": (floats("started") * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC")),
                "ended_at": (floats("ended") * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC")),
                "node": names("node", state.nodes),
                "exit_code": integers("exit_code", pl.Int32()),
                "signal": integers("signal", pl.Int32()),
                "peak_rss": integers("peak_rss", pl.Int64()),
                "cpu_time": floats("cpu_time"),
                "leftover": integers("leftover", pl.Int32()),
            }
        )
