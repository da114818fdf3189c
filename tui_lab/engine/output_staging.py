"""Sending outputs to nodes that don't see the lab's folder: those of earlier attempts to the node of the next one, for
`{output}` is one folder for all attempts of a task, so that a program finds its checkpoint on any node; and those of
stages to the nodes of what comes after them."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import re
import stat
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import structs

from tui_lab.engine.channel_pool import FileChannelPool
from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.core.model import AttemptKey
from tui_lab.engine.core.scheduler import Scheduler
from tui_lab.engine.run_files import RunFiles
from tui_lab.engine.shared_homes import SharedHomes
from tui_lab.engine.transfer.channel import LARGE
from tui_lab.engine.transfer.errors import TransferError
from tui_lab.engine.transfer.partial import PART
from tui_lab.engine.transports.failures import ChannelError
from tui_lab.experiment.model import Experiment
from tui_lab.portable.function.values import FILES as VALUE_FILES
from tui_lab.portable.globs import matcher
from tui_lab.protocol.agent import Start
from tui_lab.store import layout
from tui_lab.store.task_files import TaskFile, listed, task_folder

log = logging.getLogger(__name__)

AGAIN: Final = 1.0  # seconds before a further try
MOMENT: Final = 5.0  # seconds to remove copies from nodes, when the engine ends

# What each attempt writes anew: the outputs, and live metrics.
_NUMBERED: Final = re.compile(
    r"(?:.*\.)?(?:stdout|stderr)(?:\.\d+)?|metrics\.jsonl(?:\.\d+)?|params\.json|collected\.tsv"
)

# The node has no room for the moment, or this machine could not read, or a file has just changed: try again.
PASSING: Final = (
    errno.EAGAIN,
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EIO,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOMEM,
    errno.ENOENT,
)

MEGABYTE: Final = 1e6

Files = list[tuple[str, TaskFile]]


class GoneError(TransferError):
    """Raised where outputs that are to be sent are gone, with their folder."""


class Input(NamedTuple):
    """What an attempt needs of a run of a stage: its folder on the node, globs of the files, None for all, and further
    files, if they are there."""

    folder: str
    outs: tuple[str, ...] | None
    values: tuple[str, ...] = ()


class _Copy(NamedTuple):
    """What a node is sent of an attempt. spool: of the agent's ledger, another one after a restart of the machine."""

    node: str
    spool: str
    wanted: Input
    attempt: int


_Holder = tuple[NodeConnection, asyncio.Task[None] | None]
"""A node that has outputs, or is being sent them by a task."""


def input_of(experiment: Experiment, stage: str, folder: str) -> Input:
    """Return what an attempt needs of the run of a stage before it. experiment: as the stage of the attempt has it."""
    before = experiment.stages[stage]
    takes_value = stage in experiment.values_before and before.calls_function
    return Input(folder, before.outs or None, VALUE_FILES if takes_value else ())


