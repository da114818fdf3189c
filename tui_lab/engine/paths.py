"""Where an engine and its agents have their files on this machine: the folder of the sockets, and the spools."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tui_lab.engine.agent.spool import is_private, user_folder
from tui_lab.store.errors import LabError, storage_error

if TYPE_CHECKING:
    from tui_lab.store.lab import Lab  # with all that it needs: whoever starts an engine ahead does not wait for that

SOCKET_PATH_LIMIT: Final = 107  # bytes that an address of a Unix socket can hold


def runtime_folder() -> Path:
    """Return the user's private folder for sockets (0700): in $XDG_RUNTIME_DIR if that can be used, else in /tmp.
    engine.json records which. Raises StorageError."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and len(os.fsencode(base)) < SOCKET_PATH_LIMIT - 40:
        folder = Path(base) / "tui-lab"
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, exist_ok=True)
            if is_private(str(folder)):
                return folder
    return _own_folder()


def spool_folder(lab: Lab, node: str) -> Path:
    """Return the spool of a local agent. Not in $XDG_RUNTIME_DIR, which is removed when the user logs out: the agent
    stays."""
    name = f"{lab.identity}-{node}"
    return _own_folder(name) / name


def _own_folder(holding: str = "") -> Path:
    try:
        return Path(user_folder(holding))
    except OSError as error:
        raise storage_error(Path("/tmp"), error) from error


def require_linux() -> None:
    """Raises LabError where tasks can't be run."""
    if not sys.platform.startswith("linux") or not hasattr(socket, "SO_PEERCRED"):
        what = f"running tasks needs Linux, this is {sys.platform}"
        raise LabError(what, "run tui-lab on a Linux machine; results can be looked at here")


def peer_uid(channel: socket.socket) -> int:
    """User id of the process at the other end of a Unix socket. Raises OSError."""
    _, uid, _ = struct.unpack("3i", channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid)
