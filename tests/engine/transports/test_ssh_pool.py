"""What a pool of SSH connections does when there is no room, and when lines break."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import asyncssh
import pytest

from tests.engine.nodes.echo import LAB, eventually, says, transport
from tests.engine.nodes.fleet import Fleet
from tui_lab.engine.transports.channel import Channel
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.engine.transports.ssh import pool
from tui_lab.engine.transports.ssh.transport import SshTransport
from tui_lab.experiment.cluster.entry import NodeEntry


async def test_bytes_of_all_kinds_and_sizes(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower")
    async with transport(fleet, node.entry) as way:
        channel = await way.open_files()
        assert await channel.reader.readline() == f"{LAB}-tower files\n".encode()
        data = os.urandom(3 << 20)
        sending = asyncio.create_task(send(channel, data))
        assert await channel.reader.readexactly(len(data)) == data
        await sending
        await channel.close()


async def send(channel: Channel, data: bytes) -> None:
    for start in range(0, len(data), 1 << 16):
        channel.writer.write(data[start : start + (1 << 16)])
        await channel.writer.drain()


@pytest.mark.parametrize("sessions", [1, 2, 10])
async def test_more_channels_than_a_connection_has(fleet: Fleet, echo: None, sessions: int) -> None:
    """30 commands at once, the connections of which allow few: all of them run, none twice."""
    node = fleet.node("tower", max_sessions=sessions)

    async def one(way: SshTransport, number: int) -> str:
        channel = await (way.open_files() if number else way.open())
        try:
            assert await channel.reader.readline() == f"{LAB}-tower {'files' if number else 'relay'}\n".encode()
            return await says(channel, str(number))
        finally:
            await channel.close()

    async with transport(fleet, node.entry) as way:
        assert await asyncio.gather(*(one(way, number) for number in range(30))) == [str(n) for n in range(30)]
        assert way._pool is not None and 1 <= len(way._pool.lines) <= pool.MOST + 1
        assert node.machine.log().count("Starting session: command") == 30


async def test_files_keep_off_the_agents_connection(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower")
    async with transport(fleet, node.entry) as way:
        control, files, more = await way.open(), await way.open_files(), await way.open_files()
        assert way._pool is not None
        assert [(line.opened, line.control) for line in way._pool.lines] == [(1, 1), (2, 0)]
        for channel in (control, files, more):
            await channel.close()
        assert [line.used for line in way._pool.lines] == [0, 0]


async def test_one_connection_must_do_where_there_is_no_other(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower", latency=0.001)
    async with transport(fleet, node.entry) as way:
        control = await way.open()
        assert node.machine.proxy is not None
        node.machine.proxy.refusing = 1 << 30
        files = await way.open_files()
        assert way._pool is not None and [line.opened for line in way._pool.lines] == [2]
        await files.close()
        await control.close()


async def test_a_place_is_not_waited_for_without_end(fleet: Fleet, echo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PLACE", 0.5)
    node = fleet.node("tower", max_sessions=1)
    async with transport(fleet, node.entry) as way:
        way._pool = pool.Pool(node.entry, fleet.environment(), most=1)
        files = await way.open_files()
        with pytest.raises(ChannelError, match="its sshd allows 1 channels, and none was free within"):
            await asyncio.wait_for(way.open_files(), 20)
        await files.close()
        await (await way.open_files()).close()


async def test_no_sessions_at_all(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower", max_sessions=0)
    async with transport(fleet, node.entry) as way:
        with pytest.raises(ChannelError, match="its sshd starts no commands: open failed") as caught:
            await way.open()
        assert caught.value.fatal


async def test_idle_connections_are_closed(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower", max_sessions=1)
    own = pool.Pool(node.entry, fleet.environment(), idle=0.2)
    way = SshTransport(node.entry, "x", fleet.environment())
    way._pool = own
    first, second = await way.open(), await way.open_files()
    assert node.machine.sessions() == 2
    await second.close()
    await eventually(lambda: node.machine.sessions() == 1)
    await first.reader.readline()
    assert await says(first) == "hello"
    await first.close()
    await eventually(lambda: node.machine.sessions() == 0)
    again = await way.open()
    await again.close()
    await way.close()
    await eventually(lambda: node.machine.sessions() == 0)


async def test_a_call_that_is_given_up_leaves_nothing(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower", latency=0.03)
    async with transport(fleet, node.entry) as way:
        await (await way.open()).close()
        for turns in (1, 5, 10, 20, 40):
            opening = asyncio.create_task(way.open())
            await asyncio.sleep(turns / 200)
            if not opening.cancel():
                await opening.result().close()
            await asyncio.wait([opening])
        assert way._pool is not None
        assert [line.used for line in way._pool.lines] == [0]
        channel = await way.open()
        await channel.reader.readline()
        assert await says(channel) == "hello"
        await channel.close()


async def test_many_nodes_log_in_though_few_may_at_once(fleet: Fleet, echo: None) -> None:
    """MaxStartups of two, and twelve pools: those that are turned away come again."""
    node = fleet.node("gate", max_startups="2:100:2")
    ways = [SshTransport(node.entry, f"s{i}", fleet.environment()) for i in range(12)]
    opened = await asyncio.gather(*(way.open() for way in ways))
    assert "MaxStartups" in node.machine.log()
    for channel, way in zip(opened, ways, strict=True):
        await channel.close()
        await way.close()


async def test_eight_logins_at_once(fleet: Fleet, echo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than ten, over all nodes together, and a common gateway would turn some away."""
    nodes = [fleet.node("gate"), fleet.node("tower")]
    connect, under_way, most = asyncssh.connect, 0, 0

    async def counted(**arguments: Any) -> asyncssh.SSHClientConnection:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        try:
            return await connect(**arguments)
        finally:
            under_way -= 1

    monkeypatch.setattr(asyncssh, "connect", counted)
    ways = [SshTransport(nodes[i % 2].entry, f"s{i}", fleet.environment()) for i in range(20)]
    opened = await asyncio.gather(*(way.open() for way in ways))
    assert most == pool.AT_ONCE == 8
    for channel, way in zip(opened, ways, strict=True):
        await channel.close()
        await way.close()


