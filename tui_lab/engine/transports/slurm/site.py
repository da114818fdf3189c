"""What pools of one Slurm share: one squeue tells all of them how their jobs stand."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final
from weakref import WeakValueDictionary

from tui_lab.engine.transports.slurm.commands import Job
from tui_lab.engine.transports.supply import SupplyError
from tui_lab.experiment.cluster.entry import NodeEntry

BACK_OFF: Final = 300.0  # seconds after which a controller that does not answer is asked again at the latest
_OF_A_LOGIN: Final = ("host", "user", "port")
_OF_HERE: Final = ("SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_CLUSTERS", "USER")


class Site:
    """The queue of one user. It is asked by one command at a time, and left alone for longer and longer while it does
    not answer."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._began = float("-inf")  # monotonic: when what is known was asked for
        self._asking: asyncio.Task[list[Job]] | None = None
        self._troubles = 0  # questions in a row that had no answer
        self._next = 0.0  # monotonic: it is not asked before
        self._trouble: tuple[str, bool] | None = None  # what was said last, and whether that is for good

    def reset(self) -> None:
        """Ask at once: a person has begun a run, and may have mended what was wrong."""
        self._troubles, self._next = 0, 0.0

    async def jobs(self, ask: Callable[[], Awaitable[list[Job]]], *, after: float, within: float) -> list[Job]:
        """Return the jobs, by what others have asked if that was after a time (monotonic), and within so many seconds
        before now. Raises SupplyError."""
        while self._began <= after or time.monotonic() - self._began > within:
            if self._asking is not None:
                await asyncio.wait([self._asking])
                continue
            if self._trouble is not None and time.monotonic() < self._next:
                raise SupplyError(self._trouble[0], fatal=self._trouble[1])
            self._asking = asyncio.create_task(self._ask(ask))
            return await asyncio.shield(self._asking)
        age = time.monotonic() - self._began
        return [_later(job, age) for job in self._jobs]

    async def _ask(self, ask: Callable[[], Awaitable[list[Job]]]) -> list[Job]:
        began = time.monotonic()
        try:
            self._jobs = await ask()
        except SupplyError as error:
            self._troubles += 1
            self._trouble = str(error), error.fatal
            self._next = time.monotonic() + min(BACK_OFF, 2.0 ** min(self._troubles - 1, 10))
            raise
        finally:
            self._asking = None
        self.reset()
        self._began = began
        return self._jobs


def _later(job: Job, seconds: float) -> Job:
    """A job as it stands after some seconds."""
    starts_in, ends_in = (None if left is None else max(0.0, left - seconds) for left in (job.starts_in, job.ends_in))
    return dataclasses.replace(job, starts_in=starts_in, ends_in=ends_in)


_SITES: WeakValueDictionary[tuple[object, ...], Site] = WeakValueDictionary()


def site_of(entry: NodeEntry, environment: Mapping[str, str]) -> Site:
    """Return the site of a pool: that of others on the same login node, or with the same configuration here."""
    if entry.get("host"):
        key: tuple[object, ...] = tuple(dict(entry).get(name) for name in _OF_A_LOGIN)
    else:
        key = ("", *(environment.get(name) for name in _OF_HERE))
    found = _SITES.get(key)
    if found is None:
        found = _SITES[key] = Site()
    return found
