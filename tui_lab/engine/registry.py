"""The nodes of the engine: adding, connecting, removing them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tui_lab.engine.channel_pool import FileChannelPool
from tui_lab.engine.connection import Listener, NodeConnection
from tui_lab.engine.core.events import Event, NodeAdded, NodeRemoved, NodeRetried, SlotsSet
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.engine.transports import is_remote, transport_for, transport_of
from tui_lab.engine.transports.channel import Transport
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.store import layout
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab

FAREWELL: Final = 5.0  # seconds that an agent has for its end

_IDENTITY: Final = ("host", "port", "user", "spool", "transport", "pool")
"""What makes a node of the same name another one, besides what its transport is to know."""


class NodeRegistry:
    """Holds the connections by node name. feed: passes an event to the scheduler."""

    def __init__(
        self,
        lab: Lab,
        epoch: int,
        scheduler: Scheduler,
        feed: Callable[[Event], None],
        files: FileChannelPool,
        listener: Listener,
    ) -> None:
        self.lab = lab
        self.epoch = epoch
        self.scheduler = scheduler
        self.feed = feed
        self.files = files
        self.listener = listener
        self.nodes: dict[str, NodeConnection] = {}
        self._lives: dict[NodeConnection, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._granted: dict[str, Callable[[], Transport]] = {}  # the ways to nodes that no entry names

    def connect(self, entry: NodeEntry, environment: Mapping[str, str]) -> NodeConnection:
        """Return the node of an entry; connect if it is new, or can't be reached. environment: of the client, for its
        SSH agent. Raises LabError where another machine in use has this name."""
        self.check([entry])
        node = self.nodes.get(entry["name"])
        if node is not None and (node.leaving or _another(node, entry)):
            self.drop(node)
            node = None
        self.feed(_added(entry))
        if node is None:
            return self._new(entry, environment)
        node.entry = entry.copy()
        slots = entry.get("slots", 0)
        if slots and slots != node.state.slots:
            self.feed(SlotsSet(node.name, slots))
        if node.ready:
            node.transport.renew(environment)
        else:
            self.try_again(node, environment)
        return node

    def grant(self, entry: NodeEntry, way: Callable[[], Transport]) -> NodeConnection:
        """Return the node of an allocation, which is being connected. entry: that of its pool, with its own name."""
        self._granted[entry["name"]] = way
        return self.connect(entry, {})

    def _way(self, entry: NodeEntry, environment: Mapping[str, str]) -> Transport:
        way = self._granted.get(entry["name"])
        return transport_for(entry.copy(), self.lab, environment) if way is None else way()

    def check(self, entries: Iterable[NodeEntry]) -> None:
        """Raises LabError where a name stands for another machine in a running experiment."""
        for entry in entries:
            node = self.nodes.get(entry["name"])
            if node is not None and _another(node, entry) and self.scheduler.uses(node.name):
                what = f'node "{node.name}" is another machine in a running experiment'
                raise LabError(what, "give one of them another name")

    def _new(self, entry: NodeEntry, environment: Mapping[str, str]) -> NodeConnection:
        node = NodeConnection(
            entry,
            self.scheduler.nodes[entry["name"]],
            self._way(entry, environment),
            lab=self.lab.identity,
            marker=self.lab.path.resolve() / layout.ENGINE_FILE,
            epoch=self.epoch,
            listener=self.listener,
        )
        self.nodes[node.name] = node
        self._lives[node] = asyncio.create_task(node.keep_connected())
        return node

    def try_again(self, node: NodeConnection, environment: Mapping[str, str]) -> None:
        """Try at once to connect to a node. environment: of the client, for its SSH agent."""
        self.feed(NodeRetried(node.name))
        node.reconnect(self._way(node.entry, environment))

    # --- Letting go

    def drop(self, node: NodeConnection) -> asyncio.Task[None]:
        """Remove a node; its agent ends, and the task that is returned with it."""
        if self.nodes.get(node.name) is node:
            del self.nodes[node.name]
            self._granted.pop(node.name, None)
            self.feed(NodeRemoved(node.name))
        self.listener.on_dropped(node)
        task = asyncio.create_task(self._say_bye([node]))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)
        return task

    async def _say_bye(self, nodes: list[NodeConnection]) -> None:
        """Send `bye` to agents, and wait until they end; those with tasks continue alone."""
        for node in nodes:
            await self.files.forget(node)
            node.say_bye()
        lives = [self._lives.pop(node) for node in nodes if node in self._lives]
        if lives:
            await asyncio.wait(lives, timeout=FAREWELL)
        await self._end(nodes, lives)

    async def _end(self, nodes: Iterable[NodeConnection], lives: list[asyncio.Task[None]]) -> None:
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)
        await asyncio.gather(*(node.transport.close() for node in nodes), return_exceptions=True)

    async def close(self, *, at_once: bool) -> None:
        """Let idle agents end, unless all are to be left as they are; agents with tasks continue alone."""
        nodes = list(self.nodes.values())
        working = self.scheduler.working()
        if not at_once:
            await self._say_bye([node for node in nodes if node.ready and node.name not in working])
        for node in nodes:
            await self.files.forget(node)
        await self._end(nodes, [self._lives.pop(node) for node in nodes if node in self._lives])
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=None if not at_once else 0)

    def listen(self, asleep: float) -> None:
        """Check that connected agents send messages. asleep: seconds in which this process was suspended, which don't
        count."""
        for node in self.nodes.values():
            if asleep:
                node.discount_pause(asleep)
            node.listen()


def _another(node: NodeConnection, entry: NodeEntry) -> bool:
    """Return whether an entry means another machine, or another agent on it."""
    keys = (*_IDENTITY, transport_of(entry), transport_of(node.entry))
    return any(node.entry.get(key) != entry.get(key) for key in keys)


def _added(entry: NodeEntry) -> NodeAdded:
    ahead = entry.get("ahead")
    return NodeAdded(
        entry["name"],
        remote=is_remote(entry),
        slots=entry.get("slots", 0),
        ahead=ahead if isinstance(ahead, int) else None,
        ahead_seconds=None if ahead is None or isinstance(ahead, int) else ahead["seconds"],
        lost_after=entry.get("lost_after"),
        pool=entry.get("pool", ""),
    )
