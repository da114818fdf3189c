"""The scheduler alone, with nodes that are made up: whatever happens, every task ends once; and how fast it is."""

from __future__ import annotations

import resource
import time
import tracemalloc
from collections import deque

import numpy as np
import pytest

from tests.engine.core_world import World
from tests.store.events import submitted
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.core.effects import Assign, Stage, WakeAt
from tui_lab.engine.core.events import (
    AgentMessages,
    Event,
    NodeAdded,
    NodeWelcomed,
    RunBegun,
    RunLoaded,
    Staged,
    Woken,
)
from tui_lab.engine.core.model import Moment, RunSettings
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.protocol.agent import Ending, Finished, FromAgent, Returned, Started, Welcome
from tui_lab.store.events import JournalBegun
from tui_lab.store.fold import State

PART = 250  # histories that one test goes through


@pytest.mark.slow
@pytest.mark.parametrize("part", range(40))
def test_every_task_ends_once_whatever_happens(part: int, request: pytest.FixtureRequest) -> None:
    if part >= 2 and not request.config.getoption("--long"):
        pytest.skip("takes its time: --long")
    for seed in range(part * PART, (part + 1) * PART):
        world = World(seed)
        for _ in range(world.random.randint(50, 300)):
            world.step()
        try:
            world.settle()
            world.check()
        except AssertionError as error:
            raise AssertionError(f"history {seed}: {error}") from error


class Busy:
    """A node that does at once what it is given: for each attempt a start and an end, told in groups."""

    def __init__(self, name: str, slots: int) -> None:
        self.name = name
        self.slots = slots
        self.told: deque[FromAgent] = deque()


def run_through(count: int, *, nodes: int = 8, slots: int = 128, ending: str = "") -> tuple[Scheduler, int]:
    """Have so many tasks run; the scheduler, and how many events it was told. ending: a node that gives back what it
    gets, for it is about to end."""
    state = State()
    names = [f"node-{number}" for number in range(nodes)]
    state.apply(JournalBegun(2, "0123456789abcdef"))
    asked = [[0, count - 1]]
    entries = [{"name": name, "slots": slots} for name in names]
    state.apply(submitted(plan=1, planned=asked, queued=asked, nodes=entries, keep_going=True))
    settings = RunSettings(tasks=np.arange(count, dtype=np.int64), repeats=np.zeros(count, dtype=np.int64))
    wire_name = "e@01234567"
    fleet = {name: Busy(name, slots) for name in names}
    welcome = Welcome(PROTOCOL, 1, "spool", "3.12.0", slots, slots, [], True, "", {}, [], "", None)
    moment, events = 1.0, 0
    scheduler = Scheduler(Moment(moment, moment))
    inbox: deque[Event] = deque([RunLoaded("e", state, settings)])
    inbox += [NodeAdded(name, slots=slots) for name in names]
    inbox += [NodeWelcomed(name, welcome, 1 << 30) for name in names]
    inbox.append(RunBegun("e", settings))
    woken = False
    while True:
        while inbox:
            events += 1
            for effect in scheduler.handle(inbox.popleft(), Moment(moment, moment)):
                match effect:
                    case Assign(node=name, keys=keys) if name == ending:
                        assert not scheduler.nodes[name].ending
                        fleet[name].told += (Ending(None), Returned([(wire_name, *key) for key in keys]))
                    case Assign(node=name, keys=keys):
                        for task, attempt in keys:
                            key = (wire_name, task, attempt)
                            fleet[name].told += (Started(key, 0.0), Finished(key, "done", exit_code=0, duration=0.001))
                    case Stage(node=name):
                        inbox.append(Staged("e", name, 0))
                    case WakeAt():
                        woken = True
                    case _:
                        pass
        moment += 0.001
        for node in fleet.values():
            if node.told:
                inbox.append(AgentMessages(node.name, [node.told.popleft() for _ in range(min(128, len(node.told)))]))
        if woken:
            woken = False
            inbox.append(Woken())
        if not inbox:
            return scheduler, events


def all_done(scheduler: Scheduler, count: int) -> bool:
    run = scheduler.runs["e"]
    return run.counts()["done"] == count and not scheduler.active and not run.in_flight


def test_many_tasks_come_to_their_end() -> None:
    scheduler, events = run_through(20_000)
    assert all_done(scheduler, 20_000)
    assert events < 2_000  # a group at a time


def test_a_node_that_is_about_to_end_gets_nothing_more() -> None:
    scheduler, _ = run_through(2_000, ending="node-0")
    assert all_done(scheduler, 2_000)
    assert scheduler.nodes["node-0"].ending


@pytest.mark.slow
def test_what_a_task_takes_in_memory() -> None:
    tracemalloc.start()
    try:
        scheduler, _ = run_through(20_000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert all_done(scheduler, 20_000)
    assert peak < 20_000 * 1024


@pytest.mark.long
def test_a_million_tasks() -> None:
    """20,000 a second, made-up nodes included, by the time of the processor: others may use the machine."""
    count = 1_000_000
    began = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    scheduler, _ = run_through(count)
    seconds = time.process_time() - began
    memory = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert all_done(scheduler, count)
    print(f"{count / seconds:,.0f} tasks a second, {memory / count:,.0f} bytes a task")
    assert count / seconds > 20_000
    assert memory / count < 1024
