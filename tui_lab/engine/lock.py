"""Who may write to a lab: the engine's lock, and what engine.json says of the engine that holds it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tui_lab.engine.agent.processes import is_process, process_stat
from tui_lab.store import layout, mirrors
from tui_lab.store.errors import StorageError, storage_error
from tui_lab.store.lab import Lab

OWNER_FILE: Final = "engine.owner"
SILENCE: Final = 60.0  # seconds without one after which an engine on another host may be taken for dead


def process_start(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot; None where it is gone."""
    facts = process_stat(pid)
    return None if facts is None else int(facts[4])


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
        """Return what engine.json of a lab says; None where there is none, or it can't be read."""
        try:
            return cls(**json.loads((lab.path / layout.ENGINE_FILE).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, lab: Lab) -> None:
        """Write engine.json of a lab, at once and whole. Raises OSError."""
        path = lab.path / layout.ENGINE_FILE
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(self)) + "\n")
        partial.replace(path)

    @classmethod
    def own(cls, lab: Lab, socket: Path) -> EngineFacts:
        """Return the facts of this process."""
        pid = os.getpid()
        return cls(pid, process_start(pid) or 0, os.uname().nodename, str(socket), str(lab.path.resolve()))

    @property
    def here(self) -> bool:
        """Whether the engine runs on this machine."""
        return self.host == os.uname().nodename

    @property
    def alive(self) -> bool:
        """Whether the engine runs on this host: the pid is still that process."""
        return self.here and is_process(self.pid, self.start_time)


def elsewhere(lab: Lab, host: str, pid: int) -> StorageError:
    """Return the error that names an engine on another host."""
    return StorageError(
        f"{lab.path}: an engine on {host} (pid {pid}) runs this lab; from here it can only be read",
        f"run tui-lab on {host}; where that machine is gone for good, add --take-over",
    )


def engine_elsewhere(lab: Lab) -> StorageError | None:
    """Return the error that names the engine on another host, if engine.json has one; else None. Not if the file was
    copied here with its lab."""
    if mirrors.other_side(lab.path) is not None:
        return None
    facts = EngineFacts.read(lab)
    if facts is None or facts.here or facts.lab not in ("", str(lab.path.resolve())):
        return None
    return elsewhere(lab, facts.host, facts.pid)


def claim(lab: Lab, force: bool) -> None:
    """Make sure that this machine may work on the lab. force: `--take-over`. Raises StorageError."""
    if force:
        take_over(lab)
    error = engine_elsewhere(lab)
    if error is not None:
        raise error


def touch_heartbeat(lab: Lab) -> None:
    """Show that the engine is alive: hosts that share the lab's folder can't see each other's processes."""
    for name in (layout.ENGINE_FILE, OWNER_FILE):
        try:
            os.utime(lab.path / name)
        except OSError:
            pass


def take_over(lab: Lab) -> None:
    """Take a lab over from an engine on another host. Raises StorageError if that is alive."""
    here = os.uname().nodename
    for path in (lab.path / layout.ENGINE_FILE, lab.path / OWNER_FILE):
        try:
            facts = json.loads(path.read_text())
            if facts["host"] == here:
                continue
            silent = _file_clock(lab) - path.stat().st_mtime
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if silent < SILENCE:
            owner = f"the engine on {facts['host']} (pid {facts['pid']})"
            raise StorageError(
                f"{lab.path}: {owner} was alive {silent:.0f} s ago",
                f"end it there first; after {SILENCE:.0f} s of silence --take-over goes on from here",
            )
        path.unlink(missing_ok=True)


def _file_clock(lab: Lab) -> float:
    """Return the time of the lab's file system, which may be another machine's. Raises OSError."""
    probe = lab.path / f".clock.{os.getpid()}"
    probe.touch()
    try:
        return probe.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


class EngineLock:
    """The right to write to a lab, held for the engine's life; the content of `engine.lock` is the epoch.

    A lock of the file system (`lockf`), which ends with its process. Where there is none, a file that only
    one can make, `engine.owner`; it names its maker.
    """

    def __init__(self, lab: Lab) -> None:
        self.path = lab.path / "engine.lock"
        self.lab = lab
        self.owner = lab.path / OWNER_FILE
        self._file = -1
        self._owns = False
        self.epoch = 0

    def take(self) -> bool:
        """Return False if another engine holds the lock. Raises StorageError, also for an engine on another host."""
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                taken = True
            except OSError as error:
                if error.errno in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                    taken = self._owns = self._take_file()
                elif error.errno in (errno.EAGAIN, errno.EACCES):
                    taken = False
                else:
                    raise
        except OSError as error:
            raise storage_error(self.path, error) from error
        if not taken:
            os.close(self._file)
            return False
        text = os.pread(self._file, 32, 0)
        self.raise_epoch(int(text) if text.strip().isdigit() else 0)
        return True

    def _take_file(self) -> bool:
        """Become the owner if there is none, or a dead one of this host. Raises OSError, StorageError."""
        pid = os.getpid()
        mine = self._own_name()
        for _ in range(2):
            try:
                file = os.open(self.owner, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
                os.write(file, mine.encode())
                os.close(file)
                return True
            except FileExistsError:
                pass
            try:
                text = self.owner.read_text()
                facts = json.loads(text)
                host, dead = facts["host"], not is_process(facts["pid"], facts["start_time"])
            except (OSError, ValueError, KeyError):
                return False  # it is just being made, or removed
            if host != os.uname().nodename:
                raise elsewhere(self.lab, host, facts["pid"])
            if not dead:
                return False
            aside = self.owner.with_name(f"{self.owner.name}.{pid}")
            try:
                self.owner.rename(aside)
                if aside.read_text() != text:  # someone was quicker: that is the new owner's
                    os.link(aside, self.owner)
                    return False
            except OSError:
                return False
            finally:
                aside.unlink(missing_ok=True)
        return False

    def _own_name(self) -> str:
        pid = os.getpid()
        return json.dumps({"pid": pid, "start_time": process_start(pid), "host": os.uname().nodename})

    def raise_epoch(self, above: int) -> None:
        """Write and return an epoch above one that was seen. Raises StorageError."""
        self.epoch = above + 1
        try:
            os.pwrite(self._file, b"%d\n" % self.epoch, 0)
        except OSError as error:
            raise storage_error(self.path, error) from error

    def release(self) -> None:
        """Give the lock back, unless another engine has taken it over."""
        try:
            if self._owns and self.owner.read_text() == self._own_name():  # else it was taken over
                self.owner.unlink()
        except OSError:
            pass
        os.close(self._file)
