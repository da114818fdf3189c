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
    """Health of nodes since the submission. What it costs to ask grows with the nodes that fail, not with all."""

    def __init__(self) -> None:
        self.usable: set[str] = set()  # nodes that are up and not in quarantine
        self.version = 0  # changes with what `is_suspect` returns, but not with `compare`
        self._known: set[str] = set()  # those, and nodes that may come up
        self._nodes: dict[str, Attempts] = {}
        self._well = 0  # nodes on which an attempt was done
        self._never_well: dict[str, Attempts] = {}  # nodes on which some failed, and none was done
        self._failing: dict[str, Attempts] = {}  # of these, those that fail and are not trusted
        self._known_failing = 0  # how many of `_known` are among these

    def compare(self, usable: Collection[str], expected: Collection[str]) -> None:
        """Take these nodes for those that may show whose fault failures are. usable: up and not in quarantine;
        expected: may come up."""
        self.usable = set(usable)
        self._known = self.usable.union(expected)
        self._known_failing = sum(node in self._known for node in self._failing)

    def move(self, node: str, *, usable: bool, expected: bool) -> None:
        """Take up how one of them stands now."""
        (self.usable.add if usable else self.usable.discard)(node)
        known = usable or expected
        if known != (node in self._known):
            (self._known.add if known else self._known.discard)(node)
            self._known_failing += (1 if known else -1) * (node in self._failing)
            self.version += bool(self._failing)

    def note(self, node: str, task: int, state: str) -> None:
        """Count the end of an attempt."""
        attempts = self._nodes.setdefault(node, Attempts())
        if state == "done":
            attempts.done += 1
            if attempts.done == 1:
                self._well += 1
                self._never_well.pop(node, None)
                self._set_failing(node, attempts)
        elif state == "failed":
            attempts.failed.append(task)
            if not attempts.done:
                self._never_well[node] = attempts
                self._set_failing(node, attempts)

    def is_suspect(self, node: str) -> bool:
        """Return whether a node fails, and no other has yet shown whether that is its fault."""
        return node in self._failing and self._known_failing < len(self._known)

    @property
    def suspects(self) -> list[str]:
        """The usable nodes that are suspect."""
        return [node for node in self._failing if node in self.usable and self.is_suspect(node)]

    def trust(self, node: str) -> None:
        """Use a node in spite of its failures: there is no other to compare it with."""
        attempts = self._nodes.setdefault(node, Attempts())
        attempts.trusted = True
        self._set_failing(node, attempts)

    def forget(self, node: str) -> None:
        """Forget the attempts of a node."""
        attempts = self._nodes.pop(node, None)
        if attempts is not None:
            self._well -= attempts.done > 0
            self._never_well.pop(node, None)
            self._set_failing(node, None)

    def _set_failing(self, node: str, attempts: Attempts | None) -> None:
        """Keep account of whether a node fails. attempts: None where nothing is known of it any more."""
        fails = attempts is not None and attempts.fails and not attempts.trusted
        if fails != (node in self._failing):
            self.version += 1
            self._known_failing += (1 if fails else -1) * (node in self._known)
            if attempts is not None and fails:
                self._failing[node] = attempts
            else:
                del self._failing[node]

    @property
    def suspect_failures(self) -> int:
        """How many failures may be the node's fault."""
        return sum(len(attempts.failed) for node, attempts in self._failing.items() if self.is_suspect(node))

    def to_quarantine(self, quarantined: Collection[str]) -> Iterator[tuple[str, list[int]]]:
        """Nodes whose failures are their own, for another has done well; each with the tasks that failed there since
        it was last asked. Never the last node."""
        if not self._well and not quarantined:
            return
        for node, attempts in list(self._never_well.items()):
            fails = attempts.fails or node in quarantined
            fresh = sorted(set(attempts.failed[attempts.moved :]))
            if fails and fresh and any(name != node for name in self.usable):
                attempts.moved = len(attempts.failed)
                yield node, fresh
