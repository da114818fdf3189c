"""One node as the engine sees it: the channel to its agent, kept open, and what was handed to it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from typing import Any, Final

from tui_lab.engine.transports.channel import Channel, ChannelError, Transport

log = logging.getLogger(__name__)

Message = dict[str, Any]
RECONNECT: Final = (0.05, 0.2, 1.0, 5.0, 15.0)  # seconds before each further try


class Node:
    """Keeps a channel to an agent. Calls `on_welcome(node, message)` after each handshake and
    `on_messages(node, messages)` with whatever arrived at once."""

    def __init__(
        self,
        name: str,
        slots: int,
        transport: Transport,
        *,
        lab: str,
        on_welcome: Callable[[Node, Message], None],
        on_messages: Callable[[Node, list[Message]], None],
    ) -> None:
        self.name = name
        self.slots = slots  # 0: as many as the node has cores
        self.transport = transport
        self.lab = lab
        self.on_welcome = on_welcome
        self.on_messages = on_messages
        self.epoch = 0
        self.channel: Channel | None = None
        self.ready = False
        self.contexts: set[str] = set()  # sent over this channel
        self.open: set[tuple[str, int, int]] = set()  # handed over, not ended
        self.spool = ""  # identity of the agent's ledger, as its welcome said
        self.leaving = False
        self.rate = 0.0  # attempts that end here, per second
        self._measured = time.monotonic()
        self.error = ""

    @property
    def window(self) -> int:
        """How many more attempts to hand over: enough that the agent is busy for a tenth of a second without us."""
        if not self.ready:
            return 0
        ahead = max(self.slots, min(64, int(self.rate * 0.1)))
        return self.slots + ahead - len(self.open)

    def send(self, *messages: Message) -> None:
        """Queue messages for the agent; they are lost if the channel breaks, and sent again after the next welcome."""
        if self.channel is not None:
            # json, not orjson: an environment may hold bytes that are no UTF-8, as lone surrogates
            self.channel.writer.write("".join(json.dumps(message) + "\n" for message in messages).encode())

    async def keep_connected(self) -> None:
        """Connect, serve, reconnect; until told to leave."""
        tries = 0
        while not self.leaving:
            try:
                await self._serve()
                tries = 0
            except (ChannelError, OSError, asyncio.IncompleteReadError) as error:
                self.error = str(error)
                log.warning("node %s: %s", self.name, error)
                tries += 1
            finally:
                self.ready = False
                channel, self.channel = self.channel, None
                if channel is not None:
                    await channel.close()
            if not self.leaving:
                await asyncio.sleep(RECONNECT[min(tries, len(RECONNECT) - 1)])

    async def _serve(self) -> None:
        self.channel = channel = await self.transport.open()
        self.contexts.clear()
        self.send({"type": "hello", "epoch": self.epoch, "lab": self.lab, "node": self.name, "slots": self.slots})
        rest = b""
        while data := await channel.reader.read(1 << 18):
            lines = (rest + data).split(b"\n")
            rest = lines.pop()
            messages = [json.loads(line) for line in lines]
            if messages and not self.ready:
                first = messages.pop(0)
                if first["type"] == "refused":
                    self.epoch = max(self.epoch, first["epoch"]) + 1  # we hold the lab's lock: ours is the highest
                    return
                self.slots = first["slots"]
                self.ready = True
                self.error = ""
                self.on_welcome(self, first)
            if messages:
                self.on_messages(self, messages)

    def leave(self) -> None:
        """Tell the agent that nothing more will come: it ends, removes its spool, and so ends `keep_connected`."""
        self.leaving = True
        self.send({"type": "bye"})

    def measure(self, ended: int) -> None:
        """Take into account that attempts have just ended: a moving average over about half a second."""
        moment = time.monotonic()
        passed, self._measured = moment - self._measured, moment
        weight = min(1.0, passed / 0.5)
        self.rate += weight * (ended / max(passed, 1e-3) - self.rate)
