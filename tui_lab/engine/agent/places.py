"""Folders on the node: as the engine writes them, and as they are here."""

import os

from tui_lab.engine.agent.processes import decode, encode

SOCKET = "agent.sock"
ADDRESS_LIMIT = 100  # bytes that the address of a Unix socket surely holds


def expand(path: str) -> str:
    """`~/` is the user's home on this node, whatever it is on the engine's."""
    return os.path.expanduser(path) if path.startswith("~") else path


def own_folder(holding: str = "") -> str:
    """The user's folder in /tmp, where spools are by default: the one that holds a name already, where there are
    several. Someone else may have taken the common name; then it has a further ending. Raises OSError."""
    common = "/tmp/tui-lab-%d" % os.getuid()
    try:
        private(common)
        usable = [common]
    except (SystemExit, OSError):
        usable = []
    if not usable or not (holding and os.path.lexists(os.path.join(common, holding))):
        folder, name = os.path.split(common)
        others = [os.path.join(folder, one) for one in sorted(os.listdir(folder)) if one.startswith(name + ".")]
        usable += [path for path in others if is_private(path)]
        for path in usable if holding else ():
            if os.path.lexists(os.path.join(path, holding)):
                return path
    if not usable:
        usable = ["%s.%s" % (common, "".join("%02x" % byte for byte in os.urandom(6)))]
        os.mkdir(usable[0], 0o700)
    return usable[0]


def is_private(path: str) -> bool:
    """Whether a folder is this user's, and nobody else may enter it."""
    try:
        facts = os.lstat(path)
    except OSError:
        return False
    return facts.st_mode & 0o170077 == 0o040000 and facts.st_uid == os.getuid()


def spool_path(name: str) -> str:
    """An absolute path as it is; a bare name in the user's folder in /tmp; else relative to the user's home."""
    path = expand(name)
    if os.path.isabs(path):
        return path
    if "/" not in path:
        return os.path.join(own_folder(path), path)
    return os.path.join(os.path.expanduser("~"), path)


def private(path: str) -> None:
    """Make a folder for its owner alone. Raises SystemExit where it is someone else's, OSError."""
    os.makedirs(path, mode=0o700, exist_ok=True)
    facts = os.lstat(path)
    if (facts.st_mode & 0o170000) != 0o040000 or facts.st_uid != os.getuid():
        raise SystemExit("%s belongs to someone else" % path)
    if facts.st_mode & 0o077:
        os.chmod(path, 0o700)


def home_folder(data, lab: str, node: str) -> str:
    """Where the code and the tasks of a lab are put on a node that does not see the lab's folder. data: the folder
    for all labs, None for the user's cache."""
    if data is None:
        cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        data = os.path.join(cache, "tui-lab")
    return os.path.join(os.path.abspath(expand(data)), ("%s-%s" % (lab, node)).replace("/", "_"))


class Address:
    """The socket of a spool as an address that is never too long: through a descriptor of the folder where it must
    be. Use it as `with Address(spool) as address`."""

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


def sees(marker) -> bool:
    """Whether the node has the lab's folder: a file in it is here, with the same content."""
    if not marker:
        return False
    try:
        with open(encode(marker["path"]), "rb") as file:
            return decode(file.read(1 << 16)) == marker["text"]
    except (OSError, ValueError):  # a NUL in its path
        return False
