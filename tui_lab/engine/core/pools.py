"""A pool as the scheduler sees it: the nodes that an engine has granted for one entry of a submission, and whether
there may be more."""

from __future__ import annotations

from tui_lab.engine.core.node import NodeState


class PoolState:
    """Changes only while the scheduler handles an event."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.nodes: dict[str, NodeState] = {}
        self.hopeless = ""  # why it can grant nothing; empty while there may be more nodes
        self.drained = False  # by command: nothing new starts on its nodes

    @property
    def has_hope(self) -> bool:
        """Whether a node may come that is not there yet."""
        return not self.hopeless and not self.drained

    @property
    def is_known(self) -> bool:
        """Whether a node of it has told what it offers."""
        return any(node.resources is not None for node in self.nodes.values())


def home_of(node: NodeState) -> str:
    """Return the name of the entry that a node belongs to: its pool's, or its own."""
    return node.pool or node.name
