"""Fetching what tasks wrote on nodes that don't see the lab's folder."""

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

from tui_lab.engine.channel_pool import FileChannelPool, is_missing
from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.core.events import FetchedAttempt
from tui_lab.engine.core.model import AttemptKey
from tui_lab.engine.run_files import RunFiles
from tui_lab.engine.transfer.errors import TransferError
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.portable.beneath import Folder
from tui_lab.protocol.agent import Finished, Output, OutputFile
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.task_files import TaskFile, task_folder

log = logging.getLogger(__name__)

AGAIN: Final = 1.0  # seconds before a further try
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
# Errors for a name or a kind of file that the file system never takes: waiting would not help.
NEVER: Final = (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENOTSUP, errno.EPERM, errno.EFBIG)
BATCH: Final = 200  # attempts whose small files are written at once
AT_ONCE: Final = 4  # attempts with large files that are fetched at once


class IncomingOutputs:
    """An attempt that ended on a node, and its files, as far as they are fetched."""

    def __init__(self, run: RunFiles, node: NodeConnection, message: Finished) -> None:
        self.run = run
        self.node = node
        self.message = message
        self.trouble = ""  # why nothing is fetched
        self.not_fetched: list[OutputFile] = []  # files that stay on the node
        self.files: list[OutputFile] = message.files or []  # as the node says
        if not _is_sound(message):
            self.refuse(ValueError("this is not a list of files"))

    @property
    def key(self) -> AttemptKey:
        """The attempt."""
        return self.message.key[1:]

    @property
    def folder(self) -> Path:
        """The task's folder here."""
        return self.run.folder.task_folder(self.key[0])

    def fetched(self) -> FetchedAttempt:
        """Return the event that it is here."""
        return FetchedAttempt(self.run.name, self.node.name, self.message, self.not_fetched, self.trouble)

    def keep_remote(self, file: OutputFile, error: Exception) -> None:
        """Let a file stay on the node, and note why."""
        if file["name"] in (one["name"] for one in self.not_fetched):
            return  # that was found before
        why = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self.not_fetched.append({"name": file["name"], "size": file.get("size", 0), "error": why})
        log.warning("%s task %d: %s: %s", self.run.name, self.key[0], file["name"], why)

    def refuse(self, error: Exception) -> None:
        """Leave all files on the node, because its list of them is invalid."""
        log.warning("%s task %d: %s says of its files: %r", self.run.name, self.key[0], self.node.name, error)
        self.trouble = f"its node sent an invalid list of files ({error!r})"
        said = self.message.files
        names = [file.get("name") for file in said if isinstance(file, dict)] if isinstance(said, list) else []
        self.not_fetched = [
            {"name": name, "size": 0, "error": "not fetched"} for name in names if isinstance(name, str)
        ]
        self.files = []

    @property
    def large(self) -> list[OutputFile]:
        """The files that did not come with the message."""
        gone = {one["name"] for one in self.not_fetched}
        return [file for file in self.files if "size" in file and not file.get("inline") and file["name"] not in gone]


