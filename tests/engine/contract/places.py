"""The kinds of place where tasks run, and what tests do to one. `PLACES` has a row for each transport.

A `Place` writes the cluster file, and knows how a worker of its kind dies, how its time is cut short, how it is
cancelled from outside, and what may not be left. The tests of this folder know nothing else of a kind.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import pytest

from tests.cli.test_plugins import install
from tests.engine.contract import ended
from tests.engine.nodes.fleet import Fleet
from tests.engine.nodes.machine import can_hide
from tests.made_up import transport as fixed
from tests.services import dask as dask_service
from tests.services import ray as ray_service
from tests.services import slurm as slurm_service
from tests.services.dask import PrivateDask
from tests.services.ray import PrivateRay
from tests.services.slurm import PrivateSlurm
from tests.workbench import Workbench, alive, belongs, until
from tui_lab.client.nodes import read_cluster
from tui_lab.engine.transports import supply_for, transport_for
from tui_lab.engine.transports.channel import Transport
from tui_lab.engine.transports.slurm.supply import SlurmSupply
from tui_lab.engine.transports.supply import Request, Supply
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.cluster.pools.pool import FLOOR
from tui_lab.store.lab import Lab

SPOOLS: Final = Path(f"/tmp/tui-lab-{os.getuid()}")

# A Python for agents that are not to see a folder of this machine, and have a home of their own. The words of an agent
# are those of `boot_command`; what else is called with it, such as a function, is in its place already.
HIDING: Final = """\
#!/bin/sh
if [ "$1 $2 $3" = "-S -E -c" ]; then
  export XDG_CACHE_HOME=HOMES/"$(printf %s "$5" | tr / _)"
  exec unshare -m --propagation private sh -c 'mount -t tmpfs none HIDDEN && exec PYTHON "$@"' sh "$@"
