"""Bringing home what tasks wrote on nodes that don't see the lab's folder."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from tui_lab.engine.files import NodeFiles
from tui_lab.engine.node import Message, Node
from tui_lab.engine.run import ExperimentRun, Key
from tui_lab.engine.transfer import TransferError
from tui_lab.engine.transports.failures import ChannelError

log = logging.getLogger(__name__)

AGAIN: Final = 1.0  # seconds before a further try
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
BATCH: Final = 200  # attempts whose small files are written at once
AT_ONCE: Final = 4  # attempts with large files that are carried at once


@dataclass(frozen=True, eq=False)
class Arrival:
    """An attempt that ended on a node, and its files."""

    run: ExperimentRun
    node: Node
    key: Key
    message: Message

    @property
    def folder(self) -> Path:
        return self.run.folder.task_folder(self.key[0])

    @property
    def large(self) -> list[dict[str, Any]]:
        """The files that did not come with the message."""
        return [file for file in self.message["files"] if "size" in file and not file.get("inline")]


class Outputs:
    """Writes what comes with the messages, fetches what does not, and passes each attempt on, once its files are
    here and durable."""

    def __init__(self, files: NodeFiles, arrived: Callable[[list[Arrival]], None]) -> None:
        self.files = files
        self.arrived = arrived
        self.trouble = ""  # why something can't be written
        self.full = False  # it is for want of room
        self._coming: dict[tuple[str, str, Key], Arrival] = {}
        self._small: deque[Arrival] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._carriers: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def busy(self) -> bool:
        return bool(self._coming)

    def bring(self, arrival: Arrival) -> None:
        """Begin with an attempt; one that is under way already goes on."""
        identity = (arrival.node.name, arrival.run.wire_name, arrival.key)
        if identity in self._coming:
            return
        self._coming[identity] = arrival
        if arrival.large:
            carrier = asyncio.create_task(self._carry(arrival))
            self._carriers.add(carrier)
            carrier.add_done_callback(self._carriers.discard)
        else:
            self._small.append(arrival)
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._write())

    def forget(self, wanted: Callable[[Arrival], bool]) -> list[Arrival]:
        """Let go of attempts that nobody waits for any more: those."""
        gone = {identity: arrival for identity, arrival in self._coming.items() if not wanted(arrival)}
        for identity in gone:
            del self._coming[identity]
        return list(gone.values())

    async def close(self) -> None:
        """Leave what is not here yet: the agent tells of it again."""
        running = [*self._carriers, *([self._writer] if self._writer else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _wanted(self, arrival: Arrival) -> bool:
        if arrival.run.journal.removed:
            return False  # its folder must not come back
        return self._coming.get((arrival.node.name, arrival.run.wire_name, arrival.key)) is arrival

    def _over(self, arrivals: Iterable[Arrival]) -> None:
        done = [arrival for arrival in arrivals if self._wanted(arrival)]
        for arrival in done:
            del self._coming[arrival.node.name, arrival.run.wire_name, arrival.key]
        if done:
            self.trouble, self.full = "", False
            self.arrived(done)

    async def _write(self) -> None:
        while self._small:
            batch = [self._small.popleft() for _ in range(min(BATCH, len(self._small)))]
            batch = [arrival for arrival in batch if self._wanted(arrival)]
            refused = await asyncio.to_thread(_write_all, batch)
            self._over(arrival for arrival in batch if arrival not in refused)
            for arrival, error in refused.items():
                self._hold(arrival, error)
            if refused:
                self._small.extend(refused)
                await asyncio.sleep(AGAIN)

    async def _carry(self, arrival: Arrival) -> None:
        async with self._turns:
            while self._wanted(arrival):
                if arrival.node.ready:
                    try:
                        await self._fetch(arrival)
                        refused = await asyncio.to_thread(_write_all, [arrival] if self._wanted(arrival) else [])
                        if not refused:
                            self._over([arrival])
                            return
                        self._hold(arrival, refused[arrival])
                    except TransferError as error:
                        if error.storage:
                            self.trouble = f"{error}; waiting until that is mended"
                        log.warning("%s task %d: %s", arrival.run.name, arrival.key[0], error)
                    except ChannelError as error:
                        log.warning("%s task %d: %s", arrival.run.name, arrival.key[0], error)
                    except (OSError, ValueError) as error:
                        self._hold(arrival, error)
                await asyncio.sleep(AGAIN)

    async def _fetch(self, arrival: Arrival) -> None:
        """Get the large files, one after the other; what was here already is not sent again. One that the node does
        not give, as it has vanished or may not be read, is left out."""
        async with self.files.channel(arrival.node) as channel:
            for file in arrival.large:
                target = inside(arrival.folder, file["name"])
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    source = f"{arrival.message['folder']}/{file['name']}"
                    await channel.get(source, target, mode=file.get("mode", 0o644) & 0o777)
                except TransferError as error:
                    if error.lost or error.storage:
                        raise
                    log.warning("%s task %d: %s: %s", arrival.run.name, arrival.key[0], file["name"], error)

    def _hold(self, arrival: Arrival, error: OSError | ValueError) -> None:
        """Wait with an attempt whose files the disk does not take."""
        where, what, number = arrival.folder, str(error), None
        if isinstance(error, OSError):
            where, what, number = error.filename or where, error.strerror or what, error.errno
        self.full = number in FULL
        self.trouble = f"{where}: {what}; waiting until {'there is room' if self.full else 'that is mended'}"
        log.warning("%s", self.trouble)


def inside(folder: Path, name: str) -> Path:
    """A file below a folder by a name that came from elsewhere. Raises ValueError for one that leads out of it."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise ValueError(f"{name!r} is no name of a file in a task's folder")
    return folder / path


def _write_all(arrivals: list[Arrival]) -> dict[Arrival, OSError | ValueError]:
    """Write the small files of attempts; they are durable on return. Those that could not be written, and why."""
    refused: dict[Arrival, OSError | ValueError] = {}
    for arrival in arrivals:
        try:
            _write_one(arrival)
        except (OSError, ValueError) as error:
            refused[arrival] = error
    if arrivals:
        try:
            _settle(arrivals[0].run.folder.path)
        except OSError as error:
            refused |= dict.fromkeys(arrivals, error)
    return refused


def _write_one(arrival: Arrival) -> None:
    data = memoryview(arrival.message.get("data", b""))
    start = 0
    arrival.folder.mkdir(parents=True, exist_ok=True)
    for file in arrival.message["files"]:
        path = inside(arrival.folder, file["name"])
        if "link" in file:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(file["link"])
        elif file.get("inline"):
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_symlink():
                path.unlink()
            with open(path, "wb") as out:
                out.write(data[start : start + file["size"]])
                os.fchmod(out.fileno(), file.get("mode", 0o644) & 0o777)
            start += file["size"]


def _settle(folder: Path) -> None:
    """Return once what was written to the file system of a folder is durable: one call for thousands of files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def write_piece(run: ExperimentRun, message: Message) -> None:
    """Put what a running task has just reported of a file where readers look for it. Raises OSError."""
    _, task, _ = message["key"]
    path = inside(run.folder.task_folder(task), message["name"])
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        os.pwrite(descriptor, message.get("data", b""), message["offset"])
    finally:
        os.close(descriptor)
