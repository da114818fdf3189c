"""The way to the agent of a job: a relay beside it, as a further step of the job, and `srun` in between."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Final

from tui_lab.engine.transports.channel import Channel, ChannelError, Mode, boot_command
from tui_lab.engine.transports.slurm.commands import Place
from tui_lab.engine.transports.slurm.errors import relay_error

BOOT: Final = 60.0  # seconds for srun to get a step, and Python to come up
STEP: Final = (
    "--overlap",  # beside the agent, which has all of the job: without a CPU, memory or card of its own
    "--nodes=1",
    "--ntasks=1",
    "--cpus-per-task=1",
    "--mem=0",
    "--gres=none",
    "--unbuffered",  # else what has no newline at its end is held back
    "--quiet",
    "--export=PATH,HOME",
)


class SlurmWay:
    """The way to the agent of one job. opening: bounds how many are opened at once. machine: to the agent of one of its
    machines, where there are several."""

    def __init__(
        self, place: Place, job: str, spool: str, python: str, opening: asyncio.Semaphore, machine: str = ""
    ) -> None:
        self.place = place
        self.machine = machine
        self.opening = opening
        self.job = job
        self.spool = spool
        self.python = python

    async def open(self) -> Channel:
        """Open a channel to the agent. Raises ChannelError."""
        return await self._open("attach")

    async def open_files(self) -> Channel:
        """Open a channel to a file server. Raises ChannelError."""
        return await self._open("files")

    def renew(self, environment: Mapping[str, str]) -> None:
        """The environment is that of the supply."""

    async def close(self) -> None:
        """Nothing is kept beside the channels."""

    async def _open(self, mode: Mode) -> Channel:
        nonce = " " + secrets.token_hex(8)
        python, *rest = boot_command(self.python, self.spool, mode, nonce=nonce)
        program = ["/bin/sh", "-c", 'p=$HOME/$1; shift; exec "$p" "$@"', "sh", python[2:]]
        words = [*(program if python.startswith("~/") else [python]), *rest]
        async with self.opening:
            return await self._opened(mode, nonce, words)

    async def _opened(self, mode: Mode, nonce: str, words: list[str]) -> Channel:
        step = [f"--jobid={self.job}", *STEP, *([f"--nodelist={self.machine}"] if self.machine else [])]
        opened = await self.place.open(["srun", *step, *words], bulk=mode == "files")
        channel = RelayChannel(opened, self)
        try:
            async with asyncio.timeout(BOOT):
                await channel.boot(nonce)
        except TimeoutError:
            await channel.close()
            raise ChannelError(f"srun did not get into job {self.job} within {BOOT:.0f} s") from None
        except OSError as error:
            await channel.close()
            raise ChannelError(f"the way into job {self.job} broke: {error}") from error
        except BaseException:
            await channel.close()
            raise
        return channel


class RelayChannel(Channel):
    """The streams of srun, here or there, and what it says at its end."""

    def __init__(self, srun: Channel, way: SlurmWay) -> None:
        super().__init__(srun.reader, srun.writer, python=way.python)
        self._srun = srun
        self._way = way

    async def stderr_tail(self) -> str:
        """Return what srun and the relay have printed on standard error."""
        return await self._srun.stderr_tail()

    async def exit_status(self) -> int | None:
        """Return the exit status of the relay, which is that of srun."""
        return await self._srun.exit_status()

    async def failure(self) -> ChannelError:
        """Return why the agent is not there, once the stream has ended."""
        said, status = await self.stderr_tail(), await self.exit_status()
        return relay_error(said, status, self.python, self._way.job, started=self.greeted)

    async def ending(self) -> ChannelError:
        """Return why the stream has ended though the agent did not end it."""
        return await self.failure()

    def mark_suspect(self) -> None:
        """The far end says nothing."""
        self._srun.mark_suspect()

    async def close(self) -> None:
        """Close the channel: srun ends with its standard input, and the step with it."""
        await self._srun.close()
