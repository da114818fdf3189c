"""The connection to the agent of one node, kept open."""

from __future__ import annotations

import asyncio
import logging
import time
from pathlib import Path
from typing import Final, Protocol

from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.agent.setups import format_duration
from tui_lab.engine.core.node import NodeState
from tui_lab.engine.transports import is_remote
from tui_lab.engine.transports.channel import Channel, ChannelError, Transport
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.protocol.agent import (
    BadMessage,
    Bye,
    Facts,
    FromAgent,
    Hello,
    Marker,
    Ping,
    Pong,
    Refused,
    Sample,
    ToAgent,
    Welcome,
    encode,
    received,
)

log = logging.getLogger(__name__)

RECONNECT: Final = (0.02, 0.2, 1.0, 5.0, 15.0)  # seconds before each further try
HANDSHAKE: Final = 30.0  # seconds that an agent may take to answer
QUIET: Final = 8.0  # seconds of silence after which an agent is pinged: it sends a sample every 5
SILENCE: Final = 20.0  # seconds of silence after which it counts as away
PATIENCE: Final = 10.0  # seconds until an agent is asked once more
STEADY: Final = 5.0  # seconds after which a channel counts as good, and the tries begin anew
SAMPLE_EVERY: Final = 5.0  # seconds between samples of load and memory
ANOTHER_VERSION: Final = "an agent of another tui-lab version runs there; it ends when its tasks have ended"


class Listener(Protocol):
    """The receiver of a connection's events."""

    def on_welcome(self, node: NodeConnection, message: Welcome) -> None:
        """The agent has answered."""

    def on_messages(self, node: NodeConnection, messages: list[FromAgent]) -> None:
        """Messages have arrived together."""

    def on_disconnected(self, node: NodeConnection, why: str, *, fatal: bool, silent: bool) -> None:
        """The connection has ended, or could not be made. why: empty where the agent ended it in order. fatal: trying
        again can't help. silent: the channel is open, but the agent does not answer."""

    def on_dropped(self, node: NodeConnection) -> None:
        """The node was removed."""


