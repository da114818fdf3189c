"""How many nodes of a pool are asked for, and what is given back: the scheduler alone, and the quota alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.store.events import submitted
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.core.effects import Stage
from tui_lab.engine.core.events import (
    DeadlineMoved,
    Event,
    NodeAdded,
    NodeWelcomed,
    PauseRequested,
    PoolAdded,
    PoolDrained,
    PoolSurveyed,
    RunBegun,
    RunLoaded,
    Staged,
    Woken,
)
from tui_lab.engine.core.model import Moment, NodeLimits, RunSettings
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.engine.pools.quota import Quota, Standing
from tui_lab.protocol.agent import Welcome
from tui_lab.store.events import JournalBegun
from tui_lab.store.fold import State

BIG: Any = {"name": "big", "slots": 4, "tags": ["gpu"]}
LOCAL: Any = {"name": "here", "slots": 3}


class Demand:
    """A scheduler with the pool `big`."""

    def __init__(self, slots: int = 4) -> None:
        self.scheduler = Scheduler(Moment(1.0, 1.0))
        self.feed(PoolAdded("big", slots))

    def feed(self, *events: Event) -> None:
        for event in events:
            for effect in self.scheduler.handle(event, Moment(2.0, 2.0)):
                if isinstance(effect, Stage):
                    self.feed(Staged(effect.experiment, effect.node, effect.submission))

    def run(self, count: int, name: str = "e", nodes: Any = (BIG,), **settings: Any) -> None:
        """Begin a run with so many tasks."""
        ids = np.arange(count, dtype=np.int64)
        state, asked = State(), [[0, count - 1]]
        state.apply(JournalBegun(2, "0123456789abcdef"))
        state.apply(submitted(plan=1, planned=asked, queued=asked, nodes=list(nodes), keep_going=True))
        self.feed(RunLoaded(name, state), RunBegun(name, RunSettings(ids, ids * 0, **settings)), Woken(), Woken())

    def node(self, name: str, slots: int, pool: str = "", *, plans: bool = True) -> None:
        """A node that has four cores is up."""
        welcome = Welcome(PROTOCOL, 1, name, "3.12.0", slots, slots, [], True, "", {"cores": 4}, [], "", None)
        self.feed(NodeAdded(name, remote=True, slots=slots, pool=pool), NodeWelcomed(name, welcome, 1 << 30))
        self.feed(*([Woken(), Woken()] if plans else []))

    def missing(self, most: int = 64, *, settling: bool = False) -> int:
        return self.scheduler.missing("big", most, settling=settling)


def test_what_waits_is_counted_in_slots() -> None:
    demand = Demand()
    assert demand.missing() == 0
    demand.run(10)
    assert (demand.missing(), demand.missing(2)) == (3, 2)
    demand.node("big.1", 4, "big", plans=False)
    assert demand.missing() == 2, "it takes four as soon as it can"
    demand.feed(Woken(), Woken())
    assert demand.missing() == 2, "four of its eight wait behind the others, and two for a node"
    demand.feed(PoolDrained("big", True))
    assert demand.missing() == 0
    demand.feed(PoolDrained("big", False), PoolSurveyed("big", "no such partition"))
    assert demand.missing() == 0


def test_other_nodes_take_their_part_first() -> None:
    demand = Demand()
    demand.feed(NodeAdded("here", remote=True, slots=3))
    demand.run(4, nodes=[BIG, LOCAL])
    assert (demand.missing(settling=True), demand.missing()) == (0, 1)
    demand.node("here", 3, plans=False)
    assert demand.missing(settling=True) == 1, "three of the four are for the other node"
    demand.feed(PauseRequested("e"))
    assert demand.missing() == 0


def test_the_first_node_shows_how_many_tasks_one_takes() -> None:
    demand = Demand(slots=0)
    demand.run(100)
    assert demand.missing() == 1
    demand.node("big.1", 8, "big")
    assert demand.missing() == (100 - 8) // 8 + 1


def test_runs_share_the_nodes_that_come() -> None:
    demand = Demand()
    demand.run(3, "first")
    demand.run(3, "second", priority=1)
    demand.run(50, "elsewhere", nodes=[LOCAL])
    assert demand.missing() == 2
    demand.node("big.1", 4, "big", plans=False)
    assert demand.missing() == 1, "its four slots count once"


def test_tags_say_which_tasks_a_pool_takes() -> None:
    demand = Demand()
    demand.run(10, run_on={"": ("not gpu",)})
    assert demand.missing() == 0
    demand.run(10, "other", run_on={"": ("gpu",)})
    assert demand.missing() == 3


@pytest.mark.parametrize(
    ("cpus", "limits", "missing"),
    [(2, NodeLimits(), 3), (2, NodeLimits(cpus=4), 5), (3, NodeLimits(cpus=4), 10), (5, NodeLimits(cpus=4), 0)],
)
def test_needs_say_how_many_tasks_a_node_takes(cpus: int, limits: NodeLimits, missing: int) -> None:
    demand = Demand()
    demand.feed(PoolSurveyed("big", limits=limits))
    demand.run(10, has_needs=True, needs=lambda key, changes: {"cpus": cpus})
    assert demand.missing() == missing
    if missing:
        demand.node("big.1", 4, "big")
        assert demand.missing() >= missing - 1


def test_tasks_that_lack_tokens_ask_for_nothing() -> None:
    demand = Demand()
    needs: Any = {"tokens": {"license": 1}}
    demand.run(100, has_needs=True, limits={"license": 5}, needs=lambda key, changes: needs)
    assert demand.missing() == 2
    demand.run(10_000, "more", has_needs=True, needs=lambda key, changes: {"cpus": 1})
    assert demand.missing(10_000) == 2501 + 1, "what is behind the first thousand is like them"
    demand.run(100, "slow", stagger=5.0)
    assert demand.missing(10_000) == 2501 + 1, "one at a time"


def test_what_can_not_end_in_time_asks_for_nothing() -> None:
    demand = Demand()
    demand.feed(PoolSurveyed("big", walltime=100.0))
    demand.run(20, timeout=lambda key, changes: 50.0 if key[0] < 10 else 500.0)
    assert demand.missing() == 3
    demand.node("big.1", 4, "big", plans=False)
    demand.feed(DeadlineMoved("big.1", 20.0), Woken(), Woken())
    node = demand.scheduler.nodes["big.1"]
    assert demand.scheduler.is_of_no_use(node, 2.0) and demand.missing() == 3, "it has too little time left"


UP = Standing("a", granted=True, ready=True, works=False)
WORKS = UP._replace(works=True)
WAITS = Standing("a", granted=False, ready=False, works=False)


def named(*standing: Standing) -> list[Standing]:
    return [one._replace(name=name) for one, name in zip(standing, "abcdef", strict=False)]


def test_a_quota_asks_for_what_is_missing() -> None:
    quota = Quota(1, 4, idle=5.0)
    assert quota.to_ask(0, []) == 1, "the least"
    assert quota.to_ask(9, []) == 4, "the most"
    assert quota.to_ask(3, named(WORKS, WAITS)) == 2
    assert quota.to_ask(9, named(WORKS, WORKS, WORKS, WAITS)) == 0
    assert quota.to_ask(1, named(UP._replace(over=True))) == 1, "in the place of one that is of no use"
    assert quota.to_ask(1, named(UP._replace(leaving=True))) == 1


def test_a_quota_gives_back_what_has_no_work_for_a_while() -> None:
    quota = Quota(1, 4, idle=5.0)
    standing = named(WORKS, UP, UP, WAITS)
    assert quota.to_give_back(1, standing, 0.0) == []
    assert quota.to_give_back(1, standing, 4.0) == []
    assert quota.to_give_back(1, named(WORKS, WORKS, UP, WAITS), 5.0) == ["c"]
    assert quota.to_give_back(0, named(WORKS, WAITS, WAITS), 6.0) == []
    assert quota.to_give_back(0, named(WORKS, WAITS, WAITS), 11.0) == ["b", "c"]
    quota.to_give_back(0, named(UP, UP), 20.0)
    assert quota.to_give_back(0, named(UP, UP), 30.0) == ["a"], "the least stay"
    assert quota.to_give_back(1, named(UP._replace(over=True), WORKS), 31.0) == ["a"]
    assert Quota(0, 1, 0.0).to_give_back(0, named(UP), 0.0) == [], "not at the first look"


def test_resources_that_the_cluster_file_gives_nodes() -> None:
    demand = Demand()
    demand.feed(PoolAdded("big", 4, {"scope": 2}))
    wanted: Any = {"scope": 1}
    demand.run(10, has_needs=True, needs=lambda key, changes: wanted)
    assert demand.missing() == 5, "two on each"
    demand.feed(PoolAdded("big", 4))
    assert demand.missing() == 0, "no node has one"
