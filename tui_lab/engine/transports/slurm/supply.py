"""Allocations of Slurm, as a supply of nodes."""

from __future__ import annotations

import asyncio
import dataclasses
import math
import posixpath
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from tui_lab.engine.transports.channel import Transport
from tui_lab.engine.transports.slurm.commands import Commands, Here, Job, There, hosts
from tui_lab.engine.transports.slurm.errors import FAILED, job_error
from tui_lab.engine.transports.slurm.limits import OF_CPUS, OF_GPUS, OF_MEMORY, limits_of, partitions_of
from tui_lab.engine.transports.slurm.relay import SlurmWay
from tui_lab.engine.transports.slurm.script import batch_script
from tui_lab.engine.transports.slurm.site import site_of
from tui_lab.engine.transports.supply import Cause, Limits, Offer, Request, Supply, Traits
from tui_lab.experiment.cluster.entry import NodeEntry

PYTHON: Final = "python3"
OF_TASKS: Final = frozenset({"ntasks", "ntasks-per-node"})
ARRAY: Final = 1000  # elements of an array; Slurm allows 1001 where nothing else is configured
OPENING: Final = 10  # ways into jobs that are opened at once
SHORT: Final = 600.0  # seconds of an allocation in which a signal a minute before the end would cost much
WAITING: Final = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD"})
RUNNING: Final = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "RESIZING", "STAGE_OUT", "COMPLETING"})
CAUSES: Final[Mapping[str, Cause]] = {
    "TIMEOUT": "walltime",
    "DEADLINE": "walltime",
    "PREEMPTED": "preempted",
    "CANCELLED": "cancelled",
    "REVOKED": "cancelled",
    "NODE_FAIL": "node-lost",
    "BOOT_FAIL": "node-lost",
    "COMPLETED": "ended",
}
"""Why a job has ended, by its state. All others are failures."""
NEVER: Final = frozenset(
    {
        "AccountNotAllowed",
        "BadConstraints",
        "DependencyNeverSatisfied",
        "InvalidAccount",
        "InvalidQOS",
        "PartitionConfig",
        "PartitionNodeLimit",
        "PartitionTimeLimit",
        "QOSNotAllowed",
    }
)
"""Reasons of jobs that will never begin as things stand."""


