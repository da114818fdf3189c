"""What an experiment is: frozen models of a whole experiment.yaml, in one canonical form.

The file may say the same thing in several ways; `tui_lab.experiment.load` reads them all and builds these. The
texts of the fields here are the one source of the JSON Schema and of the reference (`tui_lab.experiment.schema`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from tui_lab.experiment.domains.domain import Domain
from tui_lab.experiment.domains.model import Value
from tui_lab.experiment.metric import Goal, Metric, MetricType, Rows, Take
from tui_lab.experiment.needs import Keep, Needs
from tui_lab.experiment.record import Model, documented
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
    "Step",
    "Take",
]

Order = Literal["interleaved", "listed", "shuffled"]
SeedPer = Literal["repeat", "task"]
RetryReason = Literal["exit", "signal", "timeout", "oom", "start"]

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
LATER: Final = ("stages", "stop_when", "warmup", "hooks")


# ---- smaller parts


class Step(Model):
    """One command of a task. `name` is None unless the file names its steps. `line` is 0 if unknown."""

    name: str | None
    command: str
    line: int = 0


class Sample(Model):
    n: int = documented(description="How many distinct combinations to take at random.", examples=[50])
    seed: int = documented(default=0, description="Another seed takes other combinations.", examples=[1])


class Repeat(Model):
    min: int = documented(default=3, description="How often each combination runs at least.", examples=[3])
    max: int = documented(description="How often each combination runs at most.", examples=[30])
    until: str = documented(
        description="SQL condition over a setting's metrics, summarised by `ci95()`, `mean()`, `sd()`, `n()`, ...: a "
        "setting runs once more as long as it is not true.",
        examples=["ci95(test_acc) < 0.01 * mean(test_acc)"],
    )


class Seed(Model):
    base: int = documented(default=0, description="Where the seeds come from.", examples=[1])
    per: SeedPer = documented(
        default="repeat",
        description="`repeat`: all settings of a repeat share a seed, so that they pair; "
        "`task`: every task has its own.",
    )


class FileTemplate(Model):
    """A file to write into `{output}`: the template's path as written, and the marks around a placeholder."""

    source: str = documented(description="The template, relative to the experiment's file.")
    marks: tuple[str, str] | None = documented(
        default=None,
        description="What stands around a placeholder where braces mean something else.",
        examples=[["#", "#"]],
    )


# ---- the experiment


@dataclass(frozen=True)
class Origin:
    """Where an experiment was read: no part of what it is: two files may say the same."""

    file: Path = field(default=Path(), compare=False)
    folder: Path | None = field(default=None, compare=False)
    document: Document | None = field(default=None, compare=False)
    templates: Mapping[str, str] = field(default_factory=dict, compare=False)
    notices: tuple[str, ...] = field(default=(), compare=False)


