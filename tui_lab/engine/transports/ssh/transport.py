"""A machine reached by SSH: the same agent as everywhere, over channels of a pool of connections, or through the
user's own `ssh` where that alone gets in."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import shlex
from collections.abc import Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tui_lab.engine.transports.channel import Channel, Mode, StderrTail, boot_command
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.experiment.cluster.entry import NodeEntry

if TYPE_CHECKING:  # asyncssh takes a quarter of a second to import
    import asyncssh

    from tui_lab.engine.transports.ssh.pool import Line, Pool, Streams
    from tui_lab.engine.transports.ssh.program import SshProgram

log = logging.getLogger(__name__)

T = TypeVar("T")

PYTHON: Final = "python3"
TYPED: Final = 1.0  # seconds after which the command is typed, too, for a shell that has taken the first one's place
SLOW: Final = 4.0  # seconds after which a login that says nothing is looked into
BOOT: Final = 30.0  # seconds for a login shell to come to the command, and Python to come up
GUARD: Final = "[[ $- == *i* ]] || return"  # in a start file: what follows is for terminals alone
NO_COMMAND: Final = (
    "its start files replace the login shell by one that runs no command (as `exec fish` in .bashrc does); "
    f"write before that line: {GUARD}"
)


class SshTransport:
    """The way to one node. `entry`: as in a submission event, with `host`. `environment`: the submitter's, for HOME
    and SSH_AUTH_SOCK."""

    def __init__(self, entry: NodeEntry, spool: str, environment: Mapping[str, str]) -> None:
        self.entry = entry
        self.spool = spool
        self.environment = environment
        self._pool: Pool | None = None
        self._program: SshProgram | None = None  # where no connection of our own gets in
        self._got_in = False  # it has, and so may again
        self._types = False  # the last command had to be typed

    async def open(self) -> Channel:
        """Open a channel to the agent, which is started where none runs. Raises ChannelError."""
        return await self._open("relay")

    async def open_files(self) -> Channel:
        """Open a channel to a file server. Raises ChannelError."""
        return await self._open("files")

    def renew(self, environment: Mapping[str, str]) -> None:
        """Take another environment for further connections: that of the newest submitter, with the SSH agent."""
        self.environment = environment
        if self._pool is not None:
            self._pool.environment = environment  # further connections
        if self._program is not None:
            self._program.environment = environment

    async def close(self) -> None:
        """Close all connections."""
        pool, self._pool = self._pool, None
        program, self._program = self._program, None
        if program is not None:
            await program.close()
        if pool is not None:
            await pool.close()

    @property
    def by_program(self) -> bool:
        """Whether the user's own `ssh` leads there."""
        return self._program is not None

    async def _open(self, mode: Mode) -> Channel:
        python = self.entry.get("python") or PYTHON
        said, typed = " " + secrets.token_hex(8), " " + secrets.token_hex(8)
        channel = await self.run(command_line(boot_command(python, self.spool, mode, nonce=said)), mode == "files")
        channel.python = python
        # A start file may replace the login shell, as `exec zsh` in .bashrc does: the command is lost with it, and what
        # is there instead reads its standard input.
        again = command_line(boot_command(python, self.spool, mode, nonce=typed)).encode() + b"\n"
        loop = asyncio.get_running_loop()
        typing = loop.call_later(
            0 if self._types else TYPED, lambda: None if channel.greeted else channel.writer.write(again)
        )
        booting = asyncio.ensure_future(channel.boot(said, typed))
        trying: asyncio.Future[bool] = loop.create_future()
        try:
            async with asyncio.timeout(BOOT):
                if not (await asyncio.wait({booting}, timeout=SLOW))[0]:
                    trying = asyncio.ensure_future(self._runs_no_command())
                    await asyncio.wait({booting, trying}, return_when=asyncio.FIRST_COMPLETED)
                    if not booting.done() and trying.result():
                        raise ChannelError(NO_COMMAND, fatal=True)
                self._types = await booting == typed
        except TimeoutError:
            await channel.close()
            hint = f"do its start files wait for input? Write at the top of them: {GUARD}"
            raise ChannelError(f"its login shell did not start the agent within {BOOT:.0f} s; {hint}") from None
        except OSError as error:
            self._program = None  # our own connections are tried first again
            await channel.close()
            raise ChannelError(f"the SSH connection broke while the agent was started: {error}") from error
        except BaseException:
            await channel.close()
            raise
        finally:
            for task in (typing, booting, trying):
                task.cancel()
            await asyncio.gather(booting, trying, return_exceptions=True)
        return channel

    async def _runs_no_command(self) -> bool:
        """Whether the start files replace the login shell by one that reads all of its input before it does any of it:
        here that has an end."""
        said, typed = secrets.token_hex(8), secrets.token_hex(8)
        try:
            channel = await self.run(f"echo {said}", bulk=True)
        except ChannelError:
            return False
        try:
            channel.writer.write(f"echo {typed}\n".encode())
            channel.writer.write_eof()
            heard = await channel.reader.read()
        except OSError:
            return False
        finally:
            await channel.close()
        return typed.encode() in heard and said.encode() not in heard

    async def run(self, command: str, bulk: bool) -> Channel:
        """Start a command there, and return its standard streams. `bulk`: keep off the connection to the agent, if
        possible. Raises ChannelError."""
        if self._program is None:
            pool = await self._ready_pool()
            try:
                line, streams = await pool.open(command, bulk=bulk)
                return SshChannel(pool, line, streams, bulk=bulk)
            except ChannelError as error:
                self._program = await self._other_way(error)
        return await self._program.run(command)

    async def _other_way(self, error: ChannelError) -> SshProgram:
        """The user's own `ssh`, where that gets in though we did not. Raises the error where it does not, either."""
        if error.anywhere:
            raise error
        module = await asyncio.to_thread(_program_module)
        program: SshProgram | None = await module.SshProgram.find(self.entry, self.environment)
        if program is not None and (error.fatal or program.shares) and await program.can_connect():
            log.info("%s: %s; `ssh` gets in", self.entry["name"], error)
            self._got_in = True
            return program
        if self._got_in:
            advice = f"log in again, as by `ssh -fNM {self.entry['host']}`"
            raise ChannelError(f"`ssh` could log in before, and can't now: {advice} ({error})") from error
        raise error

    async def _ready_pool(self) -> Pool:
        if self._pool is None:
            module = await asyncio.to_thread(_pool_module)
            self._pool = self._pool or module.Pool(self.entry, self.environment)
        return self._pool


