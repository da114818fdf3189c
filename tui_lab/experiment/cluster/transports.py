"""Ways to nodes, as a cluster file names them: a node has a key of the transport's name, with what the transport is to
know. Without one, a node with a `host` is reached by SSH, and one without is this machine.

Other packages bring theirs as entry points: of `tui_lab.node_keys` for the file, and of `tui_lab.transports` for the
engine, under the same name.
"""

from __future__ import annotations

from typing import ClassVar, Final, Self

from tui_lab.experiment.data_types import JsonObject
from tui_lab.experiment.record import Model, plain
from tui_lab.experiment.registry import Registry
from tui_lab.experiment.schema_parts import Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader


class NodeKey(Model):
    """What a cluster file says of a transport. The docstring of a class is the text of the reference."""

    kind: ClassVar[str]
    """The key, and the name of the transport."""
    example: ClassVar[str]
    schema: ClassVar[Schema]
    """JSON Schema of the key's value."""

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        """Return what stands at a place of the file; None where it is wrong, which the reader is told."""
        raise NotImplementedError

    @classmethod
    def meaning(cls) -> str:
        """Return the docstring on one line."""
        return " ".join((cls.__doc__ or "").split())

    def as_entry(self) -> JsonObject:
        """Return it as a submission records it, and as the engine's transport gets it: JSON."""
        return plain(self, without_none=True)


KEYS: Final[Registry[type[NodeKey]]] = Registry("tui_lab.node_keys", NodeKey, {})
"""By name. All ways of this program follow from `host`."""
