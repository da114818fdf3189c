"""Channels without an agent: what is sent comes back."""

from __future__ import annotations

import asyncio
import secrets
import time
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.engine.nodes.fleet import Fleet
from tui_lab.engine.transports import channel as channels
from tui_lab.engine.transports.channel import Channel
from tui_lab.engine.transports.ssh.transport import SshTransport
from tui_lab.experiment.cluster.entry import NodeEntry

LAB = secrets.token_hex(8)
# In the place of the agent: says how it was called, and answers each line with itself.
ECHO = b"""
import os, sys
os.write(1, (" ".join(sys.argv[1:]) + "\\n").encode())
while True:
    data = os.read(0, 65536)
    if not data:
        break
    while data:
        data = data[os.write(1, data):]
"""


@asynccontextmanager
async def transport(fleet: Fleet, entry: NodeEntry) -> AsyncIterator[SshTransport]:
    """The way to a node, for as long as it is needed."""
    it = SshTransport(entry, f"{LAB}-{entry['name']}", fleet.environment())
    try:
        yield it
    finally:
        await it.close()


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channels, "packed", lambda: zlib.compress(ECHO))


async def says(channel: Channel, text: str = "hello") -> str:
    """What comes back for a line."""
    channel.writer.write(f"{text}\n".encode())
    await channel.writer.drain()
    return (await channel.reader.readline()).decode().rstrip("\n")


async def eventually(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, condition
        await asyncio.sleep(0.01)
