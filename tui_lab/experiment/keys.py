"""Each key of experiment.yaml, once: its name, how it is read, its JSON Schema and what the reference says of it.

What a key gives is a field of the same name of `Experiment`, which has its default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_type_hints

from tui_lab.experiment import source
from tui_lab.experiment.metric import Decimal, Goal, Metric, MetricType, Rows, Take, Thousands
from tui_lab.experiment.model import (
    Experiment,
    FileTemplate,
    Order,
    Repeat,
    RetryReason,
    Sample,
    Seed,
    SeedPer,
    StartMethod,
)
from tui_lab.experiment.names import MAX_NAME
from tui_lab.experiment.needs import Keep, Needs
from tui_lab.experiment.readers.function import read_args, read_function, read_python
from tui_lab.experiment.readers.metrics import read_metrics
from tui_lab.experiment.readers.needs import read_globs, read_keep, read_limits, read_needs
from tui_lab.experiment.readers.rows import read_rows
from tui_lab.experiment.readers.stages import read_stages
from tui_lab.experiment.readers.sweep import (
    read_defaults,
    read_derive,
    read_parameters,
    read_repeat,
    read_sample,
    read_seed,
    read_zip,
)
from tui_lab.experiment.readers.task import (
    at_least,
    read_command,
    read_description,
    read_env,
    read_files,
    read_grace,
    read_ok_exit_codes,
    read_retry_on,
    read_run_on,
    read_setup,
    read_timeout,
    read_workdir,
)
from tui_lab.experiment.record import Documented, documentation, keys_of
from tui_lab.experiment.row_sources.kinds import KINDS as ROW_SOURCES
from tui_lab.experiment.schema_parts import (
    ANY_TEXT,
    COUNT,
    NAME,
    QUANTITY,
    TEXT,
    WHOLE,
    Schema,
    closed,
    closed_object,
    list_of,
    named,
    one_or_many,
    or_null,
    words,
)
from tui_lab.experiment.sources.kinds import KINDS as METRIC_SOURCES
from tui_lab.experiment.stages import PROGRAMS, Retain, StageKeys
from tui_lab.experiment.times import read_time
from tui_lab.experiment.yaml.reader import MOST, Keypath, Reader


@dataclass(frozen=True)
class Key:
    """A key of the file."""

    name: str
    read: Callable[[Reader, Keypath], Any]
    """Returns what the file says, or None where it is wrong (which is noted), or left empty."""
    schema: Schema
    description: str
    examples: Any = ()
    elsewhere: tuple[str, ...] = ()
    """What other tools call it."""
    of_stage: bool = False
    """Whether a stage may have it, too."""
    holds: Literal["", "files", "parameters"] = ""
    """What its texts name without braces: files beside the experiment's, or parameters. An editor completes them."""


# --- Schemas of mappings within

_MARKS: Final[dict[str, Schema]] = {"decimal": words(Decimal), "thousands": words(Thousands)}
_METRIC_KEYS: Final[dict[str, Schema]] = {
    "take": words(Take),
    "type": words(MetricType),
    "unit": ANY_TEXT,
    **_MARKS,
    "goal": words(Goal),
    "stage": ANY_TEXT,
}

_AMOUNT: Final = one_or_many(QUANTITY, minItems=1)


def _needs() -> Schema:
    """The needs by name; every other name is a token of `limits`."""
    whether = one_or_many({"anyOf": [{"type": "boolean"}, TEXT]}, minItems=1)
    amounts = {name: whether if name == "exclusive" else _AMOUNT for name in keys_of(Needs)}
    found = closed_object(Needs, amounts)
    tokens = found["properties"].pop("NAME")
    return {**found, "propertyNames": {"pattern": NAME}, "additionalProperties": tokens}


_COMMAND: Final[Schema] = {**ANY_TEXT, "minLength": 1}
_FILE: Final[Schema] = {
    "anyOf": [
        TEXT,
        {
            **closed_object(FileTemplate, {"source": TEXT, "marks": list_of(ANY_TEXT, ANY_TEXT)}),
            "required": ["from"],
        },
    ]
}


def metric_keys() -> dict[str, Documented]:
    """Return what the reference says of the keys of a metric: those of all sources, and those of every metric."""
    return {**source.documented_keys(METRIC_SOURCES), **keys_of(Metric)}


def metric_schema() -> Schema:
    """Return the JSON Schema of a metric: a pattern, or a mapping that says where the value is."""
    return {"anyOf": [TEXT, closed(metric_keys(), {**source.schemas(METRIC_SOURCES), **_METRIC_KEYS})]}


