"""Which nodes have the outputs of runs of stages: what comes after them preferably runs there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tui_lab.store.fold import State


class Copies:
    """Of a run. before, after: what each id directly depends on, and what depends on it. on_node: the runs of the plan
    of which each id uses those of its node. What it knows is only a preference: a node that has lost a copy is sent
    another."""

    def __init__(
        self,
        state: State,
        before: Mapping[int, Sequence[int]],
        after: Mapping[int, Sequence[int]],
        on_node: Mapping[int, Sequence[int]],
    ) -> None:
        self._state = state
        self._before = before
        self._after = after
        self._on_node = on_node
        self._users: dict[int, list[int]] = {}
        for one in on_node:
            for run in self._used_by(one):
                self._users.setdefault(run, []).append(one)
        self._nodes: dict[int, set[str]] = {}
        self._place: dict[int, int] = {}  # in `after`: what stands before it has ended

    def are_far(self, node: str, one: int) -> bool:
        """Return whether an id depends on outputs that a node does not have."""
        return any(node not in self._of(other) for other in self._before.get(one, ()))

    def are_not_at(self, node: str, one: int) -> bool:
        """Return whether an id depends on outputs that a node does not have, or on none."""
        return not (self._before.get(one) or self._on_node.get(one)) or self.are_far(node, one)

    def assigned(self, one: int, node: str) -> None:
        """The outputs that an id depends on are brought to a node."""
        for other in self._before.get(one, ()):
            self._of(other).add(node)

    def made(self, one: int, node: str) -> None:
        """A run has ended well on a node."""
        self._nodes[one] = {node}

    def needed(self, one: int) -> bool:
        """Return whether something waits for the outputs of a run, or uses them."""
        queued = self._state.columns["queued"]
        run = self._state.planned_run(one)
        after = self._after.get(one, ()) if run == one else self._users.get(run, ())
        for start in (self._place.get(one, 0), 0):
            for place in range(start, len(after)):
                if queued[after[place]]:
                    self._place[one] = place
                    return True
        return False

    def dropped(self, ended: Iterable[int], shares: Callable[[str], bool]) -> list[tuple[int, str]]:
        """Return the runs whose outputs nothing needs any more, now that some ids have ended, and the nodes with copies
        of them. shares: whether a node sees the lab's folder."""
        runs = {other for one in ended for other in self._inputs_of(one) if other in self._nodes}
        gone = sorted(one for one in runs if not self.needed(one))
        return [(one, node) for one in gone for node in sorted(self._nodes.pop(one)) if not shares(node)]

    def _used_by(self, one: int) -> set[int]:
        """Return the runs of the plan of which an id uses those of its node, directly or by others of these."""
        runs = self._on_node.get(one, ())
        return {*runs, *(far for run in runs for far in self._used_by(run))}

    def _inputs_of(self, one: int) -> list[int]:
        runs = (self._state.node_runs.get(run, {}) for run in self._used_by(one))
        return [*self._before.get(one, ()), *(other for found in runs for other in found.values())]

    def _of(self, one: int) -> set[str]:
        if one not in self._nodes:
            columns = self._state.columns
            known = self._state.has_result(one) and columns["node"][one] >= 0
            self._nodes[one] = {self._state.nodes[columns["node"][one]]} if known else set()
        return self._nodes[one]
