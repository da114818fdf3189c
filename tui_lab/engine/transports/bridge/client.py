"""The engine's side of a bridge: its process, calls to it, and channels through it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from tui_lab.engine.transports.bridge.frames import WINDOW, Kind, frame, read_frame, text_frame
from tui_lab.engine.transports.channel import Channel, ChannelError, StderrTail
from tui_lab.engine.transports.failures import agent_failure
from tui_lab.engine.transports.local import LIMIT
from tui_lab.engine.transports.supply import SupplyError

log = logging.getLogger(__name__)

PATIENCE: Final = 40.0  # seconds for an answer: the bridge has a limit of its own, which is shorter
TO_CONNECT: Final = 120.0  # seconds for the first, which imports a large library
FAREWELL: Final = 20.0  # seconds for the end of the process


class Bridge:
    """A bridge process, which is started when it is needed, and again where it has ended.

    kind: of the back end, as in `bridge/__main__.py`. title: what users call the engine behind it. arguments: of
    `connect`, as JSON.
    """

    def __init__(self, kind: str, title: str, arguments: Sequence[Any], environment: Mapping[str, str]) -> None:
        self.kind = kind
        self.title = title
        self.arguments = arguments
        self.environment = dict(environment)
        self._process: asyncio.subprocess.Process | None = None
        self._words: StderrTail | None = None
        self._listening: asyncio.Task[None] | None = None
        self._numbers = itertools.count(1)
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._channels: dict[int, BridgeChannel] = {}
        self._starting = asyncio.Lock()
        self._connected = False

    @property
    def pid(self) -> int | None:
        """The process, where there is one."""
        return None if self._process is None else self._process.pid

    # --- Calls

    async def call(self, method: str, *arguments: Any) -> Any:
        """Call a method of the bridge, and return its answer. Raises SupplyError."""
        await self._need()
        return await self._call(method, arguments, PATIENCE)

    async def open(self, lease: str, name: str, mode: str, python: str) -> Channel:
        """Open a channel to the holder of an offer: `attach` or `files`. Raises ChannelError."""
        number = next(self._numbers)
        channel = BridgeChannel(self, number, python)
        self._channels[number] = channel
        try:
            await self.call("open", number, lease, name, mode)
        except SupplyError as error:
            await channel.close()
            raise ChannelError(str(error), fatal=error.fatal) from error
        except BaseException:
            await channel.close()
            raise
        return channel

    async def _call(self, method: str, arguments: Sequence[Any], patience: float) -> Any:
        number = next(self._numbers)
        answer = self._calls[number] = asyncio.get_running_loop().create_future()
        try:
            self.send(text_frame(Kind.CALL, number, [method, arguments]))
            async with asyncio.timeout(patience):
                return await answer
        except TimeoutError:
            self._kill()
            raise SupplyError(f"{self.title} has not answered for {patience:.0f} s") from None
        finally:
            del self._calls[number]

    # --- The process

    async def _need(self) -> None:
        """Start the process where none runs. Raises SupplyError."""
        async with self._starting:
            if self._connected and self._process is not None and self._process.returncode is None:
                return
            await self._end()
            await self._start()
            try:
                await self._call("connect", self.arguments, TO_CONNECT)
            except BaseException:
                await self._end()
                raise
            self._connected = True

    async def _start(self) -> None:
        pipe = asyncio.subprocess.PIPE
        words = [sys.executable, "-P", "-m", "tui_lab.engine.transports.bridge", self.kind]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *words,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env=self.environment or os.environ,
                limit=LIMIT,
                start_new_session=True,
            )
        except OSError as error:
            raise SupplyError(f"{words[0]}: {error.strerror}") from error
        assert self._process.stdout is not None and self._process.stderr is not None
        self._words = StderrTail(self._process.stderr)
        self._listening = asyncio.create_task(self._listen(self._process, self._process.stdout, self._words))

    async def _listen(
        self, process: asyncio.subprocess.Process, stdout: asyncio.StreamReader, words: StderrTail
    ) -> None:
        try:
            with contextlib.suppress(OSError):
                while (found := await read_frame(stdout)) is not None:
                    self._on_frame(*found)
        finally:
            self._connected = False
            why = f"the bridge to {self.title} has ended"
            for channel in self._channels.values():
                channel.on_broken(why)
            self._channels.clear()
            for answer in self._calls.values():
                if not answer.done():
                    answer.set_exception(SupplyError(why))
        said = (await words.text()).strip()
        status = await process.wait()
        log.info("%s with %s: %s", why, status, said[-2000:])

    def _on_frame(self, kind: Kind, number: int, payload: bytes) -> None:
        if kind in (Kind.ANSWER, Kind.REFUSAL):
            answer = self._calls.get(number)
            if answer is None or answer.done():
                return
            content = orjson.loads(payload)
            if kind == Kind.ANSWER:
                answer.set_result(content)
            else:
                answer.set_exception(SupplyError(f"{self.title}: {content[0]}", fatal=content[1]))
            return
        channel = self._channels.get(number)
        if channel is None:
            return
        if kind == Kind.DATA:
            channel.on_data(payload)
        elif kind == Kind.END:
            channel.on_end(*orjson.loads(payload))
        elif kind == Kind.TAKEN:
            channel.on_taken(int(payload))
        elif kind == Kind.BROKEN:
            channel.on_broken(payload.decode())

    def send(self, data: bytes) -> None:
        """Queue frames for the bridge; without one they are dropped."""
        if self._process is not None and self._process.stdin is not None and self._process.returncode is None:
            self._process.stdin.write(data)

    def drop(self, number: int) -> None:
        """Forget a channel."""
        if self._channels.pop(number, None) is not None:
            self.send(frame(Kind.CLOSE, number))

    def _kill(self) -> None:
        self._connected = False
        if self._process is not None and self._process.returncode is None:
            self._process.kill()

    async def close(self) -> None:
        """End the process. Leases go on."""
        async with self._starting:
            await self._end()

    async def _end(self) -> None:
        process, self._process, self._connected = self._process, None, False
        if process is None or self._listening is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        for end in (process.terminate, process.kill):
            try:
                async with asyncio.timeout(FAREWELL):
                    await process.wait()
                    break
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    end()
        await process.wait()
        await asyncio.wait([self._listening])


class _Flow(asyncio.ReadTransport):
    """What a StreamReader has in place of a transport: it says when its buffer is full."""

    def __init__(self, channel: BridgeChannel) -> None:
        super().__init__()
        self._channel = channel

    def pause_reading(self) -> None:
        self._channel.set_full(True)

    def resume_reading(self) -> None:
        self._channel.set_full(False)


class BridgeWriter:
    """The bytes to a node."""

    def __init__(self, bridge: Bridge, number: int) -> None:
        self._bridge = bridge
        self._number = number
        self._untaken = 0
        self._room = asyncio.Event()
        self._broken = ""

    def write(self, data: bytes) -> None:
        """Add data to what is sent."""
        if data and not self._broken:
            self._untaken += len(data)
            self._bridge.send(frame(Kind.DATA, self._number, bytes(data)))

    def write_eof(self) -> None:
        """Send the end of the stream."""
        if not self._broken:
            self._bridge.send(frame(Kind.END, self._number))

    async def drain(self) -> None:
        """Wait until more data can be sent. Raises OSError."""
        while not self._broken and self._untaken >= WINDOW:
            self._room.clear()
            await self._room.wait()
        if self._broken:
            raise ConnectionResetError(self._broken)

    def close(self) -> None:
        """Close the stream, and the channel."""
        self.break_off("the channel is closed")
        self._bridge.drop(self._number)

    def on_taken(self, count: int) -> None:
        """So many bytes have arrived."""
        self._untaken -= count
        self._room.set()

    def break_off(self, why: str) -> None:
        """Nothing more is sent."""
        self._broken = self._broken or why
        self._room.set()


class BridgeChannel(Channel):
    """A byte stream to a program of a holder."""

    def __init__(self, bridge: Bridge, number: int, python: str) -> None:
        self._stream = asyncio.StreamReader(limit=LIMIT)
        self._stream.set_transport(_Flow(self))
        self._out = BridgeWriter(bridge, number)
        super().__init__(self._stream, self._out, python=python, greeted=True)
        self._bridge = bridge
        self._number = number
        self._full = False
        self._owed = 0  # bytes that were taken, and the bridge does not know
        self._ended: tuple[int | None, str] = (None, "")

    def on_data(self, data: bytes) -> None:
        """Bytes have come."""
        self._owed += len(data)
        self._stream.feed_data(data)
        self._tell()

    def set_full(self, full: bool) -> None:
        """The buffer is full, or is not any more."""
        self._full = full
        self._tell()

    def _tell(self) -> None:
        if not self._full and self._owed:
            self._bridge.send(frame(Kind.TAKEN, self._number, b"%d" % self._owed))
            self._owed = 0

    def on_taken(self, count: int) -> None:
        """So many bytes have arrived there."""
        self._out.on_taken(count)

    def on_end(self, status: int | None, words: str) -> None:
        """The stream has ended."""
        self._ended = status, words
        self._stream.feed_eof()

    def on_broken(self, why: str) -> None:
        """The channel is lost."""
        self._out.break_off(why)
        if self._stream.exception() is None and not self._stream.at_eof():
            self._stream.set_exception(ConnectionResetError(why))

    async def stderr_tail(self) -> str:
        """Return what the program has printed on standard error."""
        return self._ended[1]

    async def exit_status(self) -> int | None:
        """Return the exit status of the program."""
        return self._ended[0]

    async def failure(self) -> ChannelError:
        """Return why the agent is not there, once the stream has ended."""
        status, words = self._ended
        return agent_failure(words, status, self.python, started=True)