fi
exec PYTHON "$@"
"""


class Place(ABC):
    """Where tasks run, of one kind. `truth`: a folder that all nodes see; `base`: one for the files of nodes."""

    kind: ClassVar[str]
    marks: ClassVar[Sequence[pytest.MarkDecorator]] = ()
    pool: ClassVar[bool] = False
    hides: ClassVar[bool] = True
    """Its nodes don't see the folder of the lab, where this machine can do that."""
    survives: ClassVar[bool] = True
    """Tasks go on when our engine is killed, and the next one finds them."""
    sends: ClassVar[bool] = True
    """The far end of a channel gets its program from this process, which may send another one."""
    loses: ClassVar[bool] = True
    """A worker that is killed takes its tasks with it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        self.workbench: Workbench = request.getfixturevalue("workbench")
        self.base = Path(tempfile.mkdtemp(prefix="tui-lab-place-", dir="/var/tmp"))
        self.truth = self.base / "truth"
        self.truth.mkdir()
        self.workbench.environment |= {"TRUTH": str(self.truth), FLOOR: "0.1"}

    @abstractmethod
    def entries(self, nodes: int, slots: int) -> list[dict[str, Any]]:
        """The nodes of a cluster file: so many, or a pool with as many allocations at most."""

    @abstractmethod
    def kill_worker(self, node: str) -> None:
        """SIGKILL to all that works for a node."""

    @abstractmethod
    def way(self) -> Any:
        """The way to an agent that is up, as an asynchronous context manager."""

    def acts(self) -> dict[str, Callable[[str], None]]:
        """What can happen to a node, by the reason of the losses."""
        return {"node-lost": self.kill_worker}

    def cluster(self, nodes: int, slots: int) -> Path:
        """Write the cluster file."""
        return self.workbench.write("c.yaml", json.dumps({"nodes": self.entries(nodes, slots)}))

    def python(self) -> dict[str, str]:
        """The `python` of an entry whose node does not see the lab."""
        if not can_hide():
            return {}
        path = self.base / "python"
        if not path.exists():
            (self.base / "homes").mkdir()
            text = HIDING.replace("HOMES", f"{self.base}/homes").replace("HIDDEN", str(self.workbench.folder))
            path.write_text(text.replace("PYTHON", shlex.quote(sys.executable)))
            path.chmod(0o755)
        return {"python": str(path)}

    def left(self) -> list[str]:
        """What there still is of the lab: processes, and spools."""
        identity = self.workbench.lab.identity
        marks = [os.fsencode(self.base), identity.encode()]
        pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
        found = [f"process {pid}" for pid in pids if belongs(pid, marks) and alive(pid)]
        return found + [str(path) for path in SPOOLS.glob(f"*{identity}*") if not path.name.endswith(".sock")]

    def close(self) -> None:
        """End what is left, so that the next test begins with nothing."""
        shutil.rmtree(self.base, ignore_errors=True)


class Local(Place):
    """This machine."""

    kind = "local"
    hides = False
    loses = False  # the agent that comes next adopts them

    def entries(self, nodes: int, slots: int) -> list[dict[str, Any]]:
        return [{"name": "here", "slots": nodes * slots}]

    def kill_worker(self, node: str) -> None:
        os.kill(int((self._spool() / "lock").read_text()), signal.SIGKILL)

    def _spool(self) -> Path:
        return SPOOLS / f"{self.workbench.lab.identity}-here"

    @asynccontextmanager
    async def way(self) -> AsyncIterator[Transport]:
        yield transport_for({"name": "here"}, Lab.create(self.workbench.lab_path), {})


class Ssh(Place):
    """Machines with an sshd each."""

    kind = "ssh"

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__(request)
        self.fleet: Fleet = request.getfixturevalue("fleet")
        self.workbench.environment |= self.fleet.environment(self.workbench)

    def entries(self, nodes: int, slots: int) -> list[dict[str, Any]]:
        shared = not can_hide()
        made = [self.fleet.node(f"far-{n}", slots=slots, shared=shared, lost_after=1) for n in range(nodes)]
        return [{key: value for key, value in node.entry.items() if value != []} for node in made]

    def kill_worker(self, node: str) -> None:
        self.fleet.power_off(node)
        for spool in self.fleet.nodes.pop(node).spools():  # as a machine that starts again has none
            shutil.rmtree(spool)

    @asynccontextmanager
    async def way(self) -> AsyncIterator[Transport]:
        (entry,) = self.entries(1, 1)
        lab = Lab.create(self.workbench.lab_path)
        way = transport_for(cast(NodeEntry, entry), lab, self.fleet.environment())
        try:
            yield way
        finally:
            await way.close()

    def left(self) -> list[str]:
        nodes = self.fleet.nodes.values()
        return super().left() + [f"on {node.name}: {node.spools()}" for node in nodes if node.spools()]


class Fixed(Place):
    """Nodes of another package's transport."""

    kind = "made-up node"
    points: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "tui_lab.node_keys": {"pretend": "tests.made_up.transport:Pretend"},
        "tui_lab.transports": {"pretend": "tests.made_up.transport:make"},
    }

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__(request)
        self.workbench.environment |= install(self.workbench.folder, self.points)

    def entries(self, nodes: int, slots: int) -> list[dict[str, Any]]:
        names = [f"far-{n}" for n in range(nodes)]
        folders = {name: {"folder": str(self.base / name)} for name in names}
        return [{"name": name, "slots": slots, "pretend": folders[name], **self.python()} for name in names]

    def kill_worker(self, node: str) -> None:
        (self.base / node).rename(self.base / f"gone-{node}")  # as a machine that starts again has none
        marks = [os.fsencode(self.base / node), os.fsencode(f"{self.base.name}_{node}_")]
        for pid in [int(path.name) for path in Path("/proc").glob("[0-9]*") if belongs(int(path.name), marks)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @asynccontextmanager
    async def way(self) -> AsyncIterator[Transport]:
        (entry,) = self.entries(1, 1)
        yield fixed.make(entry, Lab.create(self.workbench.lab_path), {})


class Pool(Place):
    """An engine that grants nodes, all of which are this machine."""

    pool = True

    @abstractmethod
    def supply(self, entry: NodeEntry, lab: Lab) -> Supply:
        """The engine, as ours has it."""

    @abstractmethod
    def cut_short(self, node: str) -> None:
        """The time of an allocation is up."""

    @abstractmethod
    def cancel(self, node: str) -> None:
        """Somebody else ends an allocation."""

    def acts(self) -> dict[str, Callable[[str], None]]:
        return {**super().acts(), "walltime": self.cut_short, "cancelled": self.cancel}

    def name_of(self, node: str) -> str:
        """The request that a node was granted for."""
        lines = map(json.loads, (self.workbench.lab_path / "allocations.jsonl").read_text().splitlines())
        return next(str(line["granted"]) for line in lines if line.get("node") == node)

    def agent_pid(self, node: str) -> int:
        return int((SPOOLS / self.name_of(node) / "lock").read_text())

    def kill_worker(self, node: str) -> None:
        os.kill(self.agent_pid(node), signal.SIGKILL)

    @asynccontextmanager
    async def way(self) -> AsyncIterator[Transport]:
        lab = Lab.create(self.workbench.lab_path)
        (entry,) = self.entries(1, 1)
        supply = self.supply(cast(NodeEntry, entry), lab)
        name = f"tl-{lab.identity}-big-1"
        try:
            await supply.ask([Request(name, name, 1, 600)])
            while not (up := [one for one in await supply.survey() if (one.name, one.state) == (name, "up")]):
                await asyncio.sleep(0.05)
            way = supply.way(up[0])
            channel = await way.open()  # its agent is there
            await channel.close()
            yield way
        finally:
            await supply.give_back([name])
            while any(one.name == name and one.state != "ended" for one in await supply.survey()):
                await asyncio.sleep(0.05)
            await supply.close()


class Processes(Pool):
    """Another package's pool."""

    kind = "made-up pool"
    points: ClassVar[Mapping[str, Mapping[str, str]]] = {
        "tui_lab.node_keys": {"processes": "tests.made_up.supply:Processes"},
        "tui_lab.transports": {"processes": "tests.engine.contract.ended:make"},
    }

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__(request)
        self.workbench.environment |= install(self.workbench.folder, self.points)
        self.folder = self.base / "granted"
        self.folder.mkdir()

    def entries(self, nodes: int, slots: int) -> list[dict[str, Any]]:
        key = {"folder": str(self.folder), "room": nodes, "max": nodes + 1, "every": 0.1, "idle": 1, "leave": 60}
        return [{"name": "big", "slots": slots, "processes": key, **self.python()}]

    def supply(self, entry: NodeEntry, lab: Lab) -> Supply:
        return ended.make(entry, lab, {})

    def cut_short(self, node: str) -> None:
        (self.folder / f"{self.name_of(node)}.ends").write_text(str(time.time() + 1))

    def cancel(self, node: str) -> None:
        self._end(node, "cancelled")

    def _end(self, node: str, cause: str) -> None:
        (self.folder / f"{self.name_of(node)}.cause").write_text(cause)
        self.kill_worker(node)

    def acts(self) -> dict[str, Callable[[str], None]]:
        return {**super().acts(), "preempted": lambda node: self._end(node, "preempted")}

    def left(self) -> list[str]:
        asked, ended = ({path.stem for path in self.folder.glob(f"*.{kind}")} for kind in ("asked", "pid"))
        return super().left() + [f"request {name}" for name in asked - ended]


class Slurm(Pool):
    """Jobs of Slurm."""

    kind = "slurm"
    marks = slurm_service.MARKS

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__(request)
        self.slurm: PrivateSlurm = request.getfixturevalue("slurm")
        self.workbench.environment |= self.slurm.environment

    def entries(self, nodes: int, slots: int) -> list[dict[str, Any]]:
        key = {"partition": "main", "time": "1:00:00", "max": nodes, "every": 0.2, "idle": 1, "leave": 60}
        return [{"name": "big", "slots": slots, "slurm": key, **self.python()}]

    def supply(self, entry: NodeEntry, lab: Lab) -> Supply:
        options: Any = {"slurm": {"options": {"partition": "main"}}}
        return SlurmSupply({**entry, **options}, f"tl-{lab.identity}-", self.slurm.environment)

    def cut_short(self, node: str) -> None:
        self.slurm.run("scontrol", "update", f"JobId={node.removeprefix('big.')}", "EndTime=now+1")

    def cancel(self, node: str) -> None:
        self.slurm.run("scancel", node.removeprefix("big."))

    def left(self) -> list[str]:
        mine = f"tl-{self.workbench.lab.identity}-"
        jobs = [f"job {name}" for name in self.slurm.queue() if name.startswith(mine)]
        return super().left() + jobs + [f"step {pid}" for pid in self.slurm.steps()]


class Leased(Pool):
    """Workers of an engine, each with an agent as a child. Such engines set no time limit."""

    sends = False

    @abstractmethod
    def key(self, nodes: int) -> dict[str, Any]:
        """The key of the entry, named as the kind."""

    def entries(self, nodes: int, slots: int) -> list[dict[str, Any]]:
        key = {**self.key(nodes), "max": nodes, "every": 0.2, "idle": 1, "leave": 60}
        return [{"name": "big", "slots": slots, self.kind: key, **self.python()}]

    def supply(self, entry: NodeEntry, lab: Lab) -> Supply:
        (read,) = read_cluster(self.workbench.write("supply.yaml", json.dumps({"nodes": [entry]})))
        return supply_for(read, lab, {**os.environ, **self.workbench.environment})

    def cut_short(self, node: str) -> None:
        raise NotImplementedError

    def acts(self) -> dict[str, Callable[[str], None]]:
        return {"node-lost": self.kill_worker, "cancelled": self.cancel}

    def agent_pid(self, node: str) -> int:
        (spool,) = SPOOLS.glob(f"{self.name_of(node)}-*")  # and the pid of the worker
        return int((spool / "lock").read_text())

    def worker_pid(self, node: str) -> int:
        """The process in which an allocation is."""
        return int(Path(f"/proc/{self.agent_pid(node)}/stat").read_text().rpartition(")")[2].split()[1])

    def runs(self, code: str) -> None:
        """Run code of somebody else who uses the engine."""
        environment = {**os.environ, **self.workbench.environment}
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, timeout=60)


