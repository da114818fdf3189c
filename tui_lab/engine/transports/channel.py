"""What every channel to an agent has in common: the command that starts it, the source that travels first, and
what can be wrong."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from tui_lab.engine.agent_bundle import packed
from tui_lab.engine.transports.failures import ChannelError as ChannelError
from tui_lab.engine.transports.failures import agent_failure, python_error

Mode = Literal["relay", "attach", "files", "stay", "leash"]
"""What becomes of the process: a relay to the agent, which it starts where none runs; a relay that starts nothing; a
server of files; the agent itself; the same, and it ends when its standard input does."""

_LINE: Final = "tui-lab agent{nonce}, {what}\n"
READY: Final = "send the source"
GREETING: Final = _LINE.format(nonce="", what=READY).encode()
MARK: Final = bytes(1)  # before the source; what comes earlier is a command line that no shell has read
NOISE: Final = 1 << 22  # bytes that a login shell may print before the greeting
LAST_WORDS: Final = 1 << 16  # bytes of standard error that are kept
_TAIL: Final = 1 << 12  # bytes of it that may hold the beginning of the greeting

# Runs on the node before anything of ours is there, in whatever Python there is: prints the greeting (what a
# noisy login shell printed before it is skipped), reads the source behind a mark from descriptor 0, and becomes it.
# Every login shell must read it alike in single quotes (sh, fish, csh): no newline, no single quote, no exclamation
# mark. Files of the folder that it runs in must not take the place of Python's own modules.
_BOOT: Final = (
    "import sys;sys.path[:]=[p for p in sys.path if p];import os;v=sys.version_info;"
    'ok=v>=(3,6)and sys.platform.startswith("linux");'
    'w="READY"if ok else"Python %d.%d on %s"%(v[0],v[1],sys.platform);'
    'os.write(1,("tui-lab agentNONCE, %s\\n"%w).encode());ok or sys.exit(1);'
    'exec("c=os.read(0,1)\\nwhile c>bytes(1):c=os.read(0,1)");'
    'exec("s=bytes()\\nwhile len(s)<SIZE:\\n c=os.read(0,SIZE-len(s))\\n if len(c)<1:raise SystemExit(1)\\n s+=c");'
    'import zlib;exec(compile(zlib.decompress(s),"tui-lab-agent","exec"))'
)


def boot_command(python: str, spool: str, mode: Mode = "relay", *, nonce: str = "") -> list[str]:
    """The program that becomes a relay to the agent of a spool, a file server beside it, or the agent. With `stay` and
    `leash`, the seconds of `Request.leave` follow."""
    size = str(len(packed()))
    boot = _BOOT.replace("NONCE", nonce).replace("READY", READY).replace("SIZE", size)
    return [python, "-S", "-E", "-c", boot, spool, mode]


def boot_input() -> bytes:
    """What the standard input of that program begins with: the mark, and its source."""
    return MARK + packed()


class Reader(Protocol):
    """The bytes from a node. At the end `read` and `readline` give what is left, then nothing; a connection that
    breaks raises OSError."""

    async def read(self, n: int = -1) -> bytes:
        """Return at most `n` bytes, all up to the end where `n` is negative; none at the end."""

    async def readline(self) -> bytes:
        """Return a line with its newline; at the end, what is left."""

    async def readexactly(self, n: int) -> bytes:
        """Return `n` bytes. Raises IncompleteReadError where the stream ends before."""


class Writer(Protocol):
    """The bytes to a node. What is written to a channel that has gone is dropped; `drain` raises OSError then."""

    def write(self, data: bytes) -> None:
        """Add data to what is sent."""

    def write_eof(self) -> None:
        """Send the end of the stream."""

    async def drain(self) -> None:
        """Wait until more data can be sent."""

    def close(self) -> None:
        """Close the stream."""


class StderrTail:
    """What the far end says on its standard error. Read along: a noisy login would fill the channel with it."""

    def __init__(self, stderr: Reader) -> None:
        self._said = b""
        self._listening = asyncio.create_task(self._listen(stderr))

    async def _listen(self, stderr: Reader) -> None:
        with contextlib.suppress(OSError):
            while data := await stderr.read(LAST_WORDS):
                self._said = (self._said + data)[-LAST_WORDS:]

    async def text(self) -> str:
        """What there is of it, once the stream has ended."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await asyncio.shield(self._listening)
        return self._said.decode(errors="replace")

    def stop(self) -> None:
        """Stop reading."""
        self._listening.cancel()


@dataclass(eq=False)
class Channel:
    """A byte stream to an agent, past the bootstrap."""

    reader: Reader
    writer: Writer
    python: str = field(default="python3", kw_only=True)
    greeted: bool = field(default=False, kw_only=True)  # the node's Python has come up
    _seen: bytes = field(default=b"", init=False, repr=False)
    _noise: int = field(default=0, init=False, repr=False)

    async def boot(self, *nonces: str) -> str:
        """Skip what a login shell prints, and send the source; which of the nonces was greeted with. Raises
        ChannelError, OSError."""
        nonce, what = await self.greeting(*nonces)
        self.greeted = True
        if what != READY:
            raise python_error(what, self.python)
        self.writer.write(boot_input())
        await self.writer.drain()
        return nonce

    async def greeting(self, *nonces: str) -> tuple[str, str]:
        """The nonce of the program that has come up, and what it says of itself. Raises ChannelError, OSError."""
        starts = b"|".join(re.escape(_LINE.format(nonce=nonce, what="").rstrip().encode()) for nonce in nonces or ("",))
        pattern = re.compile(rb"(" + starts + rb") ([^\n%]*)\n")  # a start file may echo the command
        while not (found := pattern.search(self._seen)):
            data = await self.reader.read(1 << 16)
            if not data:
                raise await self.failure()
            self._noise += len(data)
            if self._noise > NOISE:
                raise ChannelError("its login shell prints without end: no agent can be started", fatal=True)
            self._seen = self._seen[-_TAIL:] + data
        start, what = found[1].decode(), found[2].decode(errors="replace")
        return next(nonce for nonce in nonces or ("",) if f"agent{nonce}," in start), what

    async def stderr_tail(self) -> str:
        """What the far end said on its standard error, once the stream has ended."""
        return ""

    async def exit_status(self) -> int | None:
        """The exit status of the program, or of the shell that was to start it; None where it is not known."""
        return None

    async def failure(self) -> ChannelError:
        """Why the agent is not there, once the stream has ended."""
        status = await self.exit_status()
        return agent_failure(await self.stderr_tail(), status, self.python, started=self.greeted)

    async def ending(self) -> ChannelError:
        """Why the stream has ended though the agent did not end it."""
        return ChannelError("the connection has ended")

    def mark_suspect(self) -> None:
        """The far end says nothing: no further channel goes over the same connection."""

    async def close(self) -> None:
        """Close the channel."""
        self.writer.close()


class Transport(Protocol):
    """A way to a node."""

    async def open(self) -> Channel:
        """A new channel to the node's agent, which is started where none is alive. Raises ChannelError."""
        ...

    async def open_files(self) -> Channel:
        """A new channel to a process on the node that reads and writes files for us. Raises ChannelError."""
        ...

    def renew(self, environment: Mapping[str, str]) -> None:
        """From now on with the environment of a later submitter: the SSH agent of the first may have gone."""
        ...

    async def close(self) -> None:
        """Give everything back. Channels that are open end."""
        ...
