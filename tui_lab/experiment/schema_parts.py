"""Pieces of which JSON Schemas are made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from tui_lab.experiment.record import Documented, Model, keys_of

Schema = dict[str, Any]
"""JSON Schema, put together piece by piece: what stands under a key depends on the key."""

NAME: Final = "^[A-Za-z_][A-Za-z0-9_.-]*$"
TEXT: Final[Schema] = {"type": "string", "minLength": 1}
ANY_TEXT: Final[Schema] = {"type": ["string", "number", "boolean"]}  # a scalar is taken as written
NUMBER: Final[Schema] = {"type": "number"}
WHOLE: Final[Schema] = {"type": "integer"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 1}
QUANTITY: Final[Schema] = {"anyOf": [{"type": "number", "minimum": 0}, TEXT]}
VALUES: Final[Schema] = {"type": "array", "minItems": 1}
SCALAR: Final[Schema] = {"type": ["string", "number", "boolean"]}


def words(literal: Any) -> Schema:
    """Return the schema of one of the texts of a Literal."""
    return {"enum": list(get_args(literal))}


def one_or_many(item: Schema, **limits: int) -> Schema:
    """Return the schema of an item or a list of items. limits: of the list."""
    return {"anyOf": [item, {"type": "array", "items": item, **limits}]}


def or_null(schema: Schema) -> Schema:
    """Return the schema of a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def named(value: Schema) -> Schema:
    """Return the schema of a mapping of names to such values."""
    return {"type": "object", "propertyNames": {"pattern": NAME}, "additionalProperties": value}


def list_of(*items: Schema, least: int | None = None) -> Schema:
    """Return the schema of a list that has just these items, or at least the first `least` of them."""
    return {
        "type": "array",
        "prefixItems": list(items),
        "items": False,
        "minItems": len(items) if least is None else least,
    }


def closed(keys: Mapping[str, Documented], schemas: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a mapping that has no other keys."""
    properties: Schema = {}
    for key, field in keys.items():
        text: Schema = {"title": key, "description": field.description}
        if field.examples:
            text["examples"] = field.examples
        if field.default is not None:
            text["default"] = field.default
        properties[key] = {**text, **schemas[key]}
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def closed_object(model: type[Model], schemas: Mapping[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    """Return the schema of a mapping whose keys are the fields of a model; `schemas` by field."""
    names = {attribute: model.renamed.get(attribute, attribute) for attribute in keys_of(model)}
    keys = {names[attribute]: key for attribute, key in keys_of(model).items()}
    return closed(keys, {names[attribute]: schema for attribute, schema in schemas.items()}, required)
