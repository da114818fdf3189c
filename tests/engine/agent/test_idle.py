"""Agents that no engine needs any more end by themselves, and what they leave is tidied up."""

from __future__ import annotations

import asyncio
import os
import time
import zlib
from pathlib import Path

import pytest

from tests.engine.agent.talk import Talk, wait_gone
from tests.workbench import alive, until
from tui_lab.engine import agent_bundle
from tui_lab.engine.transports import channel
from tui_lab.engine.transports.local import LocalChannel, LocalTransport

LIMIT = 1.0  # seconds that an agent with nothing to do waits here


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents wait for a second instead of ten minutes, and tidy up at once."""
    text = agent_bundle.bundle()
    for before, after in (
        ("IDLE_LIMIT = 600.0", f"IDLE_LIMIT = {LIMIT}"),
        ("CLEANUP_AFTER = 2.0", "CLEANUP_AFTER = 0.0"),
    ):
        assert before in text
        text = text.replace(before, after)
    source = zlib.compress(text.encode())
    monkeypatch.setattr(channel, "packed", lambda: source)


def test_all_is_acknowledged_and_the_engine_has_gone(any_talk: Talk) -> None:
    talk = any_talk
    talk.connect()
    talk.context()
    key = talk.start(0, "true")
    assert talk.receive("finished")["key"] == key
    talk.ack(key)
    talk.hang_up()
    wait_gone(talk.pid)
    until(lambda: not talk.spool.exists())


def test_a_connection_that_says_nothing_keeps_nobody(talk: Talk) -> None:
    talk.connect(sample=0.1)
    wait_gone(talk.pid)
    assert talk.receive_end() == ""
    until(lambda: not talk.spool.exists())


async def test_a_file_server_that_is_asked_nothing_ends(tmp_path: Path) -> None:
    files = await LocalTransport(tmp_path / "spool").open_files()
    assert isinstance(files, LocalChannel)
    assert await asyncio.wait_for(files.process.wait(), 20) == 0
    await files.close()


def test_an_engine_that_speaks_keeps_it(talk: Talk) -> None:
    talk.connect()
    began = time.monotonic()
    for number in range(1, 40):
        talk.send({"type": "ping", "id": number})
        assert talk.receive("pong")["id"] == number
        time.sleep(0.05)
    assert time.monotonic() - began > LIMIT and alive(talk.pid)


def test_what_is_not_acknowledged_waits_for_the_next_agent(talk: Talk) -> None:
    talk.connect()
    talk.context()
    key = talk.start(0, "exit 3")
    assert talk.receive("finished")["key"] == key
    talk.hang_up()
    first = talk.pid
    wait_gone(first)
    assert talk.connect()["open"] == [key] and talk.pid != first
    assert talk.receive("finished")["exit_code"] == 3


@pytest.mark.slow
def test_a_task_that_waits_for_its_next_step_keeps_nobody(talk: Talk) -> None:
    talk.connect()
    steps = [{"name": "one", "script": None}, {"name": "two", "script": None}]
    talk.context(steps=steps)
    go = talk.folder / "go"
    key = talk.start(0, f"while ! test -e {go}; do sleep 0.02; done", "true")
    talk.receive("started")
    talk.kill()
    talk.connect()  # without the context
    talk.hang_up()
    time.sleep(2 * LIMIT)
    assert alive(talk.pid)  # it still runs
    go.touch()
    wait_gone(talk.pid)
    assert talk.connect()["open"] == [key]
    talk.context(steps=steps)
    finished = talk.receive("finished")
    assert (finished["state"], len(finished["steps"])) == ("done", 2)


def test_left_spools_are_removed_where_all_is_acknowledged(talk: Talk, tmp_path: Path) -> None:
    lab = "0123456789abcdef"
    others = {name: Talk(tmp_path / name) for name in ("done", "open", "young", "alive")}
    for name, other in others.items():
        other.folder.mkdir()
        other.spool_name = str(tmp_path / f"{lab}-{name}")
        other.spool = Path(other.spool_name)
        other.connect()
        other.context()
        key = other.start(0, "true")
        other.receive("finished")
        if name != "open":
            other.ack(key)
            other.send({"type": "ping", "id": 1})
            other.receive("pong")
        if name == "alive":
            other.start(1, "sleep 60")  # else it would end, too
            other.receive("started")
        else:
            other.kill()
        if name != "young":
            os.utime(other.spool, (time.time() - 100_000,) * 2)
    (tmp_path / f"{lab}-no-spool").mkdir()
    os.utime(tmp_path / f"{lab}-no-spool", (0, 0))
    talk.spool_name = str(tmp_path / f"{lab}-own")
    talk.connect()
    try:
        until(lambda: not others["done"].spool.exists())
        time.sleep(0.2)
        names = {path.name.partition("-")[2] for path in tmp_path.glob(f"{lab}-*")}
        assert names == {"open", "young", "alive", "own", "no-spool"}
    finally:
        for other in others.values():
            other.close()
