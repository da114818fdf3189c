"""What an engine that grants nodes has to do: a cluster's queue, say. Each entry of a cluster file that names one is a
pool, and each allocation that it is granted runs an agent and is a node.

A supply knows nothing of tasks: it is told names, and says what has become of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

from tui_lab.engine.transports.channel import Transport

Cause: TypeAlias = Literal["", "walltime", "preempted", "cancelled", "node-lost", "ended", "failed"]
"""Why an allocation has ended. `ended`: in order. `failed`: it did not come up, or its agent has failed."""


@dataclass(frozen=True)
class Request:
    """What is asked for. `name` is known before it is asked, and never used again: what an engine has of an earlier
    one that was killed is found by it. `spool`: on the node; where it is relative, in the user's folder of `/tmp`.
    `leave`: seconds without engine and work, after which the agent ends by itself. `begin`: messages that the agent
    takes at once, as if from an engine. `needs`: the most that a waiting task needs: `cpus`, `memory` in bytes, `gpus`,
    and resources by name."""

    name: str
    spool: str
    slots: int
    leave: float
    begin: bytes = b""
    needs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Offer:
    """What has become of a request, or of one machine of it (`part`).

    `id` is the engine's own, such as the number of a job; one that is granted anew has another. `cause`: of the end; of
    an offer that is up, why it will be taken back before its time. `why`: what it waits for, or why it has ended, as
    the engine says it. `starts_in`, `ends_in`: seconds, as far as they are known. `never`: it can't ever be met.
    """

    name: str
    id: str = ""
    part: str = ""
    state: Literal["pending", "up", "ended"] = "pending"
    cause: Cause = ""
    why: str = ""
    starts_in: float | None = None
    ends_in: float | None = None
    never: bool = False


@dataclass(frozen=True)
class Traits:
    """What a supply can do. `survives`: allocations go on when our engine is killed, and another one finds them.
    `accounts`: it knows what an allocation has used. `every`: seconds between two surveys. `as_needed`: an allocation
    has what the tasks that waited for it need (`Request.needs`), as far as `limits` allow; others may have more."""

    survives: bool
    accounts: bool = False
    every: float = 30.0
    as_needed: bool = False


@dataclass(frozen=True)
class Limits:
    """The most that a node of it can ever have; None where that is not known. `memory` in bytes, `walltime` in
    seconds."""

    cpus: float | None = None
    memory: int | None = None
    gpus: int | None = None
    walltime: float | None = None
    custom: Mapping[str, float] | None = None


@dataclass(frozen=True)
class Accounting:
    """What an allocation has used, as far as it is known. Times in seconds, memory in bytes, energy in joules."""

    state: str = ""
    queued: float | None = None
    elapsed: float | None = None
    cpu_time: float | None = None
    peak_rss: int | None = None
    energy: float | None = None


class SupplyError(Exception):
    """What an engine refuses, or that it does not answer: one line that says what is wrong and what to do.

    `fatal`: asking again does not help before the user has done something.
    """

    def __init__(self, message: str, *, fatal: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal


class Supply(ABC):
    """An engine that grants nodes. All of its methods but `way` and `renew` may raise SupplyError."""

    traits: ClassVar[Traits]
    machines: int = 1
    """Of each allocation, which are nodes of their own."""

    @abstractmethod
    async def ask(self, requests: Sequence[Request]) -> None:
        """Ask for allocations."""

    @abstractmethod
    async def survey(self) -> Sequence[Offer]:
        """Return what has become of all requests of this lab, also those of an earlier engine. One call to the engine.
        A name that is missing is not known there, or no longer."""

    async def look(self, offers: Sequence[Offer]) -> Sequence[Offer]:
        """Return how some allocations stand whose connections have ended, as far as that is cheaper than a survey."""
        return []

    @abstractmethod
    async def give_back(self, names: Sequence[str]) -> None:
        """End allocations, or withdraw requests. Names that have ended, or are unknown, are no error."""

    @abstractmethod
    def way(self, offer: Offer) -> Transport:
        """Return the way to the agent of an offer that is up."""

    async def limits(self) -> Limits:
        """Return what a node of it can have at most."""
        return Limits()

    async def accounts(self, ids: Sequence[str]) -> Mapping[str, Accounting]:
        """Return what allocations have used, by the engine's own name of them."""
        return {}

    def renew(self, environment: Mapping[str, str]) -> None:  # noqa: B027 -- few need anything of it
        """From now on with the environment of a later submitter."""

    async def close(self) -> None:  # noqa: B027
        """Let go of what this process holds. Allocations are not ended."""
