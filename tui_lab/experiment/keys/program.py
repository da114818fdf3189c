"""The keys that say what program a task is, in the order of the reference."""

from __future__ import annotations

from typing import Final, get_args

from tui_lab.experiment.keys.key import Key
from tui_lab.experiment.model import (
    StartMethod,
)
from tui_lab.experiment.names import MAX_NAME
from tui_lab.experiment.readers.function import read_args, read_function, read_python
from tui_lab.experiment.readers.task import (
    read_command,
)
from tui_lab.experiment.schema_parts import (
    ANY_TEXT,
    NAME,
    TEXT,
    Schema,
    named,
    or_null,
    words,
)
from tui_lab.experiment.yaml.reader import Reader

_COMMAND: Final[Schema] = {**ANY_TEXT, "minLength": 1}


PROGRAM: Final = (
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
)
