"""Making journals durable, and waiting where a disk has no room."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from tui_lab.engine.core.effects import Acknowledge
from tui_lab.engine.run_files import RunFiles
from tui_lab.protocol.agent import Ack
from tui_lab.store import checkpoint

log = logging.getLogger(__name__)

FULL_RETRY: Final = 1.0  # seconds between tries to write to a full disk
SYNC_EVERY: Final = 0.05  # seconds of events that one fdatasync makes durable
CHECKPOINT: Final = 64 << 20  # bytes of journal between two checkpoints


class Durability:
    """Syncs journals in groups, then acknowledges to agents. send: sends an acknowledgement to a node. written: called
    when a full disk has taken an experiment's events. discard: removes the files of runs of stages."""

    def __init__(
        self,
        runs: Mapping[str, RunFiles],
        send: Callable[[str, Ack], None],
        written: Callable[[str], None],
        discard: Callable[[RunFiles, list[int]], None],
    ) -> None:
        self.runs = runs
        self.send = send
        self.written = written
        self.discard = discard
        self.full: dict[str, str] = {}  # experiments that the disk has no room for, and what it said
        self.dirty = asyncio.Event()
        self._checkpoints: dict[str, int] = {}  # size of the journal at the newest checkpoint
        self._planned = False
        self._turn = asyncio.Lock()

    def acknowledge(self, run: RunFiles, one: Acknowledge) -> None:
        """Let an agent forget an attempt, once its event is durable."""
        run.unacknowledged.append(one)
        self.dirty.set()

    def discard_later(self, run: RunFiles, runs: Iterable[int]) -> None:
        """Have the files of runs of stages removed, once that is durable."""
        run.to_discard += runs
        self.dirty.set()

    async def keep(self) -> None:
        """Make what was appended durable, in groups; then acknowledge it."""
        while True:
            await self.dirty.wait()
            await asyncio.sleep(SYNC_EVERY)
            self.dirty.clear()
            await self.sync()

    async def sync(self) -> None:
        """Return once all events so far are durable and acknowledged."""
        async with self._turn:
            await self._sync()

    async def _sync(self) -> None:
        for run in list(self.runs.values()):
            if not (run.unacknowledged or run.to_discard) or run.unwritten:
                continue
            ended, run.unacknowledged = run.unacknowledged, []
            needless, run.to_discard = run.to_discard, []
            try:
                await asyncio.to_thread(run.journal.sync)
            except OSError as error:
                log.error("%s: %s", run.journal.path, error)
                run.unacknowledged = ended + run.unacknowledged
                run.to_discard = needless + run.to_discard
                asyncio.get_running_loop().call_later(FULL_RETRY, self.dirty.set)
                continue
            if needless:
                self.discard(run, needless)
            by_node = defaultdict[str, list[Acknowledge]](list)
            for one in ended:
                by_node[one.node].append(one)
            for name, mine in by_node.items():
                stay = [((run.wire_name, *one.key), one.stay) for one in mine if one.stay]
                self.send(name, Ack([(run.wire_name, *one.key) for one in mine], stay or None))
            if run.journal.end - self._checkpoints.setdefault(run.name, run.journal.end) > CHECKPOINT:
                self.save(run)

    def save(self, run: RunFiles) -> None:
        """Write a checkpoint of a run's state."""
        self._checkpoints[run.name] = run.journal.end
        if not run.unwritten and not run.journal.removed:
            checkpoint.write(run.state, run.folder.path)

    def on_full(self, run: RunFiles) -> None:
        """Try again later: the disk has no room."""
        if run.name not in self.full:
            log.warning("%s: %s", run.journal.path, run.journal.trouble)
        self.full[run.name] = run.journal.trouble
        if not self._planned:
            self._planned = True
            asyncio.get_running_loop().call_later(FULL_RETRY, self._write_again)

    def forget(self, run: RunFiles) -> None:
        """Drop an experiment whose folder was removed."""
        self.full.pop(run.name, None)

    def _write_again(self) -> None:
        self._planned = False
        for name in list(self.full):
            run = self.runs.get(name)
            if run is not None and run.unwritten and not run.write_again():
                self.on_full(run)
                continue
            del self.full[name]  # where it is full still, the next event says so
            self.dirty.set()
            self.written(name)
