"""What a cluster file says of a way to a node."""

from __future__ import annotations

from typing import ClassVar, Self

from tui_lab.experiment.data_types import JsonObject
from tui_lab.experiment.record import Model, plain
from tui_lab.experiment.schema_parts import Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader


class NodeKey(Model):
    """What a cluster file says of a transport. The docstring of a class is the text of the reference."""

    kind: ClassVar[str]
    """The key, and the name of the transport."""
    example: ClassVar[str]
    schema: ClassVar[Schema]
    """JSON Schema of the key's value."""
    pool: ClassVar[bool] = False
    """The entry is no node, but a pool: an engine that grants nodes."""
    has_address: ClassVar[bool] = False
    """It says itself where it leads, so that `host`, and what belongs to it, means nothing beside it."""

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        """Return what stands at a place of the file; None where it is wrong, which the reader is told."""
        raise NotImplementedError

    @classmethod
    def meaning(cls) -> str:
        """Return the docstring on one line."""
        return " ".join((cls.__doc__ or "").split())

    def usual_slots(self) -> int:
        """Return the slots where the entry gives none; 0: as many as the node has cores."""
        return 0

    def as_entry(self) -> JsonObject:
        """Return it as a submission records it, and as the engine's transport gets it: JSON."""
        return plain(self, without_none=True)