class NodeConnection:
    """Keeps a channel to an agent. entry: the node as a submission names it. state: the node in the scheduler. marker:
    a file of the lab, and its content: if the agent reads the same there, the node sees the lab's folder, and nothing
    is copied."""

    def __init__(
        self,
        entry: NodeEntry,
        state: NodeState,
        transport: Transport,
        *,
        lab: str,
        marker: Path,
        epoch: int,
        listener: Listener,
    ) -> None:
        self.entry = entry.copy()
        self.name: str = entry["name"]
        self.state = state
        self.remote = is_remote(entry)
        self.transport = transport
        self.lab = lab
        self.marker = marker
        self.epoch = epoch
        self.listener = listener
        self.channel: Channel | None = None
        self.ready = False
        self.shared = True  # it sees the lab's folder
        self.home = ""  # folder on the node for what it does not share
        self.facts: Facts = {}
        self.spool = ""  # identity of the agent's ledger, as its welcome said
        self.leaving = False
        self.tries = 0  # in a row that failed
        self.doubtful = False  # what granted it may have taken it back: set here, reset where that is asked
        self.notice = ""  # what its agent waits for
        self.doing = ""  # what the engine does for it, as sending code
        self.sample: Sample | None = None  # the newest
        self.heard: float | None = None  # when its last message came, in seconds since 1970
        self.latency: float | None = None  # seconds there and back
        self.clock_offset: float | None = None  # seconds that its clock is ahead
        self._next_way: Transport | None = None
        self._heard = time.monotonic()  # when it last said something
        self._patience: asyncio.Timeout | None = None  # with the agent that is connected
        self._unread = b""
        self._again = asyncio.Event()
        self._pinged = (0, 0.0)  # number of the newest ping, and when it left
        self._answered = 0  # number of the newest ping that was answered
        self._pong = asyncio.Event()

    # --- Talking

    def send(self, *messages: ToAgent) -> None:
        """Queue messages for the agent. Where it is not connected they are lost, and the next handshake settles the
        rest."""
        if self.ready:
            self._write(*messages)

    def _write(self, *messages: ToAgent) -> None:
        if self.channel is not None:
            self.channel.writer.write(b"".join(map(encode, messages)))

    def ping(self) -> None:
        """Ask for the node's clock; the answer also gives the latency."""
        self._pinged = (self._pinged[0] + 1, time.monotonic())
        self.send(Ping(self._pinged[0]))

    async def caught_up(self) -> bool:
        """Wait until the agent has handled all messages so far. Return False if it is not connected any more."""
        while self.ready:
            self.ping()
            number = self._pinged[0]
            try:
                async with asyncio.timeout(PATIENCE):
                    while self.ready and self._answered < number:
                        self._pong.clear()
                        await self._pong.wait()
                return self.ready
            except TimeoutError:
                pass
        return False

    def on_pong(self, message: Pong) -> float | None:
        """Return the latency in seconds, if this answers the newest ping."""
        self._answered = max(self._answered, message.id)
        self._pong.set()
        number, left = self._pinged
        if message.id != number:
            return None
        self.latency = time.monotonic() - left
        self.clock_offset = message.time - (time.time() - self.latency / 2)
        return self.latency

    @property
    def status_text(self) -> str:
        """What its tasks wait for, as text; empty where they don't wait."""
        since = self.state.setup_since
        if self.doing or since is None or not self.ready:
            return self.doing or self.notice
        return f"setup is running ({format_duration(round(time.monotonic() - since))})"

    # --- Listening

    def discount_pause(self, seconds: float) -> None:
        """Don't count the seconds in which the engine itself was suspended."""
        self._heard = min(self._heard + seconds, time.monotonic())

    def listen(self) -> None:
        """Ping an agent that has been silent for long, and close the channel where no answer comes: the agent may be
        stopped, or wait for a disk. Its tasks go on, and their states are settled when it is back."""
        quiet = time.monotonic() - self._heard
        if self.ready and self._patience is not None and not self._patience.expired():
            if quiet > SILENCE:
                self._patience.reschedule(0)
            elif quiet > QUIET:
                self.ping()

    # --- The connection

    async def keep_connected(self) -> None:
        """Connect, serve, reconnect; until `say_bye`."""
        while not self.leaving:
            began = time.monotonic()
            try:
                why, fatal, silent = await self._connected()
                welcomed, self.ready = self.ready, False
                if welcomed and time.monotonic() - began > STEADY:
                    self.tries = 0
                if why:
                    log.warning("node %s: %s", self.name, why)
                self.listener.on_disconnected(self, why, fatal=fatal, silent=silent)
            finally:
                self.ready = False
                self._pong.set()
                channel, self.channel = self.channel, None
                if channel is not None:
                    await channel.close()
            if not self.leaving:
                longest = 2 if welcomed else len(RECONNECT) - 1
                await self._pause(None if fatal else RECONNECT[min(self.tries, longest)])
                self.tries += 1
        await self.transport.close()

    async def _connected(self) -> tuple[str, bool, bool]:
        """Connect and serve. Return why that ended (empty where the agent ended it in order), whether trying again
        can't help, and whether the agent was only silent."""
        try:
            await self._take_next_way()
            await self._serve()
        except ChannelError as error:
            self.doubtful = self.doubtful or error.doubt
            fatal = error.fatal and self._next_way is None  # else there is another way to try
            return str(error) or "the connection has ended", fatal, False
        except TimeoutError:
            if self.channel is not None:
                self.channel.mark_suspect()
            quiet = time.monotonic() - self._heard if self.ready else HANDSHAKE
            return f"its agent has not answered for {quiet:.0f} s", False, True
        except (OSError, asyncio.IncompleteReadError) as error:
            return str(error) or type(error).__name__, False, False
        except BadMessage as error:
            log.error("node %s: %s", self.name, error)
            return "its agent has sent an invalid message; see engine.log", False, False
        except Exception as error:
            log.exception("node %s", self.name)
            return f"the engine failed: {error!r}; see engine.log", False, False
        return "", False, False

    async def _pause(self, seconds: float | None) -> None:
        """Wait before the next try. Without `seconds`, wait until `reconnect`; it may have been called already."""
        if self._next_way is not None:
            return
        self._again.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._again.wait()
        except TimeoutError:
            pass

    def reconnect(self, transport: Transport) -> None:
        """Try at once, with another transport or other keys."""
        self._next_way = transport
        self.tries = 0
        self._again.set()

    async def _take_next_way(self) -> None:
        if self._next_way is not None:
            before, self.transport, self._next_way = self.transport, self._next_way, None
            await before.close()

    async def _serve(self) -> None:
        self.channel = channel = await self.transport.open()
        async with asyncio.timeout(HANDSHAKE) as self._patience:
            self._unread = b""
            self._write(self._hello())
            while data := await channel.reader.read(1 << 18):
                messages, self._unread = self._received(self._unread + data if self._unread else data)
                self.heard, self._heard = time.time(), time.monotonic()
                if messages and not self.ready:
                    self._patience.reschedule(None)
                    if not self._on_answer(messages.pop(0)):
                        return
                if messages:
                    self.listener.on_messages(self, messages)
        if not self.ready:
            raise await channel.failure()
        log.info("node %s: the agent has hung up", self.name)
        if self.remote and not self.leaving:
            raise await channel.ending()

    def _received(self, data: bytes) -> tuple[list[FromAgent], bytes]:
        """Return the complete messages, and the rest of the data. Raises BadMessage, ChannelError."""
        try:
            return received(data)
        except BadMessage as error:
            if self.ready:
                raise
            log.error("node %s: %s", self.name, error)
            raise ChannelError(ANOTHER_VERSION) from None

    def _hello(self) -> Hello:
        marker: Marker | None
        try:
            marker = {"path": str(self.marker), "text": self.marker.read_text()}
        except OSError:
            marker = None
        ends_at = self.state.ends_at
        return Hello(
            epoch=self.epoch,
            lab=self.lab,
            node=self.entry.get("pool") or self.name,  # allocations share what their machines share
            slots=self.state.slots,
            marker=marker,
            gpus=self.entry.get("gpus"),
            memory=self.entry.get("memory"),
            data=self.entry.get("spool"),
            sample=SAMPLE_EVERY,
            steps=True,
            ends_in=None if ends_at is None else max(0.0, ends_at - time.monotonic()),
            reason=self.state.ends_for or None,
            resources=self.entry.get("resources"),
        )

    def _on_answer(self, first: FromAgent) -> bool:
        """Take the answer to `hello`. Return False if the agent refuses."""
        if isinstance(first, Refused):
            self.epoch = max(self.epoch, first.epoch) + 1  # we hold the lab's lock: ours is the highest
            return False
        if not isinstance(first, Welcome) or first.protocol != PROTOCOL:
            raise ChannelError(ANOTHER_VERSION)
        self.notice = first.notice
        self.shared = first.shared
        self.home = first.home
        self.facts = first.facts
        self.spool = first.spool
        self.ready = True
        if self.leaving:
            self.send(Bye())
        self.ping()
        self.listener.on_welcome(self, first)
        return True

    def say_bye(self) -> None:
        """Send `bye`: an agent without tasks ends and removes its spool. That ends `keep_connected`."""
        self.leaving = True
        self.send(Bye())
        self._again.set()
