"""A pool of file channels: a few for each node, opened when they are needed and closed when they idle. Nodes of one
engine, such as a cluster's queue, share some: each is a process on its login node."""

from __future__ import annotations

import asyncio
import errno
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import Final, TypeVar

from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.transfer.channel import FileChannel
from tui_lab.engine.transfer.errors import TransferError
from tui_lab.engine.transports.channel import ChannelError

T = TypeVar("T")

AT_ONCE: Final = 3  # channels for files to one node
AT_ONCE_OF_POOL: Final = 16  # channels to all nodes that were granted for one entry
IDLE: Final = 20.0  # seconds


class FileChannelPool:
    """Lends channels to the file server of each node."""

    def __init__(self) -> None:
        self._idle: dict[NodeConnection, list[FileChannel]] = {}
        self._closing: set[asyncio.Future[None]] = set()
        self._turns: dict[NodeConnection, asyncio.Semaphore] = {}
        self._turns_of_pools: dict[str, asyncio.Semaphore] = {}
        self._lent: Counter[str] = Counter()  # to nodes of a pool

    @asynccontextmanager
    async def channel(self, node: NodeConnection) -> AsyncIterator[FileChannel]:
        """Lend a channel. Raises ChannelError where the node can't be reached; an error inside closes the channel."""
        pool = node.entry.get("pool")
        shared = self._turns_of_pools.setdefault(pool, asyncio.Semaphore(AT_ONCE_OF_POOL)) if pool else nullcontext()
        async with self._turns.setdefault(node, asyncio.Semaphore(AT_ONCE)), shared, self._counted(pool):
            idle = self._idle.setdefault(node, [])
            channel = idle.pop() if idle else FileChannel(await node.transport.open_files())
            try:
                yield channel
            except TransferError:
                if channel.lost:
                    await channel.close()
                else:
                    await self._put_by(node, channel)
                raise
            except BaseException:
                await channel.close()
                raise
            await self._put_by(node, channel)

    @asynccontextmanager
    async def _counted(self, pool: str | None) -> AsyncIterator[None]:
        """Count a channel that is lent, and close idle ones that are too many then."""
        if not pool:
            yield
            return
        self._lent[pool] += 1
        try:
            idle = [channels for node, channels in self._idle.items() if node.entry.get("pool") == pool and channels]
            excess = self._lent[pool] + sum(map(len, idle)) - AT_ONCE_OF_POOL
            for channels in idle[: max(0, excess)]:  # those of the node that was used first
                await channels.pop(0).close()
            yield
        finally:
            self._lent[pool] -= 1

    async def use(self, node: NodeConnection, work: Callable[[FileChannel], Awaitable[T]]) -> T:
        """Return what `work` makes of a channel. Where that is lost, it is called once more with a new one: an idle
        channel may have ended long before. Raises TransferError, and as `channel` does."""
        try:
            async with self.channel(node) as channel:
                return await work(channel)
        except TransferError as error:
            if not error.lost:
                raise
        await self.forget(node)  # what idles over the same connection
        async with self.channel(node) as channel:
            return await work(channel)

    async def _put_by(self, node: NodeConnection, channel: FileChannel) -> None:
        if not node.ready:
            await channel.close()
            return
        idle = self._idle.setdefault(node, [])
        idle.append(channel)

        def expire() -> None:
            if channel in idle:
                idle.remove(channel)
                self._closing.add(task := asyncio.ensure_future(channel.close()))
                task.add_done_callback(self._closing.discard)

        asyncio.get_running_loop().call_later(IDLE, expire)

    async def forget(self, node: NodeConnection) -> None:
        """Close the idle channels of a node."""
        for channel in self._idle.pop(node, []):
            await channel.close()


def is_missing(error: TransferError) -> bool:
    """Return whether the node reports that there is no such file."""
    return error.answer.get("errno") == errno.ENOENT


Unreachable: Final = (ChannelError, OSError, asyncio.IncompleteReadError)
