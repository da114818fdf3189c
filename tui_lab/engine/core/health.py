"""The successes and failures of a run on each node. A node that fails tasks that others complete is quarantined."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

SUSPICIOUS: Final = 5  # first attempts on a node that all fail, and it waits until another node has tried


@dataclass
class Attempts:
    """The ended attempts on one node."""

    done: int = 0
    failed: list[int] = field(default_factory=list)  # tasks
    moved: int = 0  # how many of these were queued again
    trusted: bool = False  # no other node can try what fails here

    @property
    def fails(self) -> bool:
        """Whether its first attempts have all failed."""
        return not self.done and len(self.failed) >= SUSPICIOUS


class NodeHealth:
    """Health of nodes since the submission. usable: up and not in quarantine; expected: may come up."""

    def __init__(self) -> None:
        self.usable: tuple[str, ...] = ()
        self.expected: tuple[str, ...] = ()
        self._nodes: dict[str, Attempts] = {}

    def note(self, node: str, task: int, state: str) -> None:
        """Count the end of an attempt."""
        attempts = self._nodes.setdefault(node, Attempts())
        if state == "done":
            attempts.done += 1
        elif state == "failed":
            attempts.failed.append(task)

    def is_suspect(self, node: str) -> bool:
        """Return whether a node fails, and no other has yet shown whether that is its fault."""
        others = [name for name in (*self.usable, *self.expected) if name != node]
        return self._fails(node) and bool(others) and not all(map(self._fails, others))

    def _fails(self, node: str) -> bool:
        attempts = self._nodes.get(node)
        return attempts is not None and attempts.fails and not attempts.trusted

    def trust(self, node: str) -> None:
        """Use a node in spite of its failures: there is no other to compare it with."""
        self._nodes.setdefault(node, Attempts()).trusted = True

    def forget(self, node: str) -> None:
        """Forget the attempts of a node."""
        self._nodes.pop(node, None)

    @property
    def suspect_failures(self) -> int:
        """How many failures may be the node's fault."""
        return sum(len(attempts.failed) for node, attempts in self._nodes.items() if self.is_suspect(node))

    def to_quarantine(self, quarantined: Collection[str]) -> Iterator[tuple[str, list[int]]]:
        """Nodes whose failures are their own, for another has done well; each with the tasks that failed there since
        it was last asked. Never the last node."""
        if not any(attempts.done for attempts in self._nodes.values()) and not quarantined:
            return
        for node, attempts in self._nodes.items():
            fails = attempts.fails or (node in quarantined and not attempts.done)
            fresh = sorted(set(attempts.failed[attempts.moved :]))
            if fails and fresh and any(name != node for name in self.usable):
                attempts.moved = len(attempts.failed)
                yield node, fresh
