"""Workers that are jobs of a batch system, and their scheduler, which lives in the bridge: by dask-jobqueue."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import dask
import dask_jobqueue

from tui_lab.engine.transports.bridge.back_end import BackEndError
from tui_lab.engine.transports.dask.lease import WHOLE
from tui_lab.engine.transports.slurm.commands import KEPT, OF_A_JOB
from tui_lab.experiment.cluster.pools.slurm import walltime

CLASSES: Final = {
    "htcondor": dask_jobqueue.HTCondorCluster,
    "lsf": dask_jobqueue.LSFCluster,
    "moab": dask_jobqueue.MoabCluster,
    "oar": dask_jobqueue.OARCluster,
    "pbs": dask_jobqueue.PBSCluster,
    "sge": dask_jobqueue.SGECluster,
    "slurm": dask_jobqueue.SLURMCluster,
}
"""By the name in a cluster file."""
QUIET: Final = {"slurm": ["--output=/dev/null", "--error=/dev/null"]}
"""Without these, what jobs print goes into files of the folder where they are submitted."""


class Jobs:
    """As many jobs as there are leases. settings: the key of the cluster file. name: of the jobs."""

    def __init__(self, settings: Mapping[str, Any], name: str) -> None:
        for variable in list(os.environ):  # options of sbatch, where our engine was started in a job
            if variable.startswith(OF_A_JOB) and variable not in KEPT:
                del os.environ[variable]
        os.environ["SBATCH_EXPORT"] = "NONE"  # the environment of the submitter is recorded nowhere
        os.chdir(Path.home())
        options = dict(settings["options"])
        scheduler = {"dashboard": False, "dashboard_address": ":0", **options.pop("scheduler_options", {})}
        # With one thread, a lease that waits for a worker is moved to another one as soon as that has room.
        whole = ["--nthreads", "1", "--resources", f"{WHOLE}=1"]
        more = [*options.pop("worker_extra_args", []), *whole]
        given = {"job_name": name, **options, "processes": 1}
        if "log_directory" not in given and (quiet := QUIET.get(settings["jobqueue"])):
            given["job_extra_directives"] = [*quiet, *given.get("job_extra_directives", [])]
        make = CLASSES[settings["jobqueue"]]
        try:
            self.cluster = make(scheduler_options=scheduler, worker_extra_args=more, asynchronous=True, **given)
        except (TypeError, ValueError, RuntimeError) as error:
            raise BackEndError(f"dask-jobqueue: {error}", fatal=True) from error
        usual = dask.config.get(f"jobqueue.{options.get('config_name') or settings['jobqueue']}.walltime", None)
        self.walltime = seconds_of(settings["jobqueue"], str(options.get("walltime") or usual or ""))
        self.submitted = False
        self.cpus: int = options.get("cores") or 1
        self.resources: Mapping[str, float] = {WHOLE: 1}

    async def fit(self, leases: int, held: set[str]) -> None:
        """Have a job for each lease. held: names of the workers that hold one. Raises BackEndError."""
        cluster = self.cluster
        up = {worker.name for worker in cluster.scheduler.workers.values()} & set(cluster.worker_spec)
        needless = len(up - held) - (leases - len(held))
        if needless > 0:
            await cluster.scale_down(list(up - held)[:needless])
        if leases != len(cluster.worker_spec):
            cluster.scale(max(leases, len(up & set(cluster.worker_spec))))
        elif len(cluster.workers) == len(cluster.worker_spec):
            return
        before = set(cluster.workers)
        try:
            await cluster
        except (OSError, RuntimeError) as error:
            for name in set(cluster.workers) - before:  # it takes them for started
                cluster.worker_spec.pop(name, None)
            raise BackEndError(f"dask-jobqueue: {words_of(error)}", fatal=not self.submitted) from error
        self.submitted = self.submitted or bool(cluster.workers)

    async def close(self) -> None:
        """Cancel all jobs, and end the scheduler."""
        await self.cluster.close()


async def start_jobs(settings: Mapping[str, Any], name: str) -> Jobs:
    """Return the jobs of a pool, of which there are none yet; their scheduler is started. Raises BackEndError."""
    jobs = Jobs(settings, name)
    try:
        await jobs.cluster
    except (OSError, RuntimeError, ValueError) as error:
        raise BackEndError(f"dask-jobqueue: {error}", fatal=True) from error
    return jobs


def seconds_of(jobqueue: str, time: str) -> float | None:
    """Return how long a job may take, by how a batch system writes that; None where that is not known. Most have
    `HH:MM:SS`, `MM:SS` or seconds; LSF has `HH:MM` or minutes, OAR `HH:MM` or hours."""
    if jobqueue == "slurm":
        with contextlib.suppress(ValueError):
            return walltime(time)
        return None
    parts = time.split(":")
    if jobqueue == "htcondor" or len(parts) > 3 or not all(part.isdecimal() for part in parts):
        return None
    last = {1: 60, 2: 60} if jobqueue == "lsf" else {1: 3600, 2: 60} if jobqueue == "oar" else {}
    seconds = 0
    for part in parts:
        seconds = 60 * seconds + int(part)
    return float(seconds * last.get(len(parts), 1))


def words_of(error: Exception) -> str:
    """Return what a command of the batch system has said, on one line."""
    said = str(error).rpartition("stderr:\n")[2].strip().splitlines()
    return " ".join(said[-1].split()) if said else type(error).__name__
