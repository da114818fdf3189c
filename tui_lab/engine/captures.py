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
from tui_lab.store.events import EnvironmentCaptured

if TYPE_CHECKING:
    from tui_lab.engine.engine import Engine

log = logging.getLogger(__name__)

LATER: Final = 0.5  # seconds after which it begins: first of all tasks are to start
PATIENCE: Final = 30.0  # seconds that a node may take to list its packages
PASSING: Final = ("clock",)  # facts that are none a minute later


class Captures:
    """Finds out about a node once, and writes it down for each experiment that runs there."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._known: dict[Node, dict[str, Any]] = {}
        self._learning: dict[Node, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Something is being found out. It may take as long as the node's packages need to be listed, not longer."""
        return bool(self._learning)

    def learn(self, node: Node) -> None:
        """Begin with a node that has just answered."""
        if node in self._known:
            self.write_down(node)
        elif node not in self._learning:
            self._learning[node] = asyncio.create_task(self._learn(node))

    async def _learn(self, node: Node) -> None:
        facts = {name: value for name, value in node.facts.items() if name not in PASSING}
        try:
            await asyncio.sleep(LATER)
            async with asyncio.timeout(PATIENCE), self.engine.files.channel(node) as channel:
                facts["packages"] = await channel.packages(node.entry.get("python") or "python3")
        except (TransferError, *Unreachable) as error:  # also where it takes too long
            log.warning("node %s: %s", node.name, error or "its packages are not known")
        finally:
            self._learning.pop(node, None)
        self._known[node] = facts
        self.write_down(node)
        self.engine.wake()

    def forget(self, node: Node) -> None:
        """Another machine has its name."""
        self._known.pop(node, None)
        learning = self._learning.pop(node, None)
        if learning is not None:
            learning.cancel()

    def write_down(self, node: Node) -> None:
        """Tell the experiments that run on a node, or have just done so, what is known of it."""
        facts = self._known.get(node)
        if facts is None:
            return
        for run in self.engine.runs.values():
            if run.environment is not None and any(entry["name"] == node.name for entry in run.nodes):
                self._record(run, node.name, facts)

    def _record(self, run: ExperimentRun, name: str, facts: dict[str, Any]) -> None:
        if run.journal.removed:
            return  # the folder must not come back
        try:
            digest = environment.capture(run.folder.path, {"kind": "node", **facts})
        except LabError as error:
            log.warning("%s: %s", run.name, error)
            return
        if run.state.environments.get(name) != digest and not run.unwritten:
            run.record([EnvironmentCaptured(now(), name, digest)])

    async def close(self) -> None:
        for task in list(self._learning.values()):
            task.cancel()
        await asyncio.gather(*self._learning.values(), return_exceptions=True)
