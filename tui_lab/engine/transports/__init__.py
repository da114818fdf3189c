"""Ways to nodes: this machine over a pipe, others by SSH. The agent and what it says are the same."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tui_lab.engine.transports.channel import Transport
    from tui_lab.store.lab import Lab


def transport_for(entry: Mapping[str, Any], lab: Lab, environment: Mapping[str, str]) -> Transport:
    """The way to the node of an entry, as a submission event has it. `environment`: the submitter's."""
    if not entry.get("host"):
        from tui_lab.engine.paths import spool_folder
        from tui_lab.engine.transports.local import LocalTransport

        given = {"python": entry["python"]} if entry.get("python") else {}
        return LocalTransport(spool_folder(lab, entry["name"]), **given)
    from tui_lab.engine.transports.ssh.transport import SshTransport

    spool = posixpath.join(entry.get("spool") or "", f"{lab.identity}-{entry['name']}")
    return SshTransport(entry, spool, environment)
