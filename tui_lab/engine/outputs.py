"""Bringing home what tasks wrote on nodes that don't see the lab's folder."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.core.events import Arrived
from tui_lab.engine.core.model import Key
from tui_lab.engine.files import NodeFiles, absent
from tui_lab.engine.run_files import RunFiles
from tui_lab.engine.transfer import TransferError
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.portable.beneath import Folder
from tui_lab.protocol.agent import Finished, Output, OutputFile
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.task_files import TaskFile, task_folder

log = logging.getLogger(__name__)

AGAIN: Final = 1.0  # seconds before a further try
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
# A file system says so of a name, or of a kind of file, that it never takes: to wait would be in vain.
NEVER: Final = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTSUP, errno.EPERM, errno.EFBIG)
BATCH: Final = 200  # attempts whose small files are written at once
AT_ONCE: Final = 4  # attempts with large files that are carried at once


class Arrival:
    """An attempt that ended on a node, and its files, as far as they come home."""

    def __init__(self, run: RunFiles, node: NodeConnection, message: Finished) -> None:
        self.run = run
        self.node = node
        self.message = message
        self.trouble = ""  # why nothing comes home
        self.unkept: list[OutputFile] = []  # files that stay on the node
        self.files: list[OutputFile] = message.files or []  # as the node says
        if not _is_sound(message):
            self.refuse(ValueError("it is no list of files"))

    @property
    def key(self) -> Key:
        """The attempt."""
        return self.message.key[1:]

    @property
    def folder(self) -> Path:
        """The task's folder here."""
        return self.run.folder.task_folder(self.key[0])

    def arrived(self) -> Arrived:
        """The event that it is here."""
        return Arrived(self.run.name, self.node.name, self.message, self.unkept, self.trouble)

    def leave(self, file: OutputFile, error: Exception) -> None:
        """Let a file stay on the node, and have that said."""
        if file["name"] in (one["name"] for one in self.unkept):
            return  # that was found before
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self.unkept.append({"name": file["name"], "size": file.get("size", 0), "error": why})
        log.warning("%s task %d: %s: %s", self.run.name, self.key[0], file["name"], why)

    def refuse(self, error: Exception) -> None:
        """Leave all files on the node, for what it says of them makes no sense."""
        log.warning("%s task %d: %s says of its files: %r", self.run.name, self.key[0], self.node.name, error)
        self.trouble = f"what its node says of its files makes no sense ({error!r})"
        said = self.message.files
        names = [file.get("name") for file in said if isinstance(file, dict)] if isinstance(said, list) else []
        self.unkept = [
            {"name": name, "size": 0, "error": "not brought home"} for name in names if isinstance(name, str)
        ]
        self.files = []

    @property
    def large(self) -> list[OutputFile]:
        """The files that did not come with the message."""
        gone = {one["name"] for one in self.unkept}
        return [file for file in self.files if "size" in file and not file.get("inline") and file["name"] not in gone]


class Outputs:
    """Writes what comes with the messages, fetches what does not, and passes each attempt on, once its files are
    here and durable."""

    def __init__(
        self, files: NodeFiles, arrived: Callable[[list[Arrival]], None], blocked: Callable[[bool], None]
    ) -> None:
        """blocked: called when the disk has no room for outputs, and when it has again."""
        self.files = files
        self.arrived = arrived
        self.blocked = blocked
        self.trouble = ""  # why something can't be written
        self.full = False  # it is for want of room
        self._coming: dict[tuple[str, str, Key], Arrival] = {}
        self._small: deque[Arrival] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._carriers: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def busy(self) -> bool:
        """Whether files are being brought home."""
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

    def forget(self, unwanted: Callable[[Arrival], bool]) -> list[Arrival]:
        """Drop the attempts whose outputs are not wanted any more; return them."""
        gone = {identity: arrival for identity, arrival in self._coming.items() if unwanted(arrival)}
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
            self.trouble = ""
            self._set_full(False)
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
                    except OSError as error:
                        self._hold(arrival, error)
                await asyncio.sleep(AGAIN)

    async def _fetch(self, arrival: Arrival) -> None:
        """Get the large files, one after the other; what was here already is not sent again. One that has vanished is
        left out; one that the node does not give, or that can't bear its name here, stays there."""
        async with self.files.channel(arrival.node) as channel:
            for file in arrival.large:
                target = TaskFile(str(arrival.folder), file["name"])
                source = f"{arrival.message.folder}/{file['name']}"
                try:
                    await channel.get(arrival.node.home, source, target, mode=file.get("mode", 0o644) & 0o777)
                except TransferError as error:
                    if error.lost or (error.storage and error.errno not in NEVER):
                        raise
                    if not absent(error):
                        arrival.leave(file, error)
                except ValueError as error:
                    arrival.leave(file, error)

    def _hold(self, arrival: Arrival, error: OSError) -> None:
        """Wait with an attempt whose files the disk does not take."""
        where, what = error.filename or arrival.folder, error.strerror or str(error)
        self._set_full(error.errno in FULL)
        self.trouble = f"{where}: {what}; waiting until {'there is room' if self.full else 'that is mended'}"
        log.warning("%s", self.trouble)

    def _set_full(self, full: bool) -> None:
        if full != self.full:
            self.full = full
            self.blocked(full)