def rows_keys() -> dict[str, Documented]:
    """Return what the reference says of the keys of `rows`: those of all sources, and how numbers are written."""
    return {**source.documented_keys(ROW_SOURCES), **keys_of(Rows)}


def rows_schema() -> Schema:
    """Return the JSON Schema of `rows`."""
    return closed(rows_keys(), {**source.schemas(ROW_SOURCES), **_MARKS})


def stage_keys() -> dict[str, Documented]:
    """Return what the reference says of the keys of a stage that the experiment itself does not have."""
    return keys_of(StageKeys)


def stage_schema() -> Schema:
    """Return the JSON Schema of a stage."""
    schemas: dict[str, Schema] = {
        "uses": or_null(one_or_many(TEXT)),
        "after": or_null(one_or_many(TEXT)),
        "per_repeat": {"type": "boolean"},
        "collect": one_or_many(TEXT),
        "per": or_null({"enum": ["node"]}),
        "outs": or_null(one_or_many(TEXT)),
        "retain": or_null(words(Retain)),
    }
    documented = {**{key.name: documented_keys()[key.name] for key in STAGE_KEYS}, **stage_keys()}
    found = closed(documented, {**{key.name: key.schema for key in STAGE_KEYS}, **schemas})
    return {**found, "oneOf": [{"required": [key]} for key in PROGRAMS]}


# --- The keys, in the order of the reference

