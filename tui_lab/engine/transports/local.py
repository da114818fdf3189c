"""This machine: the same agent as everywhere, over a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

from tui_lab.engine.transports.channel import Channel, Mode, boot_command
from tui_lab.engine.transports.failures import ChannelError

LIMIT = 1 << 24  # bytes of a line
BOOT = 30.0  # seconds for Python to come up


class LocalChannel(Channel):
    """Holds the relay process; it ends with its standard input."""

    process: asyncio.subprocess.Process

    async def stderr_tail(self) -> str:
        """Return what the agent's relay has printed on standard error."""
        assert self.process.stderr is not None
        return (await self.process.stderr.read(1 << 16)).decode(errors="replace")

    async def exit_status(self) -> int | None:
        """Return the exit status of the relay, None where it has not ended within a second."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                return await self.process.wait()
        return None

    async def close(self) -> None:
        """Close the channel, and end the relay."""
        await super().close()
        if await self.exit_status() is None:
            self.process.kill()
            await self.process.wait()


class LocalTransport:
    """The way to an agent on this machine: a pipe to a process. starts: it starts the agent where none runs."""

    def __init__(self, spool: Path, python: str = sys.executable, *, starts: bool = True) -> None:
        self.spool = spool
        self.python = python
        self.starts = starts

    async def open(self) -> Channel:
        """Open a channel to the agent. Raises ChannelError."""
        return await self._open("relay" if self.starts else "attach")

    async def open_files(self) -> Channel:
        """Open a channel to a file server. Raises ChannelError."""
        return await self._open("files")

    def renew(self, environment: Mapping[str, str]) -> None:
        """Nothing of it is needed."""

    async def close(self) -> None:
        """Nothing is kept beside the channels."""

    async def _open(self, mode: Mode) -> Channel:
        words = boot_command(self.python, str(self.spool), mode)
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=LIMIT,
            )
        except OSError as error:
            raise ChannelError(f"the agent did not start: {self.python}: {error.strerror}") from error
        assert process.stdin is not None and process.stdout is not None
        channel = LocalChannel(process.stdout, process.stdin, python=self.python)
        channel.process = process
        try:
            async with asyncio.timeout(BOOT):
                await channel.boot()
        except TimeoutError:
            await channel.close()
            raise ChannelError(f"{self.python} did not start the agent within {BOOT:.0f} s") from None
        except BaseException:
            await channel.close()
            raise
        return channel
