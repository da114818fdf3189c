"""JSON Schema and reference of experiment.yaml, from the texts of the models."""

from __future__ import annotations

import json
import re
from typing import Any, Final, get_args

from tui_lab.experiment.domains.kinds import KINDS
from tui_lab.experiment.metric import Decimal, Goal, Metric, MetricType, Rows, Take, Thousands
from tui_lab.experiment.model import Experiment, FileTemplate, Order, Repeat, RetryReason, Sample, Seed, SeedPer
from tui_lab.experiment.names import MAX_NAME
from tui_lab.experiment.needs import Keep, Needs
from tui_lab.experiment.record import Key, Model, keys_of
from tui_lab.experiment.schema_parts import (
    ANY_TEXT,
    COUNT,
    NAME,
    QUANTITY,
    SCALAR,
    TEXT,
    VALUES,
    WHOLE,
    Schema,
    list_of,
    named,
    one_or_many,
    or_null,
    words,
)
from tui_lab.experiment.yaml.parser import resolve

_SPECIAL: Final = re.compile(r"""[{}\[\]#,:&*!|>'"%@`]|^[-?\s]|\s$""")  # what YAML might take for its own
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> Schema:
    """The schema of experiment.yaml, for editors: a file that loads always fits it."""
    return {
        "$schema": DIALECT,
        "title": "experiment.yaml",
        "description": "An experiment of TUI Lab: a command, the parameters to sweep, what to measure.",
        **closed_object(Experiment, _KEYS, required=("command",)),
        "patternProperties": {"^x-": {}},
        "$defs": {"domain": _domain(), "sweep": named({"$ref": "#/$defs/domain"}), "metric": _metric()},
    }


def reference() -> str:
    """A Markdown table of every key: name, forms, default, meaning; and one for each mapping inside."""
    parts = [key_table(Experiment, {})]
    inner: dict[str, type[Model]] = {
        "needs": Needs,
        "metrics": Metric,
        "rows": Rows,
        "sample": Sample,
        "repeat": Repeat,
        "seed": Seed,
        "files": FileTemplate,
        "keep": Keep,
    }
    parts.append(_domains_table())
    for key, model in inner.items():
        parts.append(f"### Keys of `{key}`\n\n{key_table(model, _RENAMED.get(model, {}))}")
    return "\n\n".join(parts) + "\n"


# ---- pieces