def _pool_module() -> Any:
    from tui_lab.engine.transports.ssh import pool

    return pool


def _program_module() -> Any:
    from tui_lab.engine.transports.ssh import program

    return program


def command_line(words: list[str]) -> str:
    """The words for any login shell: all of them read plain single quotes alike. A program's ~/ is its home."""
    program, *rest = words
    first = f'"$HOME"/{shlex.quote(program[2:])}' if program.startswith("~/") else shlex.quote(program)
    return " ".join(["exec", first, *map(shlex.quote, rest)])


async def _network(reading: Awaitable[T]) -> T:
    """What SSH says of a broken connection, as the OSError that it is."""
    import asyncssh

    try:
        return await reading
    except asyncssh.Error as error:
        why = "no sign of life" if error.reason.endswith("not responding to keepalive") else error.reason
        raise ConnectionResetError(f"the SSH connection is gone: {why}") from error


class SshReader:
    """A stream of asyncssh for reading, whose errors are those of a network."""

    def __init__(self, stream: asyncssh.SSHReader[bytes]) -> None:
        self._stream = stream

    async def read(self, n: int = -1) -> bytes:
        """Return at most `n` bytes, none at the end. Raises OSError."""
        return await _network(self._stream.read(n))

    async def readline(self) -> bytes:
        """Return a line with its newline. Raises OSError."""
        return await _network(self._stream.readline())

    async def readexactly(self, n: int) -> bytes:
        """Return `n` bytes. Raises IncompleteReadError, OSError."""
        return await _network(self._stream.readexactly(n))


class SshWriter:
    """A stream of asyncssh for writing, whose errors are those of a network."""

    def __init__(self, stream: asyncssh.SSHWriter[bytes]) -> None:
        self._stream = stream

    @property
    def channel(self) -> Any:
        """The channel of asyncssh."""
        return self._stream.channel

    def write(self, data: bytes) -> None:
        """Add data to what is sent. A broken connection is ignored: the reader reports it."""
        with contextlib.suppress(BrokenPipeError):  # as asyncio's own writers do: the reader tells of the end
            self._stream.write(data)

    async def drain(self) -> None:
        """Wait until more data can be sent. Raises OSError."""
        await _network(self._stream.drain())

    def write_eof(self) -> None:
        """Send the end of the stream."""
        with contextlib.suppress(OSError):
            self._stream.write_eof()

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


class SshChannel(Channel):
    """On a connection of the pool, which gets its place back at the end."""

    writer: SshWriter

    def __init__(self, pool: Pool, line: Line, streams: Streams, *, bulk: bool) -> None:
        stdin, stdout, stderr = streams
        super().__init__(SshReader(stdout), SshWriter(stdin))
        self._pool, self._line, self._bulk, self._closed = pool, line, bulk, False
        self._words = StderrTail(SshReader(stderr))

    async def stderr_tail(self) -> str:
        """Return what the relay has printed on standard error."""
        return await self._words.text()

    async def exit_status(self) -> int | None:
        """Return the exit status of the relay, None where the connection was lost."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                await self.writer.channel.wait_closed()
        status: int | None = self.writer.channel.get_exit_status()
        return status

    def mark_suspect(self) -> None:
        """Drop the connection with all its channels: it may be dead."""
        self._line.connection.abort()

    async def close(self) -> None:
        """Close the channel, and give its place in the connection back."""
        if self._closed:
            return
        self._closed = True
        self.writer.close()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await self.writer.channel.wait_closed()
        finally:
            self._words.stop()
            self._pool.release(self._line, self._bulk)
