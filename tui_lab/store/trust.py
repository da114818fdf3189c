"""Labs that this user has trusted: the commands and functions of their metrics may be executed.

A lab that came from elsewhere may have any command in its files, and reading a table must not execute that. So the
labs that this user has created, run or trusted by command are kept in `$XDG_STATE_HOME/tui-lab/trusted-labs`, one a
line: device, id of the file system, inode, and id of the lab. A renamed lab is the same; a copy, a clone or what was
received is another one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final, NamedTuple

from tui_lab.store import layout
from tui_lab.store.errors import StorageError, storage_error

FILE: Final = "trusted-labs"


class _Identity(NamedTuple):
    """What a lab is known by. The number of a device may change with a reboot, where the id of its file system does
    not; some file systems have no id (0)."""

    device: str
    system: str
    inode: str
    lab: str

    def is_same(self, other: _Identity) -> bool:
        """Return whether both are of one lab."""
        device = self.device == other.device or (self.system == other.system != "0")
        return device and self.inode == other.inode and self.lab == other.lab


def is_trusted(lab: Path) -> bool:
    """Return whether this user has trusted the lab in a folder."""
    identity = _identity(lab)
    return identity is not None and any(known.is_same(identity) for known in _known())


def trust(lab: Path) -> None:
    """Trust the lab in a folder from now on. Raises StorageError where that can't be kept."""
    identity = _identity(lab)
    if identity is None:
        raise StorageError(f"{lab / layout.LAB_FILE}: can't be read")
    if any(known == identity for known in _known()):
        return
    try:
        path = _file()
    except RuntimeError as error:
        raise StorageError(f"what is trusted can't be kept: {error}", "set HOME or XDG_STATE_HOME") from None
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, (" ".join(identity) + "\n").encode())
        finally:
            os.close(file)
    except OSError as error:
        raise storage_error(path, error) from error


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "tui-lab" / FILE


def _known() -> list[_Identity]:
    try:
        lines = _file().read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, RuntimeError):
        return []
    return [_Identity(*words) for line in lines if len(words := line.split()) == len(_Identity._fields)]


def _identity(lab: Path) -> _Identity | None:
    try:
        facts, system = lab.stat(), os.statvfs(lab)
        marker = json.loads((lab / layout.LAB_FILE).read_text(encoding="utf-8"))
        name = str(marker["id"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    found = _Identity(f"{facts.st_dev}", f"{system.f_fsid}", f"{facts.st_ino}", name)
    return found if len(name.split()) == 1 else None
