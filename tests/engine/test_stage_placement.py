"""Where runs of stages go: to nodes with the tags of the stage."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.events import submitted
from tests.workbench import Workbench
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.core.effects import Assign, Commit, DropCopy, Stage, WakeAt
from tui_lab.engine.core.events import (
    AgentMessages,
    Event,
    NodeAdded,
    NodeDisconnected,
    NodeDrained,
    NodeWelcomed,
    RunBegun,
    RunLoaded,
    Staged,
    Tick,
    Woken,
)
from tui_lab.engine.core.model import Moment, RunSettings
from tui_lab.engine.core.queue import TaskQueue
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.protocol.agent import Finished, Welcome
from tui_lab.store import ranges
from tui_lab.store.events import JournalBegun, Paused
from tui_lab.store.fold import State

TAGGED = """\
name: e
stages:
  build: {command: 'echo $TUI_LAB_NODE > {output}/node; echo {n}', run_on: big}
  bench: {command: 'cat {build.output}/node; sleep 0.05', run_on: [quiet, not big]}
parameters: {n: {range: [0, 12]}}
"""
NODES = """\
nodes:
  - {name: server, slots: 3, tags: [big]}
  - {name: desk, slots: 1, tags: [quiet]}
  - {name: spare, slots: 2}
"""


@pytest.mark.slow
def test_a_stage_runs_where_its_tags_are(workbench: Workbench) -> None:
    file, nodes = workbench.write("experiment.yaml", TAGGED), workbench.write("c.yaml", NODES)
    workbench("--run", file, "--cluster", nodes)
    assert workbench.table("SELECT DISTINCT node FROM e") == [{"node": "desk"}]
    assert workbench.table("SELECT DISTINCT node FROM e_stages") == [{"node": "server"}]
    assert workbench.output(7) == "server\n"
    assert [node["name"] for node in workbench.events("submitted")[0]["nodes"]] == ["server", "desk"]
    # What no node has is an error at its place, before anything runs.
    workbench.write("experiment.yaml", TAGGED.replace("run_on: big", "run_on: huge"))
    said = workbench("--run", file, "--cluster", nodes, code=2).err
    assert "experiment.yaml:3:76: no node has these tags: server has big; desk has quiet; spare has none" in said
    # Those of the experiment hold for stages that have none.
    text = TAGGED.replace(", run_on: [quiet, not big]", "").replace("run_on: big", "run_on: quiet")
    workbench.write("experiment.yaml", text + "run_on: huge\n")
    assert "experiment.yaml:6:9: no node" in workbench("--run", file, "--cluster", nodes, code=2).err


@given(st.lists(st.integers(0, 9)), st.lists(st.tuples(st.booleans(), st.integers(10, 99)), max_size=20))
def test_a_queue_keeps_its_order_in_all_lanes(first: list[int], later: list[tuple[bool, int]]) -> None:
    plain, queue = list(first), TaskQueue(first, lambda one: one % 3)
    for put, one in later:
        if put:
            plain.insert(0, one)
            queue.appendleft(one)
        else:
            mine = next((other for other in plain if other % 3 == one % 3), None)
            assert queue.popleft([one % 3]) == mine
            if mine is not None:
                plain.remove(mine)
        assert list(queue) == plain and len(queue) == len(plain)
    assert list(queue.each([1, 2])) == [one for one in plain if one % 3]
    assert [queue.popleft() for _ in plain] == plain and not queue


class Core:
    """The scheduler alone: two nodes, `a` and `b`, that don't see the lab's folder, and some runs of stages."""

    def __init__(self, slots: int, tasks: int, settings: RunSettings, stages: dict[str, ranges.Ranges]) -> None:
        self.state = State()
        self.state.apply(JournalBegun(2, "0123456789abcdef"))
        nodes: list[NodeEntry] = [
            {"name": "a", "slots": slots, "tags": []},
            {"name": "b", "slots": slots, "tags": ["x"]},
        ]
        asked = [[0, tasks - 1]]
        self.state.apply(submitted(plan=1, planned=asked, queued=asked, nodes=nodes, keep_going=True, stages=stages))
        self.settings = settings
        self.slots = slots
        self.now = Moment(1.0, 1.0)
        self.scheduler = Scheduler(self.now)
        self.given: dict[str, list[int]] = {"a": [], "b": []}  # ids that were assigned
        self.paused: list[Paused] = []
        self.dropped: list[DropCopy] = []
        self.feed(RunLoaded("e", self.state, settings))
        self.feed(NodeAdded("a", remote=True, slots=slots), NodeAdded("b", remote=True, slots=slots))

    def welcome(self, *names: str) -> None:
        for name in names:
            welcome = Welcome(PROTOCOL, 1, name, "3.12.0", 1, self.slots, [], False, "/home", {}, [], "", None)
            self.feed(NodeWelcomed(name, welcome, 1))

    def feed(self, *events: Event) -> None:
        inbox = deque(events)
        while inbox:
            for effect in self.scheduler.handle(inbox.popleft(), self.now):
                match effect:
                    case Assign(node=name, keys=keys):
                        self.given[name] += [task for task, _ in keys]
                    case Stage(node=name):
                        inbox.append(Staged("e", name, 0))
                    case Commit(events=written):
                        self.paused += [one for one in written if isinstance(one, Paused)]
                    case DropCopy():
                        self.dropped.append(effect)
                    case WakeAt():
                        inbox.append(Woken())
                    case _:
                        pass

    def ends(self, node: str, one: int) -> None:
        self.feed(AgentMessages(node, [Finished(("e@01234567", one, 1), "done", exit_code=0, duration=0.1)]))


def test_a_run_whose_tagged_node_can_not_be_reached_ends() -> None:
    """The other node has nothing that it may take: the run must not wait for ever."""
    ids = np.array([1, 0], dtype=np.int64)
    settings = RunSettings(ids, np.zeros(2, dtype=np.int64), before={0: (1,)}, run_on={"make": ("x",), "": ()})
    core = Core(1, 1, settings, {"make": [[1, 1]]})
    core.welcome("a")
    core.feed(NodeDisconnected("b", "no such host", fatal=True, tries=1), RunBegun("e", settings), Tick())
    assert [one.message for one in core.paused] == ["node b: no such host; the others lack what the tasks need"]
    assert not core.scheduler.active


@pytest.mark.parametrize("has_needs", [False, True])
def test_what_comes_after_a_stage_runs_where_its_outputs_are(has_needs: bool) -> None:
    """Even tasks come after run 12, odd ones after run 13. Each node takes those whose input it has, and no slot stays
    free for the sake of it."""
    before = {task: (12 + task % 2,) for task in range(12)}
    ids = np.array([12, 13, *range(12)], dtype=np.int64)
    settings = RunSettings(ids, np.zeros(14, dtype=np.int64), before=before, has_needs=has_needs, order="listed")
    core = Core(2, 12, settings, {"make": [[12, 13]]})
    core.welcome("a", "b")
    core.feed(RunBegun("e", settings))
    made = {core.given["a"][0]: "a", core.given["b"][0]: "b"}
    assert sorted(made) == [12, 13]
    core.ends("a", 12 if made[12] == "a" else 13)
    assert len(core.given["b"]) > 1, "its free slot is in use at once"
    assert len(core.given["a"]) > 3
    core.ends("b", 12 if made[12] == "b" else 13)
    while open_ := [(name, one) for name in "ab" for one in core.given[name] if core.state.columns["assigned"][one]]:
        core.ends(*next(one for one in open_[:: 1 if len(open_) % 2 else -1]))
    assert core.state.counts_by_name()["done"] == 12
    near = sum(made[12 + task % 2] == name for name in "ab" for task in core.given[name][1:])
    assert near >= 8, "most of them"
    assert {(one.node, one.run) for one in core.dropped} >= {(node, run) for run, node in made.items()}


def test_outputs_that_a_drained_node_made_are_no_trap() -> None:
    """The only node that takes something has nothing of what the tasks need, and takes them."""
    before = {0: (2,), 1: (2,)}
    ids = np.array([2, 0, 1], dtype=np.int64)
    settings = RunSettings(ids, np.zeros(3, dtype=np.int64), before=before, order="listed")
    core = Core(1, 2, settings, {"make": [[2, 2]]})
    core.welcome("a", "b")
    core.feed(RunBegun("e", settings))
    [made] = [name for name in "ab" if core.given[name]]
    core.feed(NodeDrained(made, drained=True))
    core.ends(made, 2)
    other = "b" if made == "a" else "a"
    assert core.given[other], "its input is brought"
