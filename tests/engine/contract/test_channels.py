"""What a channel of each kind does with bytes, and when its far end is not there any more."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import zlib

import pytest

from tests.engine.contract.places import Place
from tests.workbench import alive
from tui_lab.engine.transports import channel as channels
from tui_lab.engine.transports.channel import Channel, ChannelError

# In the place of a relay: says its pid and how it was called, then sends back what it gets, and a last word at the end.
ECHO = b"""
import os, sys
os.write(1, ("%d %s\\n" % (os.getpid(), sys.argv[-1])).encode())
data = b"-"
while data:
    data = rest = os.read(0, 65536)
    while rest:
        rest = rest[os.write(1, rest):]
os.write(1, b"the end")
os.write(2, b"last words\\n")
sys.exit(7)
"""


async def opened(place_way: object) -> tuple[Channel, int]:
    channel: Channel = await place_way.open()  # type: ignore[attr-defined]
    said = (await channel.reader.readline()).split()
    assert said[1] in (b"relay", b"attach")
    return channel, int(said[0])


async def test_a_channel_carries_any_bytes_and_knows_its_end(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    if not place.sends:
        pytest.skip("a bridge sends the program; its channels are tested in test_bridge.py")
    async with asyncio.timeout(120), place.way() as way:
        monkeypatch.setattr(channels, "packed", lambda: zlib.compress(ECHO))
        channel, _ = await opened(way)
        data = random.Random(1).randbytes(1 << 20)

        async def send() -> None:
            for at in range(0, len(data), 50_000):
                channel.writer.write(data[at : at + 50_000])
                await channel.writer.drain()

        sending = asyncio.create_task(send())
        assert await channel.reader.readexactly(len(data)) == data
        await sending
        channel.writer.write(b"no newline")  # and no more for now
        assert await channel.reader.readexactly(10) == b"no newline"
        channel.writer.write_eof()
        assert await channel.reader.read() == b"the end", "half of it was open"
        assert await channel.exit_status() == 7
        assert "last words" in await channel.stderr_tail()
        await channel.close()

        channel, pid = await opened(way)
        os.kill(pid, signal.SIGKILL)
        assert await channel.reader.read() == b"", "its end is heard"
        assert isinstance(await channel.failure(), ChannelError)
        channel.writer.write(b"x" * (1 << 20))  # dropped, or an error of the system: it does not wait
        try:
            await channel.writer.drain()
        except OSError:
            pass
        await channel.close()

        channel, pid = await opened(way)
        os.kill(pid, signal.SIGSTOP)
        try:
            channel.mark_suspect()
            await channel.close()  # does not wait for who does not answer
        finally:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        channel, _ = await opened(way)
        await channel.close()
