"""Ray's client behind the bridge. Only the bridge's process imports this."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

os.environ |= {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # nothing but `connect` is to begin a session
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # else the folder of a project is sent to all workers
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # a warning else
    "RAY_DISABLE_IMPORT_WARNING": "1",
}

import ray
import ray.cloudpickle
import ray.exceptions

from tui_lab.engine.transports.bridge import holder
from tui_lab.engine.transports.bridge.back_end import BackEnd, BackEndError, Boot, LeaseGoneError, Site
from tui_lab.engine.transports.ray import amounts
from tui_lab.engine.transports.ray import lease as leases
from tui_lab.engine.transports.supply import Cause, Limits, Offer, Request

TO_CONNECT: Final = 5.0  # seconds for an answer of the host
TO_STOP: Final = 15.0  # seconds for the agents of leases that are given back
JOINING: Final = 30.0  # seconds in which a node may join that could have a lease
REMEMBERED: Final = 1000  # leases that have ended
INLINE: Final = 1 << 16  # bytes: Ray keeps larger arguments at the driver, which may end before a lease begins

for module in (holder, leases):  # workers need nothing of ours installed
    ray.cloudpickle.register_pickle_by_value(module)


@dataclass(eq=False)
class Lease:
    """An actor, and what is known of it. amounts: what it asks of a node, if this bridge has asked."""

    name: str
    actor: Any
    since: float  # monotonic
    amounts: amounts.Amounts | None = None
    up: bool = False
    watch: asyncio.Task[None] | None = None

    @property
    def id(self) -> str:
        """How users know it. Ray never moves an actor of ours, so its number will do."""
        return self.name.rpartition("-")[2]


class RayBackEnd(BackEnd):
    """A Ray. Leases are detached actors with names, in a namespace of the lab's own, so that they outlive their
    driver."""

    def __init__(self, site: Site, boot: Boot) -> None:
        super().__init__(site, boot)
        self.namespace = site.prefix.rstrip("-")
        self.leases: dict[str, Lease] = {}
        self.ended: dict[str, Offer] = {}
        self.actor = ray.remote(leases.Lease)

    async def connect(self) -> None:
        """Connect to Ray, and find the leases of an earlier bridge. Raises BackEndError."""
        address = self.site.settings["address"]
        await self._knock(address)
        more: dict[str, Any] = {}
        if address.startswith("127."):
            more["_node_ip_address"] = address.rpartition(":")[0]
        try:
            await asyncio.to_thread(
                ray.init,
                address=address,
                namespace=self.namespace,
                log_to_driver=False,
                configure_logging=False,
                **more,
            )
        except ConnectionError as error:
            if address == "auto":
                raise BackEndError("there is no Ray on this machine; `ray status` must find one") from error
            raise BackEndError(f"no Ray answers at {address}: {_line(error)}") from error
        except (ValueError, ImportError, RuntimeError, ray.exceptions.AuthenticationError) as error:
            # The form of the address, a client that is not installed, versions that differ, a token that is wrong.
            raise BackEndError(f"{address}: {_line(error)}", fatal=True) from error
        for name in await asyncio.to_thread(ray.util.list_named_actors):
            if name.startswith(self.site.prefix):
                with contextlib.suppress(ValueError):  # it has just ended
                    actor = await asyncio.to_thread(ray.get_actor, name)
                    up = await asyncio.to_thread(_is_alive, actor)
                    self._take_up(Lease(name, actor, time.monotonic(), up=up))

    async def _knock(self, address: str) -> None:
        """Ray itself would try for long."""
        host, _, port = address.rpartition("//")[2].rpartition(":")
        if not host:
            return
        try:
            async with asyncio.timeout(TO_CONNECT):
                _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
        except (OSError, TimeoutError) as error:
            raise BackEndError(f"no Ray answers at {address}") from error
        writer.close()

    async def ask(self, requests: Sequence[Request]) -> None:
        """Make an actor for each. Ray places it as soon as there is room."""
        shapes = await self._shapes()
        for request in requests:
            found = amounts.wanted(self.site.settings, request, shapes)
            source = [self.boot.source[at : at + INLINE] for at in range(0, len(self.boot.source), INLINE)]
            chosen = self.actor.options(
                name=request.name, lifetime="detached", max_restarts=0, max_task_retries=0, **amounts.options(found)
            )
            actor = await asyncio.to_thread(
                chosen.remote,
                self.boot.words,
                self.site.python,
                request.spool,
                request.leave,
                amounts.offers(found, request.slots),
                found.get("GPU", 0),
                *source,
            )
            self._take_up(Lease(request.name, actor, time.monotonic(), found))

    async def survey(self) -> Sequence[Offer]:
        """Return what has become of all leases."""
        shapes = await self._shapes() if any(not one.up for one in self.leases.values()) else []
        offers = list(self.ended.values())
        for one in self.leases.values():
            if one.up:
                offers.append(Offer(one.name, one.id, state="up"))
            elif one.amounts is None:
                offers.append(Offer(one.name, why="it waits in Ray"))
            else:
                why, never = amounts.why_pending(one.amounts, shapes)
                offers.append(Offer(one.name, why=why, never=never and time.monotonic() - one.since > JOINING))
        return offers

    async def give_back(self, names: Sequence[str]) -> None:
        """End agents, then their actors."""
        given = [self.leases[name] for name in dict.fromkeys(names) if name in self.leases]
        await asyncio.gather(*map(self._end, given))

    async def _end(self, one: Lease) -> None:
        if one.watch is not None:
            one.watch.cancel()
        if one.up:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(TO_STOP):
                    await one.actor.call.remote("stop")
        await asyncio.to_thread(ray.kill, one.actor)
        self._forget(one, "cancelled", "given back")

    async def call(self, id: str, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of a holder. Raises LeaseGoneError; BackEndError where its worker does not answer."""
        one = self.leases.get(name)
        if one is None or not one.up or one.id != id:
            raise LeaseGoneError("the lease has ended")
        try:
            answer, wrong = await one.actor.call.remote(method, *arguments)
        except ray.exceptions.ActorUnavailableError as error:
            raise BackEndError("its worker does not answer") from error
        except ray.exceptions.RayActorError as error:
            raise LeaseGoneError("its agent has ended") from error
        except ray.exceptions.RayTaskError as error:
            raise BackEndError(_line(error.cause)) from error
        if wrong:
            raise BackEndError(wrong)
        return answer

    async def limits(self) -> Limits:
        """Return the most that a node has, or may have where Ray starts nodes itself. Raises BackEndError where none
        has what the cluster file asks for."""
        shapes = await self._shapes()
        limits = amounts.limits(shapes)
        written = amounts.written(self.site.settings)
        why, never = amounts.why_pending(written, shapes)
        if never and limits.cpus is not None:
            raise BackEndError(why, fatal=True)
        return limits

    async def close(self) -> None:
        """Disconnect."""
        for one in self.leases.values():
            if one.watch is not None:
                one.watch.cancel()
        await asyncio.to_thread(ray.shutdown)

    # --- How leases stand

    def _take_up(self, one: Lease) -> None:
        self.leases[one.name] = one
        one.watch = asyncio.create_task(self._watch(one))

    async def _watch(self, one: Lease) -> None:
        """Follow a lease to its end."""
        while True:
            try:
                one.up = await one.actor.begin.remote() is not None
                status, error = await one.actor.finish.remote()
            except ray.exceptions.ActorUnavailableError:
                await asyncio.sleep(1)  # it passes, or the actor has died
            except ray.exceptions.RayActorError as error:
                self._forget(one, *_cause(error))
                return
            except ray.exceptions.RayError as error:
                self._forget(one, "failed", _line(error))
                return
            else:
                self._forget(one, *(("failed", error) if error else ("ended", f"its agent ended with {status}")))
                with contextlib.suppress(ray.exceptions.RayError):
                    await asyncio.to_thread(ray.kill, one.actor)
                return

    def _forget(self, one: Lease, cause: Cause, why: str) -> None:
        if self.leases.pop(one.name, None) is not None:
            self.ended[one.name] = Offer(one.name, one.id if one.up else "", state="ended", cause=cause, why=why)
        while len(self.ended) > REMEMBERED:
            del self.ended[next(iter(self.ended))]

    async def _shapes(self) -> list[amounts.Amounts]:
        """Return what nodes have, or may have."""

        def ask() -> list[amounts.Amounts]:
            config = None
            with contextlib.suppress(Exception):  # Ray has no public name for what its autoscaler may add
                config = ray._private.state.state.get_cluster_config()
            return amounts.shapes_of(ray.nodes(), config)

        return await asyncio.to_thread(ask)


def _is_alive(actor: Any) -> bool:
    """Whether an actor has a worker, as far as Ray knows."""
    with contextlib.suppress(Exception):  # Ray has no public name for it, but in its dashboard
        return bool(ray._private.state.state.actor_table(actor._actor_id.hex(), None, None)["State"] == "ALIVE")
    return False


def _cause(error: Any) -> tuple[Cause, str]:
    """Why an actor has died."""
    text = str(error)
    why = text.strip().rpartition("\n")[2]
    if getattr(error, "preempted", False):
        return "preempted", why
    if error.actor_init_failed:
        return "failed", why
    return ("cancelled", "its actor was killed") if "killed by `ray.kill`" in text else ("node-lost", why)


def _line(error: BaseException | None) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def make(site: Site, boot: Boot) -> BackEnd:
    """Return the back end."""
    return RayBackEnd(site, boot)
