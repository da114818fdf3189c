"""Dask's client behind the bridge. Only the bridge's process imports this."""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import cloudpickle
import distributed

from tui_lab.engine.transports.bridge import holder
from tui_lab.engine.transports.bridge.back_end import BackEnd, BackEndError, Boot, LeaseGoneError, Site
from tui_lab.engine.transports.dask import lease as leases
from tui_lab.engine.transports.supply import Cause, Limits, Offer, Request

if TYPE_CHECKING:
    from tui_lab.engine.transports.dask.jobs import Jobs

CHUNK: Final = 600.0  # seconds, as in the cluster file
STUCK: Final = 3  # surveys
TO_KNOCK: Final = 10.0  # seconds
TO_STOP: Final = 15.0  # seconds for the agents of leases that are given back
SOON: Final = 15.0  # seconds before the end of a job in which its worker may have been ended for it
REMEMBERED: Final = 1000  # leases that have ended

for module in (holder, leases):  # workers need nothing of ours installed
    cloudpickle.register_pickle_by_value(module)


@dataclass(frozen=True)
class Held:
    """An agent beside a worker. worker: its address. name: as its cluster calls it. ends: when its job does, where it
    is one (monotonic)."""

    worker: str
    name: Any
    host: str
    pid: int
    since: float  # monotonic
    ends: float | None = None
    cause: Cause = "node-lost"  # of its end


@dataclass(eq=False)
class Lease:
    """A future, and the agents that it has been. future: None where an earlier bridge has it. at: the agent of now.
    closing: one that takes nothing new. stuck: surveys in which it waited at a worker, and another one had room."""

    name: str
    future: Any = None
    at: Held | None = None
    closing: Held | None = None
    stuck: int = 0
    past: list[Held] = field(default_factory=list)

    def id(self, held: Held) -> str:
        """Return how users know an agent of it."""
        return f"{self.name.rpartition('-')[2]}-{held.pid}"

    def leave(self) -> None:
        """Its agent is gone."""
        if self.at is not None:
            left = math.inf if self.at.ends is None else self.at.ends - time.monotonic()
            self.past.append(replace(self.at, cause="walltime") if left < SOON else self.at)
            self.at = None


