"""Which nodes a run looks at when it hands out tasks: at first all of them, then those in which something has changed.
What a task costs must not grow with the nodes in which nothing happens."""

from __future__ import annotations

from typing import Final

PART: Final = 16
"""Where tasks are choosy, all nodes are looked at again once a part of them has changed, one in so many; in any case
with the next tick."""


class Roster:
    """Of a run. A node that had all that it can take when it was looked at last needs no further look until it changes.
    Where every node may run every task, that is all; else the tasks at the head of the queue change, too, and a node
    that found none for it there may find one later.

    stale: all nodes are to be looked at. changed: nodes since the last look. hungry: nodes that could take more then.
    owes: some were passed over that might find something.
    """

    def __init__(self) -> None:
        self.stale = True
        self.changed: dict[str, None] = {}
        self.hungry: dict[str, None] = {}
        self.owes = False
        self.part = PART
        self._count = 0  # nodes when all were looked at
        self._since = 0  # changes since then
        self._version = 0  # of the health of the nodes, then

    def touch(self, node: str) -> None:
        """Something of a node has changed: its connection, its slots, or what is open there."""
        self.changed[node] = None
        self._since += 1

    def is_due(self, version: int, *, choosy: bool) -> bool:
        """Return whether all nodes are to be looked at now. version: of the health of the nodes. choosy: not every node
        can run every task that waits."""
        return self.stale or version != self._version or (choosy and self._since * self.part >= self._count)

    def on_whole(self, count: int) -> None:
        """All are being looked at, so many."""
        self.stale = self.owes = False
        self._count, self._since = count, 0
        self.changed.clear()
        self.hungry.clear()

    def on_planned(self, version: int) -> None:
        """The look is over."""
        self._version = version
