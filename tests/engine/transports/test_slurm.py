"""Slurm itself grants allocations, in which our agent runs tasks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.engine.nodes.fleet import Fleet
from tests.engine.transports.talk import Talk
from tests.services import slurm as service
from tests.services.slurm import PrivateSlurm
from tui_lab.engine.transports.channel import ChannelError
from tui_lab.engine.transports.slurm.supply import SlurmSupply
from tui_lab.engine.transports.supply import Offer, Request, SupplyError
from tui_lab.experiment.cluster.entry import NodeEntry

pytestmark = service.MARKS


class Pool:
    """A supply, and the names of what is asked of it."""

    def __init__(self, slurm: PrivateSlurm, python: str = "python3", **keys: Any) -> None:
        self.slurm = slurm
        self.prefix = f"tl-{secrets.token_hex(8)}-"
        self.entry: NodeEntry = {"name": "big", "slots": 0, "python": python, "slurm": keys}  # type: ignore[typeddict-unknown-key]
        self.supply = self.another()

    def another(self) -> SlurmSupply:
        """As another engine has it, which starts within a job of another cluster."""
        inherited = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "9", "SBATCH_PARTITION": "nope", "SQUEUE_FORMAT": "%i"}
        return SlurmSupply(self.entry, self.prefix, {**self.slurm.environment, **inherited})

    async def ask(self, number: int = 0, leave: float = 600) -> str:
        name = f"{self.prefix}big-{number}"
        await self.supply.ask([Request(name, self.supply.spool(name), 1, leave)])
        return name

    async def until(self, name: str, state: str, seconds: float = 60) -> Offer:
        """Wait until an allocation is in a state."""
        async with asyncio.timeout(seconds):
            while True:
                with contextlib.suppress(SupplyError):  # the site is left alone for a moment after it gave no answer
                    found = next((offer for offer in await self.supply.survey() if offer.name == name), None)
                    if found is not None and found.state == state:
                        return found
                await asyncio.sleep(0.1)

    async def until_nothing_is_left(self) -> None:
        """Wait until the queue is empty, and no step runs."""
        async with asyncio.timeout(30):
            while self.slurm.queue() or self.slurm.steps():
                await asyncio.sleep(0.05)


@pytest.fixture
async def pool(slurm: PrivateSlurm) -> AsyncIterator[Pool]:
    pool = Pool(slurm)
    yield pool
    await pool.supply.give_back([offer.name for offer in await pool.supply.survey()])
    await pool.supply.close()


async def test_a_task_in_an_allocation(pool: Pool, tmp_path: Path) -> None:
    name = await pool.ask()
    offer = await pool.until(name, "up")
    way = pool.supply.way(offer)
    talk = Talk(await way.open())
    welcome = await talk.hello()
    talk.start(tmp_path / "out", "echo $SLURM_JOB_ID $SLURM_JOB_NAME; srun -n1 echo a step of a task; cat")
    assert (await talk.hear("finished"))["state"] == "done"
    said = (tmp_path / "out" / "0" / "stdout").read_text().splitlines()
    assert said == [f"{offer.id} {name}", "a step of a task"]
    # Another engine finds it by its name, and the same agent in it.
    other = pool.another()
    (again,) = await other.survey()
    assert (again.name, again.id, again.state, again.ends_in) == (name, offer.id, "up", None)
    later = Talk(await other.way(again).open())
    assert (await later.hello(epoch=2))["pid"] == welcome["pid"]
    files = await other.way(again).open_files()
    files.writer.write(json.dumps({"list": f"{tmp_path}/out/0", "home": f"{tmp_path}/out"}).encode() + b"\n")
    assert "stdout" in {file["name"] for file in json.loads(await files.reader.readline())["files"]}
    for one in (files, later.channel, talk.channel):
        await one.close()
    await other.give_back([name])
    await pool.until(name, "ended")
    await pool.until_nothing_is_left()
    with pytest.raises(ChannelError, match=f"job {offer.id} has ended"):
        await way.open()
    await other.close()


async def test_what_cannot_be_and_what_has_to_wait(slurm: PrivateSlurm) -> None:
    for options, message in (
        ({"partition": "nope"}, "Slurm refuses it: Invalid partition name specified"),
        ({"mem": "1T"}, "Slurm refuses it: "),
        ({"gres": "gpu:9"}, "Slurm refuses it: "),
        ({"colour": "red"}, "Slurm refuses it: unrecognized option '--colour=red'"),
    ):
        with pytest.raises(SupplyError, match=message) as refused:
            await Pool(slurm, options=options).ask()
        assert refused.value.fatal
        with pytest.raises(SupplyError, match="Slurm refuses it: ") as refused:
            await Pool(slurm, options=options).supply.limits()
        assert refused.value.fatal
    pool = Pool(slurm, options={"exclusive": True}, time="2:00:00", walltime=7200.0)
    limits = await pool.supply.limits()
    assert (limits.cpus, limits.gpus, limits.walltime) == (4, 2, 7200)
    names = [await pool.ask(number) for number in range(3)]
    up = [await pool.until(name, "up") for name in names[:2]]
    assert all(offer.ends_in is not None and 7000 < offer.ends_in <= 7200 for offer in up)
    async with asyncio.timeout(30):
        while True:
            waiting = await pool.until(names[2], "pending")
            if waiting.why and waiting.starts_in is not None:
                break
            await asyncio.sleep(0.1)
    assert waiting.why in ("Resources", "Priority") and 6000 < waiting.starts_in <= 7200
    with pytest.raises(ChannelError, match="has not begun"):
        await pool.supply.way(waiting).open()
    await pool.another().give_back([*names, "tl-unknown"])  # all in one command, also those that wait
    ended = [await pool.until(name, "ended") for name in names]
    assert {offer.cause for offer in ended} == {"cancelled"}
    await pool.until_nothing_is_left()


async def test_an_agent_that_does_not_come_up_says_why(slurm: PrivateSlurm) -> None:
    pool = Pool(slurm, python="python9")
    offer = await pool.until(await pool.ask(), "ended")
    assert offer.cause == "failed" and offer.why.startswith('there is no "python9" on ')
    with pytest.raises(ChannelError, match=f"job {offer.id} has ended"):
        await pool.supply.way(offer).open()


async def test_an_engine_that_is_killed_leaves_no_step(pool: Pool) -> None:
    name = await pool.ask()
    way = pool.supply.way(await pool.until(name, "up"))
    channel = await way.open()
    await Talk(channel).hello()
    assert len(pool.slurm.steps()) == 2  # the agent's, and the relay's
    channel.writer.close()  # as the system does for a process that was killed
    async with asyncio.timeout(20):
        while len(pool.slurm.steps()) != 1:
            await asyncio.sleep(0.05)
    await channel.close()
    assert (await pool.until(name, "up")).state == "up"


async def test_an_agent_leaves_where_no_engine_comes(pool: Pool) -> None:
    name = await pool.ask(leave=1)
    offer = await pool.until(name, "ended")
    assert offer.cause == "ended"
    await pool.until_nothing_is_left()


async def test_a_controller_that_is_down(pool: Pool) -> None:
    name = await pool.ask()
    offer = await pool.until(name, "up")
    controller = pool.slurm.processes["slurmctld"]
    os.kill(controller.pid, signal.SIGTERM)
    await asyncio.to_thread(controller.wait)
    try:
        with pytest.raises(SupplyError, match="Unable to contact slurm controller") as unreachable:
            await pool.supply.survey()
        assert not unreachable.value.fatal
    finally:
        await asyncio.to_thread(pool.slurm.start_controller)
    assert (await pool.until(name, "up")).id == offer.id


async def test_through_a_login_node(slurm: PrivateSlurm, fleet: Fleet, tmp_path: Path) -> None:
    start = f"echo Welcome\nexport SLURM_CONF={slurm.conf} PATH={service.PATH}\n"
    node = fleet.node("login", bashrc=start)
    pool = Pool(slurm)
    keys: Any = {"slurm": {"options": {"partition": "main"}}}
    pool.entry = {**node.entry, "name": "big", **keys}
    pool.supply = SlurmSupply(pool.entry, pool.prefix, fleet.environment())
    name = await pool.ask()
    talk = Talk(await pool.supply.way(await pool.until(name, "up")).open())
    await talk.hello()
    talk.start(tmp_path / "out", "echo $SLURM_JOB_NAME")
    assert (await talk.hear("finished"))["state"] == "done"
    assert (tmp_path / "out" / "0" / "stdout").read_text() == f"{name}\n"
    await talk.channel.close()
    with pytest.raises(SupplyError, match="Slurm refuses it: Invalid partition name specified"):
        await pool.supply.commands.sbatch(["--partition=nope"], b"#!/bin/sh\n")
    await pool.supply.give_back([name])
    await pool.until(name, "ended")
    await pool.supply.close()
    await pool.until_nothing_is_left()
