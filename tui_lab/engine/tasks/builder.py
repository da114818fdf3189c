"""Builds the messages with which an agent runs the tasks of a plan."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from tui_lab.engine.agent import SLOT_MARK
from tui_lab.engine.core.model import AttemptNeeds
from tui_lab.engine.tasks.collected_file import CollectedFiles
from tui_lab.engine.tasks.environment import inherited_environment
from tui_lab.engine.tasks.function_call import FunctionCall
from tui_lab.engine.tasks.needs import needs_of
from tui_lab.engine.tasks.paths import NodePaths
from tui_lab.engine.tasks.placeholders import placeholders
from tui_lab.experiment.data_types import JsonObject
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.model import BUILT_IN, Experiment
from tui_lab.experiment.needs import Needs
from tui_lab.experiment.shell.command import Command, compile_command
from tui_lab.experiment.shell.template import fill
from tui_lab.experiment.stages import COLLECTED, COLLECTED_VARIABLE, OUTPUT, output_variable
from tui_lab.experiment.units import duration
from tui_lab.portable.function.failure import FILE as EXCEPTION_FILE
from tui_lab.protocol.agent import Context, Resume, Start, Step
from tui_lab.store import code_snapshot, layout
from tui_lab.store.events import Changes
from tui_lab.store.plan import LINK, Plan
from tui_lab.store.seeds import task_seed


def list_widths(plan: Plan) -> dict[str, int]:
    """The greatest length of each parameter's list values: `[x]` becomes as many words."""
    widths = {}
    for name, values in plan.values.items():
        lengths = [len(value) for value in values if isinstance(value, list)]
        if lengths:
            widths[name] = max(lengths)
    return widths


