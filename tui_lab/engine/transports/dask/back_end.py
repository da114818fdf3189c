"""Dask's client behind the bridge. Only the bridge's process imports this."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import cloudpickle
import distributed

from tui_lab.engine.transports.bridge import holder
from tui_lab.engine.transports.bridge.back_end import BackEnd, BackEndError, Boot, LeaseGoneError, Site
from tui_lab.engine.transports.dask import lease as leases
from tui_lab.engine.transports.supply import Cause, Limits, Offer, Request

if TYPE_CHECKING:
    from tui_lab.engine.transports.dask.jobs import Jobs

TO_STOP: Final = 15.0  # seconds for the agents of leases that are given back
REMEMBERED: Final = 1000  # leases that have ended

for module in (holder, leases):  # workers need nothing of ours installed
    cloudpickle.register_pickle_by_value(module)


@dataclass(frozen=True)
class Held:
    """An agent beside a worker. worker: its address. name: as its cluster calls it."""

    worker: str
    name: Any
    host: str
    pid: int


@dataclass(eq=False)
class Lease:
    """A future, and the agents that it has been. resources: what it asks of a worker. at: the agent of now."""

    name: str
    future: Any
    resources: Mapping[str, float] = field(default_factory=dict)
    at: Held | None = None
    past: list[Held] = field(default_factory=list)

    def id(self, held: Held) -> str:
        """Return how users know an agent of it."""
        return f"{self.name.rpartition('-')[2]}-{held.pid}"


class DaskBackEnd(BackEnd):
    """A scheduler of Dask. Leases are published there under their names, so that they outlive their client."""

    def __init__(self, site: Site, boot: Boot) -> None:
        super().__init__(site, boot)
        self.client: Any = None
        self.leases: dict[str, Lease] = {}
        self.ended: dict[str, Offer] = {}
        self.jobs: Jobs | None = None

    async def connect(self) -> None:
        """Connect to the scheduler, and find the leases of an earlier bridge. Raises BackEndError."""
        address: Any = self.site.settings["address"]
        if self.site.settings.get("jobqueue"):
            from tui_lab.engine.transports.dask.jobs import start_jobs  # late: not everybody has dask-jobqueue

            self.jobs = await start_jobs(self.site.settings, self.site.prefix.rstrip("-"))
            address = self.jobs.cluster
        try:
            self.client = await distributed.Client(address, asynchronous=True, set_as_default=False, name="tui-lab")
        except OSError as error:
            raise BackEndError(f"no scheduler answers at {address}") from error
        except (ValueError, ImportError) as error:  # the form of the address, a protocol that is not installed
            raise BackEndError(f"{address}: {error}", fatal=True) from error
        for name in await self.client.list_datasets():
            if str(name).startswith(self.site.prefix):
                with contextlib.suppress(KeyError):  # it has just ended
                    self.leases[name] = Lease(name, await self.client.get_dataset(name))

    async def ask(self, requests: Sequence[Request]) -> None:
        """Submit a future for each."""
        for request in requests:
            resources = self._resources(request)
            future = self.client.submit(
                leases.lease,
                request.name,
                self.boot.words,
                self.boot.source,
                self.site.python,
                request.spool,
                request.leave,
                max(request.slots, self.jobs.cpus if self.jobs is not None else 0),
                key=request.name,
                resources=resources or None,
                pure=False,
                retries=0,
            )
            self.leases[request.name] = Lease(request.name, future, resources)
            await self.client.publish_dataset(future, name=request.name, override=True)
        try:
            await self._fit()
        except BackEndError:
            await self.give_back([request.name for request in requests])
            raise

    async def survey(self) -> Sequence[Offer]:
        """Return what has become of all leases."""
        await self._find()
        await self._fit()
        for one in list(self.leases.values()):
            if one.future.status != "pending":
                self._note_past(one)
                cause, why = await self._end(one.future)
                await self._forget(one, cause, why)
        offers = list(self.ended.values())
        workers = await self._workers() if any(one.at is None for one in self.leases.values()) else {}
        for one in self.leases.values():
            offers += [
                Offer(one.name, one.id(held), state="ended", cause="node-lost", why=f"{held.worker} has gone")
                for held in one.past
            ]
            if one.at is not None:
                offers.append(Offer(one.name, one.id(one.at), state="up"))
            else:
                why = "its job waits" if self.jobs is not None else why_pending(one.resources, workers)
                offers.append(Offer(one.name, why=why))
        return offers

    async def give_back(self, names: Sequence[str]) -> None:
        """Cancel futures, and end their agents: Dask itself does not end what runs."""
        given = [self.leases[name] for name in dict.fromkeys(names) if name in self.leases]
        if any(one.at is None for one in given):
            await self._find()
        await asyncio.gather(*(self._stop(one, one.at) for one in given if one.at is not None))
        if given:
            await self.client.cancel([one.future for one in given], force=True)
        for one in given:
            self._note_past(one)
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
                self._note_past(one)
            raise LeaseGoneError("its agent has ended")
        return answer[0]

    async def limits(self) -> Limits:
        """Return the most that a worker has now; more may come."""
        workers = await self._workers()
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

    async def _find(self) -> None:
        """Find out on which workers leases are."""
        pending = {name: one for name, one in self.leases.items() if one.future.status == "pending"}
        if not pending:
            return
        processing = await self.client.processing()
        placed = {key: worker for worker, keys in processing.items() for key in keys if key in pending}
        unknown: dict[str, list[str]] = {}
        for name, one in pending.items():
            worker = placed.get(name)
            if one.at is not None and one.at.worker != worker:
                self._note_past(one)
            if one.at is None and worker is not None:
                unknown.setdefault(worker, []).append(name)
        found = await asyncio.gather(
            *(self.client.run(leases.find, names, workers=[worker]) for worker, names in unknown.items()),
            return_exceptions=True,
        )
        for answer in found:
            if isinstance(answer, dict):
                for worker, holders in answer.items():
                    for name, where in holders.items():
                        pending[name].at = Held(worker, where["name"], where["host"], where["pid"])

    def _note_past(self, one: Lease) -> None:
        if one.at is not None:
            one.past.append(one.at)
            one.at = None

    async def _end(self, future: Any) -> tuple[Cause, str]:
        """Why a future has ended."""
        status = future.status
        if status == "finished":
            code, error = await future.result()
            return ("failed", error) if error else ("ended", f"its agent ended with {code}")
        if status == "cancelled":
            return "cancelled", "its future was cancelled"
        if status == "error":
            error = await future.exception()
            if isinstance(error, distributed.KilledWorker):
                return "node-lost", "Dask gives up: several of its workers died"
            return "failed", " ".join(str(error).split()) or type(error).__name__
        return "node-lost", f"Dask says {status}"

    async def _forget(self, one: Lease, cause: Cause, why: str) -> None:
        self.leases.pop(one.name, None)
        for held in one.past[-1:]:
            self.ended[one.name] = Offer(one.name, one.id(held), state="ended", cause=cause, why=why)
        if not one.past:
            self.ended[one.name] = Offer(one.name, state="ended", cause=cause, why=why)
        while len(self.ended) > REMEMBERED:
            del self.ended[next(iter(self.ended))]
        with contextlib.suppress(KeyError):
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

    async def _workers(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = (await self.client.scheduler.identity())["workers"]
        return found


def why_pending(resources: Mapping[str, float], workers: Mapping[str, Any]) -> str:
    """Return why a lease waits."""
    if not workers:
        return "Dask has no worker"
    for name, amount in resources.items():
        most = max(worker["resources"].get(name, 0) for worker in workers.values())
        if most < amount:
            return f"it asks for {name}: {amount:g}, and no worker of Dask has more than {most:g}"
    return f"Dask has {len(workers)} worker{'s' * (len(workers) > 1)}, and none has room"


def make(site: Site, boot: Boot) -> BackEnd:
    """Return the back end."""
    return DaskBackEnd(site, boot)
