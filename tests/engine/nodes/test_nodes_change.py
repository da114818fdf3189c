"""`tui-lab nodes add`, `reconnect`: further nodes for what is going, and those that were mended."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.test_away import listed, ran, until_running, waiting
from tests.engine.nodes.test_runs import go, remove_truth, running, states
from tests.workbench import Workbench, until
from tui_lab.engine import connection
from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.transports.channel import Channel, ChannelError
from tui_lab.experiment.cluster.entry import NodeEntry

__all__ = ["remove_truth"]


def cluster_of(fleet: Fleet, path: Path, *names: str) -> Path:
    """A cluster.yaml with some of the nodes."""
    entries = [{key: value for key, value in fleet.nodes[name].entry.items() if value != []} for name in names]
    path.write_text(yaml.safe_dump({"name": "c", "nodes": entries}))
    return path


@pytest.mark.slow
def test_all_nodes_of_a_cluster_join_what_is_going(workbench: Workbench, fleet: Fleet) -> None:
    for name in ("one", "two", "three"):
        fleet.node(name, slots=2)
    env = fleet.environment(workbench)
    first = cluster_of(fleet, workbench.folder / "first.yaml", "one")
    all_of_them = cluster_of(fleet, workbench.folder / "all.yaml", "one", "two", "three")
    run = workbench.start("--run", waiting(workbench, 12), "--cluster", first, env=env)
    until_running(workbench, 2)
    added = workbench("nodes", "add", "--cluster", all_of_them, env=env)
    assert "one: is in use already; `tui-lab nodes set one slots=N` changes its slots" in added.err
    for name in ("two", "three"):
        assert f"{name}: joins all running experiments\n{name}: is up\n" in added.err
    until(lambda: [running(workbench)[name] for name in ("one", "two", "three")] == [2, 2, 2], 60)
    go(workbench)
    assert run.wait(60) == 0
    assert states(workbench) == {"done": 12}
    assert ran(workbench) == list(range(12))


@pytest.mark.slow
def test_what_can_not_be_added_is_said(workbench: Workbench, fleet: Fleet) -> None:
    one = fleet.node("one", slots=1)
    stranger = fleet.node("stranger", slots=1, known=False)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench, 2), *one.words, env=env)
    until_running(workbench, 1)
    missing = workbench("nodes", "add", "--cluster", "missing.yaml", env=env, code=None)
    assert missing.code == 2 and "missing.yaml" in missing.err
    nothing = workbench("nodes", "add", "other", *stranger.words, env=env, code=None)
    assert nothing.code == 2 and 'there is no experiment "other"' in nothing.err
    refused = workbench("nodes", "add", "e", *stranger.words, env=env, code=3)
    assert "stranger: joins e" in refused.err and "! stranger: the host key of" in refused.err
    assert "after a repair: tui-lab nodes reconnect stranger" in refused.err
    assert listed(workbench, "stranger")["state"] == "failed"
    again = workbench("nodes", "reconnect", "stranger", "--json", env=env, code=None)
    assert again.code == 3 and json.loads(again.out)["done"][0]["state"] == "failed"
    fleet.know("stranger")
    mended = workbench("nodes", "reconnect", "stranger", env=env, code=None)
    assert (mended.code, mended.err) == (0, "stranger: is being connected\nstranger: is up\n")
    until(lambda: running(workbench)["stranger"] == 1, 60)
    go(workbench)
    assert run.wait(60) == 0


@pytest.mark.slow
def test_a_node_whose_key_was_refused_is_reached_once_that_is_mended(workbench: Workbench, fleet: Fleet) -> None:
    one, two = fleet.node("one", slots=1), fleet.node("two", slots=1, start=False)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench, 2), *one.words, *two.words, env=env)
    until_running(workbench, 1)
    down = workbench("nodes", "reconnect", "two", env=env, code=None)
    assert down.code == 3 and "nothing answers at" in down.err and "keeps trying" in down.err
    authorized = fleet.keys / "authorized_keys"
    keys = authorized.read_text()
    authorized.write_text("")
    fleet.start("two")
    until(lambda: listed(workbench, "two")["state"] == "failed", 60)
    said = workbench("nodes", env=env, code=None).out
    assert "! two: " in said and "refuses the keys" in said and "tui-lab nodes reconnect two" in said
    authorized.write_text(keys)
    assert listed(workbench, "two")["state"] == "failed"  # it is not tried without being asked
    mended = workbench("nodes", "reconnect", "two", env=env, code=None)
    assert mended.code == 0 and "two: is up" in mended.err, mended.err
    until(lambda: running(workbench)["two"] == 1, 60)
    assert "is up" in workbench("nodes", "reconnect", "two", env=env, code=None).err  # no harm where all is well
    assert running(workbench)["two"] == 1
    go(workbench)
    assert run.wait(60) == 0
    assert ran(workbench) == [0, 1]


@pytest.mark.slow
@pytest.mark.fault
def test_a_node_that_was_lost_is_reconnected(workbench: Workbench, fleet: Fleet) -> None:
    fleet.node("one", slots=1)
    fleet.node("two", slots=1, lost_after=0.5)
    env = fleet.environment(workbench)
    run = workbench.start("--run", waiting(workbench, 4), "--cluster", fleet.cluster_file(), env=env)
    until_running(workbench, 2)
    fleet.power_off("two")
    until(lambda: listed(workbench, "two")["state"] == "lost", 60)
    fleet.start("two")
    workbench("nodes", "reconnect", "two", env=env)
    until(lambda: running(workbench)["two"] == 1, 60)
    go(workbench)
    assert run.wait(60) == 0
    assert states(workbench) == {"done": 4}


class Closed:
    """A way on which nobody answers."""

    def __init__(self) -> None:
        self.tries = 0
        self.tried = asyncio.Event()

    async def open(self) -> Channel:
        self.tries += 1
        self.tried.set()
        raise ChannelError("nothing answers")

    open_files = open

    def renew(self, environment: Any) -> None: ...

    async def close(self) -> None: ...


class Heard:
    """What a connection has told."""

    def __init__(self) -> None:
        self.ends: list[tuple[str, bool]] = []

    def on_welcome(self, node: NodeConnection, message: Any) -> None: ...
    def on_messages(self, node: NodeConnection, messages: Any) -> None: ...
    def on_dropped(self, node: NodeConnection) -> None: ...

    def on_disconnected(self, node: NodeConnection, why: str, *, fatal: bool, silent: bool) -> None:
        self.ends.append((why, fatal))


def connection_on(way: Closed, heard: Heard, marker: Path) -> NodeConnection:
    entry: NodeEntry = {"name": "tower", "host": "tower", "slots": 1}
    state = NodeState("tower", remote=True, slots=1)
    return NodeConnection(entry, state, way, lab="l", marker=marker, epoch=1, listener=heard)


async def test_a_reconnect_ends_the_pause_between_tries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(connection, "RECONNECT", (0.0, 3600.0))
    before, after, heard = Closed(), Closed(), Heard()
    node = connection_on(before, heard, tmp_path / "m")
    life = asyncio.create_task(node.keep_connected())
    async with asyncio.timeout(60):
        while node.tries < 1 or before.tries < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0)  # now it waits for an hour
        node.reconnect(after)
        await after.tried.wait()
        assert before.tries == 2
        node.say_bye()
        await life
    assert heard.ends[0] == ("nothing answers", False)


class Refused(Closed):
    """A way on which a try takes until it is ended, and can't succeed."""

    def __init__(self) -> None:
        super().__init__()
        self.end = asyncio.Event()

    async def open(self) -> Channel:
        self.tried.set()
        await self.end.wait()
        raise ChannelError("the key is refused", fatal=True)

    open_files = open


async def test_a_reconnect_during_a_try_is_not_forgotten(tmp_path: Path) -> None:
    before, after, heard = Refused(), Closed(), Heard()
    node = connection_on(before, heard, tmp_path / "m")
    life = asyncio.create_task(node.keep_connected())
    async with asyncio.timeout(60):
        await before.tried.wait()
        node.reconnect(after)
        before.end.set()
        await after.tried.wait()
        node.say_bye()
        await life
    assert not any(fatal for _, fatal in heard.ends)
