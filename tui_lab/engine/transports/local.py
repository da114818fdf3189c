"""This machine: the same agent as everywhere, over a pipe."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tui_lab.engine.transports.channel import GREETING, Channel, ChannelError, agent_source, boot_command


class LocalChannel(Channel):
    """Holds the relay process; it ends with its standard input."""

    process: asyncio.subprocess.Process

    async def close(self) -> None:
        await super().close()
        await self.process.wait()


class LocalTransport:
    def __init__(self, spool: Path) -> None:
        self.spool = spool

    async def open(self) -> Channel:
        process = await asyncio.create_subprocess_exec(
            *boot_command(sys.executable, str(self.spool)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=1 << 24,
        )
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        channel = LocalChannel(process.stdout, process.stdin)
        channel.process = process
        greeting = await process.stdout.readline()
        if greeting != GREETING:
            said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
            raise ChannelError(f"the agent did not start: {said[-1] if said else 'no word from it'}")
        process.stdin.write(agent_source())
        return channel
