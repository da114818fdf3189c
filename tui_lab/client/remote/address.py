"""How the user names a lab on another machine: `[USER@]HOST:LAB`, or `ssh://[USER@]HOST[:PORT]/LAB`."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

_SCP: Final = re.compile(r"(?:([^@:/\s]+)@)?(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9_][A-Za-z0-9_.-]*):(?!//)(.+)", re.DOTALL)
_URL: Final = re.compile(r"ssh://(?:([^@:/\s]+)@)?(\[[0-9A-Fa-f:.%]+\]|[^@:/\s]+)(?::(\d{1,5}))?/(.+)", re.DOTALL)


@dataclass(frozen=True)
class RemoteAddress:
    """A lab on another machine. path: as the user wrote it, from the home there if it is relative."""

    host: str
    path: str
    user: str = ""
    port: int = 0

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{user}{host}:{self.port}/{self.path.lstrip('/')}" if self.port else f"{user}{host}:{self.path}"


def remote_address(word: str) -> RemoteAddress | None:
    """Return what a word of the command line names; None where that is no lab on another machine. A file here that has
    the name comes first."""
    if os.path.lexists(word):
        return None
    if found := _URL.fullmatch(word):
        user, host, port, path = found.groups()
        path = unquote(path)
        path = path if path.startswith("~/") else f"/{path}"
        return RemoteAddress(host.strip("[]"), path, user or "", int(port or 0))
    if found := _SCP.fullmatch(word):
        user, host, path = found.groups()
        return RemoteAddress(host.strip("[]"), path, user or "")
    return None