class Experiment(Model):
    """A named sweep, as its file gives it. Raises nothing after loading; all times are in seconds."""

    name: str = documented(
        description="Name of the experiment, of its folder in the lab and of its table in SQL; "
        "by default the file's name without its ending.",
        examples=["grid"],
    )
    command: str | tuple[str, ...] | dict[str, str] = documented(
        description="What a task runs. A string is a shell script; a list runs one after the other; "
        "a mapping names the steps. `{name}` stands for a parameter's value, `[name]` for `--name value`.",
        examples=[
            "./main.py {neurons} [lr]",
            ["make -s", "./main {n}"],
            {"train": "./train {lr}", "test": "./test"},
        ],
    )
    parameters: tuple[dict[str, Domain], ...] = documented(
        default=(),
        description="The sweep: each parameter and the values it may take, crossed. "
        "A list of mappings is their union; what one leaves out comes from `defaults`.",
        examples=[
            {"lr": [0.1, 0.2], "n": {"range": [1, 51, 2]}},
            [{"lr": [0.1, 0.2]}, {"depth": {"linspace": [1, 9, 3]}}],
        ],
    )
    defaults: dict[str, Value] = documented(
        default_factory=dict, description="Value of a parameter where a sweep does not vary it.", examples=[{"lr": 0.1}]
    )
    zip: tuple[tuple[str, ...], ...] = documented(
        default=(),
        description="Groups of parameters that advance together instead of crossing.",
        examples=[[["lr", "warmup"]]],
    )
    where: str | None = documented(
        default=None,
        description="SQL expression: only combinations for which it is true are kept.",
        examples=["a < b"],
    )
    derive: dict[str, str] = documented(
        default_factory=dict,
        description="Further parameters, each a SQL expression over the others.",
        examples=[{"hidden": "2 * n"}],
    )
    sample: Sample | None = documented(
        default=None,
        description="Take that many distinct combinations at random. "
        "Needed where a parameter is drawn (`uniform`, `loguniform`, `randint`, `choice`).",
        examples=[{"n": 50, "seed": 1}],
    )
    repeat: int | Repeat = documented(
        default=1,
        description="How often each combination runs, or until what is known well enough. `{repeat}` counts from 0.",
        examples=[10, {"min": 3, "max": 30, "until": "ci95(duration) < 0.1"}],
    )
    seed: Seed | None = documented(
        default=None,
        description="Base of `{seed}` and `TUI_LAB_SEED`; another one runs every task again. A parameter named `seed` "
        "replaces it and counts as repeats.",
        examples=[3, {"base": 1, "per": "task"}],
    )
    files: dict[str, FileTemplate] = documented(
        default_factory=dict,
        description="Files to write into `{output}` before the first step, with placeholders filled in.",
        examples=[{"input.nml": "templates/input.nml"}, {"in.xml": {"from": "in.tmpl", "marks": ["#", "#"]}}],
    )
    workdir: str | None = documented(
        default=None,
        description="Folder that tasks start in, relative to the file (with `code`, to the copy); by default that "
        "folder itself. "
        '`"{output}"` suits programs that write fixed file names.',
        examples=["~/project", "{output}"],
    )
    env: dict[str, str] = documented(
        default_factory=dict,
        description="Environment variables of the tasks; placeholders work.",
        examples=[{"OMP_NUM_THREADS": "4"}],
    )
    shell: str | None = documented(
        default=None,
        description="Shell of the commands; by default bash where a node has it, else sh.",
        examples=["bash"],
    )
    setup: str | None = documented(
        default=None,
        description="Lines that run once on each node, and whose environment tasks inherit.",
        examples=["module load cuda", ["module load cuda", "conda activate lab"]],
    )
    setup_timeout: float = documented(
        default=1800.0,
        description="Time that `setup` may take on a node; after that its tasks there have failed.",
        examples=["2h", "90s"],
    )
    timeout: float | str | tuple[float | str, ...] | None = documented(
        default=None,
        description="Time that an attempt may take, in seconds or with units; a list goes by attempt, and placeholders "
        "work.",
        examples=["30s", "1h30m", 90, "{minutes}m", ["10m", "1h"]],
    )
    grace: float = documented(
        default=10.0, description="Time between asking a task to stop and killing it.", examples=["30s", 10]
    )
    retries: int = documented(default=0, description="Further attempts at a task that failed.", examples=[2])
    retry_on: tuple[RetryReason | int, ...] = documented(
        default=("exit", "signal", "timeout", "oom"),
        description="Reasons of failure after which a task is tried again; a number is an exit status.",
        examples=["timeout", ["exit", "oom"], [75, "timeout"]],
    )
    ok_exit_codes: tuple[int, ...] = documented(
        default=(0,), description="Exit statuses that mean success.", examples=[0, [0, 3]]
    )
    stagger: float | None = documented(
        default=None,
        description="Least time between the starts of two tasks, on all nodes together.",
        examples=["2s", "500ms"],
    )
    max_failures: int | None = documented(
        default=None, description="Failed tasks after which the experiment stops.", examples=[20]
    )
    order: Order = documented(
        default="interleaved",
        description="`interleaved`: the first repeat of every setting first; `listed`; `shuffled`.",
    )
    priority: int = documented(
        default=0,
        description="Between experiments, the higher goes first; else first in, first out.",
        examples=[10],
    )
    needs: Needs = documented(
        default_factory=Needs,
        description="What each task needs of its node, given all at once or not at all; a list goes by attempt, "
        "and placeholders work. No part of a task's identity.",
        examples=[{"gpus": 0.5, "cpus": 2, "memory": ["4G", "8G"]}, {"exclusive": True}, {"cpus": "{n}"}],
    )
    limits: dict[str, int] = documented(
        default_factory=dict,
        description="Tokens that the running tasks of a lab share, by name: a task takes those that its `needs` name. "
        "Where several experiments name one, the smallest number counts.",
        examples=[{"license": 2}],
    )
    metrics: dict[str, Metric] = documented(
        default_factory=dict,
        description="Output values: a pattern, or where else to find one. The first leads tables and charts.",
        examples=[
            {"loss": "Final Loss: (@float@)"},
            {"acc": {"pattern": "Test accuracy: (@float@)", "goal": "max"}},
            {"acc": {"json": "result.json", "path": "$.acc"}},
        ],
    )
    rows: Rows | None = documented(
        default=None,
        description="Many rows per task, as a table of their own.",
        examples=[{"pattern": "epoch (?P<epoch>@int@) loss (?P<loss>@float@)"}, {"csv": "history.csv"}],
    )
    code: tuple[str, ...] = documented(
        default=(),
        description="Globs of the program's files: recorded, compared, sent to nodes that don't share the folder. "
        "Tasks run a read-only copy of how they were at the submission. A folder means all in it, without labs, "
        "environments and caches.",
        examples=["*.py", ["main.py", "lib/**"], "."],
    )
    inputs: tuple[str, ...] = documented(
        default=(),
        description="The same for input files, whose content joins a task's identity.",
        examples=["data/*.csv"],
    )
    keep: Keep = documented(
        default_factory=Keep,
        description="What comes home from a node that does not share the lab's folder; `tui-lab fetch` brings more.",
        examples=["*.csv", ["*.csv", "plots/**"], {"globs": "*.csv", "most": "500M"}],
    )
    version: int = documented(default=1, description="A higher number makes every task run again.", examples=[2])
    unhashed: tuple[str, ...] = documented(
        default=(),
        description="Parameters that are no part of a task's identity.",
        examples=["threads", ["threads", "log"]],
    )
    run_on: tuple[str, ...] = documented(
        default=(),
        description="Tags that a node must have to be used; `not TAG` for one that it must not have.",
        examples=["gpu", ["gpu", "not slow"]],
    )
    tags: tuple[str, ...] = documented(
        default=(), description="Free labels.", examples=["draft", ["thesis", "chapter 3"]]
    )
    description: str = documented(default="", description="Text for people.", examples=["How wide must the layers be?"])

    origin: Origin = field(default_factory=Origin, compare=False, repr=False)

    @property
    def steps(self) -> tuple[Step, ...]:
        """The commands in order, whichever form the file uses."""
        if isinstance(self.command, str):
            return (Step(name=None, command=self.command, line=self._line("command")),)
        if isinstance(self.command, dict):
            named = self.command.items()
            return tuple(Step(name=n, command=c, line=self._line("command", n)) for n, c in named)
        listed = enumerate(self.command)
        return tuple(Step(name=None, command=c, line=self._line("command", i)) for i, c in listed)

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
        """What looks odd but is no error, each with its place, for a person."""
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
        line, column = (0, 0) if document is None else document.place(keypath, offset=offset, at_key=at_key)
        return Problem(str(self.file), line, column, message, hint)

    def _line(self, *keypath: str | int) -> int:
        document = self.origin.document
        return 0 if document is None else document.place(keypath)[0]