_ALL: Final = (
    Key(
        "name",
        Reader.optional_text,
        or_null({"type": "string", "pattern": NAME, "maxLength": MAX_NAME}),
        "Name of the experiment, of its folder in the lab and of its table in SQL; "
        "by default the file's name without its ending.",
        examples=["grid"],
    ),
    Key(
        "command",
        read_command,
        {
            "anyOf": [
                _COMMAND,
                {"type": "array", "items": _COMMAND, "minItems": 1},
                {**named(_COMMAND), "minProperties": 1},
            ]
        },
        "What a task runs. A string is a shell script; a list runs one after the other; "
        "a mapping names the steps. `{name}` stands for a parameter's value, `[name]` for `--name value`.",
        examples=[
            "./main.py {neurons} [lr]",
            ["make -s", "./main {n}"],
            {"train": "./train {lr}", "test": "./test"},
        ],
        elsewhere=(
            "cmd",
            "script",
            "template",
            "run",
            "program",
            "commands",
        ),
        of_stage=True,
    ),
    Key(
        "function",
        read_function,
        TEXT,
        "What a task calls, in place of a command: a Python function, in a file or in a module. The parameters are its "
        "arguments, and what it returns are the results. A file or module that has `pre`, `fit` and `post` needs no "
        "name.",
        examples=["train.py::fit", "package.module:fit", "model.py"],
        elsewhere=(
            "callable",
            "func",
        ),
        of_stage=True,
        holds="files",
    ),
    Key(
        "python",
        read_python,
        or_null(TEXT),
        "Interpreter that calls the function, 3.6 or newer: a name, or a path relative to the file. By default "
        "`python` of the node in cluster.yaml, else `python3`.",
        examples=[".venv/bin/python", "python3.12"],
        elsewhere=("interpreter",),
        of_stage=True,
        holds="files",
    ),
    Key(
        "args",
        read_args,
        or_null(named(TEXT)),
        "What the function calls a parameter, or what a stage has returned, where it has another name there. Also "
        "passes `output`, `repeat`, `task_id` and the like.",
        examples=[{"train": "data", "output": "folder"}],
        of_stage=True,
    ),
    Key(
        "per_repeat",
        lambda r, path: r.boolean(path),
        {"type": "boolean"},
        "Whether the repeats of a function that takes no `seed` differ. Each is seeded by its own seed then; otherwise "
        "a task is seeded by its key, and `repeat` above 1 is an error.",
        examples=[True],
    ),
    Key(
        "start_method",
        lambda r, path: r.one_of(path, get_args(StartMethod)),
        words(StartMethod),
        "How calls of a function start. `forkserver`: on each node, one process imports the module and forks for each "
        "call. `spawn`: each call is a new process, which imports the module itself.",
        of_stage=True,
    ),
    Key(
        "stages",
        lambda r, path: read_stages(r, path, {key.name: key.read for key in STAGE_KEYS}),
        named({"$ref": "#/$defs/stage"}),
        "Commands and functions that depend on each other, in the place of `command`. Tasks that agree in what a stage "
        "uses share one run of it.",
        examples=[
            {
                "prepare": {"command": "./prepare.sh {data} {output}/data.bin"},
                "train": {"command": "./train.py {prepare.output}/data.bin [lr]"},
                "test": {"function": "test.py::score", "after": "train"},
            }
        ],
    ),
    Key(
        "parameters",
        read_parameters,
        or_null(
            {
                "anyOf": [
                    {"$ref": "#/$defs/sweep"},
                    {"type": "array", "items": {"$ref": "#/$defs/sweep"}, "minItems": 1},
                ]
            }
        ),
        "The sweep: each parameter and the values it may take, crossed. "
        "A list of mappings is their union; what one leaves out comes from `defaults`.",
        examples=[
            {"lr": [0.1, 0.2], "n": {"range": [1, 51, 2]}},
            [{"lr": [0.1, 0.2]}, {"depth": {"linspace": [1, 9, 3]}}],
        ],
        elsewhere=(
            "vars",
            "params",
            "grid",
            "sweep",
            "matrix",
            "axes",
            "variables",
            "search_space",
            "foreach",
        ),
    ),
    Key(
        "defaults",
        read_defaults,
        or_null(named({})),
        "Value of a parameter that a sweep does not vary.",
        examples=[{"lr": 0.1}],
        elsewhere=("default",),
    ),
    Key(
        "zip",
        read_zip,
        or_null({"type": "array", "items": {"type": "array", "items": TEXT, "minItems": 2}}),
        "Groups of parameters that advance together instead of crossing.",
        examples=[[["lr", "warmup"]]],
        holds="parameters",
    ),
    Key(
        "where",
        Reader.optional_text,
        or_null(ANY_TEXT),
        "SQL expression: only combinations for which it is true are kept.",
        examples=["a < b"],
        elsewhere=(
            "filter",
            "exclude",
            "constraints",
            "conditions",
            "when",
            "if",
        ),
        holds="parameters",
    ),
    Key(
        "derive",
        read_derive,
        or_null(named(ANY_TEXT)),
        "Derived parameters, each a SQL expression over the others.",
        examples=[{"hidden": "2 * n"}],
        holds="parameters",
    ),
    Key(
        "sample",
        read_sample,
        or_null({"anyOf": [COUNT, closed_object(Sample, {"n": COUNT, "seed": WHOLE}, required=("n",))]}),
        "Take that many distinct combinations at random. "
        "Required if a parameter is drawn (`uniform`, `loguniform`, `randint`, `choice`).",
        examples=[50, {"n": 50, "seed": 1}],
        elsewhere=("num_samples",),
    ),
    Key(
        "repeat",
        read_repeat,
        {
            "anyOf": [
                COUNT,
                closed_object(Repeat, {"min": COUNT, "max": COUNT, "until": TEXT}, required=("max", "until")),
            ]
        },
        "How often each combination runs, or until which condition. `{repeat}` counts from 0.",
        examples=[10, {"min": 3, "max": 30, "until": "ci95(duration) < 0.1"}],
        elsewhere=(
            "repeats",
            "repetitions",
            "trials",
            "runs",
            "replicates",
        ),
    ),
    Key(
        "seed",
        read_seed,
        {"anyOf": [WHOLE, closed_object(Seed, {"base": WHOLE, "per": words(SeedPer)})]},
        "Base of `{seed}` and `TUI_LAB_SEED`; another one runs every task again. A parameter named `seed` "
        "replaces it and counts as repeats.",
        examples=[3, {"base": 1, "per": "task"}],
        elsewhere=("seeds",),
    ),
    Key(
        "files",
        read_files,
        or_null({"type": "object", "additionalProperties": _FILE}),
        "Files to write into `{output}` before the first step, with placeholders filled in.",
        examples=[{"input.nml": "templates/input.nml"}, {"in.xml": {"from": "in.tmpl", "marks": ["#", "#"]}}],
        of_stage=True,
        holds="files",
    ),
    Key(
        "workdir",
        read_workdir,
        or_null(TEXT),
        "Folder that tasks start in, relative to the file (with `code`, to the copy); by default that "
        "folder itself. "
        '`"{output}"` suits programs that write fixed file names.',
        examples=["~/project", "{output}"],
        elsewhere=("cwd",),
        of_stage=True,
        holds="files",
    ),
    Key(
        "env",
        read_env,
        or_null(
            {
                "type": "object",
                "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
                "additionalProperties": or_null(ANY_TEXT),
            }
        ),
        "Environment variables of the tasks; placeholders work.",
        examples=[{"OMP_NUM_THREADS": "4"}],
        elsewhere=("environment",),
        of_stage=True,
    ),
    Key(
        "shell",
        Reader.optional_text,
        or_null(TEXT),
        "Shell of the commands; by default bash if the node has it, else sh.",
        examples=["bash"],
        of_stage=True,
    ),
    Key(
        "setup",
        read_setup,
        or_null(one_or_many(TEXT)),
        "Lines that run once on each node, and whose environment tasks inherit.",
        examples=["module load cuda", ["module load cuda", "conda activate lab"]],
        elsewhere=(
            "conda",
            "modules",
            "before",
            "venv",
        ),
        of_stage=True,
    ),
    Key(
        "setup_timeout",
        read_time,
        QUANTITY,
        "Time that `setup` may take on a node; after that, its tasks there fail.",
        examples=["2h", "90s"],
        of_stage=True,
    ),
    Key(
        "timeout",
        read_timeout,
        or_null(one_or_many(QUANTITY, minItems=1)),
        "Time that an attempt may take, in seconds or with units; a list goes by attempt, and placeholders work.",
        examples=["30s", "1h30m", 90, "{minutes}m", ["10m", "1h"]],
        elsewhere=(
            "time_limit",
            "walltime",
        ),
        of_stage=True,
    ),
    Key(
        "grace",
        read_grace,
        QUANTITY,
        "Time between TERM and KILL when a task is stopped.",
        examples=["30s", 10],
        of_stage=True,
    ),
    Key(
        "retries",
        at_least(0),
        {"type": "integer", "minimum": 0},
        "Further attempts at a task that failed.",
        examples=[2],
        elsewhere=("max_tries", "retry"),
        of_stage=True,
    ),
    Key(
        "retry_on",
        read_retry_on,
        one_or_many({"anyOf": [words(RetryReason), {"type": "integer", "minimum": 1, "maximum": 255}]}),
        "Reasons for which a failed task is tried again; a number is an exit status.",
        examples=["timeout", ["exit", "oom"], [75, "timeout"]],
        of_stage=True,
    ),
    Key(
        "ok_exit_codes",
        read_ok_exit_codes,
        one_or_many({"type": "integer", "minimum": 0, "maximum": 255}),
        "Exit statuses that mean success.",
        examples=[0, [0, 3]],
        of_stage=True,
    ),
    Key(
        "stagger",
        lambda r, path: None if r.empty(path) else read_time(r, path),
        or_null(QUANTITY),
        "Least time between the starts of two tasks, on all nodes together.",
        examples=["2s", "500ms"],
    ),
    Key(
        "max_failures",
        lambda r, path: None if r.empty(path) else r.whole(path, 1),
        or_null({"type": "integer", "minimum": 1}),
        "Failed tasks after which the experiment stops.",
        examples=[20],
    ),
    Key(
        "order",
        lambda r, path: r.one_of(path, get_args(Order)),
        words(Order),
        "`interleaved`: the first repeat of every setting first; `listed`; `shuffled`; `shuffled-rounds`: the first "
        "repeats shuffled, then the second ones; `by-stage`: no stage begins before all runs of those before it have "
        "ended.",
    ),
    Key(
        "priority",
        lambda r, path: r.whole(path, -MOST),
        WHOLE,
        "Experiments with a higher one go first; equal ones first in, first out.",
        examples=[10],
    ),
    Key(
        "needs",
        read_needs,
        or_null(_needs()),
        "Resources that each task needs; it gets all at once. A list goes by attempt, "
        "and placeholders work. No part of a task's identity.",
        examples=[{"gpus": 0.5, "cpus": 2, "memory": ["4G", "8G"]}, {"exclusive": True}, {"cpus": "{n}"}],
        elsewhere=(
            "resources",
            "requires",
            "gpus",
            "cpus",
            "memory",
        ),
        of_stage=True,
    ),
    Key(
        "limits",
        read_limits,
        or_null(named({"type": "integer", "minimum": 1})),
        "Tokens that the running tasks of a lab share, by name: a task takes those that its `needs` name. "
        "If several experiments set one, the smallest number counts.",
        examples=[{"license": 2}],
    ),
    Key(
        "metrics",
        read_metrics,
        or_null(
            named({"$ref": "#/$defs/metric"})
            | {"properties": {"function": {"anyOf": [{"$ref": "#/$defs/metric"}, {"type": "array", "items": TEXT}]}}}
        ),
        "Output values: a pattern, or another source. The first one leads tables and charts. "
        "`function: parsers.py::bleu`, or a list of functions: all values that they return are metrics.",
        examples=[
            {"loss": "Final Loss: (@float@)"},
            {"acc": {"pattern": "Test accuracy: (@float@)", "goal": "max"}},
            {"acc": {"json": "result.json", "path": "$.acc"}},
            {"function": "parsers.py::bleu"},
        ],
    ),
    Key(
        "rows",
        read_rows,
        or_null({"$ref": "#/$defs/rows"}),
        "Many rows per task, in a table of their own.",
        examples=[{"pattern": "epoch (?P<epoch>@int@) loss (?P<loss>@float@)"}, {"csv": "history.csv"}],
    ),
    Key(
        "code",
        read_globs,
        or_null(one_or_many(TEXT)),
        "Globs of the program's files: recorded, compared, sent to nodes that don't share the folder. "
        "Tasks run a read-only copy that is made at the submission. A folder means all in it, without labs, "
        "environments and caches.",
        examples=["*.py", ["main.py", "lib/**"], "."],
        of_stage=True,
        holds="files",
    ),
    Key(
        "inputs",
        read_globs,
        or_null(one_or_many(TEXT)),
        "The same for input files, whose content joins a task's identity.",
        examples=["data/*.csv"],
        of_stage=True,
        holds="files",
    ),
    Key(
        "keep",
        read_keep,
        or_null(
            {
                "anyOf": [
                    *one_or_many(TEXT)["anyOf"],
                    closed_object(Keep, {"globs": or_null(one_or_many(TEXT)), "most": QUANTITY}),
                ]
            }
        ),
        "Files to fetch from a node that does not share the lab's folder; `tui-lab fetch` fetches more.",
        examples=["*.csv", ["*.csv", "plots/**"], {"globs": "*.csv", "most": "500M"}],
        elsewhere=("outputs",),
        of_stage=True,
    ),
    Key(
        "version",
        at_least(1),
        {"type": "integer", "minimum": 1},
        "A higher number makes every task run again.",
        examples=[2],
        of_stage=True,
    ),
    Key(
        "unhashed",
        Reader.texts,
        or_null(one_or_many(TEXT)),
        "Parameters that are no part of a task's identity.",
        examples=["threads", ["threads", "log"]],
        of_stage=True,
        holds="parameters",
    ),
    Key(
        "run_on",
        read_run_on,
        or_null(one_or_many(ANY_TEXT)),
        "Tags that a node must have to be used; `not TAG` for one that it must not have.",
        examples=["gpu", ["gpu", "not slow"]],
        of_stage=True,
    ),
    Key(
        "tags",
        Reader.texts,
        or_null(one_or_many(ANY_TEXT)),
        "Free labels.",
        examples=["draft", ["thesis", "chapter 3"]],
        elsewhere=("labels",),
    ),
    Key(
        "description",
        read_description,
        or_null(ANY_TEXT),
        "Free text.",
        examples=["How wide must the layers be?"],
    ),
)