def closed_object(model: type[Model], keys: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """A closed mapping whose keys carry the texts of a model's fields."""
    renamed = _RENAMED.get(model, {})
    properties: Schema = {}
    for attribute, field in keys_of(model).items():
        key = renamed.get(attribute, attribute)
        text: Schema = {"title": key, "description": field.description}
        if field.examples:
            text["examples"] = field.examples
        if field.default is not None:
            text["default"] = field.default
        properties[key] = {**text, **keys[attribute]}
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


_RENAMED: Final[dict[type[Model], dict[str, str]]] = {
    Metric: {"source": "from", "json_file": "json"},
    Rows: {"source": "from"},
    FileTemplate: {"source": "from"},
    Needs: {"tokens": "NAME"},
}


def _domain() -> Schema:
    kinds = {
        kind: {"title": kind, "description": _meaning(member), **member.schema}
        for kind, member in KINDS.members().items()
    }
    one_kind = {
        "type": "object",
        "properties": kinds,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"description": "Values of a parameter.", "anyOf": [SCALAR, VALUES, one_kind]}


def _meaning(model: type[Model]) -> str:
    return " ".join((model.__doc__ or "").split())


def _metric() -> Schema:
    """A pattern, or a mapping that says where the value is."""
    return {"anyOf": [TEXT, closed_object(Metric, _METRIC_KEYS)]}


_DELIMITER: Final[Schema] = {"type": "string", "minLength": 1}
_METRIC_KEYS: Final[dict[str, Schema]] = {
    "pattern": TEXT,
    "take": words(Take),
    "source": TEXT,
    "type": words(MetricType),
    "unit": ANY_TEXT,
    "decimal": words(Decimal),
    "thousands": words(Thousands),
    "goal": words(Goal),
    "json_file": TEXT,
    "path": {"type": "string", "pattern": "^\\$"},
    "csv": TEXT,
    "column": ANY_TEXT,
    "delimiter": _DELIMITER,
    "comment": TEXT,
    "skip": {"type": "integer", "minimum": 0},
    "sql": ANY_TEXT,
    "run": ANY_TEXT,
}

_ROWS_KEYS: Final[dict[str, Schema]] = {
    "pattern": TEXT,
    "csv": TEXT,
    "each": TEXT,
    "source": TEXT,
    "decimal": words(Decimal),
    "thousands": words(Thousands),
    "delimiter": _DELIMITER,
    "comment": TEXT,
    "skip": {"type": "integer", "minimum": 0},
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

_KEYS: Final[dict[str, Schema]] = {
    "name": or_null({"type": "string", "pattern": NAME, "maxLength": MAX_NAME}),
    "command": {
        "anyOf": [
            _COMMAND,
            {"type": "array", "items": _COMMAND, "minItems": 1},
            {**named(_COMMAND), "minProperties": 1},
        ]
    },
    "parameters": or_null(
        {
            "anyOf": [
                {"$ref": "#/$defs/sweep"},
                {"type": "array", "items": {"$ref": "#/$defs/sweep"}, "minItems": 1},
            ]
        }
    ),
    "defaults": or_null(named({})),
    "zip": or_null({"type": "array", "items": {"type": "array", "items": TEXT, "minItems": 2}}),
    "where": or_null(ANY_TEXT),
    "derive": or_null(named(ANY_TEXT)),
    "sample": or_null(closed_object(Sample, {"n": {"type": "integer", "minimum": 1}, "seed": WHOLE}, required=("n",))),
    "repeat": {
        "anyOf": [
            COUNT,
            closed_object(Repeat, {"min": COUNT, "max": COUNT, "until": TEXT}, required=("max", "until")),
        ]
    },
    "seed": {"anyOf": [WHOLE, closed_object(Seed, {"base": WHOLE, "per": words(SeedPer)})]},
    "files": or_null({"type": "object", "additionalProperties": _FILE}),
    "workdir": or_null(TEXT),
    "env": or_null(
        {
            "type": "object",
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": or_null(ANY_TEXT),
        }
    ),
    "shell": or_null(TEXT),
    "setup": or_null(one_or_many(TEXT)),
    "setup_timeout": QUANTITY,
    "timeout": or_null(one_or_many(QUANTITY, minItems=1)),
    "grace": QUANTITY,
    "retries": {"type": "integer", "minimum": 0},
    "retry_on": one_or_many({"anyOf": [words(RetryReason), {"type": "integer", "minimum": 1, "maximum": 255}]}),
    "stagger": or_null(QUANTITY),
    "ok_exit_codes": one_or_many({"type": "integer", "minimum": 0, "maximum": 255}),
    "max_failures": or_null({"type": "integer", "minimum": 1}),
    "order": words(Order),
    "priority": WHOLE,
    "needs": or_null(_needs()),
    "limits": or_null(named({"type": "integer", "minimum": 1})),
    "metrics": or_null(named({"$ref": "#/$defs/metric"})),
    "rows": or_null(closed_object(Rows, _ROWS_KEYS)),
    "code": or_null(one_or_many(TEXT)),
    "inputs": or_null(one_or_many(TEXT)),
    "keep": or_null(
        {
            "anyOf": [
                *one_or_many(TEXT)["anyOf"],
                closed_object(Keep, {"globs": or_null(one_or_many(TEXT)), "most": QUANTITY}),
            ]
        }
    ),
    "version": {"type": "integer", "minimum": 1},
    "unhashed": or_null(one_or_many(TEXT)),
    "run_on": or_null(one_or_many(ANY_TEXT)),
    "tags": or_null(one_or_many(ANY_TEXT)),
    "description": or_null(ANY_TEXT),
}


# ---- Markdown


def key_table(model: type[Model], renamed: dict[str, str]) -> str:
    rows = ["| key | forms | default | meaning |", "|---|---|---|---|"]
    for attribute, field in keys_of(model).items():
        key = renamed.get(attribute, attribute)
        forms = "<br>".join(f"`{flow(example)}`" for example in _examples(field))
        default = "required" if field.required and key != "name" else _shown_default(field)
        rows.append(_row(f"`{key}`", forms, default, field.description))
    return "\n".join(rows)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _examples(field: Key) -> list[Any]:
    """The examples in a field, else the words that it takes."""
    if field.examples:
        return list(field.examples)
    literal = [part for part in (field.annotation, *get_args(field.annotation)) if part is not type(None)]
    words = [word for part in literal for word in get_args(part) if isinstance(word, str)]
    return list(dict.fromkeys(words))


def _shown_default(field: Key) -> str:
    return "" if field.default is None else f"`{flow(field.default)}`"


def _domains_table() -> str:
    rows = ["### Domains of a parameter", "", "| domain | values |", "|---|---|"]
    rows.append(_row("`0.1`", "One value."))
    rows.append(_row("`[relu, tanh]`", "Values written out."))
    for kind, member in KINDS.members().items():
        rows.append(_row(f"`{{{kind}: {member.example}}}`", _meaning(member).replace("`", "")))
    return "\n".join(rows)


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str):
        plain = isinstance(resolve(value), str) and not _SPECIAL.search(value)
        return value if plain else "'" + value.replace("'", "''") + "'"
    return json.dumps(value)
