"""The bridge's own side: it answers the engine, and passes bytes between it and the holders."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from dataclasses import asdict
from typing import Any, Final

import orjson

from tui_lab.engine.agent_bundle import packed
from tui_lab.engine.transports.bridge.back_end import BackEnd, BackEndError, Boot, Site
from tui_lab.engine.transports.bridge.frames import WINDOW, Kind, frame, read_frame, text_frame
from tui_lab.engine.transports.channel import boot_command
from tui_lab.engine.transports.supply import Request

ANSWER: Final = 25.0  # seconds that the engine behind it has for an answer
TO_CONNECT: Final = 90.0  # seconds that it has for the first
POLL: Final = 10.0  # seconds that a holder waits for bytes before it answers that there are none
TOUCH: Final = 20.0  # seconds after which a channel that has to wait shows that it is still wanted
LAST: Final = 15.0  # seconds to close channels, and the back end
MOST: Final = 1 << 19  # bytes of a read

MakeBackEnd = Callable[[Site, Boot], BackEnd]


class Server:
    """Serves one engine, over two streams, until it hangs up. load: returns what makes the back end, which imports a
    library."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, load: Callable[[], MakeBackEnd]
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._load = load
        self._back_end: BackEnd | None = None
        self._channels: dict[int, BridgedChannel] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._token = secrets.token_hex(4)  # channels of another bridge may still be open

    async def run(self) -> None:
        """Serve to the end."""
        while (found := await read_frame(self._reader)) is not None:
            kind, number, payload = found
            if kind == Kind.CALL:
                self._spawn(self._answer(number, *orjson.loads(payload)))
            elif (channel := self._channels.get(number)) is None:
                continue
            elif kind in (Kind.DATA, Kind.END):
                channel.take(payload)
            elif kind == Kind.TAKEN:
                channel.on_taken(int(payload))
            elif kind == Kind.CLOSE:
                self._spawn(self._close(number))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST):
                await asyncio.gather(*map(self._close, list(self._channels)), return_exceptions=True)
                if self._back_end is not None:
                    await self._back_end.close()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def send(self, data: bytes) -> None:
        """Queue frames for the engine."""
        self._writer.write(data)

    async def drain(self) -> None:
        """Wait until the engine takes more."""
        await self._writer.drain()

    # --- Calls

    async def _answer(self, number: int, method: str, arguments: list[Any]) -> None:
        try:
            async with asyncio.timeout(TO_CONNECT if method == "connect" else ANSWER):
                answer = await getattr(self, f"call_{method}")(*arguments)
        except TimeoutError:
            self.send(text_frame(Kind.REFUSAL, number, ["it does not answer", False]))
        except BackEndError as error:
            self.send(text_frame(Kind.REFUSAL, number, [str(error), error.fatal]))
        except Exception as error:  # noqa: BLE001 -- of a library: the user sees what it says
            self.send(text_frame(Kind.REFUSAL, number, [said(error), False]))
        else:
            self.send(text_frame(Kind.ANSWER, number, answer))

    @property
    def back_end(self) -> BackEnd:
        """The back end, once it is connected. Raises BackEndError."""
        if self._back_end is None:
            raise BackEndError("it is not connected")
        return self._back_end

    async def call_connect(self, settings: Any, prefix: str, python: str, slots: int) -> None:
        """Connect."""
        words = boot_command("PYTHON", "SPOOL", "MODE")  # type: ignore[arg-type]
        back_end = self._load()(Site(settings, prefix, python, slots), Boot(words, packed()))
        await back_end.connect()
        self._back_end = back_end

    async def call_ask(self, requests: list[dict[str, Any]]) -> None:
        """Ask for leases."""
        await self.back_end.ask([Request(**request) for request in requests])

    async def call_survey(self) -> list[dict[str, Any]]:
        """Return the offers."""
        return [asdict(offer) for offer in await self.back_end.survey()]

    async def call_give_back(self, names: list[str]) -> None:
        """End leases."""
        await self.back_end.give_back(names)

    async def call_limits(self) -> dict[str, Any]:
        """Return the most that a worker can have."""
        return asdict(await self.back_end.limits())

    async def call_open(self, number: int, lease: str, name: str, mode: str) -> None:
        """Open a channel to the holder of an offer."""
        program = f"{self._token}-{number}"

        async def call(method: str, *arguments: Any) -> Any:
            return await self.back_end.call(lease, name, method, program, *arguments)

        await call("open", mode)
        self._channels[number] = BridgedChannel(self, number, call)

    # --- Channels

    async def _close(self, number: int) -> None:
        channel = self._channels.pop(number, None)
        if channel is not None:
            await channel.close()


class BridgedChannel:
    """Passes bytes between the engine and a program of a holder. call: a method of the holder, for this channel."""

    def __init__(self, server: Server, number: int, call: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._server = server
        self._number = number
        self._call = call
        self._unsent: list[bytes] = []  # from the engine; nothing as its last ends the stream
        self._filled = asyncio.Event()
        self._closing = False
        self._untaken = 0  # bytes that the engine has not taken
        self._room = asyncio.Event()
        self._reading = asyncio.create_task(self._guarded(self._read()))
        self._writing = asyncio.create_task(self._guarded(self._write()))

    def take(self, data: bytes) -> None:
        """Take what the engine sends; nothing ends the stream."""
        self._unsent.append(data)
        self._filled.set()

    def on_taken(self, count: int) -> None:
        """The engine has taken so many bytes."""
        self._untaken -= count
        self._room.set()

    async def close(self) -> None:
        """Pass on what the engine has sent, and close the channel at the holder."""
        self._closing = True
        self._filled.set()
        try:
            await self._writing
        finally:
            self._reading.cancel()
            with contextlib.suppress(Exception):
                async with asyncio.timeout(ANSWER):
                    await self._call("close")

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 -- of a library
            if not self._closing:
                self._server.send(frame(Kind.BROKEN, self._number, said(error).encode()))

    async def _read(self) -> None:
        """From the holder to the engine."""
        while True:
            while self._untaken >= WINDOW:
                await self._touch()
            async with asyncio.timeout(POLL + ANSWER):
                data = await self._call("read", POLL, MOST)
            if data is None:
                continue
            if not data:
                break
            self._untaken += len(data)
            self._server.send(frame(Kind.DATA, self._number, data))
            await self._server.drain()
        async with asyncio.timeout(ANSWER):
            status, words = await self._call("words")
        self._server.send(text_frame(Kind.END, self._number, [status, words]))

    async def _touch(self) -> None:
        """Wait until the engine takes something; the holder must not believe that all have gone."""
        self._room.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TOUCH):
                await self._room.wait()
                return
        await self._call("read", 0, 0)

    async def _write(self) -> None:
        """From the engine to the holder."""
        while self._unsent or not self._closing:
            if not self._unsent:
                self._filled.clear()
                await self._filled.wait()
                continue
            unsent, self._unsent = self._unsent, []
            ends = not unsent[-1]
            if data := b"".join(unsent):
                async with asyncio.timeout(ANSWER):
                    await self._call("write", data)
                self._server.send(frame(Kind.TAKEN, self._number, b"%d" % len(data)))
            if ends:
                async with asyncio.timeout(ANSWER):
                    await self._call("write", b"")


def said(error: BaseException) -> str:
    """Return what an exception says, on one line."""
    if isinstance(error, TimeoutError):
        return "it does not answer"
    return " ".join(str(error).split()) or type(error).__name__
