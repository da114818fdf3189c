"""What is remembered of each node for later: its system, its processor, its Python and packages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, cast

from tui_lab.engine.channel_pool import FileChannelPool, Unreachable
from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.run_files import RunFiles, now
from tui_lab.engine.transfer.errors import TransferError
from tui_lab.protocol.agent import Facts
from tui_lab.store import environment as captured
from tui_lab.store.errors import LabError
from tui_lab.store.events import EnvironmentCaptured

log = logging.getLogger(__name__)

LATER: Final = 0.5  # seconds after which it begins: first of all tasks are to start
PATIENCE: Final = 30.0  # seconds that a node may take to list its packages


class KnownFacts(Facts, total=False):
    """What a node is, with the packages of its Python where it could list them."""

    packages: dict[str, str]


def record(run: RunFiles, name: str, facts: KnownFacts) -> EnvironmentCaptured | None:
    """Write the facts of a node to an experiment; return the event, None where it has them."""
    if run.journal.removed:
        return None  # the folder must not come back
    try:
        digest = captured.capture(run.folder.path, {"kind": "node", **facts})
    except LabError as error:
        log.warning("%s: %s", run.name, error)
        return None
    event = EnvironmentCaptured(now(), name, digest)
    return event if run.state.environments.get(name) != digest and run.append_now([event]) else None


class NodeFacts:
    """Finds out about a node once. `learned` is called when all is known of one, and whenever it is asked for again."""

    def __init__(self, files: FileChannelPool, learned: Callable[[NodeConnection, KnownFacts], None]) -> None:
        self.files = files
        self.learned = learned
        self._known: dict[NodeConnection, KnownFacts] = {}
        self._learning: dict[NodeConnection, asyncio.Task[None]] = {}

    @property
    def busy(self) -> bool:
        """Something is being found out. It may take as long as the node's packages need to be listed, not longer."""
        return bool(self._learning)

    def learn(self, node: NodeConnection) -> None:
        """Begin with a node that has just answered."""
        if node in self._known:
            self.tell(node)
        elif node not in self._learning:
            self._learning[node] = asyncio.create_task(self._learn(node))

    def tell(self, node: NodeConnection) -> None:
        """Pass on what is known of a node, if it is."""
        facts = self._known.get(node)
        if facts is not None:
            self.learned(node, facts)

    async def _learn(self, node: NodeConnection) -> None:
        facts = cast(KnownFacts, dict(node.facts))  # the packages follow
        facts.pop("clock", None)  # a minute later it is none
        try:
            await asyncio.sleep(LATER)
            async with asyncio.timeout(PATIENCE), self.files.channel(node) as channel:
                facts["packages"] = await channel.packages(node.entry.get("python") or "python3")
        except (TransferError, *Unreachable) as error:  # also where it takes too long
            log.warning("node %s: %s", node.name, error or "its packages are not known")
        finally:
            self._learning.pop(node, None)
        self._known[node] = facts
        self.tell(node)

    def forget(self, node: NodeConnection) -> None:
        """Another machine has its name."""
        self._known.pop(node, None)
        learning = self._learning.pop(node, None)
        if learning is not None:
            learning.cancel()

    async def close(self) -> None:
        """Leave what is not known yet."""
        for task in list(self._learning.values()):
            task.cancel()
        await asyncio.gather(*self._learning.values(), return_exceptions=True)
