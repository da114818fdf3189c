"""Which nodes there are, how they are reached, and what becomes of those that are not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from tui_lab.engine.node import Node
from tui_lab.engine.run import ExperimentRun
from tui_lab.engine.transports import transport_for
from tui_lab.store import layout
from tui_lab.store.errors import LabError

if TYPE_CHECKING:
    from tui_lab.engine.engine import Engine

UNREACHABLE: Final = 5.0  # seconds of failed tries after which a node that was never there is given up
FAREWELL: Final = 5.0  # seconds that an agent has for its end

_IDENTITY: Final = ("host", "port", "user", "spool")  # what makes a node of the same name another one

Entry = Mapping[str, Any]  # of a submission, see docs/journal.md


class Reach:
    """Connects to nodes and lets go of them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.nodes: dict[str, Node] = {}
        self._lives: dict[Node, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    def connect(self, entry: Entry, environment: Mapping[str, str]) -> Node:
        """The node of an entry; connects to it where that is new, or it can't be reached. environment: of whoever
        asks, for the way there. Raises LabError where another machine in use goes by this name."""
        self.check([entry])
        node = self.nodes.get(entry["name"])
        if node is not None and (node.leaving or _another(node, entry)):
            self.drop(node)
            node = None
        if node is None:
            return self._new(entry, environment)
        node.entry = dict(entry)
        slots = entry.get("slots", 0)
        if slots and slots != node.slots:
            node.set_slots(slots)
        if node.ready:
            node.transport.renew(environment)
        else:
            self.try_again(node, environment)
        return node

    def check(self, entries: Iterable[Entry]) -> None:
        """Raises LabError where a name stands for another machine in a run that is going."""
        for entry in entries:
            node = self.nodes.get(entry["name"])
            if node is not None and _another(node, entry) and self._in_use(node.name):
                what = f'node "{node.name}" is another machine in a run that is going'
                raise LabError(what, "give one of them another name")

    def _in_use(self, name: str) -> bool:
        runs = self.engine.runs
        return any(name in run.flight.values() for run in runs.values()) or any(
            name in [entry["name"] for entry in runs[active].nodes] for active in self.engine.active
        )

    def _new(self, entry: Entry, environment: Mapping[str, str]) -> Node:
        lab = self.engine.lab
        node = Node(
            entry,
            transport_for(dict(entry), lab, environment),
            lab=lab.identity,
            marker=lab.path.resolve() / layout.ENGINE_FILE,
            epoch=self.engine.epoch,
            listener=self.engine.hearing,
        )
        self.nodes[node.name] = node
        self._lives[node] = asyncio.create_task(node.keep_connected())
        return node

    def try_again(self, node: Node, environment: Mapping[str, str]) -> None:
        """Try at once to reach a node, with what the environment has for the way there."""
        node.reconnect(transport_for(node.entry, self.engine.lab, environment))

    # Letting go.

    def drop(self, node: Node) -> None:
        """Know a node no longer; its agent ends."""
        if self.nodes.get(node.name) is node:
            del self.nodes[node.name]
        self.engine.facts.forget(node)
        self.engine.staging.forget(node)
        task = asyncio.create_task(self._see_off([node]))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def _see_off(self, nodes: list[Node]) -> None:
        """Tell agents that nothing more will come, and wait for their end; those that work still go on alone."""
        for node in nodes:
            await self.engine.files.forget(node)
            node.leave()
        lives = [self._lives.pop(node) for node in nodes if node in self._lives]
        if lives:
            await asyncio.wait(lives, timeout=FAREWELL)
        await self._end(nodes, lives)

    async def _end(self, nodes: Iterable[Node], lives: list[asyncio.Task[None]]) -> None:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        await asyncio.gather(*(node.transport.close() for node in nodes), return_exceptions=True)

    async def close(self, *, at_once: bool) -> None:
        """Let agents that have nothing left end, unless all is to be left as it is; an agent that still works goes on
        alone."""
        nodes = list(self.nodes.values())
        working = {name for run in self.engine.runs.values() for name in run.flight.values()}
        if not at_once:
            await self._see_off([node for node in nodes if node.ready and node.name not in working])
        for node in nodes:
            await self.engine.files.forget(node)
        await self._end(nodes, [self._lives.pop(node) for node in nodes if node in self._lives])
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=None if not at_once else 0)

    # Those that are not there.

    def asleep_for(self, seconds: float) -> None:
        for node in self.nodes.values():
            node.asleep_for(seconds)

    def listen(self) -> None:
        """See that agents which are connected say something."""
        for node in self.nodes.values():
            node.listen()

    def too_long_away(self) -> list[Node]:
        """Nodes that have just become lost."""
        lost = [node for node in self.nodes.values() if node.away and not node.lost and self.lost_in(node) < 0]
        for node in lost:
            node.lost = True
        return lost

    def lost_in(self, node: Node) -> float:
        """Seconds until a node that is away becomes lost. While all are away at once it is probably we who are: they
        have twice the time."""
        nodes = [node for node in self.nodes.values() if node.remote] or list(self.nodes.values())
        all_away = all(node.away for node in nodes)
        return node.lost_after * (2 if all_away else 1) - node.failing_for()

    def gone(self, run: ExperimentRun, node: Node) -> bool:
        """There is no use in waiting for a node."""
        if node.name in run.state.quarantined and node.name not in run.flight.values():
            return True
        if node.ready:
            return False
        if node.name in run.flight.values():
            return not node.remote and not node.silent and node.tries >= 3 and node.failing_for() > UNREACHABLE
        if node.hopeless or node.lost:
            return True
        return not (node.met and node.remote) and node.tries >= 3 and node.failing_for() > UNREACHABLE

    def stuck(self, run: ExperimentRun) -> str:
        """Why nothing can go on in a run; empty where something may."""
        nodes = self.engine.nodes_of(run)
        there = [node for node in nodes if not self.gone(run, node)]
        if not nodes or any(node.resources is None for node in there):
            return ""
        if there and (run.flight or run.held or not run.order or not run.needy):
            return ""
        if any(map(run.fits_some, there)):
            return ""
        gone = [f"node {node.name}: {self._why(run, node)}" for node in nodes if node not in there]
        return "; ".join(gone) + ("; the others have not what the tasks need" if gone and there else "")

    @staticmethod
    def _why(run: ExperimentRun, node: Node) -> str:
        if node.name in run.state.quarantined:
            return f"in quarantine, its first tasks all failed; `tui-lab nodes resume {node.name}` takes it back in"
        return node.error or "is not there"


def _another(node: Node, entry: Entry) -> bool:
    """Whether an entry means another machine, or another agent on it."""
    return any(node.entry.get(key) != entry.get(key) for key in _IDENTITY)