class OutputStaging:
    """Sends the files, then has the attempt started. settle: returns once ended attempts are acknowledged. start: sends
    the message of an attempt. make_again: has the outputs of runs made again, which are gone."""

    def __init__(
        self,
        files: FileChannelPool,
        scheduler: Scheduler,
        settle: Callable[[], Awaitable[None]],
        start: Callable[[RunFiles, NodeConnection, Start], None],
        refuse: Callable[[RunFiles, NodeConnection, AttemptKey, str], None],
        make_again: Callable[[RunFiles, NodeConnection, AttemptKey, Sequence[int]], None],
    ) -> None:
        self.files = files
        self.settle = settle
        self.scheduler = scheduler
        self.start = start
        self.refuse = refuse
        self.make_again = make_again
        self._under_way: dict[tuple[str, AttemptKey], asyncio.Task[None]] = {}
        self._inputs: dict[_Copy, asyncio.Task[None]] = {}
        self._sent: dict[_Copy, set[str]] = {}  # files that are there; all that an agent of this life was sent stays
        self._homes = SharedHomes(files)
        self._nodes: dict[str, NodeConnection] = {}
        self._kept: set[tuple[NodeConnection, str, AttemptKey]] = set()  # attempts whose outputs are still there
        self._dropping: dict[tuple[NodeConnection, str], asyncio.Task[None]] = {}  # by folder there

    def stage(
        self, run: RunFiles, node: NodeConnection, key: AttemptKey, message: Start, before: Mapping[int, Input]
    ) -> bool:
        """Return False where there is nothing to send: the attempt may start at once. before: runs of stages that it
        comes after."""
        if message.collect is None or (key[1] == 1 and not before):
            return False
        self._nodes[node.name] = node
        identity = (run.wire_name, key)
        earlier = self._under_way.pop(identity, None)
        if earlier is not None:
            earlier.cancel()  # it was for a node that has given the attempt back
        task = asyncio.create_task(self._carry(run, node, key, message, before))
        self._under_way[identity] = task
        task.add_done_callback(lambda done: self._arrived(identity, done))
        return True

    def _arrived(self, identity: tuple[str, AttemptKey], task: asyncio.Task[Any]) -> None:
        if self._under_way.get(identity) is task:
            del self._under_way[identity]

    async def _carry(
        self, run: RunFiles, node: NodeConnection, key: AttemptKey, message: Start, before: Mapping[int, Input]
    ) -> None:
        def wanted() -> bool:
            return self.scheduler.is_open(message.key, node.name)

        await self.settle()  # at the acknowledgement of the attempt before, its files go from the node
        if before and not await self._bring(run, node, key, message, before, wanted):
            return
        files: Files = []
        whole = True  # all that steps before have left is brought
        if key[1] > 1:
            done = None if message.resume is None else message.resume["attempt"]
            files, whole = await asyncio.to_thread(_found, run.folder.task_folder(key[0]), done)
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
                    whole = False
                    break
                await asyncio.sleep(AGAIN)
                there = [(name, file) for name, file in files if file.size is not None]
                whole = whole and len(there) == len(files)
                files = there
        if wanted():
            self.start(run, node, message if whole else structs.replace(message, resume=None))

    async def _bring(
        self,
        run: RunFiles,
        node: NodeConnection,
        key: AttemptKey,
        message: Start,
        before: Mapping[int, Input],
        wanted: Callable[[], bool],
    ) -> bool:
        """Bring the outputs of stages, each once to a node. Return whether they are there."""
        if not await node.caught_up():
            return False
        while wanted() and not self.scheduler.is_stopping(message.key):
            try:
                for one, needed in before.items():
                    await asyncio.shield(self._input(run, node, one, needed))
                return True
            except GoneError as error:
                log.warning("%s task %d: %s; it is made again", run.name, key[0], error)
                self.make_again(run, node, key, [one for one in before if not run.folder.task_folder(one).is_dir()])
                return False
            except (TransferError, ChannelError, OSError) as error:
                log.warning("%s task %d: %s", run.name, key[0], error)
                if isinstance(error, TransferError) and not error.lost and error.errno not in PASSING:
                    self.refuse(run, node, key, f"outputs of a stage could not be sent to {node.name}: {error}")
                    return False
                await asyncio.sleep(AGAIN)
        return wanted()

    def _input(self, run: RunFiles, node: NodeConnection, one: int, wanted: Input) -> asyncio.Task[None]:
        """Return the task that sends the outputs of a run of a stage, which others may wait for, too."""
        identity = _Copy(node.name, node.spool, wanted, run.state.columns["attempt"][one])
        task = self._inputs.get(identity)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            holders = self._holders(run, node, one, identity)  # of now: no two tasks wait for each other
            task = self._inputs[identity] = asyncio.create_task(self._send_input(run, node, one, identity, holders))
        return task

    async def _send_input(
        self, run: RunFiles, node: NodeConnection, one: int, copy: _Copy, holders: Sequence[_Holder]
    ) -> None:
        wanted = copy.wanted
        if dropping := self._dropping.get((node, wanted.folder)):
            await asyncio.wait([dropping])
        if (node, run.wire_name, (one, run.state.columns["attempt"][one])) in self._kept:
            return
        files = await asyncio.to_thread(_all, run.folder.task_folder(one), wanted.outs, wanted.values)
        sent = self._sent.setdefault(copy, set())
        left = [(name, file) for name, file in files if name not in sent]
        total = sum(file.size or 0 for _, file in left)
        if total >= LARGE:
            sent |= await self._link(node, copy, holders, [name for name, _ in left])
            left = [(name, file) for name, file in left if name not in sent]
            total = sum(file.size or 0 for _, file in left)
        arrived = 0

        def tell(count: int) -> None:
            nonlocal arrived
            arrived += count
            what = f"sending outputs, {arrived / MEGABYTE:,.1f} of {total / MEGABYTE:,.1f} MB"
            node.doing = what if total >= LARGE else node.doing

        try:
            async with self.files.channel(node) as channel:
                await channel.put_files(node.home, wanted.folder, left, tell, sent.add)
        finally:
            node.doing = ""

    async def _link(self, node: NodeConnection, copy: _Copy, holders: Sequence[_Holder], names: list[str]) -> set[str]:
        """Take files from another node that has them, or is being sent them, in the same file system. Return which."""
        for other, task in holders:
            if not other.ready or not await self._homes.sees(node, other):
                continue
            if task is not None:
                await asyncio.wait([task])
                if task.cancelled() or task.exception() is not None:
                    continue
            folder = other.home + copy.wanted.folder.removeprefix(node.home)
            try:
                async with self.files.channel(node) as channel:
                    return await channel.link_files(node.home, copy.wanted.folder, other.home, folder, names)
            except TransferError as error:
                if error.lost:
                    raise
                log.warning("%s: %s", node.name, error)
        return set()

    def _holders(self, run: RunFiles, node: NodeConnection, one: int, copy: _Copy) -> list[_Holder]:
        """Return the other nodes that have what one is to be sent, or are being sent it by a task."""
        attempt = (run.wire_name, (one, copy.attempt))
        found: list[_Holder] = [
            (other, None) for other, *what in self._kept if other is not node and tuple(what) == attempt
        ]
        below = copy.wanted.folder.removeprefix(node.home)
        for known, task in self._inputs.items():
            other = self._nodes.get(known.node)
            if other is None or other is node or known.spool != other.spool:
                continue
            same = known.wanted == copy.wanted._replace(folder=other.home + below) and known.attempt == copy.attempt
            found += [(other, task)] if same else []
        return found

    def keep(self, run: RunFiles, node: NodeConnection, key: AttemptKey) -> None:
        """Note that a node keeps the outputs of an attempt, for what comes after it."""
        self._kept.add((node, run.wire_name, key))

    def drop(self, run: RunFiles, node: NodeConnection, one: int, *, whole: bool = False) -> None:
        """Remove the outputs of a run of a stage from a node. whole: with those that are nowhere else."""
        folder = f"{node.home}/{run.wire_name}/{run.folder.relative_folder(one)}"
        self._kept = {known for known in self._kept if known[:2] != (node, run.wire_name) or known[2][0] != one}
        for copy in [known for known in self._sent if known.node == node.name and known.wanted.folder == folder]:
            del self._sent[copy]
        for copy in [known for known in self._inputs if known.node == node.name and known.wanted.folder == folder]:
            self._inputs.pop(copy).cancel()
        if node.ready:
            made = not whole and run.state.nodes[run.state.columns["node"][one]] == node.name
            task = asyncio.create_task(self._remove(node, folder, run.folder.task_folder(one) if made else None))
            self._dropping[node, folder] = task
            task.add_done_callback(lambda done: self._dropped(node, folder, done))

    def _dropped(self, node: NodeConnection, folder: str, task: asyncio.Task[None]) -> None:
        if self._dropping.get((node, folder)) is task:
            del self._dropping[node, folder]

    async def _remove(self, node: NodeConnection, folder: str, here: Path | None) -> None:
        """Remove a folder from a node. here: only the files that are in this one, for the node may have others."""
        paths = [folder]
        try:
            if here is not None:
                paths = [f"{folder}/{name}" for name, _ in await asyncio.to_thread(_all, here, None)]
            async with self.files.channel(node) as channel:
                await channel.remove(paths, node.home)
        except (TransferError, ChannelError, OSError) as error:
            log.warning("%s: %s is not removed: %s", node.name, folder, error)

    def forget(self, node: NodeConnection) -> None:
        """Break off what is being sent to a node, which has come back, or was removed. Of what it has, forget what only
        an earlier agent knows of: the machine may have gone down."""
        self._kept = {known for known in self._kept if known[0] is not node}
        for copy in [copy for copy in self._inputs if copy.node == node.name]:
            self._inputs.pop(copy).cancel()
        for copy in [copy for copy in self._sent if copy.node == node.name and copy.spool != node.spool]:
            del self._sent[copy]

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
        """Cancel what is under way, and wait for its end; what is being removed has a moment."""
        if self._dropping:
            await asyncio.wait(self._dropping.values(), timeout=MOMENT)
        tasks = [*self._under_way.values(), *self._inputs.values(), *self._dropping.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _all(folder: Path, outs: tuple[str, ...] | None, more: tuple[str, ...] = ()) -> Files:
    """Return the files in the folder of a run of a stage, and links to such, which arrive as files: those that globs
    match, by default all. more: further files, if they are there. Raises OSError, TransferError where a glob matches
    none, GoneError where the folder is gone."""
    try:
        with task_folder(folder) as top:
            there = [(os.fsdecode(entry.path), entry) for entry in top.walk()]
    except FileNotFoundError:
        raise GoneError(f"{folder} is gone") from None
    found = {name: TaskFile(str(folder), name) for name, entry in there if entry.is_file or entry.is_link}
    found = {name: file for name, file in found.items() if not name.endswith(PART)}
    links = [name for name, entry in there if entry.is_link]
    found = {name: file for name, file in found.items() if name not in links or file.size is not None}
    wanted = matcher(outs)
    for glob in outs or ():
        if not any(map(matcher([glob]), found)):
            raise TransferError(f'no file in {folder} matches "{glob}"')
    return sorted((name, file) for name, file in found.items() if wanted(name) or name in more)


def _found(folder: Path, done: int | None) -> tuple[Files, bool]:
    """Return the files in a task's folder that the next attempt may need, and whether nothing else is there: links
    and empty folders don't travel. done: an attempt whose outputs are among them, because the next one
    goes on from its steps."""
    found: Files = []
    whole = _only_files(folder)
    for name, _ in sorted(listed(folder, deep=True)):
        if name.endswith(PART) or (_NUMBERED.fullmatch(name) and not _is_output(name, done)):
            continue
        found.append((name, TaskFile(str(folder), name)))
    return found, whole


def _is_output(name: str, attempt: int | None) -> bool:
    """Return whether a numbered file is of an attempt."""
    last = name.rpartition(".")[2]
    return name not in (layout.PARAMS_FILE, layout.COLLECTED_FILE) and (int(last) if last.isdecimal() else 1) == attempt


def _only_files(folder: Path) -> bool:
    """Return whether a folder has only plain files, and folders with such."""
    for place, folders, files in os.walk(folder):
        if not (folders or files) or any(not stat.S_ISREG(os.lstat(f"{place}/{name}").st_mode) for name in files):
            return False
        if any(stat.S_ISLNK(os.lstat(f"{place}/{name}").st_mode) for name in folders):
            return False
    return True
