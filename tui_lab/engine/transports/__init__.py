"""Ways to nodes: this machine over a pipe, others by SSH, and engines that grant nodes. The agent and its messages are
the same.

Who adds one adds its module to this package, and its name here. Other packages bring theirs as entry points of
`tui_lab.transports`: a function with the arguments of `transport_for`, which returns a `Transport`, or a `Supply`.
"""

from __future__ import annotations

import posixpath
import sys
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.cluster.transports import KEYS
from tui_lab.experiment.registry import PluginError, Registry

if TYPE_CHECKING:
    from tui_lab.engine.transports.channel import Channel, Transport
    from tui_lab.engine.transports.supply import Supply
    from tui_lab.store.lab import Lab

MakeTransport: TypeAlias = "Callable[[NodeEntry, Lab, Mapping[str, str]], Transport | Supply]"


def _local(entry: NodeEntry, lab: Lab, environment: Mapping[str, str]) -> Transport:
    from tui_lab.engine.paths import spool_folder
    from tui_lab.engine.transports.local import LocalTransport

    return LocalTransport(spool_folder(lab, entry["name"]), entry.get("python") or sys.executable)


def _ssh(entry: NodeEntry, lab: Lab, environment: Mapping[str, str]) -> Transport:
    from tui_lab.engine.transports.ssh.transport import SshTransport

    spool = posixpath.join(entry.get("spool") or "", f"{lab.identity}-{entry['name']}")
    return SshTransport(entry, spool, environment)


def _slurm(entry: NodeEntry, lab: Lab, environment: Mapping[str, str]) -> Supply:
    from tui_lab.engine.transports.slurm.supply import SlurmSupply

    return SlurmSupply(entry, f"tl-{lab.identity}-", environment)


def _dask(entry: NodeEntry, lab: Lab, environment: Mapping[str, str]) -> Supply:
    from tui_lab.engine.transports.bridge.supply import BridgeSupply, MortalSupply

    key: Mapping[str, Any] = entry["dask"]  # type: ignore[typeddict-item]
    supply = MortalSupply if key.get("jobqueue") else BridgeSupply
    return supply(entry, "dask", "Dask", f"tl-{lab.identity}-", environment)


def _ray(entry: NodeEntry, lab: Lab, environment: Mapping[str, str]) -> Supply:
    from tui_lab.engine.transports.ray.supply import RaySupply

    return RaySupply(entry, "ray", "Ray", f"tl-{lab.identity}-", environment)


TRANSPORTS: Final[Registry[MakeTransport]] = Registry(
    "tui_lab.transports", FunctionType, {"local": _local, "ssh": _ssh, "slurm": _slurm, "dask": _dask, "ray": _ray}
)
"""By the name in an entry's `transport`, where it has one."""


class _NoTransport:
    """The way to a node whose transport can't be used: the node says why, and others do its tasks."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def open(self) -> Channel:
        from tui_lab.engine.transports.failures import ChannelError

        raise ChannelError(self._why, fatal=True)

    async def open_files(self) -> Channel:
        return await self.open()

    def renew(self, environment: Mapping[str, str]) -> None:
        """Nothing of it is needed."""

    async def close(self) -> None:
        """Nothing is open."""


def transport_of(entry: NodeEntry) -> str:
    """Return the name of the transport of an entry."""
    return entry.get("transport") or ("ssh" if entry.get("host") else "local")


def is_remote(entry: NodeEntry) -> bool:
    """Return whether an entry means another machine: each transport but the local one leads to one."""
    return transport_of(entry) != "local"


def is_pool(entry: NodeEntry) -> bool:
    """Return whether an entry means an engine that grants nodes. Such a node is none."""
    try:
        key = KEYS.get(entry.get("transport") or "")
    except PluginError:
        return False
    return key is not None and key.pool and not entry.get("pool")


def transport_for(entry: NodeEntry, lab: Lab, environment: Mapping[str, str]) -> Transport:
    """Return the way to the node of an entry. `environment` is the submitter's."""
    from tui_lab.engine.transports.supply import Supply

    try:
        made = _made(entry, lab, environment)
    except PluginError as error:
        return _NoTransport(str(error))
    if not isinstance(made, Supply):
        return made
    return _NoTransport(f'"{transport_of(entry)}" grants nodes, and its key in the cluster file does not say so')


def supply_for(entry: NodeEntry, lab: Lab, environment: Mapping[str, str]) -> Supply:
    """Return the engine of an entry that is a pool. Raises SupplyError."""
    from tui_lab.engine.transports.supply import Supply, SupplyError

    try:
        made = _made(entry, lab, environment)
    except PluginError as error:
        raise SupplyError(str(error), fatal=True) from error
    if not isinstance(made, Supply):
        raise SupplyError(f'"{transport_of(entry)}" grants no nodes', fatal=True)
    return made


def _made(entry: NodeEntry, lab: Lab, environment: Mapping[str, str]) -> Transport | Supply:
    name = transport_of(entry)
    make = TRANSPORTS.get(name)
    if make is None:
        raise PluginError(f'no package that is installed here has the transport "{name}"')
    return make(entry, lab, environment)
