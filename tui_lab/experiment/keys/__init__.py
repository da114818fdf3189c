"""Each key of experiment.yaml, once: its name, how it is read, its JSON Schema and what the reference says of it.

What a key gives is a field of the same name of `Experiment`, which has its default.
"""

from __future__ import annotations

import dataclasses
from typing import Final, get_type_hints

from tui_lab.experiment.keys.key import Key
from tui_lab.experiment.keys.program import PROGRAM
from tui_lab.experiment.keys.results import RESULTS
from tui_lab.experiment.keys.running import RUNNING
from tui_lab.experiment.keys.sweep import SWEEP
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.readers.stages import read_stages
from tui_lab.experiment.record import Documented, documentation, keys_of
from tui_lab.experiment.schema_parts import TEXT, Schema, closed, named, one_or_many, or_null, words
from tui_lab.experiment.stages import PROGRAMS, Retain, StageKeys

_STAGES_KEY: Final = Key(
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
)
_ALL: Final = (*PROGRAM, _STAGES_KEY, *SWEEP, *RUNNING, *RESULTS)
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
