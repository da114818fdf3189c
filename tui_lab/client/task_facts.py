"""All that is known of one task, and a line that repeats it in a shell."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui_lab.client.address import Address
    from tui_lab.client.attempts import AttemptFile
    from tui_lab.client.steps import StepRun
    from tui_lab.engine.tasks.builder import TaskBuilder
    from tui_lab.experiment.data_types import JsonObject, Row
    from tui_lab.experiment.domains.model import Value
    from tui_lab.protocol.agent import Facts
    from tui_lab.store.events import Finished
    from tui_lab.store.experiment import ExperimentFolder


@dataclass(frozen=True)
class AttemptUnlistedFiles:
    """How many further files of an attempt stayed on its node, and their bytes."""

    attempt: int
    node: str
    files: int
    size: int


@dataclass(frozen=True)
class TaskDetails:
    """All that is known of a task.

    `parameters`: those of the task; of a run of a stage, those that it uses. `before`: the folders of the runs that
    it comes directly after, by stage. `beside`: those of its other last stages. `blocked_by`: the stage because of
    which it failed with the reason `dependency`; the task, or run, if it collects such. `tasks_behind`: how many tasks
    need this run of a stage; None for a task. `collects`: how many tasks, or runs, it collects, by their stage.
    `discarded`: its files were removed, because nothing needed them. `facts` is its row of the table of tasks.
    `history`: the ends of its attempts. `steps`: the last run of each step, where it has several. `refused`: what a
    metric found and could not read, by metric.
    """

    experiment: str
    task: int
    key: str
    parameters: dict[str, Value]
    facts: Row
    commands: list[str]
    folder: str
    files: list[str]
    history: list[Finished]
    steps: list[StepRun]
    left: list[AttemptFile]
    left_more: list[AttemptUnlistedFiles]
    git: JsonObject
    node_facts: Facts
    refused: dict[str, str]
    before: dict[str, str]
    beside: dict[str, str]
    blocked_by: str | None
    tasks_behind: int | None
    collects: dict[str, int]
    discarded: bool

    def as_json(self) -> Row:
        """Return the document of `--json`, with the facts among the other keys."""
        members: Row = {}
        for field in fields(self):
            if field.name == "facts":
                members |= self.facts
            else:
                members[field.name] = getattr(self, field.name)
        lists = {
            "steps": [*map(asdict, self.steps)],
            "left": [*map(asdict, self.left)],
            "left_more": [*map(asdict, self.left_more)],
        }
        return members | lists


def repeating_line(builder: TaskBuilder, row: int) -> str:
    """Return a line for bash or zsh that does what the task does: its folder, its variables, its commands. In
    parentheses, so that the shell stays in its folder and survives a failing script."""
    from tui_lab.engine.tasks.placeholders import placeholders
    from tui_lab.experiment.render import quote

    message = builder.start(row, 1)
    experiment = builder.experiment
    variables = {name: message.env[name] for name in experiment.env}
    texts = " ".join(step.command for step in experiment.steps)
    variables |= {name: value for name, value in message.env.items() if name in texts}
    place = shlex.quote(str(message.workdir or builder.workdir))
    uses_output = "output" in placeholders(experiment) or "output" in experiment.args
    begin = [f"mkdir -p {shlex.quote(message.folder)}"] if uses_output else []
    begin += [f"cd {place}"]
    exports = [f"export {name}={quote(value)}" for name, value in variables.items()]
    shown = builder.repeated(row)
    if not any(command.needs_shell for command in builder.commands) and experiment.setup is None:
        assignments = [f"{name}={quote(value)} " for name, value in variables.items()]
        return _grouped(" && ".join([*begin, *("".join([*assignments, line]) for line in shown)]))
    setup = [] if experiment.setup is None else experiment.setup.splitlines()
    steps = [_grouped(line) for line in shown]
    return _grouped("; ".join(["set -e -o pipefail", *begin, *setup, *exports, *steps]))


def _grouped(line: str) -> str:
    """Return a script in parentheses, on lines of their own if it has several lines, or may end in a comment."""
    return f"(\n{line}\n)" if "\n" in line or "#" in line else f"( {line} )"


def facts(address: Address, builder: TaskBuilder, row: int) -> TaskDetails:
    """All that is known of a task, its attempts from the journal included."""
    from tui_lab.client.attempts import attempts, git_facts, node_facts
    from tui_lab.client.steps import step_runs
    from tui_lab.store.task_files import listed

    folder = address.folder
    record = folder.task_record(address.task)
    parameters = set(folder.parameters())
    found = attempts(folder, address.task)
    ended = [attempt for attempt in found if attempt.finished is not None]
    place = folder.task_folder(address.task)
    collected = builder.collected
    return TaskDetails(
        experiment=folder.name,
        task=address.task,
        key=builder.plan.tasks["key"][row].hex(),
        parameters=builder.plan.parameters(row) if builder.stage is None else builder.parameters(row),
        facts={name: value for name, value in record.items() if name not in parameters and name != "task_id"},
        commands=builder.shown(row),
        folder=str(place),
        files=sorted(name for name, _ in listed(place, deep=True)),
        history=[attempt.finished for attempt in ended if attempt.finished is not None],
        steps=step_runs(folder, address.task),
        left=[file for attempt in ended for file in attempt.left],
        left_more=[
            AttemptUnlistedFiles(one.number, one.node, one.unlisted, one.unlisted_size) for one in ended if one.unlisted
        ],
        git=git_facts(folder, found[-1].submission) if found else {},
        node_facts=node_facts(folder, found[-1]) if found else {},
        refused=_refused(folder, address.task, record["attempt"]) if builder.stage is None else {},
        before={
            name: str(folder.task_folder(run))
            for name in builder.before(row)
            if (run := folder.run_behind(address.task, name)) is not None
        },
        beside={name: str(builder.here.folder(run, name)) for name, run in builder.beside(row).items()},
        blocked_by=_blocking(folder, builder, address.task) if record["reason"] == "dependency" else None,
        tasks_behind=None if builder.stage is None else len(folder.tasks_behind(address.task)),
        collects={} if collected is None else {collected.collected: len(collected.members(address.task))},
        discarded=bool(address.folder.state().columns["discarded"][address.task]),
    )


def _blocking(folder: ExperimentFolder, builder: TaskBuilder, one: int) -> str | None:
    """Return what did not end well: of a task a stage before it, of a run that collects the first of what it does."""
    from tui_lab.client.address import address_of

    if builder.stage is None:
        return folder.blocking(one)
    state = folder.state()
    members = [] if builder.collected is None else builder.collected.members(one)
    return next((address_of(folder, member) for member in members if not state.has_result(member)), None)


def _refused(folder: ExperimentFolder, task: int, attempt: int | None) -> dict[str, str]:
    """Return what a done task's metrics found and could not read, and how it would be read."""
    if attempt is None:
        return {}
    from tui_lab.results.extraction.extract import extract
    from tui_lab.results.extraction.extractor import Running
    from tui_lab.results.extraction.files import OutputFolders
    from tui_lab.results.extraction.hints import explain
    from tui_lab.results.extraction.sources.kinds import by_extractor
    from tui_lab.results.tables import not_trusted
    from tui_lab.store import trust

    experiment = folder.spec()
    of_task = [(task, attempt)]
    metrics = experiment.metrics_by_stage(experiment.metrics)[None]
    tallies = extract(experiment, OutputFolders(folder.path), of_task, metrics).tallies if metrics else {}
    unread = [name for name, tally in tallies.items() if tally.unread]
    executed = {name for some in by_extractor(experiment.metrics, Running).values() for name in some}
    untrusted = executed if executed and not trust.is_trusted(folder.path.parent) else ()
    outputs = OutputFolders(folder.path)
    return dict.fromkeys(untrusted, not_trusted(folder)) | {
        name: explain(name, metrics[name], experiment, outputs, of_task, 1).hint for name in unread
    }
