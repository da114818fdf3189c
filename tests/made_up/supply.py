"""A pool that another package could bring: allocations are processes on this machine, at most `room` at a time.

`{processes: {folder: DIR, room: 2}}` in a cluster file. What is granted stands in the folder: NAME.asked has the spool
of a request, NAME.pid the process of an allocation. A test that ends one writes why into NAME.cause, and into
`seconds` how long each lasts.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from tui_lab.engine.agent_bundle import packed
from tui_lab.engine.transports.channel import MARK, Channel, Transport, boot_command
from tui_lab.engine.transports.local import LocalTransport
from tui_lab.engine.transports.supply import Cause, Offer, Request, Supply, Traits
from tui_lab.experiment.cluster.pools.pool import PoolKey
from tui_lab.experiment.schema_parts import COUNT, TEXT, Schema
from tui_lab.experiment.yaml.reader import Keypath, Reader
from tui_lab.store.lab import Lab


class Processes(PoolKey):
    """Processes on this machine, at most `room` at a time."""

    kind: ClassVar[str] = "processes"
    example: ClassVar[str] = "{folder: /tmp/processes, room: 2}"
    schema: ClassVar[Schema] = {
        "type": "object",
        "properties": {**PoolKey.common_schema, "folder": TEXT, "room": COUNT},
    }
    folder: str
    room: int

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        common = cls.read_common(r, path)
        folder, room = r.text((*path, "folder")), r.whole((*path, "room"), 1)
        return None if folder is None or room is None else cls(**common, folder=folder, room=room)


class AttachingTransport(LocalTransport):
    """A way to an agent that somebody else has started."""

    async def open(self) -> Channel:
        return await self._open("attach")


class ProcessSupply(Supply):
    """Grants processes."""

    traits: ClassVar[Traits] = Traits(survives=True)

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.folder = Path(entry["processes"]["folder"])
        self.room = entry["processes"]["room"]
        self.children: list[subprocess.Popen[bytes]] = []

    async def ask(self, requests: Sequence[Request]) -> None:
        for request in requests:
            (self.folder / f"{request.name}.asked").write_text(f"{request.spool} {request.leave}")

    async def survey(self) -> Sequence[Offer]:
        for name in sorted(self.names("asked") - self.names("pid"), key=lambda name: int(name.rpartition("-")[2])):
            if sum(map(self.alive, self.names("pid"))) < self.room:
                self.grant(name)
        return [self.offer(name) for name in self.names("asked")]

    def names(self, kind: str) -> set[str]:
        return {path.stem for path in self.folder.glob(f"*.{kind}")}

    def offer(self, name: str) -> Offer:
        if not (self.folder / f"{name}.pid").exists():
            return Offer(name, why=f"all {self.room} are in use")
        number = (self.folder / f"{name}.pid").read_text()
        if self.alive(name):
            used = time.time() - (self.folder / f"{name}.pid").stat().st_mtime
            lasts = self.folder / "seconds"
            ends_in = float(lasts.read_text()) - used if lasts.exists() else None
            return Offer(name, number, state="up", ends_in=ends_in)
        cause = self.folder / f"{name}.cause"
        return Offer(
            name, number, state="ended", cause=cast(Cause, cause.read_text() if cause.exists() else "node-lost")
        )

    def alive(self, name: str) -> bool:
        try:
            stat = Path("/proc", (self.folder / f"{name}.pid").read_text(), "stat").read_text()
        except OSError:
            return False
        return not stat.rpartition(")")[2].startswith(" Z")

    def grant(self, name: str) -> None:
        spool, leave = (self.folder / f"{name}.asked").read_text().split()
        words = [*boot_command(sys.executable, spool, "stay"), leave]
        null = subprocess.DEVNULL
        process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True)
        assert process.stdin is not None
        with process.stdin as stdin:
            stdin.write(MARK + packed())
        self.children.append(process)
        (self.folder / f"{name}.pid").write_text(str(process.pid))

    async def give_back(self, names: Sequence[str]) -> None:
        for name in names:
            if self.alive(name):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int((self.folder / f"{name}.pid").read_text()), signal.SIGTERM)
            (self.folder / f"{name}.asked").unlink(missing_ok=True)

    def way(self, offer: Offer) -> Transport:
        return AttachingTransport(Path((self.folder / f"{offer.name}.asked").read_text().split()[0]))


def make(entry: Mapping[str, Any], lab: Lab, environment: Mapping[str, str]) -> Supply:
    return ProcessSupply(entry)
