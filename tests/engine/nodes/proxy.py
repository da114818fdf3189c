"""A small TCP proxy before a node's sshd: adds latency, cuts connections, or lets them hang."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading


class Proxy:
    """Listens on a port of 127.0.0.1 and passes all on to another, in a thread of its own."""

    def __init__(self, target: int, latency: float = 0.0) -> None:
        self.target = target
        self.latency = latency  # seconds, each way
        self.refusing = 0  # so many further connections are closed at once, before a byte is said
        self.accepted = 0
        self.cuts: list[int] = []
        """After so many bytes of answers the next connections break, one after the other."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._answering = asyncio.Event()
        self._answering.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(20)

    def cut(self) -> None:
        """End all connections: the other ends see a reset, or an end."""
        self._call(self._abort)

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()
        self._writers.clear()
        self._answering.set()

    def freeze(self) -> None:
        """Nothing comes through any more, and nobody is told."""
        self._call(self._flowing.clear)

    def thaw(self) -> None:
        self._call(self._flowing.set)

    def hold_answers(self) -> None:
        """What is sent arrives, and no answer comes back until the connections are cut."""
        self._call(self._answering.clear)

    def close(self) -> None:
        self.cut()
        self._call(self._server.close)
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(20)

    async def _end(self) -> None:
        """End what still waits."""
        waiting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    def _call(self, what: object) -> None:
        done = threading.Event()

        def run() -> None:
            what()  # type: ignore[operator]
            done.set()

        self._loop.call_soon_threadsafe(run)
        assert done.wait(20)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing > 0:
            self.refusing -= 1
            writer.transport.abort()
            return
        self._writers.add(writer)
        try:
            await self._flowing.wait()
            away, back = await asyncio.open_connection("127.0.0.1", self.target)
            self._writers.add(back)
            cut = self.cuts.pop(0) if self.cuts else None
            await asyncio.gather(self._copy(reader, back), self._copy(away, writer, answers=True, cut=cut))
        except OSError:
            writer.transport.abort()
        finally:
            self._writers.discard(writer)

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answers: bool = False, cut: int | None = None
    ) -> None:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(256)

        async def fill() -> None:
            data = b"-"
            while data:
                try:
                    data = await reader.read(1 << 16)
                except OSError:
                    data = b""
                await queue.put((self._loop.time() + self.latency, data))

        filling = asyncio.create_task(fill())
        try:
            while True:
                due, data = await queue.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                await self._flowing.wait()
                if answers:
                    await self._answering.wait()
                    if cut is not None and (cut := cut - len(data)) <= 0:
                        writer.transport.abort()
                        break
                if not data:
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            filling.cancel()
            self._writers.discard(writer)
            with contextlib.suppress(OSError):
                writer.close()
