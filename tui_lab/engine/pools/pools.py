"""All pools of an engine, by the names of their entries."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from tui_lab.engine.core.events import Event, PoolAdded, PoolSurveyed
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.engine.pools.pool import Pool, lose
from tui_lab.engine.pools.record import AllocationRecord
from tui_lab.engine.registry import NodeRegistry
from tui_lab.engine.transports import is_pool, supply_for
from tui_lab.engine.transports.supply import SupplyError
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.protocol.control import NodeStatus
from tui_lab.store.errors import LabError
from tui_lab.store.lab import Lab

log = logging.getLogger(__name__)

_OF_A_RUN: Final = ("slots", "tags")
"""What of an entry may differ without making it another pool."""


class Pools:
    """Raises StorageError where the file of the allocations can't be read."""

    def __init__(
        self,
        lab: Lab,
        scheduler: Scheduler,
        registry: NodeRegistry,
        feed: Callable[[Event], None],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self.lab = lab
        self.record = AllocationRecord(lab)
        self.pools: dict[str, Pool] = {}
        self._scheduler = scheduler
        self._registry = registry
        self._feed = feed
        self._settle = settle
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether something is still to be given back."""
        return bool(self._closing) or any(pool.busy for pool in self.pools.values())

    def check(self, entries: Iterable[NodeEntry]) -> None:
        """Raises LabError where a name stands for another node, or pool, in a running experiment."""
        self._registry.check(entries)
        for entry in entries:
            pool = self.pools.get(entry["name"])
            if pool is not None and _another(pool.entry, entry) and (pool.active or pool.allocations):
                what = f'"{pool.name}" asks for other allocations in a running experiment'
                raise LabError(what, "give one of them another name")

    def connect(self, entry: NodeEntry, environment: Mapping[str, str]) -> None:
        """Connect to a node, or, where the entry is a pool, ask for some as the run needs that begins now. Raises
        LabError."""
        if not is_pool(entry):
            self._registry.connect(entry, environment)
            return
        self.check([entry])
        name = entry["name"]
        self._feed(_added(entry))
        try:
            pool = self._pool(entry, environment)
        except SupplyError as error:
            self._feed(PoolSurveyed(name, str(error)))
        else:
            pool.begin(environment)

    def _pool(self, entry: NodeEntry, environment: Mapping[str, str]) -> Pool:
        """Raises SupplyError."""
        before = self.pools.get(entry["name"])
        if before is not None and not _another(before.entry, entry):
            return before
        supply = supply_for(entry, self.lab, environment)
        if before is not None:
            task = asyncio.create_task(before.close(at_once=False))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        pool = Pool(entry, supply, self.record, self._scheduler, self._registry, self._feed, self._settle)
        self.pools[pool.name] = pool
        return pool

    def recover(self) -> None:
        """Take up what an earlier engine has asked for: what works goes on, the rest is used or given back. What ran on
        nodes that are gone is lost."""
        self.record.compact()
        found: dict[str, list[str]] = {}
        for one in self.record.open.values():
            found.setdefault(one.pool, []).append(one.name)
        for name, names in found.items():
            self._feed(_added(self.record.open[names[-1]].entry))
            try:
                self._pool(self.record.open[names[-1]].entry, {}).adopt(names)
            except SupplyError as error:
                log.error("%s: %s; not given back: %s", name, error, ", ".join(names))
        known = {node for one in self.record.open.values() for node in one.nodes}
        for run in list(self._scheduler.runs.values()):
            for node in run.in_flight.nodes:
                pool = self.pool_of(node, run.node_names)
                if pool and node not in known:
                    lose(self._feed, node, pool, self.record.ended.get(node, "node-lost"))

    @staticmethod
    def pool_of(node: str, entries: Iterable[str]) -> str:
        """Return the entry that a node was granted for; empty where an entry names the node itself."""
        names = [name for name in entries if node == name or node.startswith(f"{name}.")]
        found = max(names, key=len, default="")
        return "" if found == node else found

    async def close(self, *, at_once: bool) -> None:
        """Give back all; at once, what works goes on if it can."""
        await asyncio.gather(*(pool.close(at_once=at_once) for pool in self.pools.values()))
        if self._closing:
            await asyncio.wait(self._closing)

    def shown(self) -> list[NodeStatus]:
        """Return the pools that are in use, as rows above their nodes."""
        return [
            NodeStatus(
                name=pool.name,
                state="drained" if self._scheduler.pools[pool.name].drained else "pool",
                tags=pool.entry.get("tags", []),
                host=pool.entry.get("host"),
                error=pool.hopeless or pool.why or None,
                doing=None if pool.hopeless or pool.why else pool.text() or _up(pool.counts()["up"]),
                pending=pool.counts()["pending"],
                starts_in=pool.starts_in(),
            )
            for pool in self.pools.values()
            if pool.active or pool.allocations
        ]

    def notice(self) -> str:
        """Return what runs wait for, for the user; empty where all is well."""
        said = [(pool.name, pool.text()) for pool in self.pools.values() if pool.active]
        return "; ".join(f"{name}: {text}" for name, text in said if text)


def _up(count: int) -> str:
    return f"{count} allocation{' is' if count == 1 else 's are'} up"


def _added(entry: NodeEntry) -> PoolAdded:
    return PoolAdded(entry["name"], entry.get("slots", 0), entry.get("resources") or {})


def _another(one: NodeEntry, other: NodeEntry) -> bool:
    """Return whether two entries mean different pools."""
    mine, theirs = (
        {key: value for key, value in dict(entry).items() if key not in _OF_A_RUN} for entry in (one, other)
    )
    return mine != theirs
