"""Leases of Ray as a supply of nodes."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.transports.talk import Talk
from tests.services import ray as service
from tests.services.ray import PrivateRay
from tui_lab.engine.transports.channel import ChannelError
from tui_lab.engine.transports.ray.supply import RaySupply
from tui_lab.engine.transports.supply import Offer, Request, SupplyError

pytestmark = service.MARKS


class Pool:
    """A supply as the engine makes it. Its names are its own, so that tests can share a Ray."""

    made = 0
    asked = 0

    def __init__(self, ray: PrivateRay, **settings: Any) -> None:
        Pool.made += 1
        self.ray = ray
        self.prefix = f"tl-{Pool.made}-"
        self.entry: Any = {"name": "pool", "transport": "ray", "ray": {"address": ray.address, **settings}}
        self.supply = self.another()

    def another(self) -> RaySupply:
        """As another engine has it."""
        return RaySupply(self.entry, "ray", "Ray", self.prefix, self.ray.environment)

    async def ask(self, count: int = 1, slots: int = 1, leave: float = 600, **needs: float) -> list[str]:
        names = [f"{self.prefix}pool-{self.asked + number}" for number in range(count)]
        self.asked += count
        await self.supply.ask([Request(name, name, slots, leave, needs=needs) for name in names])
        return names

    async def until(self, state: str, count: int = 1, supply: RaySupply | None = None) -> list[Offer]:
        """Wait until so many allocations are in a state, and return those."""
        found: list[Offer] = []
        try:
            async with asyncio.timeout(90):
                while True:
                    found = list(await (supply or self.supply).survey())
                    matching = [offer for offer in found if offer.state == state]
                    if len(matching) == count:
                        return matching
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{count} {state}: {found}") from None


@pytest.fixture
async def pools(ray: PrivateRay) -> AsyncIterator[list[Pool]]:
    """Pools that are closed at the end, with all leases given back."""
    made: list[Pool] = []
    yield made
    for pool in made:
        await pool.supply.give_back([offer.name for offer in await pool.supply.survey()])
        await pool.supply.close()


async def gone(*pids: int) -> None:
    """Wait until processes have ended."""
    async with asyncio.timeout(30):
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            await asyncio.sleep(0.02)


async def sleeping(talk: Talk, folder: Path) -> int:
    """Start a task that is long; return its process."""
    folder.mkdir()
    talk.start(folder, f"echo $$ >{folder}/pid; exec sleep 600")
    await talk.hear("started")
    async with asyncio.timeout(30):
        while not (folder / "pid").exists() or not (folder / "pid").read_text():
            await asyncio.sleep(0.02)
    return int((folder / "pid").read_text())


async def test_leases_wait_run_and_end(ray: PrivateRay, pools: list[Pool], tmp_path: Path) -> None:
    pools.append(pool := Pool(ray))
    limits = await pool.supply.limits()
    assert (limits.cpus, limits.gpus, limits.custom) == (2, 0, {})
    names = await pool.ask(3)
    first, second = sorted(await pool.until("up", 2), key=lambda one: one.id)
    (third,) = await pool.until("pending")
    assert third.why.endswith("nodes, and none has room") and not third.never
    with pytest.raises(ChannelError, match="Ray: the lease has ended"):
        await pool.supply.way(third).open()
    talk = Talk(await pool.supply.way(first).open())
    welcome = await talk.hello()
    assert (welcome["cores"], first.id) == (1, first.name[-1])
    talk.start(tmp_path, "echo $OMP_NUM_THREADS $RAY_JOB_ID $PYTHONBREAKPOINT ${CUDA_VISIBLE_DEVICES-all}")
    assert (await talk.hear("finished"))["state"] == "done"
    assert (tmp_path / "0" / "stdout").read_text() == "\n"
    # The bridge is killed; another engine finds the same agents, and what waits.
    os.kill(pool.supply.bridge.pid or 0, signal.SIGKILL)
    with pytest.raises(ConnectionError):
        await talk.hear("nothing")
    other = pool.another()
    assert sorted(await pool.until("up", 2, other), key=lambda one: one.id) == [first, second]
    later = Talk(await other.way(first).open())
    again = await later.hello(epoch=2)
    assert (again["pid"], again["open"]) == (welcome["pid"], [["e@1", 0, 1]])
    await other.give_back([first.name])
    await pool.until("ended", 1, other)
    assert {offer.name for offer in await pool.until("up", 2, other)} == {second.name, third.name}
    await gone(welcome["pid"])
    await other.give_back([*names, "tl-unknown"])
    assert {offer.cause for offer in await pool.until("ended", 3, other)} == {"cancelled"}
    await other.close()
    assert list(await pool.supply.survey()) == []  # nothing of it is left there


async def test_a_node_that_is_added_and_killed(ray: PrivateRay, pools: list[Pool], tmp_path: Path) -> None:
    pool, needing = Pool(ray, resources={"seat": 1}), Pool(ray, resources={"disk": "tape"})
    pools += [pool, needing]
    await pool.ask(2)
    (waiting, _) = await pool.until("pending", 2)
    assert waiting.why == "it asks for seat: 1, and no node of Ray has more than 0" and not waiting.never
    ip = await asyncio.to_thread(ray.start_node, "n2", cpus=4, gpus=2, resources={"seat": 2, "disk": 3})
    offers = await pool.until("up", 2)
    talks = [Talk(await pool.supply.way(offer).open()) for offer in offers]
    agents = [(await talk.hello())["pid"] for talk in talks]
    tasks = [await sleeping(talk, tmp_path / str(number)) for number, talk in enumerate(talks)]
    # What tasks need, with all of a card for each.
    limits = await needing.supply.limits()
    assert (limits.cpus, limits.gpus, limits.custom) == (4, 2, {"seat": 2, "disk": 3})
    await needing.ask(1, slots=2, gpus=1, memory=256 << 20, tape=1)
    (offer,) = await needing.until("up")
    talk = Talk(await needing.supply.way(offer).open())
    welcome = await talk.hello()
    assert (welcome["cores"], welcome["memory"], welcome["gpus"]) == (2, 512 << 20, [0, 1])
    talk.start(tmp_path / "2", "echo $CUDA_VISIBLE_DEVICES", gpus=1)
    assert (await talk.hear("finished"))["state"] == "done"
    assert (tmp_path / "2" / "0" / "stdout").read_text() in ("0\n", "1\n")
    # A worker is killed, then the node.
    os.kill(parent_of(agents[0]), signal.SIGKILL)
    with pytest.raises(OSError):
        await talks[0].hear("nothing")
    (lost,) = await pool.until("ended")
    assert (lost.id, lost.cause) == (offers[0].id, "node-lost")
    await gone(agents[0], tasks[0])
    os.kill(ray.raylet(ip), signal.SIGKILL)
    with pytest.raises(OSError):
        await talks[1].hear("nothing")
    assert {offer.cause for offer in await pool.until("ended", 2)} == {"node-lost"}
    await gone(agents[1], tasks[1], welcome["pid"])
    await asyncio.to_thread(ray.end_node, "n2")


async def test_ends_that_are_not_ours(ray: PrivateRay, pools: list[Pool]) -> None:
    pools.append(pool := Pool(ray))
    (name,) = await pool.ask(1)
    (offer,) = await pool.until("up")
    talk = Talk(await pool.supply.way(offer).open())
    agent = (await talk.hello())["pid"]
    connect = f"import ray; ray.init('{ray.address}', _node_ip_address='127.0.0.2', namespace='{pool.prefix[:-1]}'); "
    code = f"{connect}ray.kill(ray.get_actor('{name}'))"
    killing = await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=ray.environment)
    assert await killing.wait() == 0
    (ended,) = await pool.until("ended")
    assert (ended.cause, ended.why) == ("cancelled", "its actor was killed")
    await gone(agent)
    await pool.ask(1, leave=0.5)
    assert {offer.cause for offer in await pool.until("ended", 2)} == {"cancelled", "ended"}
    await pool.ask(1, cpus=64)  # as much as there is, where tasks need more than any node has
    (large,) = await pool.until("up")
    welcome = await Talk(await pool.supply.way(large).open()).hello()
    assert welcome["cores"] == (await pool.supply.limits()).cpus == 2
    await pool.supply.give_back([large.name])
    pools.append(wrong := Pool(ray))
    wrong.entry["python"] = "python9"
    wrong.supply = wrong.another()
    await wrong.ask(1)
    (failed,) = await wrong.until("ended")
    assert (failed.cause, failed.why) == ("failed", "python9: No such file or directory")


async def test_no_ray(ray: PrivateRay) -> None:
    pool = Pool(ray)
    pool.entry["ray"]["address"] = "127.0.0.2:1"
    supply = pool.another()
    with pytest.raises(SupplyError, match=r"Ray: no Ray answers at 127\.0\.0\.2:1") as away:
        await supply.survey()
    assert not away.value.fatal
    await supply.close()


def parent_of(pid: int) -> int:
    """The process that has started another."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
