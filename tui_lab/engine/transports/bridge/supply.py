"""An engine behind a bridge, as a supply of nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

from tui_lab.engine.transports.bridge.client import Bridge
from tui_lab.engine.transports.channel import Channel, Transport
from tui_lab.engine.transports.supply import Limits, Offer, Request, Supply, Traits
from tui_lab.experiment.cluster.entry import NodeEntry


class BridgeSupply(Supply):
    """entry: the pool as a submission names it. kind, title: of the bridge. prefix: how the names of this lab's leases
    begin. environment: the submitter's."""

    traits: ClassVar[Traits] = Traits(survives=True, every=1.0)

    def __init__(self, entry: NodeEntry, kind: str, title: str, prefix: str, environment: Mapping[str, str]) -> None:
        self.python = entry.get("python", "")
        settings: Any = dict(entry)[entry["transport"]]
        arguments = [settings, prefix, self.python, entry.get("slots", 0)]
        self.bridge = Bridge(kind, title, arguments, environment)

    async def ask(self, requests: Sequence[Request]) -> None:
        """Ask for leases. Raises SupplyError."""
        await self.bridge.call("ask", [_plain(request) for request in requests])

    async def survey(self) -> Sequence[Offer]:
        """Return what has become of all leases of this lab. Raises SupplyError."""
        return [Offer(**offer) for offer in await self.bridge.call("survey")]

    async def give_back(self, names: Sequence[str]) -> None:
        """End leases, and withdraw those that wait. Raises SupplyError."""
        await self.bridge.call("give_back", list(names))

    def way(self, offer: Offer) -> Transport:
        """Return the way to the agent of a lease."""
        return BridgeWay(self.bridge, offer, self.python or "python3")

    async def limits(self) -> Limits:
        """Return what a worker can have at most. Raises SupplyError."""
        return Limits(**await self.bridge.call("limits"))

    def renew(self, environment: Mapping[str, str]) -> None:
        """Take the environment of a later submitter, for the next process."""
        self.bridge.environment = dict(environment)

    async def close(self) -> None:
        """End the bridge. Leases go on."""
        await self.bridge.close()


class MortalSupply(BridgeSupply):
    """An engine that lives in the bridge: leases end with it."""

    traits: ClassVar[Traits] = Traits(survives=False, every=1.0)

    async def limits(self) -> Limits:
        """Nothing is known before it is started, which would be much for a question."""
        return Limits()


def _plain(request: Request) -> dict[str, Any]:
    """A request as JSON."""
    assert not request.begin, "a lease is handed its work by an engine"
    return {name: value for name, value in asdict(request).items() if name != "begin"}


class BridgeWay:
    """The way to the agent of one lease."""

    def __init__(self, bridge: Bridge, offer: Offer, python: str) -> None:
        self.bridge = bridge
        self.offer = offer
        self.python = python

    async def open(self) -> Channel:
        """Open a channel to the agent. Raises ChannelError."""
        return await self.bridge.open(self.offer.id, self.offer.name, "attach", self.python)

    async def open_files(self) -> Channel:
        """Open a channel to a file server. Raises ChannelError."""
        return await self.bridge.open(self.offer.id, self.offer.name, "files", self.python)

    def renew(self, environment: Mapping[str, str]) -> None:
        """The environment is that of the supply."""

    async def close(self) -> None:
        """Nothing is kept beside the channels."""
