"""The spool: the folder on the node that belongs to one agent, with its lock, its socket and its boot id.

Files in it: `lock` (held by the living agent), `boot` (host and boot id), `agent.sock`, `agent.log`, `stays`, and what
`ledger`, `shim` and `setups` write.
"""

import fcntl
import os

from tui_lab.engine.agent.paths import expand
from tui_lab.engine.agent.processes import boot_id
from tui_lab.engine.agent.text import encode

SOCKET = "agent.sock"
STAYS = "stays"  # a file: the agent stays in a process of somebody else, and no other one comes after it
ADDRESS_LIMIT = 100  # bytes; every Unix system takes a socket address of this length


def spool_path(name: str) -> str:
    """Return the absolute path of a spool. A bare name is in the user's folder in /tmp; a relative path starts at the
    user's home."""
    path = expand(name)
    if os.path.isabs(path):
        return path
    if "/" not in path:
        return os.path.join(user_folder(path), path)
    return os.path.join(os.path.expanduser("~"), path)


def user_folder(holding: str = "") -> str:
    """Return the user's folder in /tmp, which holds spools by default. holding: where there are several such folders,
    the one with an entry of this name is taken.

    The usual name may belong to another user; then a folder with a random suffix is used. Raises OSError."""
    usual = "/tmp/tui-lab-%d" % os.getuid()
    try:
        make_private(usual)
        usable = [usual]
    except (SystemExit, OSError):
        usable = []
    if not usable or not (holding and os.path.lexists(os.path.join(usual, holding))):
        folder, name = os.path.split(usual)
        others = [os.path.join(folder, one) for one in sorted(os.listdir(folder)) if one.startswith(name + ".")]
        usable += [path for path in others if is_private(path)]
        for path in usable if holding else ():
            if os.path.lexists(os.path.join(path, holding)):
                return path
    if not usable:
        usable = ["%s.%s" % (usual, "".join("%02x" % byte for byte in os.urandom(6)))]
        os.mkdir(usable[0], 0o700)
    return usable[0]


def is_private(path: str) -> bool:
    """Return whether a folder belongs to this user, and no other user may enter it."""
    try:
        status = os.lstat(path)
    except OSError:
        return False
    return status.st_mode & 0o170077 == 0o040000 and status.st_uid == os.getuid()


def make_private(path: str) -> None:
    """Create a folder that only its owner may enter. Raises SystemExit where it belongs to another user, OSError."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    status = os.lstat(path)
    if (status.st_mode & 0o170000) != 0o040000 or status.st_uid != os.getuid():
        raise SystemExit("%s belongs to someone else" % path)
    if status.st_mode & 0o077:
        os.chmod(path, 0o700)


class SocketAddress:
    """The address of a spool's socket. A path that is too long for one goes through a descriptor of the folder. Use it
    as `with SocketAddress(spool) as address`."""

    def __init__(self, spool: str) -> None:
        self.spool = spool
        self.folder = -1

    def __enter__(self) -> str:
        path = os.path.join(self.spool, SOCKET)
        if len(encode(path)) <= ADDRESS_LIMIT:
            return path
        self.folder = os.open(self.spool, os.O_RDONLY | os.O_DIRECTORY)
        return "/proc/self/fd/%d/%s" % (self.folder, SOCKET)

    def __exit__(self, *_) -> None:
        if self.folder >= 0:
            os.close(self.folder)


def acquire_lock(spool: str):
    """Return an open file that holds the lock of a spool; None where another process has it."""
    path = os.path.join(spool, "lock")
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.stat(path).st_ino == os.fstat(lock).st_ino:
            return lock
    except OSError:
        pass
    os.close(lock)  # another relay is starting an agent, or an ending agent has just removed this file
    return None


def is_locked(spool: str) -> bool:
    """Return whether a living agent holds the lock of a spool."""
    try:
        lock = os.open(os.path.join(spool, "lock"), os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(lock)


def read_boot(spool: str) -> tuple:
    """Return the host and the boot id that a spool was last used with. Raises OSError."""
    with open(os.path.join(spool, "boot")) as file:
        host, _, boot = file.read().partition(" ")
    return host, boot


def is_current_boot(spool: str) -> bool:
    """Return whether pids in the ledger still mean what they meant: the machine was not restarted since."""
    try:
        return read_boot(spool)[1] == boot_id()
    except OSError:
        return False


def prepare_spool(spool: str) -> None:
    """Remove what an earlier boot of this machine has left in a spool, whose processes are gone, and note this boot.

    Raises SystemExit where another machine uses the spool, OSError."""
    here = (os.uname().nodename, boot_id())
    try:
        host, boot = read_boot(spool)
    except OSError:
        host, boot = here
    if host and boot != here[1]:
        if host != here[0]:
            raise SystemExit("%s is in use by the machine %s (if that is gone for good, remove it)" % (spool, host))
        clear_spool(spool)
    with open(os.path.join(spool, "boot"), "w") as file:
        file.write("%s %s" % here)


def clear_spool(spool: str) -> None:
    """Remove the files of a spool, but for its lock. Raises OSError."""
    for name in os.listdir(spool):
        if name != "lock":
            os.unlink(os.path.join(spool, name))


def remove_spool(spool: str) -> None:
    """Remove a spool with its files. What can't be removed stays."""
    try:
        for name in os.listdir(spool):
            try:
                os.unlink(os.path.join(spool, name))
            except OSError:
                pass
        os.rmdir(spool)
    except OSError:
        pass
