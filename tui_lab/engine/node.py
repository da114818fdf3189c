"""One node as the engine sees it: the channel to its agent, kept open, and what was handed to it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from tui_lab.engine.agent import PROTOCOL
from tui_lab.engine.transports.channel import Channel, ChannelError, Transport

log = logging.getLogger(__name__)

Message = dict[str, Any]
RECONNECT: Final = (0.02, 0.2, 1.0, 5.0, 15.0)  # seconds before each further try
HANDSHAKE: Final = 30.0  # seconds that an agent may take to start and answer
STEADY: Final = 5.0  # seconds after which a channel counts as good, and the tries begin anew


class Node:
    """Keeps a channel to an agent. Calls `on_welcome(node, message)` after each handshake,
    `on_messages(node, messages)` with whatever arrived at once, and `on_trouble(node)` after a failed try."""

    def __init__(
        self,
        name: str,
        slots: int,
        transport: Transport,
        *,
        lab: str,
        on_welcome: Callable[[Node, Message], None],
        on_messages: Callable[[Node, list[Message]], None],
        on_trouble: Callable[[Node], None],
    ) -> None:
        self.name = name
        self.slots = slots  # 0: as many as the node has cores
        self.transport = transport
        self.lab = lab
        self.on_welcome = on_welcome
        self.on_messages = on_messages
        self.on_trouble = on_trouble
        self.epoch = 0
        self.channel: Channel | None = None
        self.ready = False
        self.contexts: set[str] = set()  # sent over this channel
        self.open: set[tuple[str, int, int]] = set()  # handed over, not ended
        self.spool = ""  # identity of the agent's ledger, as its welcome said
        self.leaving = False
        self.rate = 0.0  # attempts that end here, per second
        self.tries = 0  # in a row that failed
        self.failing_since: float | None = None  # monotonic
        self.error = ""  # why it can't be reached
        self.notice = ""  # what its agent waits for
        self._measured = time.monotonic()

    @property
    def window(self) -> int:
        """How many more attempts to hand over: enough that the agent is busy for a tenth of a second without
        us."""
        return self.slots + self._ahead - len(self.open) if self.ready else 0

    @property
    def hungry(self) -> bool:
        """It is time to hand over more: in groups, for each message costs both sides a turn of their
        loops."""
        return self.ready and self.window > self._ahead // 2

    @property
    def _ahead(self) -> int:
        return max(self.slots, min(64, int(self.rate * 0.1)))

    def failing_for(self) -> float:
        """Seconds since the first try that failed, 0 while all is well."""
        return 0.0 if self.failing_since is None else time.monotonic() - self.failing_since

    def send(self, *messages: Message) -> None:
        """Queue messages for the agent; they are lost if the channel breaks, and sent again after the next
        welcome."""
        if self.channel is not None:
            # json, not orjson: an environment may hold bytes that are no UTF-8, as lone surrogates
            self.channel.writer.write("".join([json.dumps(message) + "\n" for message in messages]).encode())

    async def keep_connected(self) -> None:
        """Connect, serve, reconnect; until told to leave."""
        while not self.leaving:
            began = time.monotonic()
            try:
                await self._serve()
            except (ChannelError, OSError, asyncio.IncompleteReadError) as error:
                self._failed(str(error) or type(error).__name__)
            except Exception as error:
                log.exception("node %s", self.name)
                self._failed(f"a mistake of this program: {error!r}; see engine.log")
            finally:
                welcomed = self.ready
                steady = self.ready and time.monotonic() - began > STEADY
                self.ready = False
                channel, self.channel = self.channel, None
                if channel is not None:
                    await channel.close()
            if steady:
                self.tries = 0
            if not self.leaving:
                longest = 2 if welcomed else len(RECONNECT) - 1
                await asyncio.sleep(RECONNECT[min(self.tries, longest)])
                self.tries += 1

    def _failed(self, why: str) -> None:
        log.warning("node %s: %s", self.name, why)
        self.error = why
        if self.failing_since is None:
            self.failing_since = time.monotonic()
        self.on_trouble(self)

    async def _serve(self) -> None:
        async with asyncio.timeout(HANDSHAKE) as patience:
            self.channel = channel = await self.transport.open()
            self.contexts.clear()
            self.send(
                {
                    "type": "hello",
                    "epoch": self.epoch,
                    "lab": self.lab,
                    "node": self.name,
                    "slots": self.slots,
                }
            )
            rest = b""
            while data := await channel.reader.read(1 << 18):
                lines = (rest + data).split(b"\n")
                rest = lines.pop()
                messages = [json.loads(line) for line in lines]
                if messages and not self.ready:
                    patience.reschedule(None)
                    if not self._welcome(messages.pop(0)):
                        return
                if messages:
                    self.on_messages(self, messages)
        if not self.ready:
            raise ChannelError(await channel.last_words())
        log.info("node %s: the agent has hung up", self.name)

    def _welcome(self, first: Message) -> bool:
        if first["type"] == "refused":
            self.epoch = max(self.epoch, first["epoch"]) + 1  # we hold the lab's lock: ours is the highest
            return False
        if first.get("protocol") != PROTOCOL:
            raise ChannelError("an agent of another tui-lab version is at work there; it ends when its tasks have")
        self.slots = first["slots"]
        self.notice = first.get("notice", "")
        self.ready = True
        self.error, self.failing_since = "", None
        self.on_welcome(self, first)
        return True

    def leave(self) -> None:
        """Tell the agent that nothing more will come: it ends, removes its spool, and so ends
        `keep_connected`."""
        self.leaving = True
        self.send({"type": "bye"})

    def measure(self, ended: int) -> None:
        """Take into account that attempts have just ended: a moving average over about half a second."""
        self.tries = 0  # the channel is of use
        moment = time.monotonic()
        passed, self._measured = moment - self._measured, moment
        weight = min(1.0, passed / 0.5)
        self.rate += weight * (ended / max(passed, 1e-3) - self.rate)