class SlurmSupply(Supply):
    """The queue of a cluster. entry: the pool as a submission names it. prefix: how the names of this lab's jobs begin.
    environment: the submitter's."""

    traits: ClassVar[Traits] = Traits(survives=True)

    def __init__(self, entry: NodeEntry, prefix: str, environment: Mapping[str, str]) -> None:
        self.entry = entry
        self.prefix = prefix
        self.place: Here | There = There(entry, environment) if entry.get("host") else Here(environment)
        self.commands = Commands(self.place)
        self.site = site_of(entry, environment)
        key: Mapping[str, Any] = entry["slurm"]  # type: ignore[typeddict-item]
        self.options: Mapping[str, Any] = key.get("options") or {}
        self.time: str | None = key.get("time")
        self.walltime: float | None = key.get("walltime")
        self.every: float = key.get("every", self.traits.every)
        self.python = entry.get("python") or PYTHON
        self.requeues = bool(key.get("requeue"))
        self.nodes: int = key.get("nodes") or 1
        self.machines = 1 if key.get("agents") == "first" else self.nodes
        self.as_array = bool(key.get("array"))
        self._limits = Limits()
        self._opening = asyncio.Semaphore(OPENING)
        self._known_at = float("-inf")  # monotonic: what was asked before does not tell what is new
        self._ids: dict[str, str] = {}  # of jobs that have not ended, by their names
        self._lives: dict[str, tuple[float | None, int]] = {}  # of jobs that run: since when, and how often before

    async def ask(self, requests: Sequence[Request]) -> None:
        """Submit a job for each, or arrays of them. Raises SupplyError."""
        most = ARRAY if self.as_array else 1
        for some in [requests[start : start + most] for start in range(0, len(requests), most)]:
            one, words, first = some[0], self._words(some[0]), None
            if len(some) > 1:
                first = int(one.name.rpartition("-")[2])
                words.append(f"--array=0-{len(some) - 1}")
            script = batch_script(self.python, one.spool, one.leave, machines=self.machines, first=first)
            number = await self.commands.sbatch(words, script)
            self._known_at = time.monotonic()
            for element, request in enumerate(some):
                self._ids[request.name] = number if first is None else f"{number}_{element}"

    async def survey(self) -> Sequence[Offer]:
        """Return what has become of all jobs of this lab, by a squeue for all pools of a site. Raises SupplyError."""
        jobs = await self.site.jobs(self.commands.squeue, after=self._known_at, within=self.every / 2)
        self._known_at = time.monotonic()
        found = [job for job in jobs if job.name.startswith(self.prefix)]
        alive = [job for job in found if job.state in WAITING or job.state in RUNNING]
        self._ids = {job.name: job.ref for job in alive}
        offers = [offer for job in found for offer in self._offers(await self._counted(job))]
        self._lives = {job.id: self._lives[job.id] for job in alive if job.id in self._lives}
        return offers

    async def look(self, offers: Sequence[Offer]) -> Sequence[Offer]:
        """Return how some allocations stand, by one scontrol for each. Raises SupplyError."""
        found = [await self.commands.show(number) for number in dict.fromkeys(map(job_of, offers))]
        for job in found:
            if job is not None:
                self._lives[job.id] = job.began, job.restarts
        return [offer for job in found if job is not None for offer in self._offers(job)]

    async def _counted(self, job: Job) -> Job:
        """Return a job with the number of its restarts: squeue does not tell them all."""
        began, restarts = self._lives.get(job.id, (None, 0))
        if self.requeues and job.state in RUNNING and (began is None or began != job.began):
            shown = await self.commands.show(job.id)
            restarts = 0 if shown is None else shown.restarts
            self._lives[job.id] = job.began, restarts
        return dataclasses.replace(job, restarts=restarts)

    async def give_back(self, names: Sequence[str]) -> None:
        """Cancel jobs by their names, all in one command. Raises SupplyError."""
        if any(name not in self._ids for name in names):
            await self.survey()  # asked for by an earlier engine, or the answer was lost
        await self.commands.scancel([self._ids[name] for name in names if name in self._ids])

    def way(self, offer: Offer) -> Transport:
        """Return the way to the agent of a job."""
        spool = f"{self.spool(offer.name)}.{offer.part}" if offer.part else self.spool(offer.name)
        return SlurmWay(self.place, job_of(offer), spool, self.python, self._opening, offer.part)

    async def limits(self) -> Limits:
        """Return what an allocation can have, as far as the partition and the options say. Raises SupplyError where
        Slurm would refuse it, or could never begin it."""
        slots = self.entry.get("slots", 0)
        await self.commands.test_only(self._words(Request("tui-lab", "", slots, 0)))
        found = partitions_of(self.options, await self.commands.sinfo())
        limits = limits_of(self.options, self.walltime, found)
        self._limits = limits if self.time is None else dataclasses.replace(limits, walltime=self.walltime)
        return self._limits

    def renew(self, environment: Mapping[str, str]) -> None:
        """Take the environment of a later submitter."""
        self.place.renew(environment)
        self.site.reset()

    async def close(self) -> None:
        """Close the connections to the login node. Jobs go on."""
        await self.place.close()

    def spool(self, name: str) -> str:
        """Return the agent's folder on the node of an allocation: another engine must find it by the name alone."""
        return posixpath.join(self.entry.get("spool") or "", name)

    def _words(self, request: Request) -> list[str]:
        """The options of sbatch for a request."""
        words = [f"--job-name={request.name}", "--output=/dev/null", "--error=/dev/null", "--input=/dev/null"]
        words += [f"--nodes={self.nodes}", "--requeue" if self.requeues else "--no-requeue", "--export=NONE"]
        if not OF_TASKS & self.options.keys():
            words.append("--ntasks-per-node=1")
        if self.machines == 1 and (self.walltime is None or self.walltime > SHORT):
            words.append("--signal=B:USR1@60")  # where no engine has told the agent its end
        words += self._needed(request)
        if self.time is not None:
            words.append(f"--time={self.time}")
        for name, value in self.options.items():
            for one in value if isinstance(value, list) else [value]:
                words.append(f"--{name}" if one is True else f"--{name}={one}")
        return words

    def _needed(self, request: Request) -> list[str]:
        """The options for what tasks need, as far as the entry names none of the kind, and a machine has it."""
        limits, tasks, words = self._limits, request.slots or 1, []

        def wanted(name: str, most: float | None) -> int:
            amount = math.ceil(request.needs.get(name, 0) * tasks)
            return amount if most is None else min(amount, int(most))

        cpus = max(request.slots, wanted("cpus", limits.cpus))
        if cpus and self.machines == self.nodes and not OF_CPUS & self.options.keys():
            words.append(f"--cpus-per-task={cpus}")
        if (memory := wanted("memory", limits.memory)) and not OF_MEMORY & self.options.keys():
            words.append(f"--mem={-(-memory >> 20)}M")
        if (gpus := wanted("gpus", limits.gpus)) and not {*OF_GPUS} & self.options.keys():
            words.append(f"--gres=gpu:{gpus}")
        return words

    def _offers(self, job: Job) -> list[Offer]:
        """One for each machine with an agent."""
        offer = self._offer(job)
        if self.machines == 1 or offer.state == "pending":
            return [offer]
        return [dataclasses.replace(offer, part=host) for host in hosts(job.nodes)] or [offer]

    def _offer(self, job: Job) -> Offer:
        id = f"{job.id}r{job.restarts}" if job.restarts else job.id
        if job.state in WAITING:
            never = job.reason in NEVER
            why = f"Slurm can't ever begin such a job: {job.reason}" if never else job.reason
            return Offer(job.name, id, why=why, starts_in=job.starts_in, never=never)
        if job.state in RUNNING:
            why = "" if job.state == "RUNNING" else job.state.lower()
            cause: Cause = "preempted" if job.preempted else ""
            # The end of one that is being ended is now. The agent gets a signal, and the next survey says why.
            ends_in = None if job.state == "COMPLETING" else job.ends_in
            return Offer(job.name, id, state="up", cause=cause, why=why, ends_in=ends_in)
        cause = CAUSES.get(job.state, "failed")
        said = job_error(job.comment, self.python) if job.comment.startswith(FAILED) else ""
        if said:
            cause = "failed"
        return Offer(job.name, id, state="ended", cause=cause, why=said or f"Slurm says {job.state}")


def job_of(offer: Offer) -> str:
    """Return the number of the job of an offer."""
    return offer.id.partition("r")[0]