class Dask(Leased):
    """Workers of Dask."""

    kind = "dask"
    marks = dask_service.MARKS

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__(request)
        self.dask: PrivateDask = request.getfixturevalue("dask")
        self.more: list[str] = []
        for _ in range(2):  # beside those that it has
            self._another()

    def _another(self) -> None:
        self.more.append(f"contract-{self.base.name}-{len(self.more)}")
        self.dask.start_worker(self.more[-1])

    def key(self, nodes: int) -> dict[str, Any]:
        return {"address": self.dask.address}

    def kill_worker(self, node: str) -> None:
        pid = self.worker_pid(node)
        name = next(name for name, process in self.dask.processes.items() if process.pid == pid)
        self.dask.kill(name)
        if name not in self.more:
            self.dask.start_worker(name)
        else:
            self._another()

    def cancel(self, node: str) -> None:
        connect = f"import distributed; client = distributed.Client('{self.dask.address}')"
        self.runs(f"{connect}; client.get_dataset('{self.name_of(node)}').cancel(force=True); client.close()")

    def close(self) -> None:
        for name in self.more:
            if name in self.dask.processes:
                self.dask.end_worker(name)
        super().close()


class Ray(Leased):
    """Workers of Ray."""

    kind = "ray"
    marks = ray_service.MARKS

    def __init__(self, request: pytest.FixtureRequest) -> None:
        super().__init__(request)
        self.ray: PrivateRay = request.getfixturevalue("ray")
        self.workbench.environment |= ray_service.ENVIRONMENT
        self.node = f"contract-{self.base.name}"
        self.ray.start_node(self.node, cpus=6)

    def key(self, nodes: int) -> dict[str, Any]:
        return {"address": self.ray.address}

    def kill_worker(self, node: str) -> None:
        os.kill(self.worker_pid(node), signal.SIGKILL)

    def cancel(self, node: str) -> None:
        space = f"tl-{self.workbench.lab.identity}"
        ours = f"ray.init('{self.ray.address}', _node_ip_address='{ray_service.HEAD}', namespace='{space}')"
        self.runs(f"import ray; {ours}; ray.kill(ray.get_actor('{self.name_of(node)}'))")

    def close(self) -> None:
        self.ray.end_node(self.node)
        super().close()


PLACES: Final[Sequence[type[Place]]] = (Local, Ssh, Fixed, Processes, Slurm, Dask, Ray)
"""One for each transport."""


def nothing_is_left(place: Place) -> None:
    """Wait until nothing is."""
    until(lambda: place.workbench.engine_pid() is None, 60)
    until(lambda: not place.left(), 30)
