"""Where an engine and its agents live on this machine: sockets, spools, the lock, and who holds it."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from dataclasses import asdict, dataclass
from pathlib import Path

from tui_lab.store import layout
from tui_lab.store.errors import LabError, storage_error
from tui_lab.store.lab import Lab

SOCKET_PATH_LIMIT = 107  # bytes that an address of a Unix socket can hold


def runtime_folder() -> Path:
    """The user's own folder for sockets (0700): under $XDG_RUNTIME_DIR, else in /tmp. Raises LabError."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and Path(base).is_dir() and len(os.fsencode(base)) < SOCKET_PATH_LIMIT - 40:
        return _private(Path(base) / "tui-lab")
    return _private(Path(f"/tmp/tui-lab-{os.getuid()}"))


def spool_folder(lab: Lab, node: str) -> Path:
    """The spool of a local agent. Not under $XDG_RUNTIME_DIR: that goes when the user logs out, the agent
    does not."""
    return _private(Path(f"/tmp/tui-lab-{os.getuid()}")) / f"{lab.identity}-{node}"


def _private(path: Path) -> Path:
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        facts = path.lstat()
    except OSError as error:
        raise storage_error(path, error) from error
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.getuid():
        raise LabError(
            f"{path}: belongs to someone else", "remove it, or set XDG_RUNTIME_DIR to a folder of yours"
        )
    if facts.st_mode & 0o077:
        path.chmod(0o700)
    return path


def process_start(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None where it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return int(fields[19])
    except (OSError, IndexError, ValueError):
        return None


@dataclass(frozen=True)
class EngineFacts:
    """What engine.json says: who serves this lab, and where."""

    pid: int
    start_time: int
    host: str
    socket: str
    lab: str = ""  # where it is, without symbolic links

    @classmethod
    def read(cls, lab: Lab) -> EngineFacts | None:
        try:
            return cls(**json.loads((lab.path / layout.ENGINE_FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, lab: Lab) -> None:
        path = lab.path / layout.ENGINE_FILE
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)) + "\n")
        partial.replace(path)

    @property
    def here(self) -> bool:
        return self.host == os.uname().nodename

    @property
    def alive(self) -> bool:
        """On this host, and the pid still is that process."""
        return self.here and process_start(self.pid) == self.start_time


class EngineLock:
    """The right to write to a lab, held for the engine's life; the file's content is the epoch."""

    def __init__(self, lab: Lab) -> None:
        self.path = lab.path / "engine.lock"
        self._file = -1
        self.epoch = 0

    def take(self) -> bool:
        """False where another engine holds it. Raises StorageError."""
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            return False
        except OSError as error:
            raise storage_error(self.path, error) from error
        text = os.pread(self._file, 32, 0)
        self.raise_epoch(int(text) if text.strip().isdigit() else 0)
        return True

    def raise_epoch(self, above: int) -> None:
        """The next epoch above one that was seen. Raises StorageError."""
        self.epoch = above + 1
        try:
            os.pwrite(self._file, b"%d\n" % self.epoch, 0)
        except OSError as error:
            raise storage_error(self.path, error) from error

    def release(self) -> None:
        os.close(self._file)
