"""What an experiment is: frozen models of a whole experiment.yaml, in one canonical form.

The file may say the same thing in several ways; `tui_lab.experiment.load` reads them all and builds these. What
a key of the file means is said in `tui_lab.experiment.keys`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.function import Function
from tui_lab.experiment.metric import Goal, Metric, MetricType, Rows, Take
from tui_lab.experiment.needs import Keep, Needs
from tui_lab.experiment.record import Model, documented
from tui_lab.experiment.signature import Signature
from tui_lab.experiment.stages import OUTPUT, Stage
from tui_lab.experiment.yaml.problem import Problem

if TYPE_CHECKING:
    from tui_lab.experiment.yaml.parser import Document

__all__ = [
    "BUILT_IN",
    "LATER",
    "RESERVED_PARAMETERS",
    "Experiment",
    "FileTemplate",
    "Goal",
    "Metric",
    "MetricType",
    "Order",
    "Origin",
    "Repeat",
    "RetryReason",
    "Rows",
    "Sample",
    "Seed",
    "SeedPer",
    "Stage",
    "Step",
    "Take",
]

StartMethod = Literal["forkserver", "spawn"]
Order = Literal["interleaved", "listed", "shuffled", "shuffled-rounds", "by-stage"]
SeedPer = Literal["repeat", "task"]
RetryReason = Literal["exit", "exception", "signal", "timeout", "oom", "outs", "start"]

BUILT_IN: Final = (
    "output",
    "params",
    "task_id",
    "repeat",
    "seed",
    "attempt",
    "experiment",
    "node",
    "slot",
)  # placeholders that every task has

RESERVED_PARAMETERS: Final = ("output", "params")  # built-in placeholders that no parameter may replace

# Keys of the file that have a meaning already but no support yet.
LATER: Final = ("stop_when", "warmup", "hooks")


# --- Smaller parts


class Step(Model):
    """One command of a task. `name` is None unless the file names its steps. `line` is 0 if unknown."""

    name: str | None
    command: str
    line: int = 0


class Sample(Model):
    """The key `sample`: some combinations, taken at random."""

    n: int = documented(description="How many distinct combinations to take at random.", examples=[50])
    seed: int = documented(default=0, description="Another seed takes other combinations.", examples=[1])


class Repeat(Model):
    """The key `repeat` with a condition: each combination runs until it is true."""

    min: int = documented(default=3, description="How often each combination runs at least.", examples=[3])
    max: int = documented(description="How often each combination runs at most.", examples=[30])
    until: str = documented(
        description="SQL condition over a setting's metrics, summarised by `ci95()`, `mean()`, `sd()`, `n()`, ...: a "
        "setting runs again until it is true.",
        examples=["ci95(test_acc) < 0.01 * mean(test_acc)"],
    )


class Seed(Model):
    """The key `seed`: where the tasks' seeds come from."""

    base: int = documented(default=0, description="Number from which the seeds are computed.", examples=[1])
    per: SeedPer = documented(
        default="repeat",
        description="`repeat`: all settings of a repeat share a seed, so that they pair; "
        "`task`: every task has its own.",
    )


class FileTemplate(Model):
    """A file to write into `{output}`: the template's path as written, and the marks around a placeholder."""

    renamed: ClassVar[dict[str, str]] = {"source": "from"}
    source: str = documented(description="The template, relative to the experiment's file.")
    marks: tuple[str, str] | None = documented(
        default=None,
        description="Marks around a placeholder, if braces mean something else.",
        examples=[["#", "#"]],
    )


# --- The experiment


@dataclass(frozen=True)
class Origin:
    """Where an experiment was read. Not part of the experiment: two files may say the same.

    stage: whose keys stand in the experiment, where it has stages. stage_templates: texts of the templates of each.
    stage_signatures: of the functions of stages.
    """

    file: Path = field(default=Path(), compare=False)
    folder: Path | None = field(default=None, compare=False)
    document: Document | None = field(default=None, compare=False)
    templates: Mapping[str, str] = field(default_factory=dict, compare=False)
    notices: tuple[str, ...] = field(default=(), compare=False)
    signature: Signature | None = field(default=None, compare=False)
    stage: str | None = None
    stage_templates: Mapping[str, Mapping[str, str]] = field(default_factory=dict, compare=False)
    stage_signatures: Mapping[str, Signature] = field(default_factory=dict, compare=False)


