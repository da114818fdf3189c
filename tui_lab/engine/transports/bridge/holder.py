"""What runs beside a worker: it holds one agent, on a leash, and passes bytes between it and the bridge.

It travels to workers by value, so it has the standard library alone, and nothing of this package.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

LAST_WORDS = 1 << 14  # bytes of standard error that are kept
BOOT = 60.0  # seconds for Python to come up
FAREWELL = 30.0  # seconds for an agent to end what it runs
FORGOTTEN = 90.0  # seconds after which a channel is closed that no bridge asks for: its own has gone
LAST = 5.0  # seconds after the agent for the bridge to read what is left
GREETING = b"send the source"


class HolderError(Exception):
    """A program that does not come up: one line says why."""


class Program:
    """A process that is made of the agent's source: the agent, a relay to it, or a server of files."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said = b""
        self.asked = time.monotonic()
        self.next: Any = None  # the read that is under way
        self.hearing = asyncio.ensure_future(self.hear())

    async def hear(self) -> None:
        """Keep the end of what it prints on standard error."""
        assert self.process.stderr is not None
        while data := await self.process.stderr.read(LAST_WORDS):
            self.said = (self.said + data)[-LAST_WORDS:]

    async def words(self) -> tuple[int | None, str]:
        """Return its exit status and its last words, once it has ended."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self.hearing), 2)
            await asyncio.wait_for(asyncio.shield(self.process.wait()), 2)
        return self.process.returncode, self.said.decode("utf-8", "replace")

    async def end(self) -> None:
        """End it, with its standard input."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            await asyncio.wait_for(self.process.wait(), 2)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


class Holder:
    """One agent, and the channels to it. All methods run on the event loop of the worker.

    boot: words that start a program, in which PYTHON, SPOOL and MODE stand for themselves. source: what it is sent.
    python: empty for that of the worker. spool: of this request; each holder has its own. leave: seconds. environment:
    of the agent, and so of tasks.
    """

    def __init__(
        self, boot: list[str], source: bytes, python: str, spool: str, leave: float, environment: dict[str, str]
    ) -> None:
        self.boot, self.source, self.leave = boot, source, leave
        self.python = str(Path(python).expanduser()) if python else sys.executable
        self.spool = f"{spool}-{os.getpid()}"  # a lease may come again, on a worker of the same machine
        self.environment = environment
        self.programs: dict[str, Program] = {}
        self.agent: Program | None = None
        self.status: int | None = None
        self.error = ""  # why there is no agent
        self.ended = asyncio.Event()
        self.since = time.monotonic()
        self.watching: Any = None
        self.forgetting: Any = None  # for whoever holds it

    async def start(self) -> None:
        """Start the agent. It ends when our end of its standard input closes, also when this process is killed. Raises
        HolderError."""
        try:
            self.agent = await self.spawn("leash", f"{self.leave:g}")
        except HolderError as error:
            self.error = str(error)
            self.ended.set()
            raise
        self.watching = asyncio.ensure_future(self.watch())

    async def watch(self) -> None:
        """Wait for the end of the agent, and close what no bridge asks for meanwhile."""
        assert self.agent is not None
        waiting = asyncio.ensure_future(self.agent.process.wait())
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=10)
            long_ago = time.monotonic() - FORGOTTEN
            for name, program in list(self.programs.items()):
                if program.asked < long_ago:
                    await self.close(name)
        self.status, said = await self.agent.words()
        if self.status:
            self.error = said.strip().rpartition("\n")[2] or f"its agent ended with {self.status}"
        self.ended.set()
        closed_by = time.monotonic() + LAST
        while self.programs and time.monotonic() < closed_by:  # they end with the agent, and a bridge reads to the end
            await asyncio.sleep(0.2)
        await asyncio.gather(*map(self.close, list(self.programs)))

    def where(self) -> dict[str, Any]:
        """Return where the agent runs, and for how many seconds."""
        assert self.agent is not None
        age = time.monotonic() - self.since
        return {"pid": self.agent.process.pid, "host": socket.gethostname(), "age": age}

    async def spawn(self, mode: str, *more: str) -> Program:
        """Start a program. Raises HolderError."""
        meant = {"PYTHON": self.python, "SPOOL": self.spool, "MODE": mode}
        words = [meant.get(word, word) for word in self.boot]
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                *more,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env=self.environment,
                start_new_session=True,  # whoever ends a worker may signal its group: the agent must end its tasks
            )
        except OSError as error:
            raise HolderError(f"{self.python}: {error.strerror}") from None
        program = Program(process)
        try:
            assert process.stdin is not None and process.stdout is not None
            line = await asyncio.wait_for(process.stdout.readline(), BOOT)
            if GREETING not in line:
                _, said = await program.words()
                raise HolderError((said.strip() or line.decode("utf-8", "replace").strip()).rpartition("\n")[2])
            process.stdin.write(bytes(1) + self.source)
            await process.stdin.drain()
        except (OSError, TimeoutError) as error:
            await program.end()
            raise HolderError(f"{self.python} did not start: {str(error) or type(error).__name__}") from None
        except BaseException:
            await program.end()
            raise
        return program

    # --- Channels

    async def open(self, name: str, mode: str) -> None:
        """Open a channel: `attach`, to the agent, or `files`. Raises HolderError."""
        self.programs[name] = await self.spawn(mode)

    async def write(self, name: str, data: bytes) -> None:
        """Pass bytes to a channel; none of them end the stream. Raises OSError, KeyError."""
        program = self.programs[name]
        program.asked = time.monotonic()
        assert program.process.stdin is not None
        if data:
            program.process.stdin.write(data)
            await program.process.stdin.drain()
        else:
            program.process.stdin.close()

    async def read(self, name: str, wait: float, most: int) -> bytes | None:
        """Return what has come; None where nothing came in `wait` seconds; nothing at the end. Raises KeyError."""
        program = self.programs[name]
        program.asked = time.monotonic()
        if most <= 0:
            return None
        assert program.process.stdout is not None
        if program.next is None:
            program.next = asyncio.ensure_future(program.process.stdout.read(most))
        done, _ = await asyncio.wait({program.next}, timeout=wait)
        program.asked = time.monotonic()
        if not done:
            return None
        found, program.next = program.next, None
        data: bytes = found.result()
        return data

    async def words(self, name: str) -> tuple[int | None, str]:
        """Return the exit status of a channel that has ended, and its last words. Raises KeyError."""
        return await self.programs[name].words()

    async def close(self, name: str) -> None:
        """Close a channel; one that is not open is no error."""
        program = self.programs.pop(name, None)
        if program is not None:
            await program.end()

    # --- The end

    async def wind_up(self) -> None:
        """Let the agent take nothing new, and end what it has."""
        if self.agent is not None and self.agent.process.returncode is None:
            self.agent.process.send_signal(signal.SIGUSR1)

    async def stop(self) -> None:
        """Let go of the leash: the agent and all of its tasks end."""
        if self.agent is None:
            self.ended.set()
            return
        assert self.agent.process.stdin is not None
        self.agent.process.stdin.close()
        try:
            await asyncio.wait_for(self.ended.wait(), FAREWELL)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self.agent.process.kill()
