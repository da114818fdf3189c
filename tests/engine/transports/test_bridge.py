"""A bridge passes calls and bytes, and whatever ends on either side of it is noticed."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.engine.transports.talk import Talk
from tui_lab.engine.transports.bridge import client
from tui_lab.engine.transports.bridge.supply import BridgeSupply
from tui_lab.engine.transports.channel import ChannelError
from tui_lab.engine.transports.supply import Offer, Request, SupplyError

ROOT = Path(__file__).parents[3]

MakeSupply = Callable[..., BridgeSupply]


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[MakeSupply]:
    """Makes supplies over the bridge to a cluster of the tests' own; at the end they are closed."""
    made: list[BridgeSupply] = []

    def one(python: str = sys.executable, **settings: Any) -> BridgeSupply:
        entry: Any = {"name": "pool", "transport": "here", "here": {"room": 1, **settings}, "python": python}
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        made.append(BridgeSupply(entry, "tests.made_up.back_end", "Here", "tl-x-", environment))
        return made[-1]

    yield one
    for supply in made:
        await supply.close()


def request(folder: Path, number: int = 0, leave: float = 600.0) -> Request:
    return Request(f"tl-x-pool-{number}", str(folder / f"s{number}"), 1, leave)


async def up(supply: BridgeSupply, folder: Path) -> Offer:
    await supply.ask([request(folder)])
    (offer,) = await supply.survey()
    assert offer.state == "up"
    return offer


async def test_a_task_and_files_through_a_bridge(make: MakeSupply, tmp_path: Path) -> None:
    supply = make()
    assert (await supply.limits()).cpus == 3
    await supply.ask([request(tmp_path, 0), request(tmp_path, 1)])
    first, second = await supply.survey()
    assert (first.state, second.state, second.why) == ("up", "pending", "no room")
    way = supply.way(first)
    talk = Talk(await way.open())
    await talk.hello()
    talk.start(tmp_path / "out", "printf 'no newline'")
    assert (await talk.hear("finished"))["state"] == "done"
    await supply.give_back([first.name, second.name, "tl-x-unknown"])
    assert [offer.state for offer in await supply.survey()] == ["ended", "ended"]
    with pytest.raises(ChannelError, match="Here: it has ended"):
        await way.open()
    with pytest.raises((OSError, ValueError)):
        await talk.hear("nothing")


async def test_bytes_both_ways(make: MakeSupply, tmp_path: Path) -> None:
    supply = make()
    files = await supply.way(await up(supply, tmp_path)).open_files()
    data = os.urandom(20_000_000)
    home = {"home": str(tmp_path)}
    put = {"put": str(tmp_path / "big"), **home, "offset": 0, "size": len(data), "final": True, "total": len(data)}
    files.writer.write(json.dumps(put).encode() + b"\n")
    for start in range(0, len(data), 3_000_000):
        files.writer.write(data[start : start + 3_000_000])
        await files.writer.drain()
    assert json.loads(await files.reader.readline())["ok"]
    assert (tmp_path / "big").read_bytes() == data
    files.writer.write(json.dumps({"get": str(tmp_path / "big"), **home}).encode() + b"\n")
    files.writer.write_eof()
    assert json.loads(await files.reader.readline())["total"] == len(data)
    got = b""
    while "end" not in (piece := json.loads(await files.reader.readline())):
        got += await files.reader.readexactly(piece["size"])
    assert got == data
    assert await files.reader.read() == b"" and await files.exit_status() == 0
    await files.close()


async def test_who_does_not_read_holds_up_the_other_end(make: MakeSupply, tmp_path: Path) -> None:
    supply = make()
    (tmp_path / "big").write_bytes(bytes(80_000_000))
    way = supply.way(await up(supply, tmp_path))
    files = await way.open_files()
    files.writer.write(json.dumps({"get": str(tmp_path / "big"), "home": str(tmp_path)}).encode() + b"\n")
    assert json.loads(await files.reader.readline())["ok"]
    other = Talk(await way.open())
    assert await other.hello()  # the rest goes on meanwhile
    while "end" not in (piece := json.loads(await files.reader.readline())):
        assert await files.reader.readexactly(piece["size"])
    await files.close()


async def test_a_bridge_that_dies_is_started_again(make: MakeSupply, tmp_path: Path) -> None:
    supply = make()
    talk = Talk(await supply.way(await up(supply, tmp_path)).open())
    await talk.hello()
    assert supply.bridge.pid is not None
    os.kill(supply.bridge.pid, signal.SIGKILL)
    with pytest.raises(ConnectionError, match="the bridge to Here has ended"):
        await talk.hear("nothing")
    assert await supply.survey() == []  # the holders of this cluster lived in it


async def test_a_bridge_that_hangs_is_ended(make: MakeSupply, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "PATIENCE", 0.5)
    supply = make(hangs=True)
    await supply.limits()
    with pytest.raises(SupplyError, match="Here has not answered for"):
        await supply.survey()
    assert (await supply.limits()).cpus == 3


async def test_what_a_cluster_says_reaches_the_user(make: MakeSupply, tmp_path: Path) -> None:
    with pytest.raises(SupplyError, match="Here: not today") as refused:
        await make(refuses="not today").survey()
    assert refused.value.fatal
    supply = make(python="python9")
    await supply.ask([request(tmp_path)])
    (offer,) = await supply.survey()
    assert (offer.state, offer.cause, offer.why) == ("ended", "failed", "python9: No such file or directory")
    supply = make()
    supply.bridge.kind = "tests.made_up.nothing"
    with pytest.raises(SupplyError, match=r"No module named .tests\.made_up\.nothing."):
        await supply.survey()
