"""A pool that another package could bring: each allocation is a process on this machine, at most `room` at a time.
The folder says what was asked for (NAME.asked) and what is granted (NAME.pid), so that the next engine finds it."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from tui_lab.engine.transports.channel import Transport, boot_command, boot_input
from tui_lab.engine.transports.local import LocalTransport
from tui_lab.engine.transports.supply import Offer, Request, Supply, Traits
from tui_lab.experiment.cluster.pools.pool import PoolKey
from tui_lab.experiment.schema_parts import COUNT, TEXT
from tui_lab.experiment.yaml.reader import Keypath, Reader


class Processes(PoolKey):
    """Processes on this machine, at most `room` at a time. `folder` takes what is known of them."""

    kind = "processes"
    example = "{folder: /tmp/big, room: 2}"
    schema: ClassVar = {"type": "object", "properties": {**PoolKey.common_schema, "folder": TEXT, "room": COUNT}}
    folder: str
    room: int

    @classmethod
    def read(cls, r: Reader, path: Keypath) -> Self | None:
        r.fields(path, (*cls.common, "folder", "room"), "processes")
        folder, room = r.text((*path, "folder")), r.whole((*path, "room"), 1)
        return None if folder is None or room is None else cls(**cls.read_common(r, path), folder=folder, room=room)


class ProcessSupply(Supply):
    traits = Traits(survives=True)  # allocations go on when our engine is killed

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self.folder, self.room = Path(entry["processes"]["folder"]), entry["processes"]["room"]
        self.python = entry.get("python") or sys.executable

    async def ask(self, requests: Sequence[Request]) -> None:
        for one in requests:
            (self.folder / f"{one.name}.asked").write_text(f"{one.spool} {one.leave}")

    async def survey(self) -> Sequence[Offer]:
        offers = [self.offer(path.stem) for path in sorted(self.folder.glob("*.asked"))]
        up = sum(one.state == "up" for one in offers)
        for one in [one for one in offers if one.state == "pending"][: self.room - up]:
            self.grant(one.name)  # the next survey says so
        return offers

    def offer(self, name: str) -> Offer:
        if not (pid := self.folder / f"{name}.pid").exists():
            return Offer(name, why=f"all {self.room} are in use")
        if Path("/proc", pid.read_text(), "exe").exists():  # a zombie has none
            return Offer(name, pid.read_text(), state="up")
        return Offer(name, pid.read_text(), state="ended", cause="node-lost")

    def grant(self, name: str) -> None:
        spool, leave = (self.folder / f"{name}.asked").read_text().split()
        (source := self.folder / f"{name}.source").write_bytes(boot_input())
        words, null = [*boot_command(self.python, spool, "stay"), leave], subprocess.DEVNULL
        with source.open("rb") as stdin:
            child = subprocess.Popen(words, stdin=stdin, stdout=null, stderr=null, start_new_session=True)
        (self.folder / f"{name}.pid").write_text(str(child.pid))

    async def give_back(self, names: Sequence[str]) -> None:
        for name in names:
            if self.offer(name).state == "up":
                subprocess.run(["kill", (self.folder / f"{name}.pid").read_text()], check=False)
            (self.folder / f"{name}.asked").unlink(missing_ok=True)

    def way(self, offer: Offer) -> Transport:
        spool = (self.folder / f"{offer.name}.asked").read_text().split()[0]
        return LocalTransport(Path(spool), self.python, starts=False)


def make(entry: Mapping[str, Any], lab: object, environment: Mapping[str, str]) -> Supply:
    return ProcessSupply(entry)