class DaskBackEnd(BackEnd):
    """A scheduler of Dask. Leases are published there under their names, so that they outlive their client; and only
    the scheduler is asked how they stand: a client that loses the connection takes all of its futures for cancelled."""

    def __init__(self, site: Site, boot: Boot) -> None:
        super().__init__(site, boot)
        self.client: Any = None
        self.leases: dict[str, Lease] = {}
        self.ended: dict[str, Offer] = {}
        self.jobs: Jobs | None = None

    @property
    def address(self) -> Any:
        """What leads to the scheduler."""
        return self.site.settings["address"] if self.jobs is None else self.jobs.cluster

    async def connect(self) -> None:
        """Connect to the scheduler. Raises BackEndError."""
        if self.site.settings.get("jobqueue") and self.jobs is None:
            from tui_lab.engine.transports.dask.jobs import start_jobs  # late: not everybody has dask-jobqueue

            self.jobs = await start_jobs(self.site.settings, self.site.prefix.rstrip("-"))
        elif self.jobs is None:
            await knock(self.address)
        try:
            self.client = await distributed.Client(
                self.address, asynchronous=True, set_as_default=False, name="tui-lab"
            )
        except OSError as error:
            raise BackEndError(f"no scheduler answers at {self.address}") from error
        except (ValueError, ImportError) as error:  # the form of the address, a protocol that is not installed
            raise BackEndError(f"{self.address}: {error}", fatal=True) from error

        await self.check_python()

    async def check_python(self) -> None:
        """Functions travel by value, which other releases of Python can't read. Raises BackEndError."""
        found = await self.client.get_versions()
        mine = python_of(found["client"])
        theirs = {python_of(one) for one in found["workers"].values() if one} | {python_of(found["scheduler"])}
        if others := sorted(theirs - {mine}):
            what = f"it runs Python {' and '.join(others)}, and the engine runs {mine}"
            raise BackEndError(f"{what}: Dask needs the same everywhere", fatal=True)

    async def _connected(self) -> Any:
        """The client, which gives up where the scheduler is away for long. Raises BackEndError."""
        if self.client.status in ("closing", "closed"):
            await self.connect()
        elif self.client.status != "running":
            raise BackEndError(f"no scheduler answers at {self.address}")
        return self.client

    async def ask(self, requests: Sequence[Request]) -> None:
        """Submit a future for each."""
        client = await self._connected()
        for request in requests:
            future = client.submit(
                leases.lease,
                request.name,
                self.boot.words,
                self.boot.source,
                self.site.python,
                request.spool,
                request.leave,
                max(request.slots, self.jobs.cpus if self.jobs is not None else 0),
                key=request.name,
                resources=self._resources(request) or None,
                pure=False,
                retries=0,
            )
            await client.publish_dataset(future, name=request.name, override=True)
            self.leases[request.name] = Lease(request.name, future)
        try:
            await self._fit()
        except BackEndError:
            await self.give_back([request.name for request in requests])
            raise

    async def survey(self) -> Sequence[Offer]:
        """Return what has become of all leases."""
        standing = await self._find()
        await self._fit()
        await self._make_way(standing)
        await self._move(standing)
        offers = list(self.ended.values())
        for one in self.leases.values():
            offers += [
                Offer(one.name, one.id(held), state="ended", cause=held.cause, why=f"{held.worker} has gone")
                for held in one.past
            ]
            if one.at is not None:
                left = None if one.at.ends is None else max(0.0, one.at.ends - time.monotonic())
                offers.append(Offer(one.name, one.id(one.at), state="up", ends_in=left))
            else:
                why = "its job waits" if self.jobs is not None else why_pending(one.name, standing)
                offers.append(Offer(one.name, why=why))
        return offers

    async def give_back(self, names: Sequence[str]) -> None:
        """Cancel futures, and end their agents: Dask itself does not end what runs."""
        if any(name not in self.leases or self.leases[name].at is None for name in names):
            await self._find()
        given = [self.leases[name] for name in dict.fromkeys(names) if name in self.leases]
        await asyncio.gather(*(self._stop(one, one.at) for one in given if one.at is not None))
        for one in given:
            one.leave()
            await self._forget(one, "cancelled", "given back")
        await self._fit()

    async def _stop(self, one: Lease, held: Held) -> None:
        with contextlib.suppress(Exception):
            async with asyncio.timeout(TO_STOP):
                await self.call(one.id(held), one.name, "stop")

    async def call(self, id: str, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of a holder, through the scheduler. Raises LeaseGoneError."""
        one = self.leases.get(name)
        if one is None or one.at is None or one.id(one.at) != id:
            raise LeaseGoneError("the lease has ended")
        held = one.at
        found = await self.client.run(leases.call, name, held.pid, method, *arguments, workers=[held.worker])
        answer = found.get(held.worker) or []
        if not answer:
            if one.at is held:
                one.leave()
            raise LeaseGoneError("its agent has ended")
        return answer[0]

    async def limits(self) -> Limits:
        """Return the most that a worker has now; more may come."""
        client = await self._connected()
        workers = (await client.scheduler.identity())["workers"]
        if not workers:
            return Limits()
        custom: dict[str, float] = {}
        for worker in workers.values():
            for name, amount in worker["resources"].items():
                custom[name] = max(amount, custom.get(name, 0))
        memory = [worker["memory_limit"] for worker in workers.values()]
        return Limits(
            cpus=max(worker["nthreads"] for worker in workers.values()),
            memory=max(memory) if all(memory) else None,
            custom=custom,
        )

    async def close(self) -> None:
        """Disconnect. Jobs end: their scheduler is here."""
        if self.client is not None:
            await self.client.close()
        if self.jobs is not None:
            await self.jobs.close()

    # --- How leases stand

    async def _fit(self) -> None:
        """Have as many jobs as leases."""
        if self.jobs is not None:
            await self.jobs.fit(len(self.leases), {one.at.name for one in self.leases.values() if one.at is not None})

    async def _find(self) -> Mapping[str, Any]:
        """Find out how leases stand, and on which workers. Return what the scheduler says."""
        client = await self._connected()
        try:
            standing: Mapping[str, Any] = await client.run_on_scheduler(
                leases.standing, self.site.prefix, list(self.leases)
            )
        except OSError as error:
            raise BackEndError(f"no scheduler answers at {self.address}") from error
        for name in standing["leases"]:
            if name not in self.leases:
                self.leases[name] = Lease(name)
        unknown: dict[str, list[Lease]] = {}
        for one in list(self.leases.values()):
            state, worker = standing["leases"].get(one.name, ("unknown", ""))[:2]
            if one.at is not None and one.at.worker != worker:
                one.leave()
            if state in ("unknown", "cancelled", "memory", "erred"):
                await self._forget(one, *await self._end(one, state))
            elif one.at is None and worker:
                unknown.setdefault(worker, []).append(one)
        await asyncio.gather(*(self._look(worker, found) for worker, found in unknown.items()))
        return standing

    async def _make_way(self, standing: Mapping[str, Any]) -> None:
        """Let no lease hold a worker for ever that others wait for."""
        began_before = time.monotonic() - self.site.settings.get("chunk", CHUNK)
        for one in self.leases.values():
            if one.at is None or one.at is one.closing or one.at.since > began_before:
                continue
            if standing["leases"][one.name][3]:
                one.closing = one.at
                with contextlib.suppress(OSError, BackEndError):
                    await self.call(one.id(one.at), one.name, "wind_up")

    async def _move(self, standing: Mapping[str, Any]) -> None:
        """Send leases to workers that have room."""
        for one in self.leases.values():
            is_stuck = one.at is None and standing["leases"][one.name][4]
            one.stuck = one.stuck + 1 if is_stuck else 0
            if one.stuck >= STUCK:
                one.stuck = 0
                await self.client.run_on_scheduler(leases.move, one.name)

    async def _look(self, worker: str, unknown: Sequence[Lease]) -> None:
        """Find the agents of leases that have been sent to a worker, which need not have begun."""
        names = [one.name for one in unknown]
        with contextlib.suppress(OSError):  # it has just gone
            found = await self.client.run(leases.find, names, workers=[worker])
            for one in unknown:
                if where := found.get(worker, {}).get(one.name):
                    now, walltime = time.monotonic(), self.jobs.walltime if self.jobs is not None else None
                    ends = None if walltime is None else now - where["up"] + walltime
                    one.at = Held(worker, where["name"], where["host"], where["pid"], now - where["age"], ends)

    async def _end(self, one: Lease, state: str) -> tuple[Cause, str]:
        """Why a lease has ended."""
        if state == "cancelled":
            return "cancelled", "its future was cancelled"
        if state == "unknown":
            return "node-lost", "the scheduler does not know it any more"
        try:
            async with asyncio.timeout(TO_STOP):
                future = await self.client.get_dataset(one.name)
                code, error = await future.result()
        except distributed.KilledWorker:
            return "node-lost", "Dask gives up: several of its workers died"
        except Exception as error:  # noqa: BLE001 -- as it was raised there
            return "failed", " ".join(str(error).split()) or type(error).__name__
        return ("failed", error) if error else ("ended", f"its agent ended with {code}")

    async def _forget(self, one: Lease, cause: Cause, why: str) -> None:
        """Let go of a lease, also at the scheduler."""
        self.leases.pop(one.name, None)
        id = one.id(one.past[-1]) if one.past else ""
        self.ended[one.name] = Offer(one.name, id, state="ended", cause=cause, why=why)
        while len(self.ended) > REMEMBERED:
            del self.ended[next(iter(self.ended))]
        with contextlib.suppress(KeyError):
            future = one.future if one.future is not None else await self.client.get_dataset(one.name)
            await self.client.cancel([future], force=True)
            await self.client.unpublish_dataset(one.name)

    def _resources(self, request: Request) -> Mapping[str, float]:
        """What a lease takes of its worker: amounts as they are written, or as much as its tasks need."""
        if self.jobs is not None:
            return self.jobs.resources
        found = {}
        for name, amount in self.site.settings.get("resources", {}).items():
            wanted = amount if not isinstance(amount, str) else request.needs.get(amount, 0) * max(1, request.slots)
            if wanted:
                found[name] = wanted
        return found


async def knock(address: str) -> None:
    """See whether anything listens at an address: Dask tries again for half a minute where a connection is refused.
    Raises BackEndError."""
    scheme, _, place = address.rpartition("://")
    if scheme not in ("", "tcp", "tls"):
        return
    host, _, port = place.rpartition(":")
    try:
        async with asyncio.timeout(TO_KNOCK):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except OSError as error:
        why = "no answer" if isinstance(error, TimeoutError) else os.strerror(error.errno) if error.errno else error
        raise BackEndError(f"no scheduler answers at {address}: {why}") from error
    writer.close()


def python_of(versions: Mapping[str, Any]) -> str:
    """Return the release of Python, as in 3.11, from what Dask says of a process."""
    return ".".join(versions["host"]["python"].split(".")[:2])


def why_pending(name: str, standing: Mapping[str, Any]) -> str:
    """Return why a lease waits, from what the scheduler says."""
    if not standing["workers"]:
        return "Dask has no worker"
    for resource, amount in standing["leases"][name][2].items():
        most = standing["most"].get(resource, 0)
        if most < amount:
            return f"it asks for {resource}: {amount:g}, and no worker of Dask has more than {most:g}"
    return f"Dask has {standing['workers']} worker{'s' * (standing['workers'] > 1)}, and none has room"


def make(site: Site, boot: Boot) -> BackEnd:
    """Return the back end."""
    return DaskBackEnd(site, boot)
