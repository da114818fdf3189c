"""Pieces of which JSON Schemas are made."""

from __future__ import annotations

from typing import Any, Final, get_args

Schema = dict[str, Any]

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
    return {"anyOf": [item, {"type": "array", "items": item, **limits}]}


def or_null(schema: Schema) -> Schema:
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
