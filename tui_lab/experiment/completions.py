"""What can stand at a place of experiment.yaml, and what it means: keys and words, as the JSON Schema has them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from tui_lab.experiment.schema_parts import Schema

Path = Sequence[str | int]

_FIRST: Final = re.compile(r"(.+?[.;:])(?:\s|$)", re.DOTALL)
_DEEP: Final = 8
_INNER: Final = {"from": "files", "uses": "parameters", "collect": "parameters", "until": "parameters"}
"""What the texts of keys within others name."""


@dataclass(frozen=True)
class Entry:
    """A key that may stand in a mapping."""

    name: str
    meaning: str
    opens: bool
    """Whether only a mapping stands behind it."""


@lru_cache(maxsize=1)
def _root() -> Schema:
    from tui_lab.experiment.schema import json_schema

    return json_schema()


def load() -> None:
    """Make the schema, which takes longer than a key press may; a thread does it before the first question."""
    _root()


def keys_at(path: Path) -> list[Entry]:
    """Return the keys of a mapping at a place, in the order of the reference."""
    found: dict[str, Entry] = {}
    for schema in _at(path):
        for name, inner in schema.get("properties", {}).items():
            found.setdefault(name, Entry(name, _meaning(inner), _opens(inner)))
    return list(found.values())


def words_at(path: Path) -> list[str]:
    """Return the words that a value at a place may be, if it is one of some."""
    found: dict[str, None] = {}
    for schema in _at(path):
        found |= dict.fromkeys(str(word) for word in schema.get("enum", ()))
        if schema.get("type") == "boolean":
            found |= {"true": None, "false": None}
    return list(found)


def has_kinds(path: Path) -> bool:
    """Whether a mapping at a place has exactly one key, which says of which kind it is."""
    return any(schema.get("maxProperties") == 1 for schema in _at(path))


def meaning_at(path: Path) -> str:
    """Return what the key of a value means, with an example; empty where the user has named it."""
    if not path or isinstance(path[-1], int):
        return ""
    for schema in _at(path[:-1]):
        inner = schema.get("properties", {}).get(path[-1])
        if inner is not None:
            return _meaning(inner, whole=True)
    return ""


def named_at(path: Path) -> str:
    """Return what a value names without braces: `files` beside the experiment's, `parameters`, or nothing."""
    from tui_lab.experiment.keys import KEYS

    names = [step for step in path if isinstance(step, str)]
    holds = [KEYS[name].holds if name in KEYS else _INNER.get(name, "") for name in names]
    return next((one for one in reversed(holds) if one), "")


# --- The way through the schema


def _at(path: Path) -> list[Schema]:
    """All alternatives of the schema at a place."""
    found = list(_alternatives(_root()))
    for step in path:
        found = [one for schema in found for inner in _inner(schema, step) for one in _alternatives(inner)]
    return found


def _inner(schema: Mapping[str, Any], step: str | int) -> Iterator[Schema]:
    if isinstance(step, int):
        places = schema.get("prefixItems", ())
        items = places[step] if step < len(places) else schema.get("items")
        if isinstance(items, dict):
            yield items
    elif step in schema.get("properties", {}):
        yield schema["properties"][step]
    elif isinstance(more := schema.get("additionalProperties"), dict):
        yield more


def _alternatives(schema: Schema, depth: int = 0) -> Iterator[Schema]:
    """A schema without references, and those of which it may be any."""
    if depth > _DEEP:
        return
    if reference := schema.get("$ref"):
        yield from _alternatives(_root()["$defs"][reference.rpartition("/")[2]], depth + 1)
        return
    yield schema
    for one in schema.get("anyOf", ()):
        yield from _alternatives(one, depth + 1)


def _opens(schema: Schema) -> bool:
    types = [one["type"] for one in _alternatives(schema) if "type" in one]
    return bool(types) and all(one in ("object", "null") for one in types)


def _meaning(schema: Schema, whole: bool = False) -> str:
    text = " ".join(str(schema.get("description", "")).split())
    if not whole:
        first = _FIRST.match(text)
        return first[1].rstrip(".;:") if first else text
    return text.replace("`", "")
