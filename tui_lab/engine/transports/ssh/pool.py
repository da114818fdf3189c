"""The SSH connections to one node, and the channels on them.

An sshd allows so many channels on a connection (MaxSessions, 10 by default) and so many logins at once (MaxStartups).
What does not fit goes over a further connection, or waits; no command is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import asyncssh

from tui_lab.engine.transports.failures import ChannelError
from tui_lab.engine.transports.ssh.errors import HUNG_UP, explain
from tui_lab.engine.transports.ssh.options import CONNECT, Arguments, Target, ask_known_hosts, find_target, jump_entry
from tui_lab.engine.transports.ssh.proxy import ProxyCommand
from tui_lab.experiment.cluster.entry import NodeEntry

log = logging.getLogger(__name__)
logging.getLogger("asyncssh").setLevel(logging.WARNING)  # it tells of every channel

AT_ONCE: Final = 8  # logins under way, over all nodes: a gateway may be common to them
MOST: Final = 10  # connections to a node
SESSIONS: Final = 10  # channels on a connection, where its sshd allows as many
IDLE: Final = 60.0  # seconds after which a connection without channels is closed
LINGER: Final = 2.0  # seconds for which sshd may count a channel that was closed
OPENING: Final = 30.0  # seconds for a channel to open
PLACE: Final = 60.0  # seconds to wait for a place on the connections that there are
JUMPS: Final = 8  # machines on the way

_logins: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()

Streams = tuple["asyncssh.SSHWriter[bytes]", "asyncssh.SSHReader[bytes]", "asyncssh.SSHReader[bytes]"]


@dataclass(eq=False)
class Line:
    """One connection, and how much of it is in use."""

    connection: asyncssh.SSHClientConnection
    used: int = 0  # channels that are open or about to be
    opened: int = 0  # channels that are open
    control: int = 0  # of these, to the agent
    limit: int = SESSIONS
    closed_at: float = -LINGER  # when a channel was closed last, monotonic
    proven: bool = False  # it has carried a channel
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def alive(self) -> bool:
        """Whether the connection is open."""
        return not self.connection.is_closed()

    @property
    def room(self) -> bool:
        """Whether it takes another channel. Before the first one has succeeded, it takes one only."""
        return self.alive and self.used < (self.limit if self.proven else 1)


class Pool:
    """The connections to one node. `environment`: the submitter's, for HOME and SSH_AUTH_SOCK."""

    def __init__(
        self, entry: NodeEntry, environment: Mapping[str, str], *, most: int = MOST, idle: float = IDLE
    ) -> None:
        self.entry = entry
        self.environment = environment
        self.most = most
        self.idle = idle
        self.lines: list[Line] = []
        self._ways: dict[str, asyncssh.SSHClientConnection] = {}  # machines on the way
        self._connecting = False
        self._full_until = 0.0  # monotonic: the node has refused a further connection
        self._changed = asyncio.Event()  # a place is free, or a connection has come or gone
        self._closed = False
        self._logged: set[str] = set()  # what of the configuration is left out, and was logged
        self._variables: dict[str, str] = {}  # for the environment of commands

    async def open(self, command: str, *, bulk: bool = False) -> tuple[Line, Streams]:
        """Run a command: the line that carries it, and its streams; `release` gives the place back. `bulk`: keep
        off the connection to the agent, if possible. Raises ChannelError."""
        deadline, broken = time.monotonic() + OPENING, 0
        while True:
            line = await self._reserve(bulk)
            if not bulk:
                line.control += 1
            try:
                streams = await self._start(line, command)
                line.opened += 1
                line.limit = max(line.limit, line.opened)
                if not line.proven:
                    line.proven = True
                    self._changed.set()
                return line, streams
            except (asyncssh.Error, OSError) as error:
                self._give_back(line, bulk)
                if not line.alive:
                    broken += 1
                    if broken == 3:
                        raise ChannelError("its SSH connection breaks as soon as a command is started") from error
                elif time.monotonic() - line.closed_at < LINGER:
                    await asyncio.sleep(0.1)  # it still counts a channel that was closed
                elif line.proven:
                    line.limit = max(1, line.opened)
                    await asyncio.sleep(0.01)
                else:
                    raise ChannelError(f"its sshd starts no commands: {error}", fatal=True) from error
                if time.monotonic() > deadline:
                    raise ChannelError(f"its sshd starts no more commands: {error}") from error
            except BaseException:
                self._give_back(line, bulk)
                raise

    def release(self, line: Line, bulk: bool) -> None:
        """A channel has been closed."""
        line.opened -= 1
        line.closed_at = time.monotonic()
        self._give_back(line, bulk)

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        lines, self.lines = self.lines, []
        ways, self._ways = self._ways, {}
        for line in lines:
            if line.timer is not None:
                line.timer.cancel()
        for connection in [*(line.connection for line in lines), *reversed(ways.values())]:
            await _hang_up(connection)
        self._changed.set()

    # --- Places

    async def _reserve(self, bulk: bool) -> Line:
        """A place for one more channel, on a connection that is there or a new one. Raises ChannelError."""
        waited = 0.0
        while True:
            if self._closed:
                raise ChannelError("the connection was given up")
            self.lines = [line for line in self.lines if line.alive]
            free = [line for line in self.lines if line.room]
            apart = [line for line in free if not (bulk and line.control)]
            most = self.most if bulk else self.most + 1  # the agent's own channel never waits for files
            new = any(line.used and not line.proven for line in self.lines)  # it may yet have room
            full = bool(self.lines) and time.monotonic() < self._full_until
            extend = len(self.lines) < most and not new and not full
            if apart or (free and not extend and not self._connecting):
                line = (apart or free)[0]
                line.used += 1
                if line.timer is not None:
                    line.timer.cancel()
                    line.timer = None
                return line
            if extend and not self._connecting:
                await self._extend()
                continue
            if waited > PLACE:
                places = sum(line.used for line in self.lines)
                raise ChannelError(f"its sshd allows {places} channels, and none was free within {PLACE:.0f} s")
            self._changed.clear()
            began, connecting = time.monotonic(), self._connecting  # which has deadlines of its own
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._changed.wait()
            waited += 0.0 if connecting else time.monotonic() - began

    async def _extend(self) -> None:
        self._connecting = True
        try:
            connection = await self._connect(self.entry)
            if self._closed:
                await _hang_up(connection)
            else:
                self.lines.append(Line(connection))
        except ChannelError as error:
            if not any(line.alive for line in self.lines):
                raise
            log.info("no further connection: %s", error)  # the open ones must do
            self._full_until = time.monotonic() + self.idle
        finally:
            self._connecting = False
            self._changed.set()

    def _give_back(self, line: Line, bulk: bool) -> None:
        line.used -= 1
        line.control -= 0 if bulk else 1
        if not line.used and line.alive and not self._closed:
            line.timer = asyncio.get_running_loop().call_later(self.idle, self._retire, line)
        self._changed.set()

    def _retire(self, line: Line) -> None:
        if not line.used and line in self.lines:
            self.lines.remove(line)
            line.connection.close()
            if not self.lines:
                for way in self._ways.values():
                    way.close()
                self._ways.clear()

    # --- Channels and connections

    async def _start(self, line: Line, command: str) -> Streams:
        opening = asyncio.ensure_future(
            line.connection.open_session(
                command, encoding=None, request_pty=False, x11_forwarding=False, send_env=None, env=self._variables
            )
        )
        try:
            async with asyncio.timeout(OPENING):
                streams: Streams = await asyncio.shield(opening)
                return streams
        except TimeoutError:
            opening.add_done_callback(_abandon)
            line.connection.abort()
            raise asyncssh.ConnectionLost("no answer") from None
        except asyncio.CancelledError:
            opening.add_done_callback(_abandon)
            raise

    async def _connect(self, entry: NodeEntry, way: Any = None, depth: int = 0) -> asyncssh.SSHClientConnection:
        """A new connection, over the machines on the way. Raises ChannelError."""
        target = await asyncio.to_thread(find_target, entry, self.environment)
        for skipped in set(target.skipped) - self._logged:
            self._logged.add(skipped)
            log.warning("%s: the SSH configuration has %s, which is left out", target.name, skipped)
        if entry is self.entry:
            self._variables = target.variables
        if way is None:
            for jump in target.jumps:
                way = await self._way(jump, way, depth)
        return await self._log_in(target, way)

    async def _way(self, jump: str, way: Any, depth: int) -> asyncssh.SSHClientConnection:
        """Return a connection to a jump host: an open one, or a new one."""
        known = self._ways.get(jump)
        if known is not None and not known.is_closed():
            return known
        if depth >= JUMPS:
            # `ssh` starts one more of itself for each jump, until the machine has room for no more.
            raise ChannelError(f"~/.ssh/config leads in a circle: ProxyJump {jump}", fatal=True, anywhere=True)
        try:
            self._ways[jump] = await self._connect(jump_entry(jump), way, depth + 1)
        except ChannelError as error:
            text = f"jump host {jump}: {error}"
            raise ChannelError(text, fatal=error.fatal, anywhere=error.anywhere) from error
        return self._ways[jump]

    async def _log_in(self, target: Target, way: Any) -> asyncssh.SSHClientConnection:
        deadline, tries = time.monotonic() + max(CONNECT, target.patience), 0
        asked = False
        while True:
            try:
                async with _turn():
                    return await self._log_in_once(target, way)
            except HUNG_UP as error:
                tries += 1
                pause = min(2.0, 0.1 * 2**tries) * random.uniform(0.5, 1.5)
                most = 3 if any(line.alive for line in self.lines) else 8
                if tries == most or time.monotonic() + pause > deadline or target.seen_keys:
                    raise explain(error, target) from error
                await asyncio.sleep(pause)
            except asyncssh.HostKeyNotVerifiable as error:
                if asked or not target.seen_keys:
                    raise explain(error, target) from error
                asked = True  # KnownHostsCommand wants to see the key
                key = target.seen_keys.pop()
                await asyncio.to_thread(ask_known_hosts, target, key)
                if key not in target.known_keys:
                    target.seen_keys.append(key)
                    raise explain(error, target) from error
            except (asyncssh.Error, OSError, ValueError) as error:
                raise explain(error, target) from error

    async def _log_in_once(self, target: Target, way: Any) -> asyncssh.SSHClientConnection:
        """Raises asyncssh's errors, OSError, ChannelError."""
        async with target.identities.offered() as keys:
            target.offered = {key.key_public_data for key in keys}
            return await self._connect_with({**target.arguments, "client_keys": keys or None}, target, way)

    @staticmethod
    async def _connect_with(arguments: Arguments, target: Target, way: Any) -> asyncssh.SSHClientConnection:
        if way is not None or not target.proxy:
            return await asyncssh.connect(**arguments, tunnel=way)
        settings = target.settings
        hands_over = settings.on("proxyusefdpass")
        proxy = await ProxyCommand.start(target.proxy, settings.environment, hands_over=hands_over)
        target.client.on_end = proxy.end
        try:
            return await asyncssh.connect(**arguments, sock=proxy.socket)
        except BaseException as error:
            why = await proxy.why() if isinstance(error, HUNG_UP) else ""
            proxy.end()
            if why:
                raise ChannelError(f"{target.place}: its ProxyCommand ({target.proxy}): {why}") from error
            raise


def _turn() -> asyncio.Semaphore:
    """The right to log in somewhere; one set for all nodes of an engine."""
    return _logins.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE))


def _abandon(opening: asyncio.Future[Streams]) -> None:
    """Close a channel that is no longer awaited."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].close()


async def _hang_up(connection: asyncssh.SSHClientConnection) -> None:
    connection.close()
    try:
        async with asyncio.timeout(2):
            await connection.wait_closed()
    except (TimeoutError, asyncssh.Error, OSError):
        connection.abort()
