"""JSON Schema and reference of experiment.yaml, from the texts of the models."""

from __future__ import annotations

import json
import re
from typing import Any, Final, get_args

from tui_lab.experiment.domains.model import Cases, Choice, Geomspace, Linspace, LogUniform, RandInt, Range, Uniform
from tui_lab.experiment.metric import Decimal, Goal, Metric, MetricType, Rows, Take, Thousands
from tui_lab.experiment.model import Experiment, FileTemplate, Order, Repeat, RetryReason, Sample, Seed, SeedPer
from tui_lab.experiment.names import MAX_NAME
from tui_lab.experiment.needs import Keep, Needs
from tui_lab.experiment.record import Key, Model, keys_of
from tui_lab.experiment.yaml.parser import resolve

Schema = dict[str, Any]

_SPECIAL: Final = re.compile(r"""[{}\[\]#,:&*!|>'"%@`]|^[-?\s]|\s$""")  # what YAML might take for its own
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_NAME: Final = "^[A-Za-z_][A-Za-z0-9_.-]*$"
TEXT: Final[Schema] = {"type": "string", "minLength": 1}
ANY_TEXT: Final[Schema] = {"type": ["string", "number", "boolean"]}  # a scalar is taken as written
_NUMBER: Final[Schema] = {"type": "number"}
_WHOLE: Final[Schema] = {"type": "integer"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 1}
_QUANTITY: Final[Schema] = {"anyOf": [{"type": "number", "minimum": 0}, TEXT]}
_VALUES: Final[Schema] = {"type": "array", "minItems": 1}
_SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}


def json_schema() -> Schema:
    """The schema of experiment.yaml, for editors: a file that loads always fits it."""
    return {
        "$schema": DIALECT,
        "title": "experiment.yaml",
        "description": "An experiment of TUI Lab: a command, the parameters to sweep, what to measure.",
        **closed_object(Experiment, _KEYS, required=("command",)),
        "patternProperties": {"^x-": {}},
        "$defs": {"domain": _domain(), "sweep": _named({"$ref": "#/$defs/domain"}), "metric": _metric()},
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


def _words(literal: Any) -> Schema:
    return {"enum": list(get_args(literal))}


def one_or_many(item: Schema, **limits: int) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item, **limits}]}


def or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _named(value: Schema) -> Schema:
    return {"type": "object", "propertyNames": {"pattern": _NAME}, "additionalProperties": value}


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


def _tuple(*items: Schema, least: int | None = None) -> Schema:
    return {
        "type": "array",
        "prefixItems": list(items),
        "items": False,
        "minItems": len(items) if least is None else least,
    }


_RENAMED: Final[dict[type[Model], dict[str, str]]] = {
    Metric: {"source": "from", "json_file": "json"},
    Rows: {"source": "from"},
    FileTemplate: {"source": "from"},
    Needs: {"tokens": "NAME"},
}

_DOMAINS: Final[dict[str, tuple[type[Model], str, Schema]]] = {
    "range": (Range, "[1, 51, 2]", _tuple(_NUMBER, _NUMBER, _NUMBER, least=2)),
    "linspace": (Linspace, "[0, 1, 11]", _tuple(_NUMBER, _NUMBER, {"type": "integer", "minimum": 1})),
    "geomspace": (Geomspace, "[0.001, 1, 4]", _tuple(_NUMBER, _NUMBER, {"type": "integer", "minimum": 1})),
    "cases": (
        Cases,
        "{small: {layers: 2}, big: {layers: 8}}",
        {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {"type": "object", "minProperties": 1},
        },
    ),
    "uniform": (Uniform, "[0, 1]", _tuple(_NUMBER, _NUMBER)),
    "loguniform": (LogUniform, "[0.0001, 0.1]", _tuple(_NUMBER, _NUMBER)),
    "randint": (RandInt, "[1, 6]", _tuple(_WHOLE, _WHOLE)),
    "choice": (Choice, "[adam, sgd]", _VALUES),
}


