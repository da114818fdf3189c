"""From a file and the words behind it to a plan on disk and the event that submits it."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import socket
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import polars as pl

from tui_lab.cli.errors import UsageError
from tui_lab.engine.recipe import Recipe, placeholders
from tui_lab.spec import expression
from tui_lab.spec.combinations import expand
from tui_lab.spec.load import load
from tui_lab.spec.model import Experiment, Value
from tui_lab.spec.problem import SpecError
from tui_lab.spec.render import RenderError
from tui_lab.store import fold, ranges
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.lab import Lab
from tui_lab.store.plan import Plan
from tui_lab.store.planning import Planned, file_digest, file_digests, known_tasks, make_plan, rerun

_OVERRIDE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=(.*)", re.DOTALL)


@dataclass(frozen=True)
class Choice:
    """What a command line chooses of an experiment, and how."""

    overrides: Mapping[str, Sequence[Value]] = field(default_factory=dict)
    only: str | None = None
    new: bool = False  # leave failed and lost tasks alone
    rerun: bool = False
    adopt: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Prepared:
    """An experiment ready to be submitted; nothing is written yet."""

    experiment: Experiment
    folder: ExperimentFolder
    text: str
    planned: Planned
    queued: pl.Series  # task ids that would run
    unchanged: bool  # the plan and the file are those of the last submission
    counts: dict[str, int]  # selected tasks by state, "new" among them
    scripts: dict[str, str]  # file -> digest, of the program's own files
    notices: tuple[str, ...]

    @property
    def plan(self) -> Plan:
        return self.planned.plan

    @property
    def recipe(self) -> Recipe:
        return Recipe(self.experiment, self.plan, self.folder.path, "")


def read_overrides(words: Sequence[str]) -> dict[str, list[Value]]:
    """`lr=0.1,0.2` as values by name; values are read as YAML reads them. Raises UsageError."""
    from tui_lab.spec.yaml12 import parse

    overrides: dict[str, list[Value]] = {}
    for word in words:
        match = _OVERRIDE.fullmatch(word)
        if match is None:
            raise UsageError(f'"{word}" is neither a file nor name=value')
        name, text = match.groups()
        try:
            document = parse(f"[{text}]", word)
            values = list(document.value())
        except SpecError:
            values = [text]
        overrides.setdefault(name, []).extend(values or [""])
    return overrides


def split_words(words: Sequence[str]) -> tuple[list[Path], dict[str, list[Value]]]:
    """Files and overrides of a command line. Raises UsageError."""
    files = [Path(word) for word in words if Path(word).exists() or not _OVERRIDE.fullmatch(word)]
    return files, read_overrides([word for word in words if Path(word) not in files])


def prepare(lab: Lab | None, file: Path, choice: Choice) -> Prepared:
    """Read, expand and plan. Raises SpecError, LabError, UsageError; writes nothing."""
    experiment = load(file)
    text = file.read_text(encoding="utf-8-sig")
    combinations = expand(experiment)
    overridden = expand(experiment, choice.overrides) if choice.overrides else None
    folder = ExperimentFolder(Path("lab") / experiment.name) if lab is None else lab.new_experiment(experiment.name)
    state = folder.state() if folder.exists() else fold.State()
    previous = folder.plan() if state.plan else None
    if lab is not None:
        _check_name(lab, experiment, previous, choice)
    planned = make_plan(
        experiment,
        combinations,
        number=folder.next_plan_number(),
        plans=folder.plans,
        previous=previous,
        state=state,
        uses_seed="seed" in placeholders(experiment),
        overridden=overridden,
        adopt=choice.adopt,
    )
    check_program(experiment, planned.plan, folder)
    selected = select(planned, choice, state)
    if choice.rerun:
        planned = rerun(planned, selected, state, known_tasks(folder.plans))
    queued, counts = queue(planned, selected, state, choice)
    scripts = program_files(experiment)
    notices = [*experiment.notices, *combinations.notices, *stale(planned.plan, state, scripts, choice)]
    unchanged = previous is not None and _same(previous, planned.plan) and _text_of(folder, previous) == text
    if unchanged and previous is not None:
        planned = replace(planned, plan=previous)
    return Prepared(experiment, folder, text, planned, queued, unchanged, counts, scripts, tuple(notices))


def _check_name(lab: Lab, experiment: Experiment, previous: Plan | None, choice: Choice) -> None:
    if previous is not None and previous.about["file"] != str(experiment.file.absolute()) and not choice.replace:
        raise LabError(
            f'"{experiment.name}" in {lab.path} came from another file, {previous.about["file"]}',
            "give this one another name, or go on with --replace if it is the same experiment",
        )
    for name in lab.experiments():
        if name != experiment.name and name.lower() == experiment.name.lower():
            raise LabError(f'"{experiment.name}" and "{name}" of this lab differ in case only', "SQL can't tell them apart")


def _same(previous: Plan, plan: Plan) -> bool:
    return previous.values == plan.values and previous.about == plan.about and previous.tasks.equals(plan.tasks)


def _text_of(folder: ExperimentFolder, plan: Plan) -> str | None:
    try:
        return (folder.plans / f"{plan.number}.yaml").read_text(encoding="utf-8")
    except OSError:
        return None


def check_program(experiment: Experiment, plan: Plan, folder: ExperimentFolder) -> None:
    """Find out before 3000 tasks do: a working folder or a program that is not there, a value that can't be
    passed on. Raises SpecError."""
    recipe = Recipe(experiment, plan, folder.path, "")
    workdir = recipe.workdir
    problems = []
    if workdir is not None and not Path(workdir).is_dir():
        place = ("workdir",) if experiment.workdir is not None else ()
        problems.append(experiment.problem(place, f"the working folder {workdir} does not exist"))
    else:
        for number, (step, command) in enumerate(zip(experiment.steps, recipe.commands, strict=True)):
            program = command.program
            if program is None or recipe.workdir is None or experiment.setup or "PATH" in experiment.env:
                continue
            if number > 0 and "/" in program:
                continue  # an earlier step may build it
            where = Path(workdir or ".") / program if "/" in program else None
            if (shutil.which(program) if where is None else shutil.which(str(where))) is None:
                keypath: tuple[str | int, ...] = ("command",)
                if not isinstance(experiment.command, str):
                    keypath = ("command", step.name if step.name is not None else number)
                problems.append(experiment.problem(keypath, _not_found(program, where, workdir)))
    if not problems:
        problems += _unusable_values(experiment, recipe)
    if problems:
        raise SpecError(problems)


def _not_found(program: str, where: Path | None, workdir: str | None) -> str:
    if where is None:
        return f'the command "{program}" is not found in PATH'
    if where.exists():
        return f'the command "{program}" is not executable (chmod +x {where})'
    return f'the command "{program}" is not found in {workdir}'


def _unusable_values(experiment: Experiment, recipe: Recipe) -> list[Any]:
    """Values that no command can be given: null written bare, a NUL, more than a program can take."""
    problems = []
    used = set().union(*(command.names for command in recipe.commands))
    base = recipe.values(0, 1, "localhost") | {"slot": 0} if recipe.plan.tasks.height else {}
    for name, values in recipe.plan.values.items():
        if name not in used:
            continue
        for value in values:
            try:
                for command in recipe.commands:
                    if name in command.names:
                        command.environment(base | {name: value})
            except RenderError as error:
                problems.append(experiment.problem(("parameters", name), f'a value of "{name}" {error}'))
                break
            except ValueError as error:
                problems.append(experiment.problem(("command",), str(error)))
                break
    return problems


def select(planned: Planned, choice: Choice, state: fold.State) -> pl.Series:
    """The tasks that `name=value` and `--only` choose: a Boolean for each row of the plan. Raises UsageError."""
    chosen = planned.chosen
    if choice.only is None:
        return chosen
    table = pl.concat([planned.plan.typed(), planned.plan.tasks.select(_facts(planned.plan))], how="horizontal")
    codes = state.columns["state"]
    states = [fold.STATES[codes[task]] if task < state.size else "pending" for task in table_ids(planned)]
    if "state" not in table.columns:
        table = table.with_columns(pl.Series("state", states, dtype=pl.String))
    try:
        return chosen & expression.condition(choice.only, table)
    except expression.ExpressionError as error:
        raise UsageError(f"--only: {error}") from None


def table_ids(planned: Planned) -> list[int]:
    return planned.plan.tasks["task_id"].to_list()


def _facts(plan: Plan) -> list[str]:
    return [name for name in ("task_id", "repeat", "seed", "version") if name not in plan.names]


def queue(planned: Planned, selected: pl.Series, state: fold.State, choice: Choice) -> tuple[pl.Series, dict[str, int]]:
    """Task ids to run, and the selected tasks by state: done and stopped tasks stay as they are."""
    ids = planned.plan.tasks["task_id"]
    known = pl.Series(state.columns["state"], dtype=pl.Int8)
    codes = pl.concat([known, pl.Series([fold.PENDING], dtype=pl.Int8)]).gather(ids.clip(0, state.size))
    again = {fold.PENDING, fold.RUNNING} | (set() if choice.new else {fold.FAILED, fold.LOST})
    wanted = selected & codes.is_in(list(again))
    counts = {name: int((selected & planned.known & (codes == code)).sum()) for code, name in enumerate(fold.STATES)}
    counts["new"] = int((selected & ~planned.known).sum())
    return ids.filter(wanted), counts


# What a result may have come from, without being declared.


def program_files(experiment: Experiment) -> dict[str, str]:
    """Digests of the files that the commands name, and of those declared as `code`."""
    found = dict(file_digests(experiment.folder, experiment.code))
    for step in experiment.steps:
        for word in re.findall(r"[^\s'\"|&;<>()$`{}\[\]]+", step.command):
            path = experiment.folder / word
            try:
                if path.is_file() and path.stat().st_size < 64 << 20:
                    found[str(path.relative_to(experiment.folder, walk_up=True) if sys.version_info >= (3, 12) else os.path.relpath(path, experiment.folder))] = file_digest(path)
            except OSError:
                continue
    return found


def stale(plan: Plan, state: fold.State, scripts: dict[str, str], choice: Choice) -> list[str]:
    """A line for each file that has changed since planned tasks ran."""
    if choice.rerun or not state.size:
        return []
    columns = state.columns
    since: dict[int, int] = {}
    for task in plan.tasks["task_id"]:
        if task < state.size and columns["state"][task] == fold.DONE:
            since[columns["submission"][task]] = since.get(columns["submission"][task], 0) + 1
    changed: dict[str, int] = {}
    for submission, count in since.items():
        before = state.submissions[submission].get("scripts", {}) if submission >= 0 else {}
        for name, digest in scripts.items():
            if name in before and before[name] != digest:
                changed[name] = changed.get(name, 0) + count
    return [
        f"{name} changed since {count:,} task{'s' if count > 1 else ''} ran: their results are kept, --rerun makes them anew"
        for name, count in sorted(changed.items())
    ]


# Submitting.


def submit_event(prepared: Prepared, nodes: list[dict[str, Any]], keep_going: bool) -> dict[str, Any]:
    """Write the plan where it is new; the event that submits it. Raises StorageError."""
    plan = prepared.plan
    if not prepared.unchanged:
        plan.write(prepared.folder.plans, prepared.text)
        (prepared.folder.path / "experiment.yaml").write_text(prepared.text, encoding="utf-8")
        prepared.folder.metrics_file.unlink(missing_ok=True)
    return {
        "event": "submitted",
        "id": uuid.uuid4().hex,
        "at": round(time.time(), 3),
        "experiment": prepared.experiment.name,
        "plan": plan.number,
        "planned": ranges.to_ranges(plan.tasks["task_id"].to_numpy()),
        "queued": ranges.to_ranges(prepared.queued.to_numpy()),
        "reasons": prepared.planned.reasons,
        "adopted": prepared.planned.adopted,
        "argv": [_printable(word) for word in sys.argv],
        "cwd": _printable(str(Path.cwd())),
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "nodes": nodes,
        "scripts": prepared.scripts,
        "keep_going": keep_going,
    }


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


