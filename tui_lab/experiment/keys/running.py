"""The keys that say how tasks run, and what they need, in the order of the reference."""

from __future__ import annotations

from typing import Final, get_args

from tui_lab.experiment.keys.key import Key
from tui_lab.experiment.model import (
    FileTemplate,
    Order,
    RetryReason,
)
from tui_lab.experiment.needs import Needs
from tui_lab.experiment.readers.needs import read_limits, read_needs
from tui_lab.experiment.readers.task import (
    at_least,
    read_env,
    read_files,
    read_grace,
    read_ok_exit_codes,
    read_retry_on,
    read_setup,
    read_timeout,
    read_workdir,
)
from tui_lab.experiment.record import keys_of
from tui_lab.experiment.schema_parts import (
    ANY_TEXT,
    NAME,
    QUANTITY,
    TEXT,
    WHOLE,
    Schema,
    closed_object,
    list_of,
    named,
    one_or_many,
    or_null,
    words,
)
from tui_lab.experiment.times import read_time
from tui_lab.experiment.yaml.reader import MOST, Reader

_AMOUNT: Final = one_or_many(QUANTITY, minItems=1)


def _needs() -> Schema:
    """The needs by name; every other name is a token of `limits`."""
    whether = one_or_many({"anyOf": [{"type": "boolean"}, TEXT]}, minItems=1)
    amounts = {name: whether if name == "exclusive" else _AMOUNT for name in keys_of(Needs)}
    found = closed_object(Needs, amounts)
    tokens = found["properties"].pop("NAME")
    return {**found, "propertyNames": {"pattern": NAME}, "additionalProperties": tokens}


_FILE: Final[Schema] = {
    "anyOf": [
        TEXT,
        {
            **closed_object(FileTemplate, {"source": TEXT, "marks": list_of(ANY_TEXT, ANY_TEXT)}),
            "required": ["from"],
        },
    ]
}


RUNNING: Final = (
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
        "resumes",
        lambda r, path: r.boolean(path),
        {"type": "boolean"},
        "Whether another attempt goes on from what an earlier one has left in `{output}`. Then a task may be longer "
        "than an allocation of a cluster: where one ends, the next goes on. No part of a task's identity.",
        examples=[True],
        elsewhere=("checkpointing", "restartable"),
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
)
