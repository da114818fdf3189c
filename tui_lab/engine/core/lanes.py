"""Which nodes may take which task, by its stage and by the node that it is for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from tui_lab.engine.core.model import RunSettings
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.core.node_runs import NodeRuns
from tui_lab.engine.core.pools import home_of
from tui_lab.engine.core.queue import TaskQueue
from tui_lab.experiment.cluster.tags import fit
from tui_lab.store.fold import State


class Lanes:
    """Of a run. Tasks that the same nodes may take are of one lane: a stage, or a stage and a node."""

    def __init__(self, state: State, settings: RunSettings, node_runs: NodeRuns) -> None:
        self._state = state
        self._run_on = settings.run_on
        self._node_runs = node_runs
        self.matter = bool(settings.run_on or settings.on_node)  # not every node may take everything
        self._entries: object = None  # those of which `_tags` are
        self._tags: Mapping[str, Sequence[str]] = {}

    def of(self, one: int) -> Hashable:
        """Return the lane of a task, or of a run of a stage."""
        stage, node = self._state.stage(one) or "", self._node_runs.node_of(one)
        return stage if node is None else (stage, node)

    def may_go(self, one: int, node: NodeState) -> bool:
        """Return whether a task, or a run of a stage, may run on a node."""
        return not self.matter or self._takes(node, self.of(one))

    def may_go_to(self, one: int, pool: str) -> bool:
        """Return whether a task, or a run of a stage, may run on nodes of a pool."""
        return not self.matter or self._goes_to(self.of(one), pool)

    def of_pool(self, pool: str, queue: TaskQueue) -> list[Hashable] | None:
        """Return the lanes of a queue from which nodes of a pool may take; None for all."""
        return [lane for lane in queue.lanes if self._goes_to(lane, pool)] if self.matter else None

    def _goes_to(self, lane: Hashable, pool: str) -> bool:
        return not isinstance(lane, tuple) and fit(self._run_on.get(str(lane), ()), self._tags_of(pool))

    def open_to(self, node: NodeState, queue: TaskQueue) -> list[Hashable] | None:
        """Return the lanes of a queue from which a node may take; None for all."""
        return [lane for lane in queue.lanes if self._takes(node, lane)] if self.matter else None

    def _takes(self, node: NodeState, lane: Hashable) -> bool:
        if isinstance(lane, tuple):
            return bool(lane[1] == node.name)
        return fit(self._run_on.get(str(lane), ()), self._tags_of(home_of(node)))

    def _tags_of(self, home: str) -> Sequence[str]:
        entries = (self._state.placement or self._state.submissions[-1]).nodes
        if entries is not self._entries:
            self._entries = entries
            self._tags = {entry["name"]: entry.get("tags", []) for entry in reversed(entries)}
        return self._tags.get(home, ())
