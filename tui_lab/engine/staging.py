"""Code staging: the program's files on nodes that don't see the lab's folder, and the paths of tasks on each node."""

from __future__ import annotations

import asyncio
import glob
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tui_lab.engine.channel_pool import FileChannelPool, Unreachable
from tui_lab.engine.connection import NodeConnection
from tui_lab.engine.run_files import RunFiles
from tui_lab.engine.tasks.paths import NodePaths
from tui_lab.engine.transfer.errors import TransferError
from tui_lab.experiment.model import Experiment
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.portable.function.values import FILES as VALUE_FILES
from tui_lab.protocol.agent import Collect
from tui_lab.store import code_snapshot, declared_files, result_files

log = logging.getLogger(__name__)

AGAIN: Final = 5.0  # seconds before a further try to send the code
MEGABYTE: Final = 1e6


@dataclass(frozen=True)
class Code:
    """Files by their path relative to the experiment's folder. digest: names the whole by its content."""

    digest: str
    files: tuple[tuple[str, Path, str], ...]  # relative path, path here, SHA-256

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(path.stat().st_size for _, path, _ in self.files)


def code_of(experiment: Experiment, scripts: Iterable[str], folder: Path, snapshot: str | None) -> Code:
    """Return the files of `code` and `inputs`, and the scripts that a submission found in the commands. The code is
    that of the submission's snapshot, if it has one. Raises OSError, ValueError, SpecError."""
    found: dict[str, tuple[Path, str]] = {}
    if snapshot is not None:
        found = code_snapshot.files_of(folder, snapshot)
    for one in experiment.per_stage:
        for key in declared_files.KEYS if snapshot is None else ("inputs",):
            files = declared_files.declared(one, key).files
            digests = declared_files.hashed(one, key, files)
            found |= {name: (path, digests[name]) for name, path in files.items() if name not in found}
    for name in scripts:
        path = experiment.folder / name
        if name not in found and not name.startswith("../") and path.is_file():
            found[name] = path, declared_files.file_digest(path)
    files_ = tuple((name, path, digest) for name, (path, digest) in sorted(found.items()))
    listing = "".join(f"{digest} {path.stat().st_mode & 0o111:o} {name}\0" for name, path, digest in files_)
    return Code(hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()[:16], files_)


