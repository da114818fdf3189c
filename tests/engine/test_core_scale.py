"""What the scheduler does for a task does not grow with the number of nodes. Work is counted in steps of Python's
interpreter, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import FrameType
from typing import Any

import numpy as np
import pytest

from tests.store.events import submitted
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.core.effects import Assign, Stage
from tui_lab.engine.core.events import (
    AgentMessages,
    Event,
    LatencyMeasured,
    NodeAdded,
    NodeDisconnected,
    NodeWelcomed,
    RunBegun,
    RunLoaded,
    Staged,
    Tick,
    Woken,
)
from tui_lab.engine.core.model import AttemptKey, Moment, RunSettings
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.protocol.agent import Finished, Started, Welcome
from tui_lab.store.events import EndState, JournalBegun
from tui_lab.store.fold import State

FEW, MANY = 20, 200  # nodes
TASKS = 4 * MANY * 4


def steps(call: Callable[[], object]) -> int:
    """How many instructions of the interpreter a call takes."""
    count = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Any:
        nonlocal count
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    return count


class Fleet:
    """A scheduler with so many nodes of one slot, all of which have work; the first ones have failed all that they
    began."""

    def __init__(self, nodes: int, failing: int = 0, stage_tags: Mapping[str, Sequence[str]] | None = None) -> None:
        names = [f"n{number}" for number in range(nodes)]
        state = State()
        state.apply(JournalBegun(2, "0123456789abcdef"))
        asked = [[0, TASKS - 1]]
        entries = [{"name": name, "slots": 1} for name in names]
        state.apply(submitted(plan=1, planned=asked, queued=asked, nodes=entries, keep_going=True))
        ids = np.arange(TASKS, dtype=np.int64)
        self.at = 1.0
        self.open: dict[str, list[AttemptKey]] = {name: [] for name in names}
        self.scheduler = Scheduler(Moment(1.0, 1.0))
        self.feed(RunLoaded("e", state))
        welcome = Welcome(PROTOCOL, 1, "spool", "3.12.0", 1, 1, [], True, "", {}, [], "", None)
        for name in names:
            self.feed(NodeAdded(name, slots=1))
            self.feed(NodeWelcomed(name, welcome, 1 << 30))
        self.feed(RunBegun("e", RunSettings(ids, ids * 0, run_on=stage_tags or {}), fresh=True))
        self.wake()  # stages
        self.wake()  # assigns
        for name in names[:failing]:
            for _ in range(5):
                self.end(name, "failed")
                self.wake()
        self.end("n6")  # so that the first ones are at fault
        self.wake()

    def feed(self, event: Event) -> None:
        for effect in self.scheduler.handle(event, Moment(self.at, self.at)):
            match effect:
                case Assign(node=name, keys=keys):
                    self.open[name] += keys
                case Stage(node=name, submission=submission):
                    self.feed(Staged("e", name, submission))
                case _:
                    pass

    def wake(self) -> None:
        self.feed(Woken())

    def end_all(self, count: int) -> None:
        """End so many attempts, one after the other, each with a plan."""
        for number in range(count):
            self.end(f"n{number % len(self.open)}")
            self.wake()

    def end(self, name: str, state: EndState = "done") -> None:
        """End the first attempt of a node."""
        self.at += 0.01
        key = ("e@01234567", *self.open[name].pop(0))
        reason = "exit" if state == "failed" else None
        self.feed(AgentMessages(name, [Started(key, 0.0), Finished(key, state, duration=1.0, reason=reason)]))


@pytest.mark.parametrize("failing", [0, 2])
@pytest.mark.parametrize("state", ["done", "failed"])
def test_an_end_costs_the_same_with_many_nodes(failing: int, state: EndState) -> None:
    few, many = Fleet(FEW, failing), Fleet(MANY, failing)
    name = "n5"
    assert steps(lambda: many.end(name, state)) < 1.5 * steps(lambda: few.end(name, state))


@pytest.mark.parametrize("failing", [0, 2])
def test_a_plan_after_an_end_costs_the_same_with_many_nodes(failing: int) -> None:
    few, many = Fleet(FEW, failing), Fleet(MANY, failing)
    for fleet in (few, many):
        fleet.end("n5")
    assert steps(many.wake) < 1.5 * steps(few.wake)
    assert len(many.open["n5"]) == len(few.open["n5"])


def test_a_plan_costs_a_choosy_task_the_same_with_many_nodes() -> None:
    """All nodes are looked at once a part of them has changed."""
    costs = []
    for nodes in (FEW, MANY):
        fleet = Fleet(nodes, stage_tags={"": ("not x",)})
        costs.append(steps(partial(fleet.end_all, 60)))
    assert costs[1] < 1.5 * costs[0]


@pytest.mark.parametrize("event", [NodeDisconnected("n5", "it is gone", tries=1), LatencyMeasured("n5", 0.1), Tick()])
def test_what_happens_to_a_node_costs_at_most_a_look_at_each(event: Event) -> None:
    few, many = Fleet(FEW), Fleet(MANY)
    for fleet in (few, many):
        for name in ("n5", "n6", "n7"):
            fleet.feed(NodeDisconnected(name, "it is gone", tries=1))
    assert steps(lambda: many.feed(event)) < 1.5 * steps(lambda: few.feed(event)) * MANY / FEW
