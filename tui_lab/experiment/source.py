"""What metrics and rows have in common: one of several kinds of source says where they are, by its keys."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import ClassVar, TypeVar

from tui_lab.experiment.function import Function
from tui_lab.experiment.record import Documented, Fields, Model, keys_of
from tui_lab.experiment.registry import Registry
from tui_lab.experiment.schema_parts import Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader


class Source(Model):
    """Where values are. In the file some of the keys of a mapping, one of which is the kind.

    Its fields are those keys; the texts of the reference stand at them.
    """

    kind: ClassVar[str]
    schemas: ClassVar[Mapping[str, Schema]]
    """JSON Schema of what stands behind each of its keys, the kind included, in the order of the reference."""

    @property
    def call(self) -> tuple[Function, float | None] | None:
        """The Python function that it calls, and how many seconds it gives a call, if it says so."""
        return None

    @classmethod
    def documented(cls) -> dict[str, Documented]:
        """Return what the reference says of its own keys, in its order."""
        keys = {cls.renamed.get(name, name): key for name, key in keys_of(cls).items()}
        return {key: dataclasses.replace(keys[key], required=False) for key in cls.schemas if key in keys}

    @classmethod
    def check(cls, r: Reader, path: Keypath, found: Fields, owner: str) -> None:
        """Note what is missing or does not go together. found: values by key. owner: the mapping, for messages."""


S = TypeVar("S", bound=Source)


def keys(kinds: Iterable[type[Source]]) -> tuple[str, ...]:
    """Return all keys of these kinds, in order."""
    return tuple(dict.fromkeys(key for kind in kinds for key in kind.schemas))


def documented_keys(registry: Registry[type[S]]) -> dict[str, Documented]:
    """Return what the reference says of the keys of all kinds."""
    return {key: about for kind in registry.members().values() for key, about in kind.documented().items()}


def schemas(registry: Registry[type[S]]) -> dict[str, Schema]:
    """Return the JSON Schema of what stands behind the keys of all kinds."""
    found: dict[str, Schema] = {}
    for kind in registry.members().values():
        found = {**kind.schemas, **found}
    return {key: found[key] for key in keys(registry.members().values())}