class Experiment(Model):
    """A named sweep, as its file gives it. Raises nothing after loading; all times are in seconds.

    With stages, the command and the other keys that a stage may have are those of the last stage: what it runs is the
    task. `of_stage` gives those of another one.
    """

    name: str
    command: str | tuple[str, ...] | dict[str, str] = ()
    function: Function | None = None
    python: str | None = None
    args: dict[str, str] = field(default_factory=dict)
    per_repeat: bool = False
    start_method: StartMethod = "forkserver"
    stages: dict[str, Stage] = field(default_factory=dict)
    parameters: tuple[dict[str, Domain], ...] = ()
    defaults: dict[str, Value] = field(default_factory=dict)
    zip: tuple[tuple[str, ...], ...] = ()
    where: str | None = None
    derive: dict[str, str] = field(default_factory=dict)
    sample: Sample | None = None
    repeat: int | Repeat = 1
    seed: Seed | None = None
    files: dict[str, FileTemplate] = field(default_factory=dict)
    workdir: str | None = None
    env: dict[str, str] = field(default_factory=dict)
    shell: str | None = None
    setup: str | None = None
    setup_timeout: float = 1800.0
    timeout: float | str | tuple[float | str, ...] | None = None
    grace: float = 10.0
    resumes: bool = False
    retries: int = 0
    retry_on: tuple[RetryReason | int, ...] = ("exit", "exception", "signal", "timeout", "oom", "outs")
    ok_exit_codes: tuple[int, ...] = (0,)
    stagger: float | None = None
    max_failures: int | None = None
    order: Order = "interleaved"
    priority: int = 0
    needs: Needs = field(default_factory=Needs)
    limits: dict[str, int] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    rows: Rows | None = None
    code: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    keep: Keep = field(default_factory=Keep)
    version: int = 1
    unhashed: tuple[str, ...] = ()
    run_on: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    description: str = ""

    origin: Origin = field(default_factory=Origin, compare=False, repr=False)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The commands in order, whichever form the file uses; a function is one step without a command."""
        if self.function is not None:
            return (Step(name=None, command="", line=self._line("function")),)
        if isinstance(self.command, str):
            return (Step(name=None, command=self.command, line=self._line("command")),)
        if isinstance(self.command, dict):
            named = self.command.items()
            return tuple(Step(name=n, command=c, line=self._line("command", n)) for n, c in named)
        listed = enumerate(self.command)
        return tuple(Step(name=None, command=c, line=self._line("command", i)) for i, c in listed)

    # --- Stages

    @property
    def stage(self) -> str | None:
        """The stage whose keys these are; None without stages."""
        return self.origin.stage

    @property
    def earlier_stages(self) -> tuple[str, ...]:
        """The stages but for that of the tasks, each behind those of them that it comes after."""
        return tuple(self.stages)[:-1]

    @property
    def stage_order(self) -> tuple[str, ...]:
        """All stages, each behind those that it comes after."""
        return tuple(sorted(self.stages, key=lambda name: self.stages[name].apart))

    @property
    def apart(self) -> tuple[str, ...]:
        """The stages that collect, and those that come after one: no task depends on them."""
        return tuple(name for name, stage in self.stages.items() if stage.apart)

    @property
    def beside(self) -> tuple[str, ...]:
        """The other last stages: a task is done once its runs of these are, too."""
        return self.stages[next(reversed(self.stages))].beside if self.stages else ()

    def of_stage(self, name: str) -> Experiment:
        """Return the experiment with the keys of another stage."""
        templates = self.origin.stage_templates.get(name, {})
        signature = self.origin.stage_signatures.get(name)
        origin = replace(self.origin, stage=name, templates=templates, signature=signature)
        return replace(self, **self.stages[name].own, origin=origin)

    @property
    def per_stage(self) -> tuple[Experiment, ...]:
        """The experiment as each stage has it, the last behind all others; without stages, itself."""
        return tuple(map(self.of_stage, self.stages)) or (self,)

    def from_stage(self, name: str | None) -> frozenset[str] | None:
        """Return a stage and those that depend on it, near or far; all without a name; None where there is no such
        stage."""
        if name is None:
            return frozenset(self.stages)
        if name not in self.stages:
            return None
        found = {name}
        for one in self.stage_order:
            if found & set(self.stages[one].after):
                found.add(one)
        return frozenset(found)

    def metrics_by_stage(self, metrics: Mapping[str, Metric]) -> dict[str | None, dict[str, Metric]]:
        """Return metrics by the stage in whose outputs they are; None stands for the tasks themselves."""
        found: dict[str | None, dict[str, Metric]] = {None: {}}
        for name, metric in metrics.items():
            stage = metric.stage if metric.stage in self.earlier_stages else None
            found.setdefault(stage, {})[name] = metric
        return found

    @property
    def outs(self) -> tuple[str, ...]:
        """Globs of the files that a run of the stage must leave; none without stages."""
        return () if self.stage is None else self.stages[self.stage].outs

    @property
    def visible_names(self) -> tuple[str, ...]:
        """The parameters that a task sees: all, or those that its stage uses."""
        return self.parameter_names if self.stage is None else self.stages[self.stage].uses

    @property
    def passed_names(self) -> tuple[str, ...]:
        """The parameters that the function gets, of those that its stage uses."""
        passed = None if self.stage is None else self.stages[self.stage].passed
        return self.visible_names if passed is None else passed

    @property
    def values_before(self) -> Mapping[str, str]:
        """The arguments of the function that take values of stages before, by stage."""
        return {} if self.stage is None else self.stages[self.stage].values

    @property
    def collected(self) -> str | None:
        """The stage whose runs this one collects."""
        return None if self.stage is None else self.stages[self.stage].collected

    @property
    def value_is_taken(self) -> bool:
        """Whether a function of another stage takes what the function returns."""
        return self.stage is not None and any(one.must_take(self.stage) for one in self.per_stage)

    def must_take(self, stage: str) -> bool:
        """Whether the function has the argument for the value of a stage, as far as its source, or `args`, tells."""
        own = self.stages[self.stage or ""]
        return stage in own.values and (own.passed is not None or stage in self.args)

    @property
    def calls_functions(self) -> bool:
        """Whether its tasks, or stages of it, call a Python function."""
        return any(one.function is not None for one in self.per_stage)

    @property
    def outputs_before(self) -> tuple[str, ...]:
        """The placeholders of the folders of stages before this one, such as `prepare.output`."""
        return () if self.stage is None else tuple(name + OUTPUT for name in self._one_before)

    @property
    def _one_before(self) -> tuple[str, ...]:
        stage = None if self.stage is None else self.stages[self.stage]
        return () if stage is None else tuple(name for name in stage.after if name != stage.collected)

    @property
    def signature(self) -> Signature | None:
        """What the function takes, as far as its source tells."""
        return self.origin.signature

    @property
    def seed_argument(self) -> str:
        """The argument of the function that takes the task's seed, if there is one."""
        return self.args.get("seed", "seed")

    @property
    def takes_seed(self) -> bool:
        """Whether the function has an argument for the seed, as far as its source tells."""
        signature = self.signature
        return signature is not None and self.seed_argument in signature.names

    @property
    def repeats_differ(self) -> bool:
        """Whether the repeats of a task may differ: those of a function do where it takes the seed, or says so."""
        return self.function is None or self.takes_seed or self.per_repeat

    @property
    def seeding(self) -> Seed:
        """Where seeds come from, whether the file says so or not."""
        return self.seed or Seed()

    @property
    def repeats(self) -> int:
        """Repeats of each combination that are planned: with `until`, the most that may run."""
        return self.repeat if isinstance(self.repeat, int) else self.repeat.max

    @property
    def file(self) -> Path:
        """The file that this was read from."""
        return self.origin.file

    @property
    def folder(self) -> Path:
        """The folder of the file, absolute: the default `workdir`, and where templates and globs start."""
        return self.origin.folder or self.origin.file.absolute().parent

    @property
    def templates(self) -> Mapping[str, str]:
        """Text of the template of each target in `files`."""
        return self.origin.templates

    @property
    def notices(self) -> tuple[str, ...]:
        """What looks odd but is no error, each with its place, for the user."""
        return self.origin.notices

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Every parameter in the order of first mention: sweeps with their cases, defaults, derive."""
        names: dict[str, None] = {}
        for sweep in self.parameters:
            for name, domain in sweep.items():
                names.update(dict.fromkeys((name, *domain.inner_names)))
        names.update(dict.fromkeys(self.defaults))
        names.update(dict.fromkeys(self.derive))
        return tuple(names)

    def problem(
        self,
        keypath: tuple[str | int, ...],
        message: str,
        hint: str = "",
        offset: int | None = None,
        at_key: bool = False,
    ) -> Problem:
        """A problem at the value under `keypath`, for instance `("derive", "hidden")`.

        `offset` counts characters in that value; `at_key` points at the key instead. A path that the file
        does not have is cut until it fits.
        """
        document = self.origin.document
        keypath = self._keypath(keypath)
        line, column = (0, 0) if document is None else document.place(keypath, offset=offset, at_key=at_key)
        return Problem(str(self.file), line, column, message, hint)

    def _keypath(self, keypath: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """Return where a key stands: at the stage, where that has it."""
        document, stage = self.origin.document, self.origin.stage
        if document is None or stage is None or not keypath:
            return keypath
        own: tuple[str | int, ...] = ("stages", stage, keypath[0])
        return ("stages", stage, *keypath) if document.node(own) is not None else keypath

    def _line(self, *keypath: str | int) -> int:
        document = self.origin.document
        return 0 if document is None else document.place(self._keypath(keypath))[0]
