"""The user's own `ssh` as the way to a node, for what it alone can do: share a connection that is open
(ControlMaster), sign with a key on a device, Kerberos, lists of revoked keys. Each channel is a process of it."""

from __future__ import annotations

import asyncio
import contextlib
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from tui_lab.engine.transports.channel import Channel, StderrTail
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.engine.transports.ssh.config import Settings, find_ssh, read_settings
from tui_lab.engine.transports.ssh.keys import own_path
from tui_lab.engine.transports.ssh.options import CONNECT, KEEPALIVE
from tui_lab.experiment.cluster.entry import NodeEntry

LOGIN: Final = 40.0  # seconds for a login, in which the user may have to touch a key
LIMIT: Final = 1 << 24  # bytes of a line
FAILED: Final = 255  # exit status of `ssh` itself

# Asks nothing, accepts no new host key, forwards nothing, and never becomes the connection that others share.
_OPTIONS: Final = (
    *("-T", "-a", "-x"),
    *("-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oControlMaster=no", "-oRemoteCommand=none"),
    *("-oClearAllForwardings=yes", "-oPermitLocalCommand=no", "-oAddKeysToAgent=no", "-oUpdateHostKeys=no"),
    "-oLogLevel=ERROR",
)


class SshProgram:
    """words: the command line of `ssh`, without the command that it is to run. shares: the user may have a connection
    open that it uses."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], *, shares: bool) -> None:
        self.words = words
        self.environment = environment
        self.shares = shares
        self._channels: set[ProgramChannel] = set()

    @classmethod
    async def find(cls, entry: NodeEntry, environment: Mapping[str, str]) -> SshProgram | None:
        """The one for the node of an entry; None where there is no `ssh`, or it can't read its configuration."""
        ssh = await asyncio.to_thread(find_ssh, environment)
        if ssh is None:
            return None
        try:
            settings = await asyncio.to_thread(read_settings, entry, environment)
        except ChannelError:
            return None
        words = [ssh, *_OPTIONS, *_of_settings(settings), *_of_entry(entry, environment), "--", entry["host"]]
        path = settings.text("controlpath")
        return cls(words, settings.environment, shares=bool(path) and settings.path(path).is_socket())

    async def can_connect(self) -> bool:
        """Return whether it can log in without a question."""
        process = await self._start("true", DEVNULL)
        try:
            async with asyncio.timeout(LOGIN):
                return await process.wait() != FAILED
        except TimeoutError:
            return False
        finally:
            await _end(process)

    async def run(self, command: str) -> Channel:
        """A channel to a command there. Raises ChannelError."""
        channel = ProgramChannel(await self._start(command, PIPE), self._channels.discard)
        self._channels.add(channel)
        return channel

    async def close(self) -> None:
        """End the channels that are open."""
        await asyncio.gather(*(channel.close() for channel in tuple(self._channels)))

    async def _start(self, command: str, streams: int) -> Process:
        try:
            return await asyncio.create_subprocess_exec(
                *self.words,
                command,
                stdin=streams,
                stdout=streams,
                stderr=streams,
                env=dict(self.environment),
                start_new_session=True,
                limit=LIMIT,
            )
        except OSError as error:
            raise ChannelError(f"{self.words[0]}: {error.strerror}") from error


class ProgramChannel(Channel):
    """Holds the process of `ssh`; it ends with its standard input. on_close: called then."""

    def __init__(self, process: Process, on_close: Callable[[ProgramChannel], None]) -> None:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        self._words = StderrTail(process.stderr)
        super().__init__(ProgramReader(process, self._words), process.stdin)
        self._process = process
        self._on_close = on_close

    async def stderr_tail(self) -> str:
        """Return what `ssh` and the relay have printed on standard error."""
        return await self._words.text()

    async def exit_status(self) -> int | None:
        """Return the exit status of `ssh`, None where it has not ended."""
        return await _status(self._process)

    def mark_suspect(self) -> None:
        """Kill `ssh`: the connection may be dead."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """Close the channel, and end `ssh`."""
        await super().close()
        try:
            if await self.exit_status() is None:
                await _end(self._process)
        finally:
            self._words.stop()
            self._on_close(self)


class ProgramReader:
    """The bytes from `ssh`, whose own end is that of the connection."""

    def __init__(self, process: Process, words: StderrTail) -> None:
        assert process.stdout is not None
        self._stream = process.stdout
        self._process = process
        self._words = words

    async def read(self, n: int = -1) -> bytes:
        """Return at most `n` bytes, none at the end. Raises OSError where the connection was lost."""
        return await self._stream.read(n) or await self._ended()

    async def readline(self) -> bytes:
        """Return a line with its newline. Raises OSError where the connection was lost."""
        return await self._stream.readline() or await self._ended()

    async def readexactly(self, n: int) -> bytes:
        """Return `n` bytes. Raises IncompleteReadError where the stream ends before."""
        return await self._stream.readexactly(n)

    async def _ended(self) -> bytes:
        if await _status(self._process) == FAILED:
            lines = (await self._words.text()).split("\n")
            said = [line.strip() for line in lines if line.strip()]
            raise ConnectionResetError(f"the SSH connection is gone: {said[-1] if said else 'ssh printed nothing'}")
        return b""


async def _status(process: Process) -> int | None:
    """Its exit status; None where it does not end."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            return await process.wait()
    return None


async def _end(process: Process) -> None:
    """End a process that has not ended by itself, by TERM, so that it ends its ProxyCommand."""
    for end in (process.terminate, process.kill):
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                end()
            await _status(process)


def _of_settings(settings: Settings) -> list[str]:
    """What holds unless the user says otherwise, as for connections of our own."""
    usual = {"ConnectTimeout": CONNECT, "ServerAliveInterval": KEEPALIVE[0], "ServerAliveCountMax": KEEPALIVE[1]}
    return [f"-o{name}={value:.0f}" for name, value in usual.items() if not settings.number(name.lower())]


def _of_entry(entry: NodeEntry, environment: Mapping[str, str]) -> list[str]:
    """What the entry of a node says goes before the configuration."""
    home = Path(environment.get("HOME") or Path.home())
    words = [f"-p{entry['port']}"] if entry.get("port") else []
    words += [f"-l{entry['user']}"] if entry.get("user") else []
    if entry.get("key"):
        words += [f"-oIdentityFile={_quoted(own_path(entry['key'], home))}", "-oIdentitiesOnly=yes"]
    if entry.get("known_hosts"):
        words += [f"-oUserKnownHostsFile={_quoted(own_path(entry['known_hosts'], home))}"]
        words += ["-oGlobalKnownHostsFile=/dev/null"]
    return words


def _quoted(path: Path) -> str:
    """A path as one word of a configuration."""
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