KEYS: Final = {key.name: key for key in _ALL}
STAGE_KEYS: Final[tuple[Key, ...]] = tuple(key for key in _ALL if key.of_stage)
ELSEWHERE: Final = {other: key.name for key in _ALL for other in key.elsewhere}

_NODES: Final = "give nodes when it runs: --node HOST SLOTS, or --cluster FILE"
_METRIC: Final = "it stands at a metric: metrics: {NAME: {pattern: ..., goal: max}}"
_STAGES: Final = "a task of several parts has stages; each says what it comes after"
ADVICE: Final = {
    **dict.fromkeys(("nodes", "node", "hosts", "host", "machines", "workers", "cluster"), _NODES),
    **dict.fromkeys(("slots", "jobs", "n_jobs", "parallel", "max_parallel", "concurrency"), _NODES),
    **dict.fromkeys(("goal", "objective", "optimize", "mode", "direction"), _METRIC),
    **dict.fromkeys(("depends", "depends_on", "deps", "dependencies"), _STAGES),
}
"""What to do instead of keys of other tools that no key of ours replaces."""


def documented_keys() -> dict[str, Documented]:
    """Return each key as the reference and the JSON Schema show it."""
    fields = {field.name: field for field in dataclasses.fields(Experiment)}
    hints = get_type_hints(Experiment)
    return {
        name: documentation(fields[name], hints[name], key.description, list(key.examples))
        for name, key in KEYS.items()
    }
