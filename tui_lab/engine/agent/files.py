"""The server of files: a process of its own beside the agent, so that no transfer ever holds the agent up.

Requests and answers are JSON lines, some with bytes behind them, one after the other. It works in pieces, so a file
of any size takes no more memory than a small one. It reads, writes and removes only below the given home, and follows
no symbolic link there (`beneath`).
"""

import errno
import hashlib
import json
import os
import select
import stat

from tui_lab.engine.agent.paths import expand
from tui_lab.engine.agent.text import decode, encode
from tui_lab.portable.beneath import NAME_MAX, Folder, split_path
from tui_lab.portable.login import without_login

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CHUNK = 1 << 18  # bytes
IDLE_LIMIT = 600.0  # seconds; an engine closes channels that it no longer uses
MAX_LINE = 1 << 26  # bytes
PARTIAL = b".tui-lab-part"  # suffix of an incomplete file
OBJECTS = b"objects/"


class RefusedError(Exception):
    """A request that can't be carried out; its text is the answer's `error`. more: further members of the answer."""

    def __init__(self, text: str, **more) -> None:
        super().__init__(text)
        self.more = more


class FileServer:
    """Answers the requests of one channel, one after the other."""

    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.unread = bytearray()
        self.requests = {
            "get": self.get,
            "put": self.put,
            "digest": self.digest,
            "same": self.same,
            "link": self.link,
            "have": self.have,
            "tree": self.tree,
            "list": self.list,
            "packages": self.packages,
            "remove": self.remove,
        }

    def run(self) -> None:
        """Answer requests until the other end closes the channel."""
        while True:
            line = self.read_line()
            if not line:
                return
            try:
                request = json.loads(decode(line))
                name = next(name for name in self.requests if name in request)
            except (ValueError, StopIteration, TypeError):
                self.answer({"ok": False, "error": "no request that this agent knows"})
                return  # where the next request begins is not known
            try:
                self.requests[name](request)
            except RefusedError as refusal:
                self.answer(dict(refusal.more, ok=False, error=str(refusal)))
            except OSError as error:
                where = os.fsdecode(error.filename) + ": " if error.filename else ""
                text = where + (error.strerror or str(error))
                self.answer({"ok": False, "error": decode(os.fsencode(text)), "errno": error.errno})
            except (KeyError, ValueError, TypeError) as error:
                self.answer({"ok": False, "error": "a bad %s request: %r" % (name, error)})

    # --- The stream

    def read_line(self) -> bytes:
        """Return the next line without its newline; empty at the end of the channel."""
        start = 0
        while True:
            end = self.unread.find(b"\n", start)
            if end >= 0:
                line = bytes(self.unread[:end])
                del self.unread[: end + 1]
                return line
            start = len(self.unread)
            data = self.receive(CHUNK)
            if not data or start > MAX_LINE:
                return b""
            self.unread += data

    def read_some(self, most: int) -> bytes:
        """Return at most `most` of the bytes behind a request. Raises SystemExit where the channel ends before them."""
        if self.unread:
            data = bytes(self.unread[:most])
            del self.unread[:most]
            return data
        data = self.receive(min(most, CHUNK))
        if not data:
            raise SystemExit(0)
        return data

    def receive(self, most: int) -> bytes:
        """Return the bytes that arrive next; none at the end, or after ten minutes without any: the connection may be
        dead though it is open."""
        readable, _, _ = select.select([self.source], [], [], IDLE_LIMIT)
        return os.read(self.source, most) if readable else b""

    def answer(self, message: dict, data: bytes = b"") -> None:
        """Send a message, with bytes behind its line."""
        if data:
            message["size"] = len(data)
        rest = memoryview(encode(json.dumps(message) + "\n") + data)
        while rest:
            rest = rest[os.write(self.sink, rest) :]

    # --- Files

    def get(self, request: dict) -> None:
        """Answer {"get": PATH, "home", "offset", "most"}: send a part of a file in pieces."""
        relative = relative_path(request["get"], request["home"])
        with open_home(request) as home:
            file = home.read(relative)
        try:
            offset = request.get("offset") or 0
            most = request.get("most")
            total = os.fstat(file).st_size
            end = total if most is None else min(total, offset + most)
            self.answer({"ok": True, "total": total, "mtime_ns": os.fstat(file).st_mtime_ns})
            while offset < end:
                data = os.pread(file, min(CHUNK, end - offset), offset)
                if not data:
                    total = os.fstat(file).st_size  # it was shortened meanwhile
                    break
                self.answer({}, data)
                offset += len(data)
            self.answer({"end": True, "total": total})
        finally:
            os.close(file)

    def put(self, request: dict) -> None:
        """Answer {"put": PATH, "home", "offset", "size", "final", "mode", "sha", "total"} and bytes: write them to a
        file beside PATH, which is renamed to PATH once it is complete."""
        left = request["size"]
        try:
            relative = relative_path(request["put"], request["home"])
            with open_home(request, make=True) as home:
                folder, name = home.parent(relative, make=True, clear=True)
            with folder:
                file = open_partial(folder, partial_name(name))
                try:
                    at = os.fstat(file).st_size
                    if request["offset"] > at:
                        raise RefusedError("of %s only %d bytes are here" % (request["put"], at), at=at)
                    os.ftruncate(file, request["offset"])
                    os.lseek(file, request["offset"], os.SEEK_SET)
                    while left:
                        data = self.read_some(left)
                        left -= len(data)
                        while data:
                            data = data[os.write(file, data) :]
                    if request.get("final"):
                        finish(folder, name, file, request)
                finally:
                    os.close(file)
        except (RefusedError, OSError):
            while left:
                left -= len(self.read_some(left))  # the next request begins behind them
            raise
        self.answer({"ok": True})

    def digest(self, request: dict) -> None:
        """Answer {"digest": PATH, "home", "part", "offset", "most"}: the size and mode of a file, or of what there is
        of an incomplete one, and the SHA-256 of a piece of it."""
        size = mode = sha = None
        relative = relative_path(request["digest"], request["home"])
        if request.get("part"):
            above, slash, name = relative.rpartition(b"/")
            relative = above + slash + partial_name(name)
        try:
            with open_home(request) as home:
                file = home.read(relative)
        except OSError:
            pass  # there is none, or nothing of use
        else:
            try:
                facts = os.fstat(file)
                size, mode = facts.st_size, facts.st_mode & 0o777
                sha = sha_of(file, request["offset"], request["most"])
            finally:
                os.close(file)
        self.answer({"ok": True, "size": size, "mode": mode, "sha": sha})

    def same(self, request: dict) -> None:
        """Answer {"same": DIR, "home", "files": [[NAME, SIZE, MODE]...]}: the SHA-256 of those files of a folder that
        have this size and mode."""
        digests = {}
        try:
            with open_home(request) as home:
                for name, size, mode in request["files"]:
                    path = relative_path("%s/%s" % (request["same"], name), request["home"])
                    try:
                        file = home.read(path)
                    except OSError:
                        continue  # there is none, or nothing of use
                    try:
                        facts = os.fstat(file)
                        if (facts.st_size, facts.st_mode & 0o777) == (size, mode):
                            digests[name] = sha_of(file, 0, size)
                    except OSError:
                        pass
                    finally:
                        os.close(file)
        except OSError:
            pass  # there is no such home yet
        self.answer({"ok": True, "sha": digests})

    def link(self, request: dict) -> None:
        """Answer {"link": [NAME...], "from": DIR, "of": HOME, "to": DIR, "home"}: make files of a folder in another
        home, which is in the same file system, those of a folder here, too; and say which could not be."""
        source, target = relative_path(request["from"], request["of"]), relative_path(request["to"], request["home"])
        missing = []
        try:
            with Folder.base(encode(os.path.abspath(expand(request["of"])))) as home:
                theirs = home.folder(source)
        except OSError:
            self.answer({"ok": True, "missing": request["link"]})
            return
        with theirs, open_home(request, make=True) as home, home.folder(target, make=True, clear=True) as mine:
            for name in request["link"]:
                try:
                    link_file(theirs, mine, encode(name))
                except (OSError, ValueError):
                    missing.append(name)
        self.answer({"ok": True, "missing": missing})

    def have(self, request: dict) -> None:
        """Answer {"have": [SHA...], "home"}: which objects are missing here, and how many bytes there are of incomplete
        ones."""
        missing, partial = [], {}
        with open_home(request, make=True) as home:
            for sha in request["have"]:
                if size_of(home, object_name(sha)) is None:
                    missing.append(sha)
                    begun = size_of(home, OBJECTS + partial_name(encode(sha)))
                    if begun is not None:
                        partial[sha] = begun
        self.answer({"ok": True, "missing": missing, "partial": partial})

    def tree(self, request: dict) -> None:
        """Answer {"tree": DIR, "home", "files": [[REL, SHA, MODE]...]}: make a folder of copies of objects.

        It appears under its name once it is complete."""
        relative = relative_path(request["tree"], request["home"])
        with open_home(request, make=True) as home:
            parent, name = home.parent(relative, make=True)
            with parent:
                try:
                    parent.folder(name).close()
                except FileNotFoundError:
                    self.make_tree(home, parent, name, request["files"])
        self.answer({"ok": True})

    def make_tree(self, home: Folder, parent: Folder, name: bytes, files: list) -> None:
        """Make the folder of a `tree` request under another name, then rename it."""
        part = name + b".part-%d" % os.getpid()
        remove_stale_trees(parent, name)
        try:
            with parent.folder(part, make=True) as folder:
                for path, sha, mode in files:
                    copy_object(home, sha, folder, path, mode)
            try:
                os.rename(part, name, src_dir_fd=parent.descriptor, dst_dir_fd=parent.descriptor)
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                    raise  # else another was quicker
        finally:
            parent.remove(part)

    def list(self, request: dict) -> None:
        """Answer {"list": DIR, "home"}: all files below a folder."""
        files: Any = []
        relative = relative_path(request["list"], request["home"])
        with open_home(request) as home:
            folder = home.folder(relative)
        with folder:
            for found in folder.walk():
                if found.facts is None or not (found.is_link or found.is_file):
                    continue
                entry = {"name": decode(found.path), "size": found.facts.st_size, "mtime": found.facts.st_mtime}
                if found.is_link:
                    try:
                        entry["link"] = decode(folder.link(found.path))
                    except OSError:
                        continue  # it was just removed
                files.append(entry)
        self.answer({"ok": True, "files": files})

    def remove(self, request: dict) -> None:
        """Answer {"remove": [PATH...], "home"}: remove files and whole folders, the home itself too.

        Those that do not exist are no error."""
        top = os.path.abspath(expand(request["home"]))
        if top in ("/", os.path.abspath(os.path.expanduser("~"))):
            raise RefusedError("%s is no folder of a lab" % top)
        whole = [path for path in request["remove"] if os.path.abspath(expand(path)) == top]
        relatives = [relative_path(path, request["home"]) for path in request["remove"] if path not in whole]
        try:
            home = open_home(request)
        except FileNotFoundError:
            home = None
        if home is not None:
            with home:
                for relative in relatives:
                    home.remove(relative)
                if whole:
                    home.empty()
            if whole and not os.path.islink(encode(top)):
                os.rmdir(encode(top))
        self.answer({"ok": True})

    # --- Requests that take longer

    def packages(self, request: dict) -> None:
        """Answer {"packages": PYTHON}: which packages an interpreter has installed."""
        import subprocess

        code = (
            "import json,importlib.metadata as m;"
            "print(json.dumps({d.metadata['Name']:d.version for d in m.distributions() if d.metadata['Name']}))"
        )
        found = {}
        try:
            said = subprocess.run(
                ["nice", "-n", "19", expand(request["packages"]), "-c", code],  # tasks have priority
                env=without_login(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=30,
            )
            found = json.loads(said.stdout.decode("utf-8"))
        except (OSError, ValueError, subprocess.SubprocessError):
            pass  # no such program, or older than Python 3.8
        self.answer({"ok": True, "packages": found})


def open_home(request: dict, make: bool = False) -> Folder:
    """Open the home folder that a request names. Raises OSError."""
    return Folder.base(encode(os.path.abspath(expand(request["home"]))), make)


def relative_path(path: str, home: str) -> bytes:
    """Return a path relative to the home. Raises RefusedError for a path that is not below it."""
    top = os.path.abspath(expand(home)).rstrip("/") + "/"
    there = expand(path)
    try:
        if not there.startswith(top):
            raise ValueError(path)
        return b"/".join(split_path(encode(there[len(top) :])))
    except ValueError:
        raise RefusedError("%s is not below %s" % (path, home))


def object_name(sha: str) -> bytes:
    """Return the path of an object in the home. Raises RefusedError for a name that is no SHA-256."""
    if len(sha) != 64 or not all(letter in "0123456789abcdef" for letter in sha):
        raise RefusedError("%r is no SHA-256" % sha)
    return OBJECTS + encode(sha)


def partial_name(name: bytes) -> bytes:
    """Return the name of a file as long as it is incomplete."""
    return name[: NAME_MAX - len(PARTIAL)] + PARTIAL


def size_of(folder: Folder, path: bytes):
    """Return the bytes of a plain file, None where there is none."""
    try:
        facts = folder.facts(path)
    except OSError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None


def open_partial(folder: Folder, name: bytes) -> int:
    """Open an incomplete file for reading and writing; a new one where what is there may be something else than what
    was begun."""
    file = folder.open_own(name, os.O_RDWR)
    if file is None:
        folder.clear(name, plain=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        file = os.open(name, flags, 0o600, dir_fd=folder.descriptor)  # not readable by others until it has its mode
    return file


def finish(folder: Folder, name: bytes, file: int, request: dict) -> None:
    """Check a complete file against its hash, and give it its name. Raises RefusedError."""
    part = partial_name(name)
    size = os.fstat(file).st_size
    if request.get("total") not in (None, size):
        raise RefusedError("of %s %d bytes are here" % (request["put"], size), at=size)
    if request.get("sha") is not None and sha_of(file) != request["sha"]:
        folder.unlink(part)
        raise RefusedError("%s came damaged" % request["put"], at=0)
    os.fchmod(file, request.get("mode") or 0o644)
    folder.rename(part, name)


def link_file(source: Folder, target: Folder, path: bytes) -> None:
    """Make a plain file of one folder the same file of another, too. Raises OSError, ValueError."""
    theirs, name = source.parent(path)
    with theirs:
        if not stat.S_ISREG(theirs.facts(name).st_mode):
            raise ValueError("no plain file")
        mine, _ = target.parent(path, make=True, clear=True)
        with mine:
            part = partial_name(name)
            mine.clear(part, plain=True)
            os.link(name, part, src_dir_fd=theirs.descriptor, dst_dir_fd=mine.descriptor, follow_symlinks=False)
            mine.rename(part, name)


def sha_of(file: int, offset: int = 0, most=None) -> str:
    """Return the SHA-256 of an open file, or of some of its bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    while most is None or most > 0:
        data = os.pread(file, CHUNK if most is None else min(CHUNK, most), offset)
        if not data:
            break
        digest.update(data)
        offset += len(data)
        most = None if most is None else most - len(data)
    return digest.hexdigest()


def copy_object(home: Folder, sha: str, folder: Folder, path: str, mode: int) -> None:
    """Copy an object to a file; one that a crash of the node has damaged is removed.

    Raises RefusedError with the object's name in `missing`."""
    source = object_name(sha)
    try:
        target = folder.create(encode(path))
    except ValueError as error:
        raise RefusedError(str(error))
    try:
        try:
            file = home.read(source)
        except FileNotFoundError:
            raise RefusedError("an object is not here: %s" % sha, missing=[sha])
        try:
            digest = hashlib.sha256()
            while True:
                data = os.read(file, CHUNK)
                if not data:
                    break
                digest.update(data)
                while data:
                    data = data[os.write(target, data) :]
        finally:
            os.close(file)
        if digest.hexdigest() != sha:
            home.unlink(source)
            raise RefusedError("an object is damaged: %s" % sha, missing=[sha])
        os.fchmod(target, mode)
    finally:
        os.close(target)


def remove_stale_trees(parent: Folder, name: bytes) -> None:
    """Remove incomplete copies of a tree that file servers have left which are dead."""
    for other in map(os.fsencode, os.listdir(parent.descriptor)):
        pid = other.rpartition(b".part-")[2]
        if other.startswith(name + b".part-") and pid.isdigit() and not os.path.exists("/proc/%d" % int(pid)):
            parent.remove(other)
