"""The scheduler alone, with nodes that are granted for a time: what starts there can end there, and what never can
fails."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from tests.store.events import submitted
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.core.effects import Assign, Commit, Stage
from tui_lab.engine.core.events import (
    AgentMessages,
    AllocationEnded,
    DeadlineMoved,
    Event,
    NodeAdded,
    NodeRemoved,
    NodeWelcomed,
    PoolAdded,
    PoolSurveyed,
    RunBegun,
    RunLoaded,
    Staged,
    Tick,
    Woken,
)
from tui_lab.engine.core.model import AttemptKey, Moment, RunSettings
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.engine.core.times import HINT
from tui_lab.protocol.agent import Finished, Returned, Started, Welcome
from tui_lab.store.events import Changes, JournalBegun
from tui_lab.store.events import Finished as AttemptFinished
from tui_lab.store.fold import State

RAN = ("1:37", "1:38")
CUT = 2.0  # seconds before the end at which an agent cuts off what runs


class Allocation:
    """An agent with one slot, which can start tasks after its setup. There is an allocation until `ends`."""

    def __init__(self, name: str, begins: float, ends: float, setup: float) -> None:
        self.name = name
        self.ends = ends
        self.prepared = begins + setup
        self.waiting: list[tuple[AttemptKey, float, bool]] = []
        self.running: dict[AttemptKey, float] = {}  # since when
        self.idle_since = begins


class Site:
    """One experiment, and a pool that grants allocations one after the other, `most` at a time.

    takes: seconds that each task takes; two tasks are a combination. timeout: of all, if there is one.
    """

    def __init__(
        self,
        takes: list[float],
        *,
        walltime: float,
        setup: float = 0.0,
        most: int = 1,
        timeout: float | None = None,
        seed: int = 0,
        known: bool = True,
        resumes: bool = False,
    ) -> None:
        self.takes, self.walltime, self.setup, self.most = takes, walltime, setup, most
        self.timeout = timeout
        self.random = random.Random(seed)
        self.clock = 1000.0
        self.granted = 0
        self.allocations: dict[str, Allocation] = {}
        self.started = Counter[int]()
        self.ended: dict[int, AttemptFinished] = {}
        self.all_ends: list[AttemptFinished] = []
        ids = np.arange(len(takes), dtype=np.int64)
        state = State()
        state.apply(JournalBegun(2, "0123456789abcdef"))
        asked = [[0, len(takes) - 1]]
        entries = [{"name": "big", "slots": 1}]
        state.apply(submitted(plan=1, planned=asked, queued=asked, nodes=entries, keep_going=True))
        self.resumes = frozenset([""] if resumes else [])
        self.settings = RunSettings(
            ids, ids * 0, combinations=ids // 2, timeout=self.limit, grace=1.0, resumes=self.resumes
        )
        self.scheduler = Scheduler(self.now)
        self.feed(RunLoaded("e", state), PoolAdded("big"), PoolSurveyed("big", walltime=walltime if known else None))
        self.feed(RunBegun("e", self.settings))

    def limit(self, key: AttemptKey, changes: Changes | None) -> float | None:
        return self.timeout

    def knows(self, task: int) -> bool:
        """Whether it is known how long a task takes."""
        before = self.ended.get(task - 1) if task % 2 else None
        if self.resumes:
            return False
        return self.timeout is not None or (before is not None and before.state == "done")

    @property
    def now(self) -> Moment:
        return Moment(self.clock, self.clock)

    def feed(self, *events: Event) -> None:
        inbox = list(events)
        while inbox:
            for effect in self.scheduler.handle(inbox.pop(0), self.now):
                match effect:
                    case Stage(node=node):
                        inbox.append(Staged("e", node, 0))
                    case Assign(node=node, keys=keys, takes=takes):
                        self.allocations[node].waiting += [(key, takes[key], self.knows(key[0])) for key in keys]
                    case Commit(events=written):
                        for event in written:
                            if isinstance(event, AttemptFinished):
                                self.all_ends.append(event)
                                if event.again is None:
                                    assert event.task not in self.ended, event.task
                                    self.ended[event.task] = event
                    case _:
                        pass

    def tell(self, one: Allocation, *messages: Started | Finished | Returned) -> None:
        self.feed(AgentMessages(one.name, list(messages)))

    # --- What happens

    def step(self, seconds: float = 0.5) -> None:
        self.clock += seconds
        run = self.scheduler.runs["e"]
        if len(self.allocations) < self.most and run.order:
            self.grant()
        for one in list(self.allocations.values()):
            if self.clock >= one.ends:
                self.feed(AllocationEnded(one.name, "walltime"), NodeRemoved(one.name))
                del self.allocations[one.name]
            else:
                self.work(one)
        self.feed(Tick(), Woken())

    def grant(self) -> None:
        self.granted += 1
        assert self.granted < 100, "allocations are asked for in vain"
        name = f"big.{self.granted}"
        one = Allocation(name, self.clock, self.clock + self.walltime, self.setup)
        self.allocations[name] = one
        welcome = Welcome(PROTOCOL, 1, name, "3.12.0", 1, 1, [], True, "", {}, [], "", None)
        self.feed(NodeAdded(name, remote=True, pool="big"), DeadlineMoved(name, self.walltime))
        self.feed(NodeWelcomed(name, welcome, 1 << 30))

    def work(self, one: Allocation) -> None:
        left = one.ends - self.clock
        for (task, attempt), since in list(one.running.items()):
            ran = self.clock - since
            key = ("e@01234567", task, attempt)
            if self.timeout is not None and ran >= self.timeout:
                self.over(one, Finished(key, "failed", reason="timeout", duration=ran))
            elif ran >= self.takes[task]:
                self.over(one, Finished(key, "done", duration=ran))
            elif left <= CUT:
                self.takes[task] -= ran if self.resumes else 0.0
                self.over(one, Finished(key, "lost", reason="walltime", duration=ran))
        while one.waiting and not one.running and self.clock >= one.prepared:
            (task, attempt), takes, known = one.waiting.pop(0)
            key = ("e@01234567", task, attempt)
            if left - CUT > takes:
                one.running[task, attempt] = self.clock
                self.started[task] += 1
                limit = self.takes[task] if self.timeout is None else min(self.timeout, self.takes[task])
                same = self.timeout is not None or self.takes[task] <= self.takes[task // 2 * 2]
                assert not (known and same) or left > limit, "it can't end in time, and starts"
                self.tell(one, Started(key, 0.0))
            else:
                self.tell(one, Returned([key]))
        if one.running or one.waiting:
            one.idle_since = self.clock
        elif self.clock - one.idle_since > 5.0:  # it is given back
            self.feed(AllocationEnded(one.name, "cancelled"), NodeRemoved(one.name))
            del self.allocations[one.name]

    def over(self, one: Allocation, finished: Finished) -> None:
        del one.running[finished.key[1:]]
        self.tell(one, finished)

    def run(self, hours: float = 10.0) -> None:
        end = self.clock + hours * 3600
        while self.scheduler.active:
            assert self.clock < end, "it does not end"
            self.step()

    def states(self) -> list[str]:
        return [self.ended[task].state for task in range(len(self.takes))]


def test_what_can_end_in_time_by_its_timeout_starts_and_nothing_else() -> None:
    site = Site([25.0] * 6, walltime=100.0, timeout=30.0)
    site.run()
    assert site.states() == ["done"] * 6
    assert set(site.started.values()) == {1}, "none was cut off"
    assert site.granted == 2, "three in each"


def test_a_timeout_that_no_allocation_has_room_for_fails_the_tasks() -> None:
    site = Site([5.0, 5.0], walltime=100.0, timeout=150.0)
    site.run()
    assert not site.started
    assert {(end.state, end.reason) for end in site.ended.values()} == {("failed", "walltime")}
    assert site.ended[0].message == f"its timeout is 2:30; allocations of big have 1:40; {HINT}"


def test_what_the_setup_leaves_of_an_allocation_is_what_counts() -> None:
    site = Site([5.0, 5.0], walltime=100.0, timeout=70.0, setup=50.0)
    site.run()
    assert not site.started
    assert site.ended[1].message == f"its timeout is 1:10; allocations of big have 1:40, and tasks 0:50 of that; {HINT}"
    assert site.granted <= 2


@pytest.mark.parametrize("known", [True, False])
def test_what_is_longer_than_the_walltime_is_cut_off_once_and_fails(known: bool) -> None:
    site = Site([500.0, 5.0], walltime=100.0, known=known)
    if not known:
        site.feed(PoolSurveyed("big", walltime=100.0))  # as the first allocation shows
    site.run()
    assert site.started[0] == 1
    first, *_, last = [event for event in site.all_ends if event.task == 0]
    assert (first.state, first.reason, first.again) == ("lost", "walltime", 0.0)
    assert (last.state, last.reason) == ("failed", "walltime")
    assert last.message in [f"it ran {ran} and did not end; allocations of big have 1:40; {HINT}" for ran in RAN]


def test_what_resumes_goes_on_in_one_allocation_after_the_other() -> None:
    site = Site([250.0, 5.0], walltime=100.0, timeout=1000.0, resumes=True)
    site.run()
    assert site.states() == ["done", "done"]
    assert site.started[0] == 3 and site.granted == 3
    assert [event.reason for event in site.all_ends if event.task == 0] == ["walltime", "walltime", None]


def test_a_task_that_was_cut_off_early_gets_a_whole_allocation() -> None:
    site = Site([80.0, 80.0, 60.0, 60.0], walltime=120.0)
    site.run()
    assert site.states() == ["done"] * 4
    cut = [event.task for event in site.all_ends if event.state == "lost"]
    assert len(cut) == len(set(cut)) <= 1, "once, before anything was known"


def test_an_end_that_moves_is_heard() -> None:
    site = Site([25.0] * 4, walltime=100.0, timeout=30.0)
    while not site.started:
        site.step()
    one = site.allocations["big.1"]
    site.feed(DeadlineMoved("big.1", 28.0))  # preempted: what runs goes on, nothing new begins
    one.ends = site.clock + 28.0
    while "big.1" in site.allocations:
        site.step()
    assert sum(site.started.values()) == 1
    site.run()
    assert site.states() == ["done"] * 4


def test_durations_of_earlier_tasks_are_read_again() -> None:
    site = Site([40.0, 40.0, 40.0, 40.0], walltime=1000.0)
    site.run()
    again = Scheduler(site.now)
    run = site.scheduler.runs["e"]
    again.handle(RunLoaded("e", run.state), site.now)
    again.handle(PoolAdded("big"), site.now)
    again.handle(RunBegun("e", site.settings), site.now)
    assert again.runs["e"].times.of((0, 2)).kind == "past"
    assert 40.0 <= again.runs["e"].times.of((0, 2)).seconds < 41.0


@pytest.mark.parametrize("part", range(4))
def test_whatever_tasks_take_each_ends_once(part: int) -> None:
    for seed in range(part * 25, (part + 1) * 25):
        chance = random.Random(seed)
        walltime = chance.choice([40.0, 100.0, 300.0])
        setup = chance.choice([0.0, 0.0, 5.0, walltime / 3])
        takes = [chance.choice([1.0, 5.0, 0.3 * walltime, 0.6 * walltime, 2 * walltime]) for _ in range(8)]
        if chance.random() < 0.5:
            takes = [one for one in takes[:4] for _ in range(2)]
        timeout = chance.choice([None, None, walltime / 4, walltime / 2, walltime * 2])
        site = Site(takes, walltime=walltime, setup=setup, most=chance.randint(1, 3), timeout=timeout, seed=seed)
        try:
            site.run()
            assert set(site.ended) == set(range(8))
            for task, event in site.ended.items():
                longest = max(takes[task // 2 * 2 : task // 2 * 2 + 2]) if timeout is None else timeout
                assert (event.reason == "walltime") <= (longest + 14 >= walltime - setup), event
                own = takes[task] if timeout is None else timeout
                assert (event.reason == "walltime") >= (own > walltime - setup), event
                assert site.started[task] <= 3, (task, site.started[task])
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