def _domain() -> Schema:
    kinds = {
        kind: {"title": kind, "description": _meaning(model), **schema} for kind, (model, _, schema) in _DOMAINS.items()
    }
    one_kind = {
        "type": "object",
        "properties": kinds,
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    return {"description": "Values of a parameter.", "anyOf": [_SCALAR, _VALUES, one_kind]}


def _meaning(model: type[Model]) -> str:
    return " ".join((model.__doc__ or "").split())


def _metric() -> Schema:
    """A pattern, or a mapping that says where the value is."""
    return {"anyOf": [TEXT, closed_object(Metric, _METRIC_KEYS)]}


_DELIMITER: Final[Schema] = {"type": "string", "minLength": 1}
_METRIC_KEYS: Final[dict[str, Schema]] = {
    "pattern": TEXT,
    "take": _words(Take),
    "source": TEXT,
    "type": _words(MetricType),
    "unit": ANY_TEXT,
    "decimal": _words(Decimal),
    "thousands": _words(Thousands),
    "goal": _words(Goal),
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
    "decimal": _words(Decimal),
    "thousands": _words(Thousands),
    "delimiter": _DELIMITER,
    "comment": TEXT,
    "skip": {"type": "integer", "minimum": 0},
}

_AMOUNT: Final = one_or_many(_QUANTITY, minItems=1)


def _needs() -> Schema:
    """The needs by name; every other name is a token of `limits`."""
    whether = one_or_many({"anyOf": [{"type": "boolean"}, TEXT]}, minItems=1)
    amounts = {name: whether if name == "exclusive" else _AMOUNT for name in keys_of(Needs)}
    found = closed_object(Needs, amounts)
    tokens = found["properties"].pop("NAME")
    return {**found, "propertyNames": {"pattern": _NAME}, "additionalProperties": tokens}


_COMMAND: Final[Schema] = {**ANY_TEXT, "minLength": 1}
_FILE: Final[Schema] = {
    "anyOf": [
        TEXT,
        {
            **closed_object(FileTemplate, {"source": TEXT, "marks": _tuple(ANY_TEXT, ANY_TEXT)}),
            "required": ["from"],
        },
    ]
}

_KEYS: Final[dict[str, Schema]] = {
    "name": or_null({"type": "string", "pattern": _NAME, "maxLength": MAX_NAME}),
    "command": {
        "anyOf": [
            _COMMAND,
            {"type": "array", "items": _COMMAND, "minItems": 1},
            {**_named(_COMMAND), "minProperties": 1},
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
    "defaults": or_null(_named({})),
    "zip": or_null({"type": "array", "items": {"type": "array", "items": TEXT, "minItems": 2}}),
    "where": or_null(ANY_TEXT),
    "derive": or_null(_named(ANY_TEXT)),
    "sample": or_null(closed_object(Sample, {"n": {"type": "integer", "minimum": 1}, "seed": _WHOLE}, required=("n",))),
    "repeat": {
        "anyOf": [
            _COUNT,
            closed_object(Repeat, {"min": _COUNT, "max": _COUNT, "until": TEXT}, required=("max", "until")),
        ]
    },
    "seed": {"anyOf": [_WHOLE, closed_object(Seed, {"base": _WHOLE, "per": _words(SeedPer)})]},
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
    "setup_timeout": _QUANTITY,
    "timeout": or_null(one_or_many(_QUANTITY, minItems=1)),
    "grace": _QUANTITY,
    "retries": {"type": "integer", "minimum": 0},
    "retry_on": one_or_many({"anyOf": [_words(RetryReason), {"type": "integer", "minimum": 1, "maximum": 255}]}),
    "stagger": or_null(_QUANTITY),
    "ok_exit_codes": one_or_many({"type": "integer", "minimum": 0, "maximum": 255}),
    "max_failures": or_null({"type": "integer", "minimum": 1}),
    "order": _words(Order),
    "priority": _WHOLE,
    "needs": or_null(_needs()),
    "limits": or_null(_named({"type": "integer", "minimum": 1})),
    "metrics": or_null(_named({"$ref": "#/$defs/metric"})),
    "rows": or_null(closed_object(Rows, _ROWS_KEYS)),
    "code": or_null(one_or_many(TEXT)),
    "inputs": or_null(one_or_many(TEXT)),
    "keep": or_null(
        {
            "anyOf": [
                *one_or_many(TEXT)["anyOf"],
                closed_object(Keep, {"globs": or_null(one_or_many(TEXT)), "most": _QUANTITY}),
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
    for kind, (model, example, _) in _DOMAINS.items():
        rows.append(_row(f"`{{{kind}: {example}}}`", _meaning(model).replace("`", "")))
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
