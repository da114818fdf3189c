"""This machine: the same agent as everywhere, over a pipe."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tui_lab.engine.transports.channel import GREETING, Channel, ChannelError, agent_source, boot_command


class LocalChannel(Channel):
    """Holds the relay process; it ends with its standard input."""

    process: asyncio.subprocess.Process

    async def last_words(self) -> str:
        assert self.process.stderr is not None
        said = (await self.process.stderr.read(1 << 16)).decode(errors="replace").strip().splitlines()
        return said[-1] if said else "the agent did not start: no word from it"

    async def close(self) -> None:
        await super().close()
        try:
            async with asyncio.timeout(1):
                await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()


class LocalTransport:
    def __init__(self, spool: Path, python: str = sys.executable) -> None:
        self.spool = spool
        self.python = python

    async def open(self) -> Channel:
        try:
            process = await asyncio.create_subprocess_exec(
                *boot_command(self.python, str(self.spool)),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=1 << 24,
            )
        except OSError as error:
            raise ChannelError(f"the agent did not start: {self.python}: {error.strerror}") from error
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        channel = LocalChannel(process.stdout, process.stdin)
        channel.process = process
        try:
            if await process.stdout.readline() != GREETING:
                raise ChannelError(await channel.last_words())
        except BaseException:
            await channel.close()
            raise
        process.stdin.write(agent_source())
        return channel
