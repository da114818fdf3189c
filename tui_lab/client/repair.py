"""Finding damage in a lab, and repairing it from the files that are whole: `tui-lab check LAB`, with --repair."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import runs
from tui_lab.client.submission import OVERRIDE, cut_off, read_overrides
from tui_lab.engine.tasks.placeholders import placeholders
from tui_lab.experiment.combinations import expand
from tui_lab.experiment.load import load
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.store import checkpoint, discarded_files, journal, layout, ranges, repair, spec_file
from tui_lab.store.errors import LabError, StorageError, storage_error
from tui_lab.store.events import PlanRestored, Submitted
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State
from tui_lab.store.journal import Damage, Journal
from tui_lab.store.lab import Lab
from tui_lab.store.plan import Plan, PlanAbout, file_crc, keys_digest
from tui_lab.store.planning import make_plan, seed_use


@dataclass(frozen=True)
class Finding:
    """A damaged or missing file."""

    file: Path
    line: int  # 0 where it is the whole file
    what: str
    way: str  # what can be done

    def __str__(self) -> str:
        return (
            f"{self.file}:{self.line}: {self.what}; {self.way}"
            if self.line
            else f"{self.file}: {self.what}; {self.way}"
        )


def findings(lab: Lab) -> list[Finding]:
    """Return all damage of a lab. Raises LabError for one of a newer version, StorageError."""
    known = [lab.experiment(name) for name in lab.experiments()]
    return [one for folder in (*lab.without_journal(), *known) for one in _of(folder)]


def _of(folder: ExperimentFolder) -> Iterator[Finding]:
    try:
        folder.require_journal()
    except StorageError as error:
        yield Finding(folder.journal, 0, error.message.removeprefix(f"{folder.journal}: "), error.hint)
        return
    cut = checkpoint.cut(folder.path)
    state, damage = _state(folder)
    if cut:
        yield Finding(folder.journal, 0, *cut_off(cut))
    for one in damage:
        line = journal.line_number(folder.journal, one.offset)
        yield Finding(folder.journal, line, one.what, "--repair removes it, and reconstructs what it can from the rest")
    for number in sorted({event.plan for event in state.submissions}):
        path = folder.plans / f"{number}.parquet"
        try:
            Plan.read(folder.plans, number, crc=state.plan_crc(number))
        except LabError as error:
            what = error.message.removeprefix(f"{path}: ")
            try:
                _, _, source = _made_again(folder, state, number)
            except (LabError, SpecError, UsageError, OSError) as why:
                yield Finding(path, 0, what, f"it can't be repaired: {why}; {folder.way_out}")
            else:
                yield Finding(path, 0, what, f"--repair makes it again from {source.name}")


def repair_lab(lab: Lab) -> list[str]:
    """Repair what can be repaired; return lines that say what was done. Only for the holder of the engine's lock.
    Raises LabError, StorageError."""
    said: list[str] = []
    for name in lab.experiments():
        folder = lab.experiment(name)
        said += repair.repair(folder)
        state, _ = _state(folder)
        for number in sorted({event.plan for event in state.submissions}):
            path = folder.plans / f"{number}.parquet"
            with suppress(LabError):
                Plan.read(folder.plans, number, crc=state.plan_crc(number))
                continue
            try:
                plan, text, source = _made_again(folder, state, number)
            except (LabError, SpecError, UsageError, OSError):
                continue  # what is damaged afterwards says why
            try:
                kept = _put_back(folder, plan, text, path)
            except OSError as error:
                raise storage_error(path, error) from error
            said.append(f"{path}: made again from {source.name}; {kept}")
        said += _remove_needless(folder)
    return said


def _remove_needless(folder: ExperimentFolder) -> list[str]:
    """Remove the files of runs of stages that an engine was to remove, and did not. Return a line about it."""
    places = discarded_files.left_aside(folder.path)
    state = folder.state()
    with suppress(LabError, SpecError):
        experiment = folder.spec()
        for run in state.discarded_runs():
            place = discarded_files.move_aside(folder.path, experiment, run, state.stage(run) or "")
            places += [place] if place is not None else []
    for place in places:
        discarded_files.remove(place)
    what = f"files of {runs(len(places))} were removed, as `retain: until-done` says"
    return [f"{folder.path / layout.STAGES}: {what}"] if places else []


def _state(folder: ExperimentFolder) -> tuple[State, list[Damage]]:
    """Return the fold of the whole journal, without the checkpoint, and its damage."""
    state, damage = State(), list[Damage]()
    for event, _ in journal.read(folder.journal, damage=damage):
        state.apply(event)
    return state, damage


def _put_back(folder: ExperimentFolder, plan: Plan, text: str, path: Path) -> str:
    """Write a plan in place of a damaged one; return a line about it. Raises OSError, StorageError."""
    kept = "there was none"
    folder.plans.mkdir(exist_ok=True)
    if path.exists():
        kept = f"the damaged one is {path.name}.damaged"
        path.replace(path.with_name(f"{path.name}.damaged"))
    plan.write(folder.plans, text)
    record = Journal(folder.journal)
    try:
        record.append([PlanRestored(round(time.time(), 3), plan.number, file_crc(path))])
        record.sync()
    finally:
        record.close()
    return kept


def _made_again(folder: ExperimentFolder, state: State, number: int) -> tuple[Plan, str, Path]:
    """Return a plan that was computed again, its text, and where that text is. Raises LabError where the plan would
    differ, SpecError, UsageError, OSError."""
    before, event = _submission(folder, number)
    source = folder.plans / f"{number}.yaml"
    if not source.exists() and event.keys is not None:  # which tell whether the newest file gives the same tasks
        source = folder.path / layout.SPEC_FILE
    try:
        text = source.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LabError(f"{source.name} is missing, too") from None
    file = _file(folder, state, number, event)
    experiment = load(file, text=text)
    words = event.argv
    overrides = read_overrides([word for word in words[1:] if OVERRIDE.fullmatch(word)])
    planned = make_plan(
        experiment,
        expand(experiment),
        number=number,
        plans=folder.plans,
        previous=Plan.read(folder.plans, before.plan) if before.plan else None,
        state=before,
        seed=seed_use(experiment, "seed" in placeholders(experiment)),
        overridden=expand(experiment, overrides) if overrides else None,
        adopt="--adopt" in words,
        without_added="--without-added" in words,
    )
    tasks = planned.plan.tasks
    table = folder.plans / f"{number}.csv"
    if table.exists():  # has the ids and the versions, whatever options gave them
        facts = pl.read_csv(table, columns=["task_id", "version"], schema_overrides=tasks.schema)
        if facts.height == tasks.height:
            tasks = tasks.with_columns(facts["task_id"].cast(pl.Int64), facts["version"].cast(pl.Int32))
    about: PlanAbout = {**planned.plan.about, **spec_file.recorded(experiment.file, folder.path.parent)}
    plan = replace(planned.plan, tasks=tasks, about=about)
    if ranges.to_ranges(tasks["task_id"].to_numpy()) != event.planned:
        raise LabError("its task ids would differ from those in the journal")
    if event.keys is not None and keys_digest(plan.rows) != event.keys:
        raise LabError("its task keys would differ from those in the journal", "has one of its files changed?")
    if table.exists() and plan.csv() != table.read_text(encoding="utf-8"):
        raise LabError(f"its tasks would differ from those in {table.name}")
    for other in {one.plan for one in state.submissions} - {number}:
        with suppress(StorageError):
            known = Plan.read(folder.plans, other, ["task_id", "key"], state.plan_crc(other)).tasks
            both = tasks.select("task_id", "key").join(known, on="task_id")
            if (both["key"] != both["key_right"]).any():
                raise LabError(f"its task keys would differ from those of plan {other}")
    return plan, text, source


def _submission(folder: ExperimentFolder, number: int) -> tuple[State, Submitted]:
    """Return the first submission of a plan, and the state before it."""
    state = State()
    for event, _ in journal.read(folder.journal, damage=[]):
        if isinstance(event, Submitted) and event.plan == number:
            return state, event
        state.apply(event)
    raise LabError(f"no submission has plan {number}")


def _file(folder: ExperimentFolder, state: State, number: int, event: Submitted) -> Path:
    """Return where the file of a plan was, according to other plans or the command that submitted it."""
    numbers = {one.plan for one in state.submissions} - {number}
    for other in sorted(numbers, key=lambda one: abs(one - number)):
        with suppress(LabError):
            return spec_file.found(Plan.read(folder.plans, other, ["task_id"]).about, folder.path.parent)
    words = [word for word in event.argv[1:] if word.endswith((".yaml", ".yml"))]
    named = [Path(event.cwd) / word for word in words]
    return next((path for path in named if path.exists()), named[0] if named else folder.path / layout.SPEC_FILE)
