"""The allocations of one pool: how many are asked for, how they stand, and when they are given back."""

from __future__ import annotations

import asyncio
import logging
import posixpath
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.core.events import AllocationEnded, DeadlineMoved, Event, NodeAdded, NodeRemoved, PoolSurveyed
from tui_lab.engine.core.model import NodeLimits
from tui_lab.engine.core.run import RunState
from tui_lab.engine.core.scheduler import SUPPLIED_IN, Scheduler
from tui_lab.engine.pools.needs import most_needed
from tui_lab.engine.pools.quota import Quota, Standing
from tui_lab.engine.pools.record import AllocationRecord
from tui_lab.engine.registry import NodeRegistry
from tui_lab.engine.transports.supply import Cause, Offer, Request, Supply, SupplyError
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.cluster.model import NOT_IN_NODE_NAMES
from tui_lab.store.errors import LabError
from tui_lab.store.fold import FAULTLESS

log = logging.getLogger(__name__)

STEP: Final = 0.25  # seconds between two looks at what is needed
SOON: Final = 2.0  # seconds after which a new request is asked about
BETWEEN: Final = 1.0  # seconds between two requests
TO_CONNECT: Final = 5.0  # seconds that nodes of other entries have to show their free slots
FAILURES: Final = 3  # allocations in a row that fail before their agent answers, and no more are asked for
UNSEEN: Final = 3  # surveys that do not name an allocation, which is then over
BACK_OFF: Final = 300.0  # seconds that an engine which does not answer is left alone at most
PATIENCE: Final = 60.0  # seconds without an answer after which our own engine need not wait for it
LOOKS: Final = 10  # allocations that are looked at together when their connections have ended
LAST: Final = 20.0  # seconds for the end


@dataclass(eq=False)
class Allocation:
    """One request, and what has come of it. `nodes`: by their names, as the engine offers them. `known`: nodes that it
    was to an earlier engine of ours."""

    name: str
    since: float  # monotonic: when it was asked for, or found
    ours: bool = True  # else an earlier engine has asked for it
    offer: Offer | None = None
    nodes: dict[str, Offer] = field(default_factory=dict)
    known: Sequence[str] = ()
    unseen: int = 0  # surveys in a row that did not name it
    answered: bool = False  # its agent has
    leaving: bool = False  # it is being given back

    @property
    def up(self) -> bool:
        """Whether it is there."""
        return bool(self.nodes)


