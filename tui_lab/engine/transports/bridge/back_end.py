"""What an engine's library has to do behind the bridge. It knows nothing of channels, frames or agents: it brings a
holder to a worker, and passes calls to it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tui_lab.engine.transports.supply import Limits, Offer, Request


class BackEndError(Exception):
    """What the engine refuses, or that it does not answer: one line. `fatal`: asking again does not help."""

    def __init__(self, message: str, *, fatal: bool = False) -> None:
        super().__init__(message)
        self.fatal = fatal


class LeaseGoneError(BackEndError):
    """A lease that has ended, or whose worker has gone."""


@dataclass(frozen=True)
class Site:
    """Where a bridge leads. settings: the key of the cluster file, as JSON. prefix: how the names of this lab's leases
    begin. python: of the agents, empty for that of the worker. slots: of each."""

    settings: Any
    prefix: str
    python: str
    slots: int


@dataclass(frozen=True)
class Boot:
    """What a Holder is made of, besides what a request says."""

    words: list[str]
    source: bytes


class BackEnd(ABC):
    """An engine that grants leases, each of which is a Holder beside a worker. One object per bridge process. All of
    its methods may raise BackEndError; any other exception counts as passing, and is shown as it is."""

    def __init__(self, site: Site, boot: Boot) -> None:
        self.site = site
        self.boot = boot

    @abstractmethod
    async def connect(self) -> None:
        """Connect to the engine. Called once, before all others."""

    @abstractmethod
    async def ask(self, requests: Sequence[Request]) -> None:
        """Ask for leases by their names. What does not fit waits in the engine's queue. A lease lives as long as the
        agent that its holder has started, and must survive the death of this process if the engine can do that."""

    @abstractmethod
    async def survey(self) -> Sequence[Offer]:
        """Return what has become of all leases of this lab, also those that an earlier bridge has asked for. `id` must
        differ for each holder: where the engine moves a lease, its old offer has ended, and there is a new one."""

    @abstractmethod
    async def give_back(self, names: Sequence[str]) -> None:
        """End leases, and withdraw those that wait. Names that are unknown are no error."""

    @abstractmethod
    async def call(self, id: str, name: str, method: str, *arguments: Any) -> Any:
        """Call a method of a holder: `open`, `read`, `write`, `words`, `close`, `wind_up`, `stop`. id, name: those of
        its offer. Calls run beside each other, in any order. Raises LeaseGoneError where it is not there any more."""

    async def limits(self) -> Limits:
        """Return what a worker can have at most."""
        return Limits()

    async def close(self) -> None:  # noqa: B027
        """Let go of the client. Leases go on."""
