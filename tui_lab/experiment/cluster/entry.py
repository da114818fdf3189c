"""A node as a submission, the journal and the engine have it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypedDict

if TYPE_CHECKING:

    class AheadTime(TypedDict):
        """A backlog handed to a node: what it works at for some seconds."""

        seconds: float

    class NodeEntry(TypedDict, total=False):
        """What a cluster file says of a node, as JSON; keys that it does not give are left out. Each node has a name;
        machines on the way to one have none.

        The names are those of `ClusterNode`. `transport` is the name of a transport that does not follow from `host`;
        what the file says for it stands under a key of that name, and only that transport knows its type.
        """

        name: str
        slots: int
        """0: as many as the node has cores."""
        tags: list[str]
        host: str
        port: int
        user: str
        key: str
        known_hosts: str
        gpus: list[int | str] | Literal["all", "free"]
        memory: int
        resources: dict[str, int]
        workdir: str
        python: str
        setup: str
        env: dict[str, str]
        ahead: int | AheadTime | None
        lost_after: float
        spool: str
        transport: str
        pool: str
        """The name of the entry that was granted this node, where none names it."""

else:
    # Where a journal or a command is read: msgspec would drop the keys of a TypedDict that it does not know, and other
    # packages' transports have some.
    NodeEntry = dict[str, Any]
