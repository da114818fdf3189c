"""One node as the engine sees it: the channel to its agent, kept open, and what was handed to it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.agent.resources import Resources
from tui_lab.engine.agent.setups import format_duration
from tui_lab.engine.transports.channel import Channel, ChannelError, Transport

log = logging.getLogger(__name__)

Message = dict[str, Any]
WireKey = tuple[str, int, int]  # what agents call an attempt
RECONNECT: Final = (0.02, 0.2, 1.0, 5.0, 15.0)  # seconds before each further try
HANDSHAKE: Final = 30.0  # seconds that an agent may take to answer
QUIET: Final = 8.0  # seconds without a word after which an agent is asked for one: it sends a sample every 5
SILENCE: Final = 20.0  # seconds without a word after which it counts as away
PATIENCE: Final = 10.0  # seconds until an agent is asked once more
STEADY: Final = 5.0  # seconds after which a channel counts as good, and the tries begin anew
SAMPLE_EVERY: Final = 5.0  # seconds between samples of load and memory
BACKLOG: Final = 100_000  # attempts that `ahead` may hand over at most
LOST_AFTER: Final = 600.0  # seconds without a connection after which a node's tasks run elsewhere


class Listener(Protocol):
    """Whoever hears what a node says."""

    def on_welcome(self, node: Node, message: Message) -> None: ...
    def on_messages(self, node: Node, messages: list[Message]) -> None: ...
    def on_trouble(self, node: Node) -> None: ...


class Node:
    """Keeps a channel to an agent. Tells its listener of each handshake, of whatever arrived at once, and of each
    try that failed.

    entry: the node as a submission names it. marker: a file of the lab, and what it holds: where the agent reads
    the same there, the node sees the lab's folder, and nothing is copied.
    """

    def __init__(
        self, entry: Mapping[str, Any], transport: Transport, *, lab: str, marker: Path, epoch: int, listener: Listener
    ) -> None:
        self.entry = dict(entry)
        self.name: str = entry["name"]
        self.slots: int = entry.get("slots", 0)  # 0: as many as the node has cores
        self.remote = entry.get("host") is not None
        self.transport = transport
        self.lab = lab
        self.marker = marker
        self.epoch = epoch
        self.listener = listener
        self.channel: Channel | None = None
        self.ready = False
        self.met = False  # it has answered at least once
        self.shared = True  # it sees the lab's folder
        self.home = ""  # folder on the node for what it does not share
        self.facts: dict[str, Any] = {}
        self.gpus: list[int | str] = []
        self.contexts: set[str] = set()  # sent over this channel
        self.open: dict[WireKey, dict[str, Any]] = {}  # handed over and not ended, in that order; what each needs
        self.spool = ""  # identity of the agent's ledger, as its welcome said
        self.drained = False  # a person wants nothing new to start there
        self.leaving = False
        self.lost = False  # it stayed away too long: what ran there runs elsewhere
        self.hopeless = False  # trying again can't help: the key is refused, there is no Python
        self.resources: Resources | None = None  # what it offers to the needs of tasks
        self.undisturbed_until = 0.0  # monotonic: until then it is not asked to give back what has not begun
        self.rate = 0.0  # attempts that end here, per second
        self.pace: float | None = None  # seconds that an attempt takes here
        self.tries = 0  # in a row that failed
        self.failing_since: float | None = None  # monotonic
        self.silent = False  # the way there is open, and its agent says nothing
        self.error = ""  # why it can't be reached
        self.notice = ""  # what its agent waits for
        self.doing = ""  # what the engine does for it, as sending code
        self.setup_since: float | None = None  # monotonic: since then its agent runs setup lines, and tasks wait
        self.sample: Message = {}
        self.heard: float | None = None  # when it last said something, in seconds since 1970
        self.latency: float | None = None  # seconds there and back
        self.clock_offset: float | None = None  # seconds that its clock is ahead
        self._next_way: Transport | None = None
        self._measured = self._heard = time.monotonic()  # that moment, and when it last said something
        self._patience: asyncio.Timeout | None = None  # with the agent that is connected
        self._unread = b""
        self._again = asyncio.Event()
        self._pinged = (0, 0.0)  # number of the newest ping, and when it left
        self._answered = 0  # number of the newest ping that was answered
        self._pong = asyncio.Event()

    # What it can take.

    @property
    def window(self) -> int:
        """How many more attempts to hand over: enough that the agent is busy for a while without us."""
        return self.slots + self._ahead - len(self.open) if self.takes else 0

    @property
    def hungry(self) -> bool:
        """It is time to hand over more: in groups, for each message costs both sides a turn of their
        loops."""
        return self.takes and self.window > self._ahead // 2

    @property
    def free(self) -> int:
        """Slots for which nothing was handed over."""
        return max(0, self.slots - len(self.open)) if self.takes else 0

    @property
    def takes(self) -> bool:
        return self.ready and not self.drained and not self.leaving

    @property
    def _ahead(self) -> int:
        """Attempts beyond the slots: a tenth of a second's, twice the latency's, and the backlog that was asked
        for."""
        patience = 0.1 + 4 * (self.latency or 0.0)
        most = max(self.slots, min(256 if self.remote else 64, int(self.rate * patience)))
        wanted = self.entry.get("ahead")
        if isinstance(wanted, int):
            most = max(most, wanted)
        elif wanted is not None and self.pace is not None:
            most = max(most, min(BACKLOG, int(self.slots * wanted["seconds"] / max(self.pace, 1e-3))))
        return most

    @property
    def waiting_room(self) -> int:
        """How many attempts with needs may wait here for what others use: so few that another node may have them."""
        return max(2, int(self.rate * (0.1 + 4 * (self.latency or 0.0))))

    def room(self) -> tuple[Resources, list[WireKey]]:
        """What is free as far as we know, and the attempts that wait here because something is not."""
        assert self.resources is not None
        offered = self.resources
        room = Resources(self.slots, offered.cpus, offered.memory, offered.gpus)
        return room, [key for key, needs in self.open.items() if room.grant(needs) is None]

    @property
    def state(self) -> str:
        if self.ready:
            return "drained" if self.drained else "up"
        if self.hopeless:
            return "failed"
        if self.lost:
            return "lost"
        return "away" if self.met or self.tries > 1 else "connecting"

    @property
    def lost_after(self) -> float:
        return float(self.entry.get("lost_after", LOST_AFTER))

    @property
    def away(self) -> bool:
        """It can't be reached just now, as far as we know."""
        return not self.ready and self.failing_since is not None

    def failing_for(self) -> float:
        """Seconds since the first try that failed, 0 while all is well."""
        return 0.0 if self.failing_since is None else time.monotonic() - self.failing_since

    def asleep_for(self, seconds: float) -> None:
        """The engine itself was held up: that time does not count against the node."""
        self._heard = min(self._heard + seconds, time.monotonic())
        if self.failing_since is not None:
            self.failing_since = min(self.failing_since + seconds, time.monotonic())

    def listen(self) -> None:
        """Ask for a word where the agent has been quiet for long, and give the channel up where none comes: it may be
        stopped, or hang on a disk. What it does have goes on, and is settled when it is back."""
        quiet = time.monotonic() - self._heard
        if self.ready and self._patience is not None and not self._patience.expired():
            if quiet > SILENCE:
                self._patience.reschedule(0)
            elif quiet > QUIET:
                self.ping()

    # Talking.

    def send(self, *messages: Message) -> None:
        """Queue messages for the agent; they are lost where it is not there or the channel breaks, for the next
        welcome settles everything."""
        if self.ready:
            self._write(messages)

    def _write(self, messages: Iterable[Message]) -> None:
        if self.channel is not None:
            self.channel.writer.write(b"".join(map(_line, messages)))

    def ping(self) -> None:
        """Ask for the node's clock; the answer also tells how long the way is."""
        self._pinged = (self._pinged[0] + 1, time.monotonic())
        self.send({"type": "ping", "id": self._pinged[0]})

    async def caught_up(self) -> bool:
        """Wait until the agent has done what it was sent before; False where it is not there, or the channel breaks."""
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

    def on_pong(self, message: Message) -> None:
        self._answered = max(self._answered, message["id"])
        self._pong.set()
        number, left = self._pinged
        if message["id"] == number:
            self.latency = time.monotonic() - left
            self.clock_offset = message["time"] - (time.time() - self.latency / 2)

    def on_setup(self, running_for: float | None) -> None:
        """Setup lines have begun there so many seconds ago, or have ended."""
        self.setup_since = None if running_for is None else time.monotonic() - running_for

    @property
    def said(self) -> str:
        """What its tasks wait for, for a person; empty where all is well."""
        if self.doing or self.setup_since is None or not self.ready:
            return self.doing or self.notice
        return f"setup is running ({format_duration(round(time.monotonic() - self.setup_since))})"

    def set_slots(self, slots: int) -> None:
        self.slots = self.entry["slots"] = slots
        self.send({"type": "slots", "slots": slots})

    async def keep_connected(self) -> None:
        """Connect, serve, reconnect; until told to leave."""
        while not self.leaving:
            began = time.monotonic()
            try:
                why = await self._connected()
                welcomed, self.ready = self.ready, False
                if welcomed and time.monotonic() - began > STEADY:
                    self.tries = 0
                if why:
                    self._failed(why)
            finally:
                self.ready = False
                self._pong.set()
                channel, self.channel = self.channel, None
                if channel is not None:
                    await channel.close()
            if not self.leaving:
                longest = 2 if welcomed else len(RECONNECT) - 1
                await self._pause(None if self.hopeless else RECONNECT[min(self.tries, longest)])
                self.tries += 1
        await self.transport.close()

    async def _connected(self) -> str:
        """Connect and serve, until that ends; why it did, empty where the agent hung up in peace."""
        self.silent = False
        try:
            await self._take_next_way()
            await self._serve()
        except ChannelError as error:
            self.hopeless = error.fatal and self._next_way is None  # else somebody has mended what it was
            return str(error) or "the connection has ended"
        except TimeoutError:
            self.silent = True
            if self.channel is not None:
                self.channel.doubt()
            quiet = time.monotonic() - self._heard if self.ready else HANDSHAKE
            return f"its agent has not answered for {quiet:.0f} s"
        except (OSError, asyncio.IncompleteReadError) as error:
            return str(error) or type(error).__name__
        except Exception as error:
            log.exception("node %s", self.name)
            return f"a mistake of this program: {error!r}; see engine.log"
        return ""

    async def _pause(self, seconds: float | None) -> None:
        """Wait before the next try; without `seconds` until a person asks for one, as may have happened by now."""
        if self._next_way is not None:
            return
        self._again.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._again.wait()
        except TimeoutError:
            pass

    def reconnect(self, transport: Transport) -> None:
        """Try at once, on another way or with other keys; whoever asks has it treated like a new node."""
        self._next_way = transport
        self.hopeless = False
        self.error = ""
        self.tries = 0
        if self.lost:
            self.lost = self.met = False
            self.failing_since = None
        self._again.set()

    async def _take_next_way(self) -> None:
        if self._next_way is not None:
            before, self.transport, self._next_way = self.transport, self._next_way, None
            await before.close()

    def _failed(self, why: str) -> None:
        self.error = why
        log.warning("node %s: %s", self.name, self.error)
        if self.failing_since is None:
            self.failing_since = time.monotonic()
        self.listener.on_trouble(self)

    async def _serve(self) -> None:
        self.channel = channel = await self.transport.open()
        async with asyncio.timeout(HANDSHAKE) as self._patience:
            self.contexts.clear()
            self._unread = b""
            self._write([self._hello()])
            while data := await channel.reader.read(1 << 18):
                messages = self._whole(data)
                self.heard, self._heard = time.time(), time.monotonic()
                if messages and not self.ready:
                    self._patience.reschedule(None)
                    if not self._welcome(messages.pop(0)):
                        return
                if messages:
                    self.listener.on_messages(self, messages)
        if not self.ready:
            raise await channel.failure()
        log.info("node %s: the agent has hung up", self.name)
        if self.remote and not self.leaving:
            raise ChannelError("the connection has ended")

    def _hello(self) -> Message:
        try:
            marker = {"path": str(self.marker), "text": self.marker.read_text()}
        except OSError:
            marker = None
        return {
            "type": "hello",
            "epoch": self.epoch,
            "lab": self.lab,
            "node": self.name,
            "slots": self.slots,
            "marker": marker,
            "gpus": self.entry.get("gpus"),
            "memory": self.entry.get("memory"),
            "data": self.entry.get("spool"),
            "sample": SAMPLE_EVERY,
        }

    def _whole(self, data: bytes) -> list[Message]:
        """The messages that are complete; `data` in those that carry bytes behind their line."""
        unread = self._unread + data if self._unread else data
        messages: list[Message] = []
        start = 0
        while (end := unread.find(b"\n", start)) >= 0:
            message = _message(unread[start:end])
            after = end + 1 + message.get("size", 0)
            if after > len(unread):
                break
            if after > end + 1:
                message["data"] = unread[end + 1 : after]
            messages.append(message)
            start = after
        self._unread = unread[start:]
        return messages

    def _welcome(self, first: Message) -> bool:
        if first["type"] == "refused":
            self.epoch = max(self.epoch, first["epoch"]) + 1  # we hold the lab's lock: ours is the highest
            return False
        if first.get("protocol") != PROTOCOL:
            raise ChannelError("an agent of another tui-lab version is at work there; it ends when its tasks have")
        self.slots = first["slots"]
        self.notice = first.get("notice", "")
        self.on_setup(first.get("setup"))
        self.shared = first.get("shared", True)
        self.home = first.get("home", "")
        self.facts = first.get("facts", {})
        self.gpus = first.get("gpus", [])
        self.ready = self.met = True
        self.lost = self.hopeless = False
        self.undisturbed_until = 0.0
        memory = self.entry.get("memory") or self.facts.get("memory", 0)
        self.resources = Resources(self.slots, self.facts.get("cores", 0), memory, self.gpus)
        self.error, self.failing_since = "", None
        if self.leaving:
            self.send({"type": "bye"})
        wanted = self.entry.get("slots", 0)
        if wanted and wanted != self.slots:
            self.set_slots(wanted)  # someone has changed them since our hello
        self.ping()
        self.listener.on_welcome(self, first)
        return True

    def leave(self) -> None:
        """Tell the agent that nothing more will come: it ends, removes its spool, and so ends
        `keep_connected`."""
        self.leaving = True
        self.send({"type": "bye"})
        self._again.set()

    def measure(self, ended: int, durations: Iterable[float]) -> None:
        """Take into account that attempts have just ended: moving averages, of their rate over about half a
        second."""
        self.tries = 0  # the channel is of use
        for duration in durations:
            self.pace = duration if self.pace is None else 0.9 * self.pace + 0.1 * duration
        moment = time.monotonic()
        passed, self._measured = moment - self._measured, moment
        weight = min(1.0, passed / 0.5)
        self.rate += weight * (ended / max(passed, 1e-3) - self.rate)


# orjson is several times as fast, but takes no lone surrogates: as these travel bytes of an environment or of a file's
# name that are no UTF-8.


def _line(message: Message) -> bytes:
    try:
        return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
    except TypeError:
        return json.dumps(message).encode() + b"\n"


def _message(line: bytes) -> Message:
    try:
        found: Message = orjson.loads(line)
    except ValueError:
        found = json.loads(line)
    return found
