"""The attempts of a run that are assigned and have not ended, each with its node."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping

from tui_lab.engine.core.model import AttemptKey


class OpenAttempts(MutableMapping[AttemptKey, str]):
    """Attempts and their nodes, in the order in which they were assigned. Those of one node are found without a look at
    the others."""

    def __init__(self) -> None:
        self._node_of: dict[AttemptKey, str] = {}
        self._on: dict[str, dict[AttemptKey, None]] = {}

    def __getitem__(self, key: AttemptKey) -> str:
        return self._node_of[key]

    def __setitem__(self, key: AttemptKey, node: str) -> None:
        before = self._node_of.get(key)
        if before is not None and before != node:
            self._leave(key, before)
        self._node_of[key] = node
        self._on.setdefault(node, {})[key] = None

    def __delitem__(self, key: AttemptKey) -> None:
        self._leave(key, self._node_of.pop(key))

    def __contains__(self, key: object) -> bool:
        return key in self._node_of

    def __iter__(self) -> Iterator[AttemptKey]:
        return iter(self._node_of)

    def __len__(self) -> int:
        return len(self._node_of)

    def on(self, node: str) -> list[AttemptKey]:
        """Return the attempts on a node."""
        return list(self._on.get(node, ()))

    @property
    def nodes(self) -> list[str]:
        """The nodes that have some."""
        return list(self._on)

    def uses(self, node: str) -> bool:
        """Return whether a node has some."""
        return node in self._on

    def _leave(self, key: AttemptKey, node: str) -> None:
        keys = self._on[node]
        del keys[key]
        if not keys:
            del self._on[node]