def _is_sound(message: Finished) -> bool:
    """Whether a node speaks of files as an agent does."""
    files = message.files or []
    return isinstance(files, list) and all(
        isinstance(file, dict)
        and isinstance(file.get("name"), str)
        and isinstance(file.get("link", ""), str)
        and isinstance(file.get("size", 0), int)
        for file in files
    )


def _write_all(arrivals: list[Arrival]) -> dict[Arrival, OSError]:
    """Write the small files of attempts; they are durable on return. Those that could not be written, and why."""
    refused: dict[Arrival, OSError] = {}
    for arrival in arrivals:
        try:
            _write_one(arrival)
        except OSError as error:
            refused[arrival] = error
        except (ValueError, TypeError, LookupError, AttributeError) as error:  # no agent of ours says such a thing
            arrival.refuse(error)
    if arrivals:
        try:
            _settle(arrivals[0].folder.parent)
        except OSError as error:
            refused |= dict.fromkeys(arrivals, error)
    return refused


def _write_one(arrival: Arrival) -> None:
    if arrival.message.folder_link is not None and not arrival.files:
        _write_folder_link(arrival.folder, os.fsencode(arrival.message.folder_link))
        return
    data = memoryview(arrival.message.data)
    start = 0
    with task_folder(arrival.folder, make=True) as folder:
        for file in arrival.files:
            content: bytes | memoryview = b""
            if file.get("inline"):
                content = data[start : start + file["size"]]
                start += file["size"]
            elif "link" not in file:
                continue
            try:
                _write_file(folder, file, content)
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno not in NEVER:
                    raise
                arrival.leave(file, error)


def _write_file(folder: Folder, file: OutputFile, content: bytes | memoryview) -> None:
    """A small file or a link. Raises OSError, ValueError for a name that is none."""
    name = os.fsencode(file["name"])
    if "link" in file:
        if not file["link"]:
            raise ValueError("a link that leads nowhere")
        folder.symlink(os.fsencode(file["link"]), name)
        return
    with open(folder.create(name), "wb") as out:
        out.write(content)
        os.fchmod(out.fileno(), file.get("mode", 0o644) & 0o777)


def _write_folder_link(folder: Path, target: bytes) -> None:
    """What a task has made of its folder, unless earlier attempts have left files in it. Raises OSError."""
    with Folder.base(os.fsencode(folder.parent), make=True) as parent:
        name = os.fsencode(folder.name)
        try:
            with suppress(FileNotFoundError, NotADirectoryError):
                parent.rmdir(name)
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                return
            raise
        try:
            parent.symlink(target, name)
        except OSError as error:
            if error.errno not in (*NEVER, errno.ENOENT):
                raise
            log.warning("%s: %s", folder, error.strerror)  # no link can lead there; the note says where it was to


def _settle(folder: Path) -> None:
    """Return once what was written to the file system of a folder is durable: one call for thousands of files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def write_piece(experiment: ExperimentFolder, message: Output) -> None:
    """Put what a running task has just reported of a file where readers look for it. Raises OSError, ValueError."""
    _, task, _ = message.key
    name = os.fsencode(message.name)
    with task_folder(experiment.task_folder(task), make=True) as folder:
        descriptor = folder.create(name) if message.offset == 0 else folder.reopen(name)
    try:
        os.pwrite(descriptor, message.data, message.offset)
    finally:
        os.close(descriptor)
