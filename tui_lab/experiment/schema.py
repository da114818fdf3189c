"""JSON Schema and reference of experiment.yaml, from the texts of the models."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, get_args

from tui_lab.experiment.domains.kinds import KINDS as DOMAINS
from tui_lab.experiment.keys import (
    KEYS,
    STAGE_KEYS,
    documented_keys,
    stage_keys,
    stage_schema,
)
from tui_lab.experiment.keys.results import metric_keys, metric_schema, rows_keys, rows_schema
from tui_lab.experiment.model import FileTemplate, Repeat, Sample, Seed
from tui_lab.experiment.needs import Keep, Needs
from tui_lab.experiment.record import Documented, Model, keys_of
from tui_lab.experiment.schema_parts import SCALAR, VALUES, Schema, closed, named
from tui_lab.experiment.yaml.parser import resolve

_SPECIAL: Final = re.compile(r"""[{}\[\]#,:&*!|>'"%@`]|^[-?\s]|\s$""")  # what YAML might take for its own
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> Schema:
    """The schema of experiment.yaml, for editors: a file that loads always fits it."""
    return {
        "$schema": DIALECT,
        "title": "experiment.yaml",
        "description": "An experiment of TUI Lab: a command, the parameters to sweep, what to measure.",
        **closed(documented_keys(), {name: key.schema for name, key in KEYS.items()}),
        "oneOf": [{"required": [key]} for key in ("command", "function", "stages")],
        "patternProperties": {"^x-": {}},
        "$defs": {
            "domain": _domain(),
            "sweep": named({"$ref": "#/$defs/domain"}),
            "metric": metric_schema(),
            "rows": rows_schema(),
            "stage": stage_schema(),
        },
    }


def reference() -> str:
    """A Markdown table of every key: name, forms, default, meaning; and one for each mapping inside."""
    parts = [_table(documented_keys())]
    inner = {
        "needs": key_table(Needs),
        "metrics": _table(metric_keys()),
        "rows": _table(rows_keys()),
        "sample": key_table(Sample),
        "repeat": key_table(Repeat),
        "seed": key_table(Seed),
        "files": key_table(FileTemplate),
        "keep": key_table(Keep),
    }
    parts.append(_domains_table())
    others = ", ".join(f"`{key.name}`" for key in STAGE_KEYS)
    parts.append(f"### Keys of a stage\n\nThese, and for the stage alone: {others}.\n\n{_table(stage_keys())}")
    parts += [f"### Keys of `{key}`\n\n{table}" for key, table in inner.items()]
    return "\n\n".join(parts) + "\n"


# --- Pieces


def _domain() -> Schema:
    kinds = {
        kind: {"title": kind, "description": _meaning(member), **member.schema}
        for kind, member in DOMAINS.members().items()
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


# --- Markdown


def key_table(model: type[Model]) -> str:
    """Return a Markdown table of the keys of a mapping."""
    return _table({model.renamed.get(attribute, attribute): key for attribute, key in keys_of(model).items()})


def _table(keys: Mapping[str, Documented]) -> str:
    rows = ["| key | forms | default | meaning |", "|---|---|---|---|"]
    for key, field in keys.items():
        forms = "<br>".join(f"`{flow(example)}`" for example in _examples(field))
        default = "required" if field.required and key != "name" else _shown_default(field)
        rows.append(_row(f"`{key}`", forms, default, field.description))
    return "\n".join(rows)


def _row(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _examples(field: Documented) -> list[Any]:
    """The examples in a field, else the words that it takes."""
    if field.examples:
        return list(field.examples)
    literal = [part for part in (field.annotation, *get_args(field.annotation)) if part is not type(None)]
    words = [word for part in literal for word in get_args(part) if isinstance(word, str)]
    return list(dict.fromkeys(words))


def _shown_default(field: Documented) -> str:
    return "" if field.default is None else f"`{flow(field.default)}`"


def _domains_table() -> str:
    rows = ["### Domains of a parameter", "", "| domain | values |", "|---|---|"]
    rows.append(_row("`0.1`", "One value."))
    rows.append(_row("`[relu, tanh]`", "Values written out."))
    for kind, member in DOMAINS.members().items():
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