class OutputFetcher:
    """Writes the files that came with messages, fetches the others, and passes each attempt on once its files are
    here and durable."""

    def __init__(
        self, files: FileChannelPool, fetched: Callable[[list[IncomingOutputs]], None], blocked: Callable[[bool], None]
    ) -> None:
        """blocked: called when the disk has no room for outputs, and when it has again."""
        self.files = files
        self.fetched = fetched
        self.blocked = blocked
        self.trouble = ""  # why something can't be written
        self.full = False  # it is for want of room
        self._incoming: dict[tuple[str, str, AttemptKey], IncomingOutputs] = {}
        self._small: deque[IncomingOutputs] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._fetchers: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(AT_ONCE)

    @property
    def busy(self) -> bool:
        """Whether files are being fetched."""
        return bool(self._incoming)

    def fetch(self, incoming: IncomingOutputs) -> None:
        """Fetch the outputs of an attempt, unless that is under way already."""
        identity = (incoming.node.name, incoming.run.wire_name, incoming.key)
        if identity in self._incoming:
            return
        self._incoming[identity] = incoming
        if incoming.large:
            fetcher = asyncio.create_task(self._fetch_and_write(incoming))
            self._fetchers.add(fetcher)
            fetcher.add_done_callback(self._fetchers.discard)
        else:
            self._small.append(incoming)
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._write())

    def forget(self, unwanted: Callable[[IncomingOutputs], bool]) -> list[IncomingOutputs]:
        """Drop the attempts whose outputs are not wanted any more; return them."""
        gone = {identity: incoming for identity, incoming in self._incoming.items() if unwanted(incoming)}
        for identity in gone:
            del self._incoming[identity]
        return list(gone.values())

    async def close(self) -> None:
        """Stop fetching; the agent reports again what is not here yet."""
        running = [*self._fetchers, *([self._writer] if self._writer else [])]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _wanted(self, incoming: IncomingOutputs) -> bool:
        if incoming.run.journal.removed:
            return False  # its folder must not come back
        return self._incoming.get((incoming.node.name, incoming.run.wire_name, incoming.key)) is incoming

    def _over(self, arrivals: Iterable[IncomingOutputs]) -> None:
        done = [incoming for incoming in arrivals if self._wanted(incoming)]
        for incoming in done:
            del self._incoming[incoming.node.name, incoming.run.wire_name, incoming.key]
        if done:
            self.trouble = ""
            self._set_full(False)
            self.fetched(done)

    async def _write(self) -> None:
        while self._small:
            batch = [self._small.popleft() for _ in range(min(BATCH, len(self._small)))]
            batch = [incoming for incoming in batch if self._wanted(incoming)]
            refused = await asyncio.to_thread(_write_all, batch)
            self._over(incoming for incoming in batch if incoming not in refused)
            for incoming, error in refused.items():
                self._hold(incoming, error)
            if refused:
                self._small.extend(refused)
                await asyncio.sleep(AGAIN)

    async def _fetch_and_write(self, incoming: IncomingOutputs) -> None:
        async with self._turns:
            while self._wanted(incoming):
                if incoming.node.ready:
                    try:
                        await self._fetch_large(incoming)
                        refused = await asyncio.to_thread(_write_all, [incoming] if self._wanted(incoming) else [])
                        if not refused:
                            self._over([incoming])
                            return
                        self._hold(incoming, refused[incoming])
                    except TransferError as error:
                        if error.storage:
                            self.trouble = f"{error}; waiting until that is repaired"
                        log.warning("%s task %d: %s", incoming.run.name, incoming.key[0], error)
                    except ChannelError as error:
                        log.warning("%s task %d: %s", incoming.run.name, incoming.key[0], error)
                    except OSError as error:
                        self._hold(incoming, error)
                await asyncio.sleep(AGAIN)

    async def _fetch_large(self, incoming: IncomingOutputs) -> None:
        """Fetch the large files one by one; what is here already is not sent again. A file that has vanished is left
        out. One that the node refuses, or whose name is invalid here, stays there."""
        async with self.files.channel(incoming.node) as channel:
            for file in incoming.large:
                target = TaskFile(str(incoming.folder), file["name"])
                source = f"{incoming.message.folder}/{file['name']}"
                try:
                    await channel.get(incoming.node.home, source, target, mode=file.get("mode", 0o644) & 0o777)
                except TransferError as error:
                    if error.lost or (error.storage and error.errno not in NEVER):
                        raise
                    if not is_missing(error):
                        incoming.keep_remote(file, error)
                except ValueError as error:
                    incoming.keep_remote(file, error)

    def _hold(self, incoming: IncomingOutputs, error: OSError) -> None:
        """Keep an attempt waiting, because the disk has no room for its files."""
        where, what = error.filename or incoming.folder, error.strerror or str(error)
        self._set_full(error.errno in FULL)
        self.trouble = f"{where}: {what}; waiting until {'there is room' if self.full else 'that is repaired'}"
        log.warning("%s", self.trouble)

    def _set_full(self, full: bool) -> None:
        if full != self.full:
            self.full = full
            self.blocked(full)


def _is_sound(message: Finished) -> bool:
    """Return whether a list of files has the form that agents use."""
    files = message.files or []
    return isinstance(files, list) and all(
        isinstance(file, dict)
        and isinstance(file.get("name"), str)
        and isinstance(file.get("link", ""), str)
        and isinstance(file.get("size", 0), int)
        for file in files
    )


def _write_all(arrivals: list[IncomingOutputs]) -> dict[IncomingOutputs, OSError]:
    """Write the small files of attempts; they are durable on return. Return those that could not be written, and
    why."""
    refused: dict[IncomingOutputs, OSError] = {}
    for incoming in arrivals:
        try:
            _write_one(incoming)
        except OSError as error:
            refused[incoming] = error
        except (ValueError, TypeError, LookupError, AttributeError) as error:  # no agent of ours says such a thing
            incoming.refuse(error)
    if arrivals:
        try:
            _settle(arrivals[0].folder.parent)
        except OSError as error:
            refused |= dict.fromkeys(arrivals, error)
    return refused


def _write_one(incoming: IncomingOutputs) -> None:
    if incoming.message.folder_link is not None and not incoming.files:
        _write_folder_link(incoming.folder, os.fsencode(incoming.message.folder_link))
        return
    data = memoryview(incoming.message.data)
    start = 0
    with task_folder(incoming.folder, make=True) as folder:
        for file in incoming.files:
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
                incoming.keep_remote(file, error)


def _write_file(folder: Folder, file: OutputFile, content: bytes | memoryview) -> None:
    """Write a small file or a link. Raises OSError, and ValueError for an invalid name."""
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
    """Make the link that a task put in place of its folder, unless earlier attempts have left files in it. Raises
    OSError."""
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
    """Return once all files in the file system of a folder are durable: one call for thousands of files."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _LIBC.syncfs(descriptor) != 0:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def write_piece(experiment: ExperimentFolder, message: Output) -> None:
    """Append to a file what a running task has just written on its node. Raises OSError, ValueError."""
    _, task, _ = message.key
    name = os.fsencode(message.name)
    with task_folder(experiment.task_folder(task), make=True) as folder:
        descriptor = folder.create(name) if message.offset == 0 else folder.reopen(name)
    try:
        os.pwrite(descriptor, message.data, message.offset)
    finally:
        os.close(descriptor)
