"""Where runs of stages go: to nodes with the tags of the stage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.store.events import submitted
from tests.workbench import Workbench
from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.core.effects import Commit
from tui_lab.engine.core.events import NodeAdded, NodeDisconnected, NodeWelcomed, RunBegun, RunLoaded, Tick, Woken
from tui_lab.engine.core.model import Moment, RunSettings
from tui_lab.engine.core.queue import TaskQueue
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.protocol.agent import Welcome
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


def test_a_run_whose_tagged_node_can_not_be_reached_ends() -> None:
    """The other node has nothing that it may take: the run must not wait for ever."""
    state = State()
    state.apply(JournalBegun(2, "0123456789abcdef"))
    nodes = [{"name": "a", "slots": 1, "tags": []}, {"name": "b", "slots": 1, "tags": ["x"]}]
    state.apply(
        submitted(plan=1, planned=[[0, 0]], queued=[[0, 0]], nodes=nodes, keep_going=True, stages={"make": [[1, 1]]})
    )
    ids = np.array([1, 0], dtype=np.int64)
    settings = RunSettings(ids, np.zeros(2, dtype=np.int64), before={0: (1,)}, run_on={"make": ("x",), "": ()})
    welcome = Welcome(PROTOCOL, 1, "spool", "3.12.0", 1, 1, [], True, "", {}, [], "", None)
    now = Moment(1.0, 1.0)
    scheduler = Scheduler(now)
    paused: list[Paused] = []
    for event in (
        RunLoaded("e", state, settings),
        NodeAdded("a", remote=True, slots=1),
        NodeAdded("b", remote=True, slots=1),
        NodeWelcomed("a", welcome, 1),
        NodeDisconnected("b", "no such host", fatal=True, tries=1),
        RunBegun("e", settings),
        Woken(),
        Tick(),
    ):
        for effect in scheduler.handle(event, now):
            if isinstance(effect, Commit):
                paused += [one for one in effect.events if isinstance(one, Paused)]
    assert [one.message for one in paused] == ["node b: no such host; the others lack what the tasks need"]
    assert not scheduler.active
