"""The keys that say with which values, and how often, tasks run, in the order of the reference."""

from __future__ import annotations

from typing import Final

from tui_lab.experiment.keys.key import Key
from tui_lab.experiment.model import (
    Repeat,
    Sample,
    Seed,
    SeedPer,
)
from tui_lab.experiment.readers.sweep import (
    read_defaults,
    read_derive,
    read_parameters,
    read_repeat,
    read_sample,
    read_seed,
    read_zip,
)
from tui_lab.experiment.schema_parts import (
    ANY_TEXT,
    COUNT,
    TEXT,
    WHOLE,
    closed_object,
    named,
    or_null,
    words,
)
from tui_lab.experiment.yaml.reader import Reader

SWEEP: Final = (
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
)
