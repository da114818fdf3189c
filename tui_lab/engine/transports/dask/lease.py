"""What runs in a worker of Dask. It travels there by value, with the holder, and needs nothing of this package."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from typing import Any

from tui_lab.engine.transports.bridge.holder import Holder, HolderError

WHOLE = "tui-lab"  # a resource that a worker which is a job has once: a lease takes all of it
LAST = 10.0  # seconds


def lease(name: str, words: list[str], source: bytes, python: str, spool: str, leave: float, cpus: int) -> list[Any]:
    """The future: it takes a thread and the resources of its worker as long as its agent lives. Return the agent's exit
    status, and what it said if it has failed. cpus: that it may use at least."""
    from distributed import get_worker

    worker = get_worker()
    holder = Holder(words, source, python, spool, leave, agent_environment(worker, cpus))

    async def live() -> None:
        worker.tui_lab = getattr(worker, "tui_lab", {})
        worker.tui_lab[name] = holder
        try:
            await holder.start()
            while not holder.ended.is_set():
                try:
                    await asyncio.wait_for(holder.ended.wait(), 1)
                except TimeoutError:
                    # Dask does not end what runs when its future is cancelled.
                    mine = worker.state.tasks.get(name)
                    closing = worker.status.name in ("closing", "closed")
                    if mine is None or mine.state == "cancelled" or closing:
                        await holder.stop()
        except HolderError:
            pass  # it knows why
        finally:
            holder.forgetting = asyncio.ensure_future(forget())

    async def forget() -> None:
        if holder.watching is not None:
            await asyncio.wait([holder.watching])
        if worker.tui_lab.get(name) is holder:
            del worker.tui_lab[name]

    loop = worker.loop.asyncio_loop
    living = asyncio.run_coroutine_threadsafe(live(), loop)
    while not concurrent.futures.wait([living], timeout=1).done:
        if not loop.is_running():  # a worker that ends waits for this thread
            break
    if worker.status.name != "running" and WHOLE in worker.state.total_resources:
        # The process is a job that is ours alone, and Dask's worker may hang at its end.
        last = threading.Timer(LAST, os._exit, [0])
        last.daemon = True
        last.start()
    return [holder.status, holder.error]


def agent_environment(worker: Any, cpus: int) -> dict[str, str]:
    """Return the environment of a worker without what Dask itself has set there: it would change results, such as the
    number of threads of a library. What the agent may use is added."""
    import dask

    environment = dict(os.environ)
    if worker.nanny is not None:
        given = dask.config.get("distributed.nanny.pre-spawn-environ", {})
        ours = {**{name: str(value) for name, value in given.items()}, "PYTHONHASHSEED": "6640"}
        environment = {name: value for name, value in environment.items() if ours.get(name) != value}
    environment.pop("SLURM_EXPORT_ENV", None)  # a job that was given no environment would give none to its srun, either
    memory = worker.memory_manager.memory_limit
    offers = f"cpus={max(cpus, worker.state.nthreads)}" + (f" memory={memory}" if memory else "")
    return {**environment, "TUI_LAB_OFFERS": offers}


def standing(prefix: str, names: list[str], dask_scheduler: Any) -> dict[str, Any]:
    """Run at the scheduler. Return for each lease that it knows, under one of these names or published under one with
    this prefix: its state, its worker, what it asks for, whether tasks of others wait there, and whether another worker
    has what it waits for. Also how many workers there are, and the most that one has of each resource."""

    def has_room(worker: Any, task: Any) -> bool:
        used = dict.fromkeys(task.resource_restrictions, 0.0)
        for other in worker.processing:
            for resource, amount in (other.resource_restrictions or {}).items():
                used[resource] = used.get(resource, 0.0) + amount * (other is not task)
        wanted = task.resource_restrictions.items()
        fits = all(used[resource] + amount <= worker.resources.get(resource, 0) for resource, amount in wanted)
        return fits and sum(other is not task for other in worker.processing) < worker.nthreads

    published = [name for name in dask_scheduler.extensions["publish"].datasets if str(name).startswith(prefix)]
    found = {}
    for name in dict.fromkeys([*published, *names]):
        task = dask_scheduler.tasks.get(name)
        # What was cancelled is known as long as a client has its name, without the function.
        if task is not None and (task.run_spec is not None or task.state in ("memory", "erred")):
            worker = task.processing_on
            address = worker.address if worker is not None else ""
            crowded = worker is not None and len(worker.processing) > worker.nthreads
            waiting = crowded and any(not str(other.key).startswith(prefix) for other in worker.processing)
            found[name] = [task.state, address, task.resource_restrictions or {}, waiting, False]
            if worker is not None and task.resource_restrictions and not has_room(worker, task):
                others = (other for other in dask_scheduler.workers.values() if other is not worker)
                found[name][4] = any(has_room(other, task) for other in others)
        elif name in published:
            found[name] = ["cancelled", "", {}, False, False]
    most: dict[str, float] = {}
    for worker in dask_scheduler.workers.values():
        for resource, amount in worker.resources.items():
            most[resource] = max(amount, most.get(resource, 0))
    return {"leases": found, "workers": len(dask_scheduler.workers), "most": most}


def move(name: str, dask_scheduler: Any) -> None:
    """Run at the scheduler. Let a lease that has not begun be sent to another worker: of the resources of workers, Dask
    considers only how many they have, and not how many are in use."""
    task = dask_scheduler.tasks.get(name)
    if task is not None and task.state == "processing":
        dask_scheduler.transitions({name: "released"}, "tui-lab")


async def find(names: list[str], dask_worker: Any) -> dict[str, Any]:
    """Return where the agents of leases run, as far as they do here, and for how many seconds this process does."""
    up = time.time() - dask_worker.monitor.proc.create_time()
    holders = getattr(dask_worker, "tui_lab", {})
    found = {name: holders[name] for name in names if name in holders}
    return {
        name: {**holder.where(), "name": dask_worker.name, "up": up}
        for name, holder in found.items()
        if holder.agent is not None
    }


async def call(name: str, pid: int, method: str, *arguments: Any, dask_worker: Any) -> list[Any]:
    """Call a method of a holder. Return its answer in a list, which is empty where the holder is not there."""
    holder = getattr(dask_worker, "tui_lab", {}).get(name)
    if holder is None or holder.agent is None or holder.agent.process.pid != pid:
        return []
    return [await getattr(holder, method)(*arguments)]
