"""Leases of Dask as a supply of nodes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.nodes.proxy import Proxy
from tests.engine.transports.talk import Talk
from tests.services import dask as service
from tests.services.dask import PrivateDask
from tui_lab.engine.transports.bridge.back_end import BackEndError, Boot, Site
from tui_lab.engine.transports.bridge.supply import BridgeSupply
from tui_lab.engine.transports.channel import ChannelError
from tui_lab.engine.transports.supply import Offer, Request, SupplyError

pytestmark = service.MARKS


class Pool:
    """A supply as the engine makes it. Its names are its own, so that tests can share a Dask."""

    made = 0

    def __init__(self, dask: PrivateDask, **settings: Any) -> None:
        Pool.made += 1
        self.dask = dask
        self.prefix = f"tl-{Pool.made}-"
        self.entry: Any = {"name": "pool", "transport": "dask", "dask": {"address": dask.address, **settings}}
        self.supply = self.another()

    def another(self) -> BridgeSupply:
        """As another engine has it."""
        patience = {"DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s"}
        return BridgeSupply(self.entry, "dask", "Dask", self.prefix, {**os.environ, **patience})

    async def ask(self, count: int = 1, leave: float = 600, **needs: float) -> list[str]:
        names = [f"{self.prefix}pool-{number}" for number in range(count)]
        await self.supply.ask([Request(name, name, 1, leave, needs=needs) for name in names])
        return names

    async def until(self, state: str, count: int = 1, supply: BridgeSupply | None = None) -> list[Offer]:
        """Wait until so many allocations are in a state, and return those."""
        found: list[Offer] = []
        try:
            async with asyncio.timeout(60):
                while True:
                    with contextlib.suppress(SupplyError):  # it may be away for a moment
                        found = list(await (supply or self.supply).survey())
                    matching = [offer for offer in found if offer.state == state]
                    if len(matching) == count:
                        return matching
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"{count} {state}: {found}") from None


@pytest.fixture
async def pools(dask: PrivateDask) -> AsyncIterator[list[Pool]]:
    """Pools that are closed at the end, with all leases given back."""
    made: list[Pool] = []
    yield made
    for pool in made:
        await pool.supply.give_back([offer.name for offer in await pool.supply.survey()])
        await pool.supply.close()


async def test_leases_wait_run_and_end(dask: PrivateDask, pools: list[Pool], tmp_path: Path) -> None:
    pools.append(pool := Pool(dask))
    assert (await pool.supply.limits()).cpus == 1
    names = await pool.ask(3)
    first, second = await pool.until("up", 2)
    (third,) = await pool.until("pending")
    assert third.why == "Dask has 2 workers, and none has room" and not third.never
    with pytest.raises(ChannelError, match="Dask: the lease has ended"):
        await pool.supply.way(third).open()
    talk = Talk(await pool.supply.way(first).open())
    welcome = await talk.hello()
    assert welcome["cores"] == 1 and first.id == f"{first.name[-1]}-{welcome['pid']}"
    talk.start(tmp_path, "echo $PYTHONHASHSEED $OMP_NUM_THREADS $TUI_LAB_OFFERS")
    assert (await talk.hear("finished"))["state"] == "done"
    assert (tmp_path / "0" / "stdout").read_text() == "\n"
    # The bridge is killed; another engine finds the same agents, and what waits.
    os.kill(pool.supply.bridge.pid or 0, 9)
    with pytest.raises(ConnectionError):
        await talk.hear("nothing")
    other = pool.another()
    assert await pool.until("up", 2, other) == [first, second]
    later = Talk(await other.way(first).open())
    again = await later.hello(epoch=2)
    assert (again["pid"], again["open"]) == (welcome["pid"], [["e@1", 0, 1]])
    await other.give_back([first.name])
    await pool.until("ended", 1, other)
    assert {offer.name for offer in await pool.until("up", 2, other)} == {second.name, third.name}
    await other.give_back([*names, "tl-unknown"])
    assert {offer.cause for offer in await pool.until("ended", 3, other)} == {"cancelled"}
    await other.close()
    await pool.until("ended", 0)  # nothing of it is left there


async def test_a_worker_that_is_killed_and_one_that_comes(dask: PrivateDask, pools: list[Pool], tmp_path: Path) -> None:
    pools.append(pool := Pool(dask))
    (name,) = await pool.ask(1)
    (offer,) = await pool.until("up")
    talk = Talk(await pool.supply.way(offer).open())
    agent = (await talk.hello())["pid"]
    talk.start(tmp_path, f"echo $$ >{tmp_path}/pid; exec sleep 600")
    await talk.hear("started")
    async with asyncio.timeout(30):
        while not (tmp_path / "pid").exists():
            await asyncio.sleep(0.02)
    task = int((tmp_path / "pid").read_text())
    victim = next(one for one in dask.processes if dask.processes[one].pid == parent_of(agent))
    dask.kill(victim)
    try:
        with pytest.raises(OSError):
            await talk.hear("nothing")
        (lost,) = await pool.until("ended")
        assert (lost.id, lost.cause) == (offer.id, "node-lost")
        async with asyncio.timeout(30):
            while Path(f"/proc/{agent}").exists() or Path(f"/proc/{task}").exists():
                await asyncio.sleep(0.02)
        # Dask itself moves the future to the other worker: under the same name, it is another node.
        (moved,) = await pool.until("up")
        assert moved.name == name and moved.id != offer.id
        assert (await Talk(await pool.supply.way(moved).open()).hello())["open"] == []
    finally:
        await asyncio.to_thread(dask.start_worker, victim)
    await pool.supply.give_back([name])
    names = await pool.ask(2)
    assert {one.name for one in await pool.until("up", 2)} == set(names)


async def test_resources_and_a_nanny(dask: PrivateDask, pools: list[Pool], tmp_path: Path) -> None:
    pools.append(pool := Pool(dask, resources={"GPU": "gpus", "SEAT": 2}))
    await pool.ask(2, gpus=1)
    waiting, _ = await pool.until("pending", 2)
    assert waiting.why == "it asks for GPU: 1, and no worker of Dask has more than 0"
    await asyncio.to_thread(dask.start_worker, "big", resources="GPU=1 SEAT=2", nanny=True, threads=3)
    try:
        assert (await pool.supply.limits()).custom == {"GPU": 1, "SEAT": 2}
        (offer,) = await pool.until("up")
        talk = Talk(await pool.supply.way(offer).open())
        assert (await talk.hello())["cores"] == min(3, os.cpu_count() or 1)
        talk.start(tmp_path, "echo $PYTHONHASHSEED $OMP_NUM_THREADS $MALLOC_TRIM_THRESHOLD_")
        assert (await talk.hear("finished"))["state"] == "done"
        assert (tmp_path / "0" / "stdout").read_text() == "\n"
        await asyncio.to_thread(dask.start_worker, "bigger", resources="GPU=1 SEAT=2", threads=3)
        names = [one.name for one in await pool.until("up", 2)]
        assert len(names) == 2
        await pool.supply.give_back(names)
    finally:
        dask.end_worker("big")
        dask.end_worker("bigger")


async def test_ends_that_are_not_ours(dask: PrivateDask, pools: list[Pool]) -> None:
    from distributed import Client

    pools.append(pool := Pool(dask))
    (name,) = await pool.ask(1)
    (offer,) = await pool.until("up")
    talk = Talk(await pool.supply.way(offer).open())
    agent = (await talk.hello())["pid"]
    async with Client(dask.address, asynchronous=True, set_as_default=False) as other:
        await other.cancel([await other.get_dataset(name)], force=True)
    assert (await pool.until("ended"))[0].cause == "cancelled"
    async with asyncio.timeout(30):
        while Path(f"/proc/{agent}").exists():
            await asyncio.sleep(0.02)
    pools.append(short := Pool(dask))
    await short.ask(1, leave=0.5)
    assert (await short.until("ended"))[0].cause == "ended"
    pools.append(wrong := Pool(dask))
    wrong.entry["python"] = "python9"
    wrong.supply = wrong.another()
    await wrong.ask(1)
    (failed,) = await wrong.until("ended")
    assert (failed.cause, failed.why) == ("failed", "python9: No such file or directory")


async def test_others_need_not_wait_for_ever(dask: PrivateDask, pools: list[Pool], tmp_path: Path) -> None:
    from distributed import Client

    pools.append(pool := Pool(dask, chunk=0.5))
    names = await pool.ask(2)
    talks = [Talk(await pool.supply.way(offer).open()) for offer in await pool.until("up", 2)]
    for number, talk in enumerate(talks):
        await talk.hello()
        talk.start(tmp_path / str(number), f"until [ -e {tmp_path}/go ]; do sleep 0.05; done")
        await talk.hear("started")
    hearing = [asyncio.create_task(talk.hear("ending")) for talk in talks]
    await asyncio.wait(hearing, timeout=1)  # nobody waits
    assert len(await pool.until("up", 2)) == 2 and not any(one.done() for one in hearing)
    async with Client(dask.address, asynchronous=True, set_as_default=False) as other:
        theirs = other.submit(os.getpid, pure=False)
        while not any(one.done() for one in hearing):
            await pool.until("up", 2)
            await asyncio.sleep(0.1)
        (closing,) = (number for number, one in enumerate(hearing) if one.done())
        for one in hearing:
            one.cancel()
        (tmp_path / "go").touch()
        assert (await talks[closing].hear("finished"))["state"] == "done"
        await pool.supply.give_back([names[closing]])
        async with asyncio.timeout(30):
            assert await theirs


async def test_a_connection_that_breaks_ends_no_lease(dask: PrivateDask, pools: list[Pool], tmp_path: Path) -> None:
    proxy = Proxy(int(dask.address.rpartition(":")[2]))
    pools.append(pool := Pool(dask))
    pool.entry["dask"]["address"] = f"tcp://127.0.0.1:{proxy.port}"
    pool.supply = pool.another()
    try:
        await pool.ask(3)
        first, second = await pool.until("up", 2)
        talk = Talk(await pool.supply.way(first).open())
        await talk.hello()
        talk.start(tmp_path, "sleep 600")
        await talk.hear("started")
        proxy.cut()
        with pytest.raises(OSError):
            await talk.hear("nothing")
        assert await pool.until("up", 2) == [first, second]
        assert len(await pool.until("pending")) == 1
        again = Talk(await pool.supply.way(first).open())
        assert (await again.hello())["open"] == [["e@1", 0, 1]]
        await pool.supply.give_back([offer.name for offer in await pool.supply.survey()])
    finally:
        await pools.pop().supply.close()
        proxy.close()


async def test_a_scheduler_that_is_killed_and_another_one() -> None:
    service.need()
    with PrivateDask(1) as dask:
        pool = Pool(dask)
        (name,) = await pool.ask(1)
        await pool.until("up")
        dask.kill("scheduler")
        with pytest.raises(SupplyError, match="Dask: no scheduler answers at"):
            while True:
                await pool.supply.survey()
        await asyncio.to_thread(dask.start_scheduler)
        await asyncio.to_thread(dask.start_worker, "w2")
        assert [(offer.name, offer.cause) for offer in await pool.until("ended")] == [(name, "node-lost")]
        await pool.ask(1)
        (again,) = await pool.until("up")
        await pool.supply.give_back([again.name])
        await pool.supply.close()


async def test_another_python() -> None:
    service.need()
    from tui_lab.engine.transports.dask.back_end import DaskBackEnd

    class Client:
        async def get_versions(self) -> Any:
            mine, other = ({"host": {"python": python}} for python in ("3.11.7.final.0", "3.13.1.final.0"))
            return {"client": mine, "scheduler": mine, "workers": {"tcp://127.0.0.1:1": other}}

    back_end = DaskBackEnd(Site({}, "tl-", "", 1), Boot([], b""))
    back_end.client = Client()
    with pytest.raises(BackEndError, match=r"it runs Python 3\.13, and the engine runs 3\.11") as wrong:
        await back_end.check_python()
    assert wrong.value.fatal


async def test_no_scheduler(dask: PrivateDask) -> None:
    pool = Pool(dask)
    pool.entry["dask"]["address"] = "tcp://127.0.0.1:1"
    supply = pool.another()
    with pytest.raises(SupplyError, match=r"Dask: no scheduler answers at tcp://127\.0\.0\.1:1: Connect") as away:
        await supply.survey()
    assert not away.value.fatal
    await supply.close()
    pool.entry["dask"]["address"] = "pigeon://127.0.0.1:1"
    supply = pool.another()
    with pytest.raises(SupplyError, match="unknown address scheme") as wrong:
        await supply.survey()
    assert wrong.value.fatal
    await supply.close()


def parent_of(pid: int) -> int:
    """The process that has started another."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
