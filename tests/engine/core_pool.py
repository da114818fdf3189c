"""A pool for the scheduler's made-up world: what is asked for is granted late, or never, and ends by its walltime, by
preemption, by a person, or with its machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui_lab.engine.core.events import (
    AllocationEnded,
    NodeAdded,
    NodeDisconnected,
    NodeRemoved,
    PoolAdded,
    PoolDrained,
    PoolSurveyed,
)
from tui_lab.engine.pools.quota import Quota, Standing

if TYPE_CHECKING:
    from tests.engine.core_world import World

NAME = "big"


@dataclass
class Allocation:
    """`cause`: why it has ended; empty before. `asked`: when."""

    node: str
    asked: float
    up: bool = False
    cause: str = ""
    told: bool = False  # this engine knows it as a node


class Pool:
    """Of a world. What is asked for outlives engines."""

    def __init__(self, world: World) -> None:
        random = world.random
        self.world = world
        self.slots = random.randint(1, 3)
        self.tells_slots = random.random() < 0.7
        least, most = random.choice([0, 0, 1]), random.randint(1, 4)
        self.quota = Quota(least, most, idle=random.choice([0.0, 5.0, 60.0]))
        self.allocations: dict[str, Allocation] = {}
        self.count = 0
        self.hopeless = ""

    def begin_engine(self) -> None:
        """Another engine reads what was asked for; its nodes come with the first survey."""
        self.quota = Quota(self.quota.least, self.quota.most, self.quota.idle)
        self.world.feed(PoolAdded(NAME, self.slots if self.tells_slots else 0))
        for one in self.allocations.values():
            one.told = False
        known = {one.node for one in self.allocations.values()}
        for name in self.world.scheduler.runs["e"].in_flight.nodes:
            if "." in name and name not in known:
                self.world.feed(NodeAdded(name, remote=True, pool=NAME))
                self.lose(name, "node-lost")

    def look(self, *, calm: bool = False) -> None:
        """Survey, ask and give back, as the engine does from time to time. calm: nothing goes wrong."""
        self.survey(calm=calm)
        self.world.wake()  # as there is much time between two looks
        scheduler, now = self.world.scheduler, self.world.clock
        pool = scheduler.pools[NAME]
        missing = scheduler.missing(NAME, self.quota.most, settling=False)
        assert 0 <= missing <= self.quota.most
        if pool.drained or not any(NAME in scheduler.runs[name].homes for name in scheduler.active):
            gone = [name for name, one in self.allocations.items() if not self.works(one)]
        else:
            gone = self.quota.to_give_back(missing, self.standing(), now)
            if not self.hopeless:
                self.ask(self.quota.to_ask(missing, self.standing()) if not gone else 0)
        for name in gone:
            self.end(name, "cancelled")

    def ask(self, count: int) -> None:
        for _ in range(count):
            self.count += 1
            self.allocations[f"tl-{self.count}"] = Allocation(f"{NAME}.{self.count}", self.world.clock)
        assert len(self.allocations) <= self.quota.most

    def standing(self) -> list[Standing]:
        scheduler = self.world.scheduler
        found = []
        for name, one in self.allocations.items():
            ready, works = one.told and scheduler.nodes[one.node].ready, self.works(one)
            over = ready and not works and scheduler.is_of_no_use(scheduler.nodes[one.node], self.world.clock)
            found.append(Standing(name, one.told, ready, works, over))
        return found

    def works(self, one: Allocation) -> bool:
        return any(run.in_flight.uses(one.node) for run in self.world.scheduler.runs.values())

    def survey(self, *, calm: bool) -> None:
        """What the queue of the cluster says."""
        world = self.world
        for name, one in list(self.allocations.items()):
            if one.cause:
                self.end(name, one.cause)
            elif not one.up and (calm or world.chance(0.4)):
                one.up = True
                world.add_agent(one.node, self.slots)
            if one.up and not one.cause and not one.told:
                one.told = True
                world.feed(NodeAdded(one.node, remote=True, slots=0, lost_after=30.0, pool=NAME))

    def end_one(self) -> None:
        """An allocation ends, and the engine hears of it later; its agent may have had time to say what it knows."""
        world = self.world
        up = [one for one in self.allocations.values() if one.up and not one.cause]
        if up:
            one = world.random.choice(up)
            one.cause = world.random.choice(["walltime", "preempted", "cancelled", "node-lost"])
            agent = world.agents.pop(one.node)
            if one.told and agent.connected and world.chance(0.5):
                world.feed(NodeDisconnected(one.node, "the connection has ended", tries=1))

    def end(self, name: str, cause: str) -> None:
        """It is over, and the engine knows."""
        one, world = self.allocations.pop(name), self.world
        world.agents.pop(one.node, None)
        if not one.told:
            if not one.up:
                return
            world.feed(NodeAdded(one.node, remote=True, pool=NAME))
        self.lose(one.node, cause)

    def lose(self, node: str, cause: str) -> None:
        """A node is gone for good."""
        self.world.feed(AllocationEnded(node, cause))
        self.world.feed(NodeRemoved(node))

    def fail(self) -> None:
        """For a while it can grant nothing."""
        self.hopeless = "no such partition"
        self.world.feed(PoolSurveyed(NAME, self.hopeless))

    def begin(self) -> None:
        """A client comes."""
        self.hopeless = ""
        self.world.feed(PoolSurveyed(NAME))

    def drain(self, drained: bool) -> None:
        self.world.feed(PoolDrained(NAME, drained))
