"""How the attempts of a run fare on each node: one that fails what others do well gets nothing more."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

SUSPICIOUS: Final = 5  # first attempts on a node that all fail, and it waits until another node has tried


@dataclass
class Attempts:
    """Of one node."""

    done: int = 0
    failed: list[int] = field(default_factory=list)  # tasks
    moved: int = 0  # of these, those that run again elsewhere
    trusted: bool = False  # no other node can try what fails here

    @property
    def fails(self) -> bool:
        """Its first attempts have all failed."""
        return not self.done and len(self.failed) >= SUSPICIOUS


class NodeHealth:
    """Since the submission. usable: the nodes that are up, and not in quarantine; expected: those that may come."""

    def __init__(self) -> None:
        self.usable: tuple[str, ...] = ()
        self.expected: tuple[str, ...] = ()
        self._nodes: dict[str, Attempts] = {}

    def note(self, node: str, task: int, state: str) -> None:
        """An attempt has ended on a node."""
        attempts = self._nodes.setdefault(node, Attempts())
        if state == "done":
            attempts.done += 1
        elif state == "failed":
            attempts.failed.append(task)

    def is_suspect(self, node: str) -> bool:
        """It fails, and no other node has shown yet whether that is the node's fault."""
        others = [name for name in (*self.usable, *self.expected) if name != node]
        return self._fails(node) and bool(others) and not all(map(self._fails, others))

    def _fails(self, node: str) -> bool:
        attempts = self._nodes.get(node)
        return attempts is not None and attempts.fails and not attempts.trusted

    def trust(self, node: str) -> None:
        """Let a node go on, for there is none that could show whether its failures are its own."""
        self._nodes.setdefault(node, Attempts()).trusted = True

    def forget(self, node: str) -> None:
        """Judge a node anew."""
        self._nodes.pop(node, None)

    @property
    def suspect_failures(self) -> int:
        """Failures that may be the node's, not the tasks'."""
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
