"""What is remembered of each node for later: its system, its processor, its Python and packages."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from tui_lab.engine.files import Unreachable
from tui_lab.engine.node import Node
from tui_lab.engine.run import ExperimentRun, now
from tui_lab.engine.transfer import TransferError
from tui_lab.store import environment
from tui_lab.store.errors import LabError

if TYPE_CHECKING:
    from tui_lab.engine.engine import Engine

log = logging.getLogger(__name__)

PATIENCE: Final = 5.0  # seconds that the end of a run waits for what is being found out
PASSING: Final = ("clock",)  # facts that are none a minute later


class Captures:
    """Finds out about a node once, and writes it down for each experiment that runs there."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._known: dict[str, dict[str, Any]] = {}
        self._learning: dict[str, asyncio.Task[None]] = {}

    def learn(self, node: Node) -> None:
        """Begin with a node that has just answered."""
        if node.name in self._known:
            self.write_down(node.name)
        elif node.name not in self._learning:
            self._learning[node.name] = asyncio.create_task(self._learn(node))

    async def _learn(self, node: Node) -> None:
        facts = {name: value for name, value in node.facts.items() if name not in PASSING}
        try:
            async with self.engine.files.channel(node) as channel:
                facts["packages"] = await channel.packages(node.entry.get("python") or "python3")
        except (TransferError, *Unreachable) as error:
            log.warning("node %s: %s", node.name, error)
        finally:
            self._learning.pop(node.name, None)
        self._known[node.name] = facts
        self.write_down(node.name)

    def write_down(self, name: str) -> None:
        """Tell the experiments that run on a node what is known of it."""
        facts = self._known.get(name)
        if facts is None:
            return
        for run in self.engine.runs.values():
            if run.name in self.engine.active and any(node.name == name for node in self.engine.nodes_of(run)):
                self._record(run, name, facts)

    def _record(self, run: ExperimentRun, name: str, facts: dict[str, Any]) -> None:
        try:
            digest = environment.capture(run.folder.path, {"kind": "node", **facts})
        except LabError as error:
            log.warning("%s: %s", run.name, error)
            return
        if run.state.environments.get(name) != digest and not run.unwritten:
            run.record([{"event": "environment", "at": now(), "node": name, "digest": digest}])

    async def close(self) -> None:
        """Wait a little for what is nearly known."""
        if self._learning:
            await asyncio.wait(self._learning.values(), timeout=PATIENCE)
        for task in list(self._learning.values()):
            task.cancel()
