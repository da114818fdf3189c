"""One experiment's folder in a lab: its file, its plans, its state, and all its tasks as one table."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from tui_lab.experiment.axes import frame as as_frame
from tui_lab.experiment.data_types import Row
from tui_lab.experiment.facts import FACTS, Fact, of_steps
from tui_lab.experiment.load import load
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store import checkpoint, collected, facts, journal, layout, spec_file, stage_outputs
from tui_lab.store.errors import LabError, StorageError, storage_error
from tui_lab.store.events import Event
from tui_lab.store.fold import DONE, FAILED, LOST, NONE, STOPPED, State
from tui_lab.store.function_names import FunctionNames
from tui_lab.store.locking import locked
from tui_lab.store.naming import parameter_columns
from tui_lab.store.plan import LINK, PREFIX, Plan, merge, only
from tui_lab.store.returned_names import ReturnedNames
from tui_lab.store.stage_run_rows import RUN_COLUMNS, runs_of_nodes, runs_of_plan

RUN: Final = "the run"
"""A column that no parameter can be called."""
_PLANNED: Final = ("task_id", "repeat", "version", "seed")  # of the columns of a plan


class ExperimentFolder:
    """Reads an experiment. Holds what it has read; `refresh` takes in what the journal has gained since.

    listen: gets each event that `state` takes in, but not those of a checkpoint."""

    def __init__(self, path: Path, listen: Callable[[Event], None] | None = None) -> None:
        self.path = path
        self.name = path.name
        self._listen = listen
        self._state: State | None = None
        self._plans: dict[int, Plan] = {}
        self._steps: dict[int, tuple[str | None, ...]] = {}

    @property
    def journal(self) -> Path:
        """The path of the journal."""
        return self.path / layout.JOURNAL_FILE

    @property
    def plans(self) -> Path:
        """The folder of the plans."""
        return self.path / layout.PLANS

    def exists(self) -> bool:
        """Return whether the experiment was ever submitted: it has a journal."""
        return self.journal.exists()

    def state(self) -> State:
        """The fold of the journal as it is now. Raises LabError for a newer journal."""
        if self._state is None:
            self._state = checkpoint.read(self.path)
        self._state.follow(self.journal, self._listen)
        return self._state

    def has_lost_journal(self) -> bool:
        """Return whether the journal is gone: there is what only an experiment with a journal has."""
        return not self.exists() and any((self.path / name).exists() for name in (layout.TASKS, layout.CHECKPOINT_FILE))

    def require_journal(self) -> None:
        """Raises StorageError where the journal is gone."""
        if self.has_lost_journal():
            raise StorageError(
                f"{self.journal}: the journal is gone, and the state of this experiment is unknown",
                f"restore it from a copy; {self.way_out}",
            )

    @property
    def way_out(self) -> str:
        """What to do with an experiment that can't be repaired."""
        return f"its outputs are unchanged, in {self.path / layout.TASKS}; to start again, move {self.path} away"

    def require_whole(self) -> None:
        """Raises StorageError where the journal is damaged or gone: further events would rest on an unknown state."""
        self.require_journal()
        if damage := self.state().damage:
            raise StorageError(journal.damage_text(self.journal, damage), "until then nothing of it is run or changed")

    def plan(self, number: int | None = None) -> Plan:
        """A plan by number, by default the newest that the journal names. Raises LabError."""
        number = self.state().plan if number is None else number
        if number == 0:
            raise LabError(f"{self.path}: nothing has been submitted yet")
        if number not in self._plans:
            self._plans[number] = Plan.read(self.plans, number, crc=self.state().plan_crc(number))
        return self._plans[number]

    def next_plan_number(self) -> int:
        """Return a number that no plan has, not even one that the journal does not name."""
        found = [int(match[1]) for file in self.plans.glob("*") if (match := re.match(r"(\d+)\.", file.name))]
        return 1 + max([self.state().plan, *found])

    def spec(self, number: int | None = None) -> Experiment:
        """The experiment as submitted with a plan; by default with the newest, and with the metrics in
        force. Functions have the metrics whose names they have found so far."""
        found = FunctionNames.read(self.path).added_to(self.written_spec(number))
        return found if found.function is None else ReturnedNames.read(self.path).added_to(found)

    def written_spec(self, number: int | None = None) -> Experiment:
        """The same as its file has it: without metrics that the file does not name."""
        plan = self.plan(number)
        text = self.spec_text(plan.number if number is not None else None)
        return load(self.file(number), text=text, templates=plan.about["templates"], signatures=plan.signatures)

    def file(self, number: int | None = None) -> Path:
        """Where the file of a plan (by default the newest) is, also after the project was moved; it may be gone."""
        return spec_file.found(self.plan(number).about, self.path.parent)

    def plan_of(self, task_id: int) -> Plan:
        """The newest plan that has a task, or a run of a stage. Raises LabError where none has."""
        task_id = self.state().planned_run(task_id)
        for number in sorted({event.plan for event in self.state().submissions}, reverse=True):
            plan = self.plan(number)
            if plan.row(task_id) is not None or plan.has_run(task_id):
                return plan
        raise LabError(f"{self.name}/{task_id}: no plan has this task")

    def run_behind(self, task_id: int, stage: str) -> int | None:
        """Return the run of a stage that a task, or another run, depends on; None where there is none. If each node has
        a run of its own, that of the node where the task ran; while it has not run, the one that stands for all."""
        state = self.state()
        run = self.plan_of(task_id).run_behind(state.planned_run(task_id), stage)
        return None if run is None else state.on_node(run, task_id)

    def tasks_behind(self, run: int) -> list[int]:
        """Return the tasks of the newest plan with a run of a stage that depend on it; of a run that a node has of its
        own, those that ran there."""
        state = self.state()
        stage = state.stage(run)
        if stage is None:
            return []
        planned = state.planned_run(run)
        tasks = self.plan_of(run).tasks_behind(planned, stage)
        return tasks if planned == run else [task for task in tasks if state.on_node(planned, task) == run]

    def stage_of(self, run: int) -> str | None:
        """Return how an address names the stage of a run, with the node if the run is of that alone; None for a
        task."""
        state = self.state()
        stage, known = state.stage(run), state.run_for.get(run)
        return stage if known is None else f"{stage}@{known[1]}"

    def spec_of(self, task_id: int) -> Experiment:
        """The experiment as submitted with the newest plan that has a task; with the keys of its stage, if it is a run
        of one."""
        spec, stage = self.spec(self.plan_of(task_id).number), self.state().stage(task_id)
        return spec if stage is None else spec.of_stage(stage)

    def spec_text(self, number: int | None = None) -> str:
        """The text that `spec` reads."""
        plan = self.plan(number)
        if number is None and self.metrics_file.exists():
            return self.metrics_file.read_text(encoding="utf-8")
        return (self.plans / f"{plan.number}.yaml").read_text(encoding="utf-8")

    @property
    def metrics_file(self) -> Path:
        """The experiment's file with other metrics, where `parse` set them since the submission."""
        return self.path / layout.PARSED_FILE

    def write_metrics(self, text: str, plan: int) -> None:
        """Let tables be read by the metrics of this text, made for this plan, from now on. Raises StorageError, and
        LabError where there is a newer plan, for the text would hide its file."""
        with locked(self.path.parent / layout.SUBMIT_LOCK):
            if self.state().plan != plan:
                raise LabError(
                    f'{self.path}: "{self.name}" was submitted again meanwhile', "run the same command again"
                )
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
        """Return the folder of a task's outputs, or of those of a run of a stage."""
        return self.path / self.relative_folder(task_id)

    def relative_folder(self, task_id: int) -> str:
        """Return the same within the experiment's folder, here and on nodes."""
        state = self.state() if self._state is None else self._state
        return layout.relative_folder(task_id, state.stage(task_id))

    def gone_runs(self, plan: Plan, experiment: Experiment) -> Iterator[int]:
        """Yield the runs of stages of a plan that are done, but whose outputs are gone, unless `retain` has removed
        them; also the tasks that are to be collected, whose folder is gone."""
        states, discarded = self.state().columns["state"], set(self.state().discarded_runs())
        outputs = {name: stage_outputs.are_there(experiment.of_stage(name)) for name in experiment.stages}

        def there(one: int, stage: str | None) -> bool:
            place = layout.task_folder(self.path, one, stage)
            return place.is_dir() if stage is None or one in discarded else outputs[stage](place)

        def done(one: int) -> bool:
            return one < len(states) and states[one] == DONE

        for one, stage in plan.runs.select("task_id", "stage").rows() if plan.runs.height else ():
            if done(one) and not there(one, stage):
                yield one
            for other in self.state().node_runs.get(one, {}).values():
                if done(other) and not there(other, stage):
                    yield other
        for name in experiment.apart:
            if experiment.stages[name].collected == experiment.stage:
                found = collected.members(plan, experiment, name)
                again = (ids for run, ids in found.items() if not (done(run) and there(run, name)))
                yield from (one for ids in again for one in ids if done(one) and not there(one, None))

    # --- All tasks as one table

    def parameters(self) -> list[str]:
        """Columns of `tasks` that are parameters, in order. One that collides with a fact is called
        `in_NAME`."""
        return list(self.parameter_columns().values())

    def parameter_columns(self) -> dict[str, str]:
        """Parameter -> its column in `tasks`."""
        return self.columns(self._known(self.state()).names)

    def tasks(self, metrics: Iterable[str] = ()) -> pl.DataFrame:
        """Every task ever, ascending: parameters with real types, then the facts (`tui_lab.experiment.facts`), also of
        named steps. A parameter named `seed` takes the place of that fact; parameters and `metrics` those of facts of
        steps."""
        state = self.state()
        asked = self._asked(state)
        split = asked.columns.index("task_id")
        found = facts.frame(facts.FoldedTasks(state, state.task_ids() if state.stages else None))
        table = asked[:, split:].join(found, on="task_id", how="left", maintain_order="left")
        table = table.select(pl.col(name).cast(facts.dtype(name)) for name in FACTS if name in table.columns)
        of_steps = [series for series, _ in self._of_steps(state, table["task_id"], (*asked.columns, *metrics))]
        return pl.concat([asked[:, :split], table.with_columns(of_steps)], how="horizontal")

    def step_facts(self, metrics: Iterable[str] = ()) -> dict[str, Fact]:
        """Return the facts of named steps that `tasks` has as columns."""
        asked = self.asked()
        return {
            fact.name: fact for _, fact in self._of_steps(self.state(), asked["task_id"], (*asked.columns, *metrics))
        }

    def _of_steps(self, state: State, ids: pl.Series, taken: Sequence[str]) -> list[tuple[pl.Series, Fact]]:
        """The facts of named steps, with their columns for these tasks. Each task has the steps that the newest plan
        with it names. taken: columns that are something else."""
        if not state.steps.columns:
            return []
        rest = ids
        found: dict[str, tuple[pl.Series, Fact]] = {}
        for number in sorted({event.plan for event in state.submissions}, reverse=True):
            mine = rest.is_in(self.plan(number).tasks["task_id"].implode())
            some, rest = rest.filter(mine), rest.filter(~mine)
            for place, fact in of_steps(self._steps_of(number), taken):
                values = facts.of_step(state, place, fact, some)
                series = found[fact.name][0] if fact.name in found else values.clear(len(ids))
                found[fact.name] = (series.scatter(ids.search_sorted(some), values), fact)
            if not len(rest):
                break
        return list(found.values())

    def _steps_of(self, number: int) -> tuple[str | None, ...]:
        """The names of the steps of a plan's tasks; none where its file can't be read."""
        if number not in self._steps:
            try:
                self._steps[number] = tuple(step.name for step in self.spec(number).steps)
            except (SpecError, LabError, OSError):
                self._steps[number] = ()
        return self._steps[number]

    def task_record(self, task_id: int) -> Row:
        """Return the row of a task in `tasks`; for a run of a stage, the same facts of it."""
        state = self.state()
        stage = state.stage(task_id)
        if stage is None:
            table = self.tasks()
            return table.filter(table["task_id"] == task_id).row(0, named=True)
        found = facts.frame(facts.FoldedTasks(state, np.array([task_id], dtype=np.int64))).row(0, named=True)
        runs = self.plan_of(task_id).runs
        asked = runs.filter(runs["task_id"] == state.planned_run(task_id)).select(_PLANNED).row(0, named=True)
        asked["task_id"] = task_id
        if not self.spec_of(task_id).stages[stage].repeated:
            asked["repeat"] = None
        return {"stage": stage, **asked, **found}

    def attempts_behind(self, stage: str) -> dict[int, tuple[int, int]]:
        """Return the run of a stage that each task used, or that collects it, and its attempt that counts, by task;
        without runs that have not ended."""
        state = self.state()
        attempts, submissions = state.columns["attempt"], state.columns["submission"]
        found: dict[int, tuple[int, int]] = {}
        seen = set[int]()
        for number in sorted({event.plan for event in state.submissions if stage in event.stages}, reverse=True):
            rows = self.plan(number).tasks.select("task_id", LINK + stage).drop_nulls().rows()
            if stage in self.plan(number).apart:
                # No task used it: the newest is about all that it covers.
                found |= {
                    task: (run, attempts[run]) for task, run in rows if task not in seen and attempts[run] != NONE
                }
                seen |= {task for task, _ in rows}
                continue
            for task, run in rows:
                # A later plan may name another run: the task used that of the plan by which it ran.
                run = state.on_node(run, task)
                ran = submissions[task] < 0 or state.submissions[submissions[task]].plan == number
                if ran and task not in found and attempts[run] != NONE:
                    found[task] = (run, attempts[run])
        return found

    def blocking(self, task_id: int) -> str | None:
        """Return a stage whose run behind a task, or behind another run, did not end well, because of which that
        failed; None where there is none."""
        state, plan = self.state(), self.plan_of(task_id)
        for name in plan.stages:
            run = None if name in plan.apart else self.run_behind(task_id, name)
            runs = () if run is None else (run, *state.node_runs.get(run, {}).values())
            if any(state.columns["state"][one] in (FAILED, STOPPED, LOST) for one in runs):
                return name
        return None

    def stage_runs(self) -> pl.DataFrame:
        """Every run of a stage before the last, ascending: `stage`, `run_id`, `tasks` (how many of the newest
        plan need it), `key` (hexadecimal), the parameters that it uses, then the facts, as those of tasks."""
        state = self.state()
        ids = np.flatnonzero(np.frombuffer(state.columns["stage"], dtype=np.int16)) if state.stages else np.array([])
        moving = facts.frame(facts.FoldedTasks(state, ids.astype(np.int64))).rename({"task_id": "run_id"})
        found: list[pl.DataFrame] = []
        known: set[int] = set()
        for number in sorted({event.plan for event in state.submissions if event.stages}, reverse=True):
            spec, plan = self.spec(number), self.plan(number)
            for name in plan.stages:
                rows = runs_of_plan(plan, spec, name, known, number == state.plan)
                found.append(runs_of_nodes(rows, plan, state, name) if name in plan.per_node else rows)
            known |= set(plan.runs["task_id"])
        table = pl.concat(found, how="diagonal_relaxed") if found else pl.DataFrame(schema=RUN_COLUMNS)
        table = table.join(moving, on="run_id", how="left", maintain_order="left").sort("run_id")
        if not state.run_for:
            return table
        nodes = [state.run_for[one][1] if one in state.run_for else None for one in table["run_id"]]
        return table.with_columns(pl.coalesce("node", pl.Series(nodes, dtype=pl.String)).alias("node"))

    def ended_runs(self, stage: str) -> pl.DataFrame:
        """Return the runs of a stage before the last that have ended, ascending: `task_id` (of the run), `attempt`."""
        state = self.state()
        code = state.stages.index(stage) + 1 if stage in state.stages else NONE
        attempts = np.frombuffer(state.columns["attempt"], dtype=np.int32)
        mine = np.frombuffer(state.columns["stage"], dtype=np.int16) == code
        ids = np.flatnonzero(mine & (attempts != NONE))
        return pl.DataFrame({"task_id": ids.astype(np.int64), "attempt": attempts[ids]})

    def run_parameters(self, stage: str) -> pl.DataFrame:
        """Return, for every run of a stage before the last, its number (RUN), `repeat`, `seed`, and the parameters that
        it uses under their own names."""
        state = self.state()
        found: list[pl.DataFrame] = []
        for number in sorted({event.plan for event in state.submissions if stage in event.stages}, reverse=True):
            spec, mine = self.spec(number), self.plan(number).of_stage(stage)
            uses = spec.stages[stage].uses
            typed = mine.typed().select(name for name in mine.names if name in uses)
            own = [name for name in ("repeat", "seed") if name not in uses]
            rows = pl.concat([mine.tasks.select(pl.col("task_id").alias(RUN), *own), typed], how="horizontal")
            pairs = [(run, one) for one, (run, _) in state.run_for.items() if state.stage(one) == stage]
            if pairs:  # those of the nodes, in the place of the one that stands for them
                of_nodes = pl.DataFrame(pairs, schema={RUN: pl.Int64, "own": pl.Int64}, orient="row")
                rows = (
                    of_nodes.join(rows, on=RUN, maintain_order="left")
                    .with_columns(pl.col("own").alias(RUN))
                    .drop("own")
                )
            found.append(rows)
        return pl.concat(found, how="diagonal_relaxed").unique(RUN, keep="first", maintain_order=True)

    def asked(self) -> pl.DataFrame:
        """The part of `tasks` that only a submission changes: parameters, then the facts that are `asked`."""
        return self._asked(self.state())

    def _asked(self, state: State) -> pl.DataFrame:
        known = self._known(state)
        typed = known.combinations.typed().rename(self.columns(known.names))
        names = [name for name in facts.asked() if name not in typed.columns]
        table = known.tasks.select(pl.col(name).cast(facts.dtype(name)) for name in names)
        return pl.concat([typed, table], how="horizontal").sort("task_id")

    def _known(self, state: State) -> Plan:
        """Every task that a plan ever had, each as the newest plan with it says."""
        named = sorted({event.plan for event in state.submissions}, reverse=True)
        if not named:
            return Plan(
                0,
                pl.DataFrame(schema={name: facts.dtype(name) for name in _PLANNED}),
                {},
            )
        newest = self.plan(named[0])
        table = newest.tasks.select(_PLANNED)
        combinations = newest.combinations
        for number in named[1:]:
            if table.height == len(state.task_ids()):
                break
            plan = self.plan(number)
            rows = plan.tasks.select("task_id").with_row_index("row").join(table, on="task_id", how="anti")["row"]
            if rows.len():
                table = pl.concat([table, plan.tasks.select(_PLANNED)[rows]])
                combinations = merge(combinations, only(plan.combinations, rows))
        columns = [combinations.frame[name].alias(PREFIX + name) for name in combinations.frame.columns]
        return Plan(
            newest.number,
            pl.concat([table, as_frame(columns, table.height)], how="horizontal"),
            combinations.values,
        )

    @staticmethod
    def columns(names: list[str]) -> dict[str, str]:
        """Parameter -> its column in `tasks`: `in_NAME` where a fact has the name (SQL does not tell
        case)."""
        return parameter_columns(names, FACTS)