class CodeStaging:
    """Gives the paths of a run on a node, once its files are there. `ready` is called when they have arrived."""

    def __init__(self, files: FileChannelPool, ready: Callable[[RunFiles, NodeConnection, int], None]) -> None:
        self.files = files
        self.ready = ready
        self._paths: dict[tuple[NodeConnection, str], NodePaths] = {}  # by node and identity of its tasks' builder
        self._codes: dict[str, asyncio.Task[Code]] = {}  # by the identity of its tasks' builder
        self._sent: dict[tuple[NodeConnection, str], str] = {}  # (node, identity of its tasks' builder) -> folder there
        self._sending: dict[tuple[NodeConnection, str], asyncio.Task[None]] = {}
        self._first = OneFirst()

    def paths(self, run: RunFiles, node: NodeConnection, submission: int) -> NodePaths | None:
        """None while the program's files are on their way. Raises LabError, SpecError."""
        key = (node, run.builder(submission).identity)
        if key not in self._paths:
            paths = self._make(run, node, submission)
            if paths is None:
                return None
            self._paths[key] = paths
        return self._paths[key]

    def _make(self, run: RunFiles, node: NodeConnection, submission: int) -> NodePaths | None:
        builder = run.builder(submission)
        experiment = builder.experiment
        paths = partial(
            NodePaths,
            node=node.name,
            inherits=not node.remote,
            python=node.entry.get("python"),
            env=node.entry.get("env") or {},
            setup=node.entry.get("setup"),
        )
        if node.shared:
            return paths(outputs=builder.here.outputs, workdir=node.entry.get("workdir") or builder.here.workdir)
        workdir = node.entry.get("workdir")
        if workdir is None or any(one.code or one.inputs for one in experiment.per_stage):
            sent = self._sent.get((node, builder.identity))
            if sent is None:
                self._send(run, node, submission)
                return None
            workdir = workdir or sent
        return paths(
            outputs=f"{node.home}/{run.wire_name}",
            workdir=workdir,
            collect=collect(experiment, node.home),
        )

    def forget(self, node: NodeConnection) -> None:
        """Forget what the node has, so that it is asked again: it has come back."""
        for known in (self._sent, self._paths):
            for key in [key for key in known if key[0] is node]:
                del known[key]

    async def close(self) -> None:
        """Cancel what is under way, and wait for its end."""
        running: list[asyncio.Task[Any]] = [*self._sending.values(), *self._codes.values()]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _send(self, run: RunFiles, node: NodeConnection, submission: int) -> None:
        key = (node, run.builder(submission).identity)
        if key not in self._sending:
            self._sending[key] = asyncio.create_task(self._keep_sending(run, node, submission))

    async def _keep_sending(self, run: RunFiles, node: NodeConnection, submission: int) -> None:
        builder = run.builder(submission)
        try:
            while node.ready and not run.journal.removed:
                try:
                    code = await self._code(run, submission)
                    folder = f"{node.home}/code/{code.digest}"
                    pool = node.entry.get("pool")
                    # Nodes of a pool often share a home: what the first one was sent, the others have.
                    async with self._first.turn((pool, folder)) if pool else nullcontext():
                        await self._put(node, folder, code)
                    self._sent[node, builder.identity] = folder
                    break
                except (TransferError, *Unreachable, ValueError, SpecError) as error:
                    log.warning("node %s: %s", node.name, error)
                    node.doing = f"can't send the code: {error}"
                    self._codes.pop(builder.identity, None)
                    await asyncio.sleep(0 if isinstance(error, TransferError) and error.lost else AGAIN)
        finally:
            node.doing = ""
            self._sending.pop((node, builder.identity), None)
        self.ready(run, node, submission)

    async def _code(self, run: RunFiles, submission: int) -> Code:
        """The files of a submission, hashed once for all nodes."""
        builder = run.builder(submission)
        if builder.identity not in self._codes:
            scripts = [name for name in run.state.submissions[submission].scripts if not name.endswith(":")]
            work = asyncio.to_thread(code_of, builder.experiment, scripts, builder.folder, builder.code)
            self._codes[builder.identity] = asyncio.create_task(work)
        return await self._codes[builder.identity]

    async def _put(self, node: NodeConnection, folder: str, code: Code) -> None:
        if not code.files:
            async with self.files.channel(node) as channel:
                await channel.put_tree(node.home, folder, [])
            return
        total, sent = code.size, 0

        def tell(count: int) -> None:
            nonlocal sent
            sent += count
            node.doing = f"sending the code, {sent / MEGABYTE:,.1f} of at most {total / MEGABYTE:,.1f} MB"

        async with self.files.channel(node) as channel:
            await channel.put_tree(node.home, folder, list(code.files), progress=tell)


class OneFirst:
    """Lets one do something alone, and all others of its kind at once when that is done."""

    def __init__(self) -> None:
        self._done: set[Hashable] = set()
        self._locks: dict[Hashable, asyncio.Lock] = {}

    @asynccontextmanager
    async def turn(self, kind: Hashable) -> AsyncIterator[None]:
        """Wait until it is one's turn. Where the first one fails, the next one is the first."""
        if kind not in self._done:
            async with self._locks.setdefault(kind, asyncio.Lock()):
                if kind not in self._done:
                    yield
                    self._done.add(kind)
                    return
        yield


def collect(experiment: Experiment, home: str) -> Collect:
    """Return which outputs an agent collects. home: the folder of the lab on the node.

    Where globs are given, the files from which results are read are added: outputs, live metrics, files of metrics.
    """
    keep = experiment.keep
    found: Collect = {"keep": None, "most": keep.most, "home": home}
    is_earlier = experiment.stage in experiment.earlier_stages
    if experiment.function is not None and (is_earlier or experiment.value_is_taken):
        found["later"] = VALUE_FILES
    if keep.globs is None:
        return found
    globs = dict.fromkeys((*keep.globs, *result_files.OUTPUTS))
    globs |= dict.fromkeys(map(glob.escape, result_files.named_files(experiment)))
    return {**found, "keep": list(globs)}
