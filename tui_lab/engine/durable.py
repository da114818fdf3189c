"""Making what was appended to the journals durable, and waiting where a disk has no room."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from tui_lab.engine.node import Message, Node
from tui_lab.engine.run import ExperimentRun
from tui_lab.store import checkpoint

log = logging.getLogger(__name__)

FULL_RETRY: Final = 1.0  # seconds between tries to write to a full disk
SYNC_EVERY: Final = 0.05  # seconds of events that one fdatasync makes durable
CHECKPOINT: Final = 64 << 20  # bytes of journal between two checkpoints


class Durability:
    """Syncs journals in groups and then acknowledges to agents. `go_on` is called when a full disk has taken
    everything again."""

    def __init__(self, runs: Mapping[str, ExperimentRun], nodes: Mapping[str, Node], go_on: Callable[[], None]) -> None:
        self.runs = runs
        self.nodes = nodes
        self.go_on = go_on
        self.full: dict[str, str] = {}  # experiments that the disk has no room for, and what it said
        self.dirty = asyncio.Event()
        self._checkpoints: dict[str, int] = {}  # size of the journal at the newest checkpoint
        self._planned = False
        self._turn = asyncio.Lock()

    async def keep(self) -> None:
        """Make what was appended durable, in groups, and only then acknowledge it."""
        while True:
            await self.dirty.wait()
            await asyncio.sleep(SYNC_EVERY)
            self.dirty.clear()
            await self.sync()

    async def sync(self) -> None:
        """On return all that had ended before is durable, and acknowledged."""
        async with self._turn:
            await self._sync()

    async def _sync(self) -> None:
        for run in list(self.runs.values()):
            if not run.unacknowledged or run.unwritten:
                continue
            keys, run.unacknowledged = run.unacknowledged, []
            try:
                await asyncio.to_thread(run.journal.sync)
            except OSError as error:
                log.error("%s: %s", run.journal.path, error)
                run.unacknowledged = keys + run.unacknowledged
                asyncio.get_running_loop().call_later(FULL_RETRY, self.dirty.set)
                continue
            for node in self.nodes.values():
                mine = [key for name, key in keys if name == node.name]
                if mine:
                    message: Message = {"type": "ack", "keys": [[run.wire_name, *key] for key in mine]}
                    if stay := [[[run.wire_name, *key], run.staying.pop(key)] for key in mine if key in run.staying]:
                        message["stay"] = stay
                    node.send(message)
            if run.journal.end - self._checkpoints.setdefault(run.name, run.journal.end) > CHECKPOINT:
                self.save(run)

    def save(self, run: ExperimentRun) -> None:
        """Write a checkpoint of a run's state."""
        self._checkpoints[run.name] = run.journal.end
        if not run.unwritten and not run.journal.removed:
            checkpoint.write(run.state, run.folder.path)

    def on_full(self, run: ExperimentRun) -> None:
        """The disk takes nothing: start nothing more, and try again."""
        if run.name not in self.full:
            log.warning("%s: %s", run.journal.path, run.journal.trouble)
        self.full[run.name] = run.journal.trouble
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_later(FULL_RETRY, self._write_again)

    def _write_again(self) -> None:
        self._planned = False
        for name in list(self.full):
            run = self.runs.get(name)
            if run is not None and run.unwritten and not run.write_again():
                self.on_full(run)
                continue
            del self.full[name]  # where it is full still, the next `assigned` says so
            self.dirty.set()
        self.go_on()