async def test_variables_of_the_configuration(fleet: Fleet) -> None:
    node = fleet.node("tower", sshd=("AcceptEnv OURS_*",))
    config = fleet.home / ".ssh" / "config"
    config.write_text("SetEnv OURS_A=1=2 OURS_B=words OTHER=no\n" + config.read_text())
    own = pool.Pool(node.entry, fleet.environment(PATH="/nowhere"))  # without an `ssh`, which asks passwd for home
    line, (_, stdout, _) = await own.open("env")
    said = (await stdout.read()).decode().splitlines()
    assert [text for text in said if text.startswith(("OURS_", "OTHER"))] == ["OURS_A=1=2", "OURS_B=words"]
    own.release(line, False)
    await own.close()


# --- Broken lines


@pytest.mark.fault
async def test_a_connection_that_is_killed(fleet: Fleet, echo: None) -> None:
    node = fleet.node("tower")
    async with transport(fleet, node.entry) as way:
        channel = await way.open()
        await channel.reader.readline()
        await asyncio.to_thread(fleet.kill_sessions, "tower")
        with pytest.raises(OSError, match="the SSH connection is gone"):
            while await channel.reader.read(100):
                pass
        channel.writer.write(b"nobody reads this\n")
        await channel.close()
        again = await way.open()  # at once, and over a new connection
        await again.reader.readline()
        assert await says(again) == "hello"
        await asyncio.to_thread(fleet.stop, "tower")
        await again.close()
        with pytest.raises(ChannelError, match="nothing answers at"):
            await way.open()
        await asyncio.to_thread(fleet.start, "tower")
        await (await way.open()).close()


async def test_a_connection_that_breaks_while_a_channel_opens(fleet: Fleet, echo: None) -> None:
    """The command is not lost: it runs over another connection."""
    node = fleet.node("tower", latency=0.05)
    async with transport(fleet, node.entry) as way:
        await (await way.open()).close()
        assert node.machine.proxy is not None
        opening = [asyncio.create_task(way.open_files()) for _ in range(4)]
        await asyncio.sleep(0.03)
        node.machine.proxy.cut()
        for channel in await asyncio.gather(*opening):
            await channel.reader.readline()
            assert await says(channel) == "hello"
            await channel.close()


async def test_a_node_that_falls_silent(fleet: Fleet, echo: None) -> None:
    """Nothing arrives any more and nobody says so: signs of life tell (each second here, by ~/.ssh/config)."""
    node = fleet.node("far", droppable=True)
    entry: NodeEntry = {"name": "far", "host": "far"}
    async with transport(fleet, entry) as way:
        channel = await way.open()
        await channel.reader.readline()
        await asyncio.to_thread(fleet.drop, "far")
        with pytest.raises(OSError, match="the SSH connection is gone"):
            await channel.reader.read(100)
        await channel.close()
        await asyncio.to_thread(fleet.restore, "far")
        channel = await way.open()
        assert await channel.reader.readline() == f"{LAB}-far relay\n".encode()
        await channel.close()
    assert node.machine.sessions() <= 2  # the node may not have noticed the one that was dropped


async def test_signs_of_life_are_asked_for_without_a_configuration(fleet: Fleet) -> None:
    from tui_lab.engine.transports.ssh.options import find_target

    arguments = find_target({"host": "x"}, {"HOME": "/nowhere"}).arguments
    assert (arguments["keepalive_interval"], arguments["keepalive_count_max"]) == (10, 3)