class Pool:
    """`settle` is called before a node is given back: what it has reported must be durable, and acknowledged."""

    def __init__(
        self,
        entry: NodeEntry,
        supply: Supply,
        record: AllocationRecord,
        scheduler: Scheduler,
        registry: NodeRegistry,
        feed: Callable[[Event], None],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self.entry = entry.copy()
        self.name = entry["name"]
        self.supply = supply
        self.why = ""  # what the engine said last, where it was no answer
        self.hopeless = ""
        self.limits = NodeLimits()
        self.walltime: float | None = None  # seconds that an allocation has, if that is known
        self.allocations: dict[str, Allocation] = {}
        settings: Any = dict(entry).get(entry["transport"]) or {}
        self.quota = Quota(settings.get("min", 0), settings.get("max", 64), settings.get("idle", 10.0))
        self.every: float = settings.get("every", supply.traits.every)
        self.leave: float = settings.get("leave", 600.0)
        self._record = record
        self._scheduler = scheduler
        self._registry = registry
        self._feed = feed
        self._settle = settle
        self._born = self._begun = time.monotonic()
        self._surveyed = self._asked = self._looked = float("-inf")
        self._due = float("inf")  # of the next survey
        self._has_limits = False
        self._failed = 0  # allocations in a row
        self._troubles = 0  # questions in a row that had no answer
        self._silent_since: float | None = None
        self._next = 0.0  # monotonic: nothing is asked of the engine before
        self._wake = asyncio.Event()
        self._stop = False
        self._life: asyncio.Task[None] | None = None

    # --- Life

    def begin(self, environment: Mapping[str, str]) -> None:
        """A run begins that names this pool."""
        self.supply.renew(environment)
        self._begun = time.monotonic()
        self._failed = self._troubles = 0
        self._next = 0.0
        self._has_limits = False
        self._say_hopeless("")
        self.start()

    def adopt(self, names: Sequence[str]) -> None:
        """Take up what an earlier engine has asked for."""
        now = time.monotonic()
        for name in names:
            self.allocations[name] = Allocation(name, now, ours=False, known=tuple(self._record.open[name].nodes))
        self._due = now
        self.start()

    def start(self) -> None:
        """Begin to look after it, at once."""
        self._wake.set()
        if self._life is None or self._life.done():
            self._life = asyncio.create_task(self._keep())

    @property
    def active(self) -> bool:
        """Whether a run needs it."""
        return bool(self._runs())

    @property
    def busy(self) -> bool:
        """Whether our engine is needed: there are allocations, and the engine that granted them answers."""
        silent = self._silent_since is not None and time.monotonic() - self._silent_since > PATIENCE
        return bool(self.allocations) and not silent

    def _runs(self) -> list[RunState]:
        runs = (self._scheduler.runs[name] for name in self._scheduler.active)
        return [run for run in runs if self.name in run.homes]

    async def _keep(self) -> None:
        while not self._stop and (self.allocations or self.active):
            if time.monotonic() >= self._next:
                try:
                    await self._look()
                    self._troubles, self._silent_since, self.why = 0, None, ""
                except SupplyError as error:
                    self._on_trouble(str(error), fatal=error.fatal)
                except LabError as error:
                    self._on_trouble(str(error), fatal=False)
                except Exception as error:
                    log.exception("%s", self.name)
                    self._on_trouble(f"the engine failed: {error!r}; see engine.log", fatal=True)
            self._wake.clear()
            try:
                async with asyncio.timeout(STEP):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _on_trouble(self, why: str, *, fatal: bool) -> None:
        now = time.monotonic()
        log.warning("%s: %s", self.name, why)
        self.why = why
        self._troubles += 1
        self._silent_since = self._silent_since or now
        self._next = now + min(BACK_OFF, 2.0 ** min(self._troubles, 10))
        if fatal:
            self._say_hopeless(why)

    def _say_hopeless(self, why: str) -> None:
        if why != self.hopeless:
            self.hopeless = why
            self._tell()

    def _tell(self) -> None:
        as_needed = self.supply.traits.as_needed
        self._feed(PoolSurveyed(self.name, self.hopeless, self.walltime, self.limits, as_needed))

    async def _read_limits(self) -> None:
        self._has_limits = True
        try:
            limits = await self.supply.limits()
        except SupplyError as error:
            log.warning("%s: its limits are not known: %s", self.name, error)
        else:
            self.limits = NodeLimits(limits.cpus, limits.memory, limits.gpus)
            self.walltime = self.walltime if limits.walltime is None else limits.walltime
            self._tell()

    def _set_walltime(self, walltime: float | None) -> None:
        if walltime is not None and walltime != self.walltime:
            self.walltime = walltime
            self._tell()

    async def _look(self) -> None:
        if not self._has_limits and self.active:
            await self._read_limits()
        now = time.monotonic()
        if now >= self._due:
            await self._survey()
        self._note_answers()
        if now - self._looked >= BETWEEN:
            await self._look_at_doubtful()
        missing = self._missing()
        await self._give_back(self._needless(missing, time.monotonic()))
        asked = self.quota.to_ask(missing, self._standing()) if self.active and not self.drained else 0
        if asked > 0 and not self.hopeless and now - self._asked >= BETWEEN:
            await self._ask(asked)

    # --- How many

    @property
    def drained(self) -> bool:
        """Whether nothing new starts here, by command."""
        return self._scheduler.pools[self.name].drained

    def _missing(self) -> int:
        """How many allocations would have work, besides those that are ready."""
        settling, machines = time.monotonic() - self._begun < TO_CONNECT, self.supply.machines
        return -(-self._scheduler.missing(self.name, self.quota.most * machines, settling=settling) // machines)

    def _standing(self) -> list[Standing]:
        return [
            Standing(one.name, one.up, self._is_ready(one), self._is_busy(one), self._is_over(one), one.leaving)
            for one in self.allocations.values()
        ]

    def _is_over(self, one: Allocation) -> bool:
        """Whether it has nothing to do, and can't take anything of what waits."""
        if self._works(one) or not self._is_ready(one):
            return False
        return all(self._scheduler.is_of_no_use(node.state, time.monotonic()) for node in self._nodes(one))

    def _needless(self, missing: int, now: float) -> list[Allocation]:
        """What is to be given back now."""
        if not self.active:
            # Where an earlier engine has asked for it, a client may be about to go on.
            settled = now - self._born > SUPPLIED_IN
            return [one for one in self.allocations.values() if (one.ours or settled) and not self._works(one)]
        if self.drained:
            return [one for one in self.allocations.values() if not self._works(one)]
        return [self.allocations[name] for name in self.quota.to_give_back(missing, self._standing(), now)]

    def _works(self, one: Allocation) -> bool:
        names = {*one.nodes, *one.known}
        return any(run.in_flight.uses(node) for run in self._scheduler.runs.values() for node in names)

    def _is_busy(self, one: Allocation) -> bool:
        """Whether it works, or what its tasks need is being sent to it."""
        return self._works(one) or any(node.state.staging for node in self._nodes(one))

    def _is_ready(self, one: Allocation) -> bool:
        return one.up and all(node in self._registry.nodes and self._registry.nodes[node].ready for node in one.nodes)

    def _note_answers(self) -> None:
        for one in self.allocations.values():
            for name in one.nodes:
                node = self._registry.nodes.get(name)
                if node is None:
                    continue
                if node.ready:
                    one.answered, self._failed = True, 0

    # --- Talking to the engine

    async def _ask(self, count: int) -> None:
        names = self._record.ask(self.name, self.entry, count)
        now = self._asked = time.monotonic()
        self.allocations |= {name: Allocation(name, now) for name in names}
        self._due = min(self._due, max(now + min(SOON, self.every), self._surveyed + self.every))
        slots = self.entry.get("slots", 0)
        needs = most_needed(self._runs())
        requests = [Request(name, self._spool(name), slots, self.leave, needs=needs) for name in names]
        await self.supply.ask(requests)

    def _spool(self, name: str) -> str:
        return posixpath.join(self.entry.get("spool") or "", name)

    async def _survey(self) -> None:
        offers = await self.supply.survey()
        now = self._surveyed = time.monotonic()
        self._due = now + self.every
        by_name = _by_name(offers)
        for one in list(self.allocations.values()):
            self._take(one, by_name.get(one.name, []))
        strangers = [name for name in by_name if self._is_stranger(name, by_name[name])]
        if strangers:  # a lab that has lost its file
            log.warning("%s: gives back %s", self.name, ", ".join(strangers))
            await self.supply.give_back(strangers)

    def _is_stranger(self, name: str, offers: Sequence[Offer]) -> bool:
        prefix = self._record.prefix_of(self.name)
        mine = name.startswith(prefix) and name[len(prefix) :].isdigit()
        return mine and name not in self.allocations and any(offer.state != "ended" for offer in offers)

    async def _look_at_doubtful(self) -> None:
        """Ask what has become of allocations whose connections have ended."""
        doubtful = [one for one in self.allocations.values() if any(node.doubtful for node in self._nodes(one))]
        if not doubtful:
            return
        self._looked = time.monotonic()
        looked_at = doubtful[:LOOKS]
        for node in [node for one in looked_at for node in self._nodes(one)]:
            node.doubtful = False
        by_name = _by_name(await self.supply.look([one.offer for one in looked_at if one.offer is not None]))
        for one in looked_at:
            if one.name in by_name and one.name in self.allocations:
                self._take(one, by_name[one.name])

    def _take(self, one: Allocation, offers: Sequence[Offer]) -> None:
        if one.leaving:
            if all(offer.state == "ended" for offer in offers):
                self._forget([one], "ended")
            return
        one.unseen = 0 if offers else one.unseen + 1
        if not offers:
            if one.offer is not None or one.unseen >= UNSEEN or not one.ours:
                self._on_ended(one, "node-lost", "it is not known there any more")
            return
        if all(offer.state == "ended" for offer in offers):
            self._on_ended(one, offers[0].cause, offers[0].why)
            return
        names = {self.node_name(offer) for offer in offers if offer.state != "pending"}
        for name in [name for name in one.nodes if name not in names]:  # it was requeued, and is or will be another
            self._end_node(one, name, "preempted", "it was requeued")
        for name in one.known:
            if name not in names:
                lose(self._feed, name, self.name, "preempted")
        one.known = [name for name in one.known if name in names]
        for offer in offers:
            one.offer = offer
            if offer.state == "up":
                self._on_up(one, offer)
            elif offer.state == "ended":
                self._end_node(one, self.node_name(offer), offer.cause, offer.why)
            elif offer.never:
                self._say_hopeless(offer.why or "it can't ever grant this")

    def node_name(self, offer: Offer) -> str:
        """Return what an offer is called as a node."""
        number = offer.id or offer.name.rpartition("-")[2]
        return NOT_IN_NODE_NAMES.sub("-", ".".join(filter(None, (self.name, number, offer.part))))

    def _on_up(self, one: Allocation, offer: Offer) -> None:
        name = self.node_name(offer)
        if name not in one.nodes:
            self._record.grant(one.name, offer.id, name)
            one.nodes[name] = offer
            entry: NodeEntry = {**self.entry, "name": name, "pool": self.name}
            self._registry.grant(entry, lambda: self.supply.way(one.nodes.get(name, offer)))
            if one.ours and self.walltime is None and not offer.cause:
                self._set_walltime(offer.ends_in)  # later ones may be those of a preemption
        one.nodes[name] = offer
        self._feed(DeadlineMoved(name, offer.ends_in, loss_of(offer.cause) if offer.cause else ""))

    def _end_node(self, one: Allocation, name: str, cause: Cause, why: str) -> None:
        """What a node ran is lost at once."""
        if one.nodes.pop(name, None) is not None:
            log.info("node %s has ended: %s %s", name, cause, why)
            self._feed(AllocationEnded(name, loss_of(cause)))
            if name in self._registry.nodes:
                self._registry.drop(self._registry.nodes[name])

    def _on_ended(self, one: Allocation, cause: Cause, why: str) -> None:
        """An allocation is over, and not by us."""
        errors = [node.state.error for node in self._nodes(one) if node.state.error]
        for name in list(one.nodes):
            self._end_node(one, name, cause, why)
        for name in one.known:
            lose(self._feed, name, self.name, cause)
        del self.allocations[one.name]
        self._record.end([one.name], cause)
        if one.ours and not one.answered and cause in ("failed", "ended", "node-lost"):
            self._failed += 1
            if self._failed >= FAILURES:
                said = why or (errors[0] if errors else "their agents did not answer")
                self._say_hopeless(f"{self._failed} allocations have failed; the last: {said}")

    def _nodes(self, one: Allocation) -> list[NodeConnection]:
        return [self._registry.nodes[name] for name in one.nodes if name in self._registry.nodes]

    async def _give_back(self, given: Sequence[Allocation]) -> None:
        """End allocations: first their agents, in order."""
        if not given:
            return
        await self._settle()
        given = [one for one in given if one.name in self.allocations and (one.leaving or not self._works(one))]
        for one in given:
            one.leaving = True
        for node in [node for one in given for node in self._nodes(one) if self._works(one)]:
            self._feed(AllocationEnded(node.name, "cancelled"))
        farewells = [self._registry.drop(node) for one in given for node in self._nodes(one)]
        if farewells:
            await asyncio.wait(farewells)
        await self.supply.give_back([one.name for one in given])
        self._forget(given, "ended")

    def _forget(self, given: Sequence[Allocation], cause: Cause) -> None:
        for one in given:
            for name in list(one.nodes):
                self._end_node(one, name, cause, "given back")
            self.allocations.pop(one.name, None)
        self._record.end([one.name for one in given], cause)

    async def close(self, *, at_once: bool) -> None:
        """Give back what is left; at once, what works goes on if it can, for another engine to take it up."""
        self._stop = True
        self._wake.set()
        try:
            async with asyncio.timeout(LAST):
                if self._life is not None:
                    await asyncio.shield(self._life)
                stay = at_once and self.supply.traits.survives
                given = [one for one in self.allocations.values() if not (stay and self._works(one))]
                for one in given:
                    one.leaving = True
                await self._give_back(given)
        except TimeoutError:
            log.warning("%s: the next engine gives back what is left", self.name)
        except (SupplyError, LabError) as error:
            log.warning("%s: %s; the next engine gives back what is left", self.name, error)
        await self.supply.close()

    # --- How it stands

    def counts(self) -> Counter[str]:
        """Return how many allocations are up, and how many wait."""
        return Counter("up" if one.up else "pending" for one in self.allocations.values() if not one.leaving)

    def ends_in(self, node: str) -> float | None:
        """Return the seconds that are left of the allocation of a node."""
        ends = [one.nodes[node].ends_in for one in self.allocations.values() if node in one.nodes]
        left = ends[0] if ends else None
        return None if left is None else round(max(0.0, left - (time.monotonic() - self._surveyed)), 1)

    def job_of(self, node: str) -> str | None:
        """Return what the engine that granted a node calls its allocation."""
        return next((one.nodes[node].id for one in self.allocations.values() if node in one.nodes), "") or None

    def starts_in(self) -> float | None:
        """Return the seconds until the first of those that wait is thought to begin."""
        known = [one.offer.starts_in for one in self._pending() if one.offer is not None]
        first = min((one for one in known if one is not None), default=None)
        return None if first is None else round(max(0.0, first - (time.monotonic() - self._surveyed)), 1)

    def _pending(self) -> list[Allocation]:
        return [one for one in self.allocations.values() if not one.up and not one.leaving]

    def text(self) -> str:
        """Return how it stands, for the user; empty where nothing is to be said."""
        pending = self._pending()
        if self.hopeless or self.why:
            return self.hopeless or f"{self.why}; it is tried again"
        if not pending:
            return ""
        whys = Counter(one.offer.why for one in pending if one.offer is not None and one.offer.why)
        about = [why for why, _ in whys.most_common(2)]
        if (first := self.starts_in()) is not None:
            about.append(f"the first in about {first / 60:.0f} min")
        shown = f" ({', '.join(about)})" if about else ""
        return f"{len(pending)} allocation{'s wait' if len(pending) > 1 else ' waits'} to begin{shown}"


def _by_name(offers: Sequence[Offer]) -> dict[str, list[Offer]]:
    found: dict[str, list[Offer]] = {}
    for offer in offers:
        found.setdefault(offer.name, []).append(offer)
    return found


def loss_of(cause: str) -> str:
    """Return the reason of the loss of what ran in an allocation that has ended."""
    return cause if cause in FAULTLESS else "node-lost"


def lose(feed: Callable[[Event], None], node: str, pool: str, cause: str) -> None:
    """Lose what an earlier engine left on a node whose allocation is over."""
    feed(NodeAdded(node, remote=True, pool=pool))
    feed(AllocationEnded(node, loss_of(cause)))
    feed(NodeRemoved(node))