class TaskBuilder:
    """Builds the messages of the tasks of one plan, or of the runs of one of its stages. `identity` names its context
    to agents, `code` the snapshot of the program. `collected`: what its runs collect, where it is a stage that does so.
    `stages`: the builders of the stages before the last."""

    def __init__(
        self,
        experiment: Experiment,
        plan: Plan,
        folder: Path,
        identity: str,
        code: str | None = None,
        *,
        collected: CollectedFiles | None = None,
    ) -> None:
        self.collected = collected
        self.code = code
        self.runs: Mapping[int, int] = {}
        self.experiment = experiment
        self.plan = plan
        self.folder = folder
        self.identity = identity
        self.stage = None if experiment.stage == next(reversed(experiment.stages), None) else experiment.stage
        names = plan.names if experiment.stage is None else [n for n in plan.names if n in experiment.visible_names]
        known = [*names, *(name for name in BUILT_IN if name not in names), *experiment.outputs_before]
        known += [COLLECTED] if collected is not None and COLLECTED not in names else []
        self.known = known
        self.names = names
        widths = list_widths(plan)
        self.call = None if experiment.function is None else FunctionCall(experiment)
        self.commands: list[Command] = []
        if self.call is None:
            self.commands = [compile_command(step.command, known, widths=widths) for step in experiment.steps]
        self.writes_params = "params" in placeholders(experiment, self.commands)

    # --- Stages

    @cached_property
    def stages(self) -> dict[str, TaskBuilder]:
        """The builders of the stages before the last, in order."""
        return {name: self._of_stage(name) for name in self.experiment.earlier_stages if self.stage is None}

    def _of_stage(self, name: str) -> TaskBuilder:
        experiment = self.experiment.of_stage(name)
        return TaskBuilder(
            experiment,
            self.plan.of_stage(name),
            self.folder,
            f"{self.identity}:{name}",
            self.code,
            collected=CollectedFiles(self.plan, experiment, name) if experiment.stages[name].collected else None,
        )

    def of(self, task: int, stage: str | None) -> tuple[TaskBuilder, int | None]:
        """Return the builder of a task, or of a run of a stage, and its row; None where the plan does not have it."""
        builder = self if stage is None else self.stages.get(stage)
        return (self, None) if builder is None else (builder, builder.plan.row(task))

    @cached_property
    def _links(self) -> dict[str, pl.Series]:
        """The runs of the stages that these come after, or are beside of, by stage."""
        stage = self.experiment.stage
        return {} if stage is None else {n: self.plan.tasks[LINK + n] for n in self.experiment.stages[stage].single}

    def before(self, row: int) -> dict[str, int]:
        """Return the runs that a task, or a run, comes directly after, by stage."""
        beside = self._beside_names
        return {name: column[row] for name, column in self._links.items() if name not in beside}

    def inputs(self, row: int) -> Iterator[tuple[int, str, str | None]]:
        """Yield the runs whose outputs a task, or a run, reads, with their stages; then None for tasks, else the stage
        again."""
        for name, number in self.before(row).items():
            yield number, name, name
        if self.collected is not None:
            for number in self.collected.members(self.plan.tasks["task_id"][row]):
                yield number, self.collected.collected, self.collected.stage

    def beside(self, row: int) -> dict[str, int]:
        """Return the runs of the other last stages of a task, by stage."""
        return {name: self._links[name][row] for name in self._beside_names}

    @cached_property
    def _beside_names(self) -> tuple[str, ...]:
        stage = self.experiment.stage
        return () if stage is None else self.experiment.stages[stage].beside

    def chain(self, row: int) -> Iterator[tuple[TaskBuilder, int]]:
        """Yield the runs that belong to a task, each behind those that it comes after, then the task: builders and
        rows."""
        needed: dict[str, int] = {}
        open_ = [(self, row)]
        while open_:
            builder, one = open_.pop()
            for name, number in {**builder.before(one), **builder.beside(one)}.items():
                place = self.stages[name].plan.row(number)
                if name not in needed and place is not None:
                    needed[name] = place
                    open_.append((self.stages[name], place))
        yield from ((self.stages[name], needed[name]) for name in self.stages if name in needed)
        yield self, row

    # --- Messages

    def parameters(self, row: int) -> dict[str, Value]:
        """Return the parameters that a task sees: with stages, those that its stage uses."""
        found = self.plan.parameters(row)
        return found if self.experiment.stage is None else {n: v for n, v in found.items() if n in self.names}

    @cached_property
    def here(self) -> NodePaths:
        """This machine, with the lab's own folder."""
        program = self.experiment.folder if self.code is None else code_snapshot.snapshot(self.folder, self.code)
        return NodePaths("localhost", str(self.folder), str(program), runs=self.runs)

    def using(self, runs: Mapping[int, int]) -> TaskBuilder:
        """Return the same for what ran on a node. runs: those that it has of its own, by those of the plan."""
        if not runs:
            return self
        other = copy(self)
        vars(other).pop("here", None)
        other.runs = runs
        return other

    @property
    def workdir(self) -> str | None:
        """The folder that tasks start in on this machine; None where it depends on the task."""
        return self._workdir(self.here)

    def _workdir(self, paths: NodePaths) -> str | None:
        written = self.experiment.workdir
        if written is None:
            return paths.workdir
        if any("{" + name + "}" in written for name in self.known):
            return None
        return str(Path(paths.path(written)))

    def context(
        self, environment: Mapping[str, str], paths: NodePaths | None = None, umask: int | None = None
    ) -> Context:
        """Return the context that all tasks on a node share. environment, umask: the submitter's."""
        paths = paths or self.here
        setup = [lines for lines in (paths.setup, self.experiment.setup) if lines is not None]
        return Context(
            id=self.identity,
            environment=inherited_environment(environment) if paths.inherits else None,
            extra=paths.env if self.call is None else {**paths.env, **self.call.variables(paths.workdir)},
            umask=umask,
            workdir=self._workdir(paths) or paths.workdir,
            shell=self.experiment.shell,
            setup="\n".join(setup) or None,
            setup_timeout=self.experiment.setup_timeout,
            serve_calls=self.call is not None and self.experiment.start_method != "spawn",
            ok_exit_codes=list(self.experiment.ok_exit_codes),
            steps=self._steps(paths),
        )

    def _steps(self, paths: NodePaths) -> list[Step]:
        if self.call is not None:
            return [{"name": None, "script": self.call.script(paths.python)}]
        return [
            {"name": step.name, "script": command.script({}) if command.constant else None}
            for step, command in zip(self.experiment.steps, self.commands, strict=True)
        ]

    def values(self, row: int, attempt: int, paths: NodePaths | None = None) -> dict[str, Value]:
        """Return parameters and built-in placeholders of one attempt. The agent fills in the slot."""
        return self._built_in(row, attempt, paths or self.here) | self.parameters(row)

    def _built_in(self, row: int, attempt: int, paths: NodePaths) -> dict[str, Value]:
        task_id, repeat, seed = (column[row] for column in self._columns)
        if self._seeded_by_key:
            seed = task_seed(0, self.plan.tasks["key"][row])
        output = paths.folder(task_id, self.stage)
        before = {f"{name}{OUTPUT}": paths.folder(run, name) for name, run in self.before(row).items()}
        listing = {} if self.collected is None else {COLLECTED: f"{output}/{layout.COLLECTED_FILE}"}
        return {
            **before,
            **listing,
            "output": output,
            "params": f"{output}/{layout.PARAMS_FILE}",
            "task_id": task_id,
            "repeat": repeat,
            "seed": seed,
            "attempt": attempt,
            "experiment": self.experiment.name,
            "node": paths.node,
            "slot": SLOT_MARK,
        }

    @cached_property
    def _columns(self) -> list[array[int]]:
        """Ids, repeats and seeds of the tasks as lists: reading single numbers from Polars columns is slow."""
        tasks = self.plan.tasks
        names = ("task_id", "repeat", "seed")
        return [array("q", tasks[name].cast(pl.Int64).fill_null(0).to_numpy().tobytes()) for name in names]

    def shown(self, row: int, attempt: int = 1) -> list[str]:
        """Return the commands of a task as text, a step each, with the values quoted."""
        if self.call is not None:
            return [self.call.shown(self.parameters(row))]
        values = self.values(row, attempt) | {"slot": 0}
        return [command.shown(values) for command in self.commands]

    def repeated(self, row: int) -> list[str]:
        """Return lines for a shell that do what a task does: its commands, or its call."""
        if self.call is None:
            return self.shown(row)
        members = () if self.collected is None else self.collected.members(self.plan.tasks["task_id"][row])
        stage = None if self.collected is None else self.collected.stage
        folders = [self.here.folder(one, stage) for one in members]
        built_in = self._built_in(row, 1, self.here)
        return [self.call.line(self.parameters(row), built_in, self.here.workdir, None, folders)]

    def _environment(self, built_in: Mapping[str, Value], parameters: Mapping[str, Value]) -> dict[str, str]:
        values = {**built_in, **parameters}
        environment: dict[str, str] = {}
        for name, text in self.experiment.env.items():
            environment[name] = fill(text, values, known=self.known)
        for command in self.commands:
            environment.update(command.environment(values))
        output = str(built_in["output"])
        attempt = int(str(built_in["attempt"]))
        environment |= self._of_stages(built_in)
        environment |= {
            "TUI_LAB_EXPERIMENT": self.experiment.name,
            "TUI_LAB_TASK_ID": str(built_in["task_id"]),
            "TUI_LAB_REPEAT": str(built_in["repeat"]),
            "TUI_LAB_ATTEMPT": str(attempt),
            "TUI_LAB_SEED": str(values["seed"]),
            "TUI_LAB_OUTPUT": output,
            "TUI_LAB_NODE": str(built_in["node"]),
            "TUI_LAB_METRICS": f"{output}/{layout.attempt_file(layout.METRICS_FILE, attempt)}",
            "TUI_LAB_PARAMS": as_json(parameters),
        }
        for name in self._hidden:
            del environment[name]
        return environment

    def _of_stages(self, built_in: Mapping[str, Value]) -> dict[str, str]:
        """Return the variables that only stages have."""
        stage = self.experiment.stage
        if stage is None:
            return {}
        found = {name: str(built_in[f"{name}{OUTPUT}"]) for name in self._links if name not in self._beside_names}
        outputs = {output_variable(name): folder for name, folder in found.items()}
        listing = {} if self.collected is None else {COLLECTED_VARIABLE: str(built_in[COLLECTED])}
        return {"TUI_LAB_STAGE": stage, **outputs, **listing}

    @cached_property
    def _seeded_by_key(self) -> bool:
        """Whether these are calls that take no seed: their random numbers must be the same whatever shares them."""
        stage = self.experiment.stage
        return self.call is not None and stage is not None and not self.experiment.stages[stage].takes_seed

    @cached_property
    def _hidden(self) -> list[str]:
        """Variables that a run of a stage does not have, for they would tell more than its identity."""
        stage = self.experiment.stage
        if stage is None:
            return []
        one = self.experiment.stages[stage]
        found = [] if one.takes_seed or "seed" in self.names or self._seeded_by_key else ["TUI_LAB_SEED"]
        found += [] if one.repeated else ["TUI_LAB_REPEAT"]
        return found if self.stage is None else [*found, "TUI_LAB_TASK_ID"]

    def start(
        self,
        row: int,
        attempt: int,
        paths: NodePaths | None = None,
        changes: Changes | None = None,
        wire_name: str = "",
        resume: Resume | None = None,
        takes: float | None = None,
    ) -> Start:
        """Return the message that starts one attempt. changes: what replaces the file's values, as `timeout` in
        seconds. wire_name: of the experiment, by default its name. resume: the steps that an earlier attempt has done.
        takes: the seconds that its node must have left. Raises ValueError where a value can't be passed to a
        program."""
        paths = paths or self.here
        built_in = self._built_in(row, attempt, paths)
        parameters = self.parameters(row)
        values = built_in | parameters
        experiment = self.experiment
        argv = [command.argv(values) if experiment.shell is None else None for command in self.commands]
        scripts = {str(i): c.script(values) for i, c in enumerate(self.commands) if not c.constant}
        files = {
            target: fill(text, values, known=self.known, marks=experiment.files[target].marks)
            for target, text in experiment.templates.items()
        }
        if self.writes_params:
            files[layout.PARAMS_FILE] = as_json(nested(parameters), indent=2)
        if self.collected is not None:
            files[layout.COLLECTED_FILE] = self.collected.text(int(str(built_in["task_id"])), paths.folder)
        workdir = None
        if self._workdir_varies:
            workdir = paths.path(fill(str(experiment.workdir), values, known=self.known))
        needs: Any = self.needs(row, attempt, changes)
        needs.pop("tokens", None)
        return Start(
            experiment=wire_name or experiment.name,
            task=paths.run(int(str(built_in["task_id"]))),
            attempt=attempt,
            context=self.identity,
            folder=str(built_in["output"]),
            steps=len(experiment.steps),
            env=self._environment(built_in, parameters),
            grace=experiment.grace,
            timeout=(changes or {}).get("timeout", self.timeout(values)),
            ok=list(experiment.ok_exit_codes),
            argv=argv if any(words is not None for words in argv) else None,
            scripts=scripts or None,
            files=files or None,
            workdir=workdir,
            needs=needs or None,
            collect=paths.collect,
            exception=None if self.call is None else EXCEPTION_FILE,
            outs=list(self.experiment.outs) or None,
            resume=resume if resume is not None and 0 < len(resume["steps"]) < len(self.commands) else None,
            takes=takes,
        )

    @cached_property
    def _workdir_varies(self) -> bool:
        return self.workdir is None

    @cached_property
    def has_needs(self) -> bool:
        """Whether its tasks, or runs of stages before them, need more of a node than a slot."""
        return self.experiment.needs != Needs() or any(one.has_needs for one in self.stages.values())

    def needs(self, row: int, attempt: int, changes: Changes | None = None) -> AttemptNeeds:
        """Return what an attempt needs of a node, and its `tokens`. Raises ValueError."""
        changed = (changes or {}).get("needs")
        if not self.has_needs and not changed:
            return {}
        return needs_of(self.experiment, self.values(row, attempt), attempt, changed)

    def timeout_of(self, row: int, attempt: int, changes: Changes | None = None) -> float | None:
        """Return the seconds that an attempt may take, None without a limit. Raises ValueError."""
        if changes and "timeout" in changes:
            return changes["timeout"]
        timeout = self.experiment.timeout
        varies = any(isinstance(one, str) for one in (timeout if isinstance(timeout, tuple) else (timeout,)))
        return self.timeout(self.values(row, attempt) if varies else {"attempt": attempt})

    def timeout(self, values: Mapping[str, Value]) -> float | None:
        """Seconds that an attempt may take, None without a limit."""
        timeout = self.experiment.timeout
        if isinstance(timeout, tuple):
            timeout = timeout[min(int(str(values["attempt"])), len(timeout)) - 1]
        if isinstance(timeout, str):
            return duration(fill(timeout, values, known=self.known))
        return timeout


def as_json(value: object, indent: int | None = None) -> str:
    """Return a value as Python's json writes it: integers of any size, NaN and Infinity by these names."""
    return json.dumps(value, ensure_ascii=False, indent=indent, separators=(",", ":") if indent is None else None)


def nested(parameters: Mapping[str, Value]) -> JsonObject:
    """Dotted names as nested objects: {"model.lr": 1} is {"model": {"lr": 1}}. A name that is both stays
    flat."""
    tree: JsonObject = {}
    for name, value in parameters.items():
        *parents, leaf = name.split(".")
        place: Any = tree
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                break
        if isinstance(place, dict) and not isinstance(place.get(leaf), dict):
            place[leaf] = value
        else:
            tree[name] = value
    return tree
