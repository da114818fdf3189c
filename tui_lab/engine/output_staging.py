"""Sending outputs of earlier attempts to the node of the next one, where that does not see the lab's folder. `{output}`
is one folder for all attempts of a task, so a program finds its checkpoint on any node."""

from __future__ import annotations

import asyncio
import errno
import logging
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from tui_lab.engine.channel_pool import FileChannelPool
from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.core.model import AttemptKey
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.engine.run_files import RunFiles
from tui_lab.engine.transfer import PART, TransferError
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.protocol.agent import Start
from tui_lab.store.task_files import TaskFile, listed

log = logging.getLogger(__name__)

MOST: Final = 2 << 30  # bytes that are taken along: as much as is fetched
AGAIN: Final = 1.0  # seconds before a further try

# What each attempt writes anew: the outputs, and live metrics.
_NUMBERED: Final = re.compile(r"(?:.*\.)?(?:stdout|stderr)(?:\.\d+)?|metrics\.jsonl(?:\.\d+)?|params\.json")

# The node has no room for the moment, or this machine could not read: the next try may do better.
PASSING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOENT)

Files = list[tuple[str, TaskFile]]


class OutputStaging:
    """Sends the files, then has the attempt started. settle: returns once ended attempts are acknowledged. start: sends
    the message of an attempt."""

    def __init__(
        self,
        files: FileChannelPool,
        scheduler: Scheduler,
        settle: Callable[[], Awaitable[None]],
        start: Callable[[RunFiles, NodeConnection, Start], None],
    ) -> None:
        self.files = files
        self.settle = settle
        self.scheduler = scheduler
        self.start = start
        self._under_way: dict[tuple[str, AttemptKey], asyncio.Task[None]] = {}

    def stage(self, run: RunFiles, node: NodeConnection, key: AttemptKey, message: Start) -> bool:
        """Return False where there is nothing to send: the attempt may start at once."""
        if key[1] == 1 or message.collect is None:
            return False
        identity = (run.wire_name, key)
        before = self._under_way.pop(identity, None)
        if before is not None:
            before.cancel()  # it was for a node that has given the attempt back
        task = asyncio.create_task(self._carry(run, node, key, message))
        self._under_way[identity] = task
        task.add_done_callback(lambda done: self._arrived(identity, done))
        return True

    def _arrived(self, identity: tuple[str, AttemptKey], task: asyncio.Task[Any]) -> None:
        if self._under_way.get(identity) is task:
            del self._under_way[identity]

    async def _carry(self, run: RunFiles, node: NodeConnection, key: AttemptKey, message: Start) -> None:
        def wanted() -> bool:
            return self.scheduler.is_open(message.key, node.name)

        await self.settle()  # at the acknowledgement of the attempt before, its files go from the node
        files = await asyncio.to_thread(_found, run.folder.task_folder(key[0]))
        if files and not await node.caught_up():
            return  # the node has gone; its welcome settles what becomes of the attempt
        while wanted() and files and not self.scheduler.is_stopping(message.key):
            try:
                async with self.files.channel(node) as channel:
                    await channel.put_files(node.home, message.folder, files)
                break
            except (TransferError, ChannelError, OSError) as error:
                log.warning("%s task %d: %s", run.name, key[0], error)
                if isinstance(error, TransferError) and not error.lost and error.errno not in PASSING:
                    await self._send_each(run, node, key, message, files)
                    break
                await asyncio.sleep(AGAIN)
                files = [(name, file) for name, file in files if file.size is not None]
        if wanted():
            self.start(run, node, message)

    async def _send_each(
        self, run: RunFiles, node: NodeConnection, key: AttemptKey, message: Start, files: Files
    ) -> None:
        """Send files one by one, as many as the node takes: it has refused some."""
        for name, file in files:
            try:
                async with self.files.channel(node) as channel:
                    await channel.put_files(node.home, message.folder, [(name, file)])
            except (TransferError, ChannelError, OSError) as error:
                log.warning("%s task %d: %s is not taken along: %s", run.name, key[0], name, error)

    async def close(self) -> None:
        """Cancel what is under way, and wait for its end."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _found(folder: Path) -> Files:
    """Return the files in a task's folder that the next attempt may need, up to MOST bytes."""
    found: Files = []
    room = MOST
    for name, facts in sorted(listed(folder, deep=True)):
        if _NUMBERED.fullmatch(name) or name.endswith(PART):
            continue
        room -= facts.st_size
        if room < 0:
            log.warning("%s: too much to take along; the rest stays here", folder)
            break
        found.append((name, TaskFile(str(folder), name)))
    return found
