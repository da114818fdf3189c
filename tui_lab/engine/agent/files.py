"""The server of files: a process of its own beside the agent, so that no transfer ever holds the agent up.

Requests and answers are JSON lines, some with bytes behind them, one after the other. It works in pieces, so a file
of any size takes no more memory than a small one. It reads whatever plain file it is asked for, but follows no
symbolic link in a path's last part; it removes and makes folders only below the given home.
"""

import errno
import hashlib
import json
import os
import stat

from tui_lab.engine.agent.collect import walk
from tui_lab.engine.agent.places import expand, is_below
from tui_lab.engine.agent.processes import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PIECE = 1 << 18  # bytes
LINE_LIMIT = 1 << 26  # bytes


class RefusedError(Exception):
    """What is wrong, for the answer. `more`: further members of it."""

    def __init__(self, text: str, **more) -> None:
        super().__init__(text)
        self.more = more


class FileServer:
    def __init__(self, source: int, sink: int) -> None:
        self.source = source
        self.sink = sink
        self.unread = bytearray()
        self.requests = {
            "get": self.get,
            "put": self.put,
            "have": self.have,
            "tree": self.tree,
            "list": self.list,
            "packages": self.packages,
            "remove": self.remove,
            "leave": self.leave,
        }

    def run(self) -> None:
        """Until the other end hangs up."""
        while True:
            line = self.read_line()
            if not line:
                return
            try:
                request = json.loads(decode(line))
                name = next(name for name in self.requests if name in request)
            except (ValueError, StopIteration, TypeError):
                self.answer({"ok": False, "error": "no request that this agent knows"})
                return  # what follows may be anything
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

    # The stream.

    def read_line(self) -> bytes:
        """Without the newline; empty at the end."""
        start = 0
        while True:
            end = self.unread.find(b"\n", start)
            if end >= 0:
                line = bytes(self.unread[:end])
                del self.unread[: end + 1]
                return line
            start = len(self.unread)
            data = os.read(self.source, PIECE)
            if not data or start > LINE_LIMIT:
                return b""
            self.unread += data

    def read_some(self, most: int) -> bytes:
        """Up to so many of the bytes behind a request. Raises SystemExit when they stop coming."""
        if self.unread:
            data = bytes(self.unread[:most])
            del self.unread[:most]
            return data
        data = os.read(self.source, min(most, PIECE))
        if not data:
            raise SystemExit(0)
        return data

    def answer(self, message: dict, data: bytes = b"") -> None:
        if data:
            message["size"] = len(data)
        rest = memoryview(encode(json.dumps(message) + "\n") + data)
        while rest:
            rest = rest[os.write(self.sink, rest) :]

    # Files.

    def get(self, request: dict) -> None:
        """{"get": PATH, "offset", "most"}: pieces of a file, from an offset on."""
        path = encode(expand(request["get"]))
        file = open_plain(path)
        try:
            offset = request.get("offset") or 0
            most = request.get("most")
            total = os.fstat(file).st_size
            end = total if most is None else min(total, offset + most)
            self.answer({"ok": True, "total": total, "mtime_ns": os.fstat(file).st_mtime_ns})
            while offset < end:
                data = os.pread(file, min(PIECE, end - offset), offset)
                if not data:
                    total = os.fstat(file).st_size  # it has become shorter meanwhile
                    break
                self.answer({}, data)
                offset += len(data)
            self.answer({"end": True, "total": total})
        finally:
            os.close(file)

    def put(self, request: dict) -> None:
        """{"put": PATH, "offset", "size", "final", "mode", "sha", "home"} and bytes: into PATH.part, which gets its
        name when all is there."""
        left = request["size"]
        try:
            path = encode(expand(request["put"]))
            if request.get("home") is not None:
                within(path, request["home"])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            file = os.open(path + b".part", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                at = os.fstat(file).st_size
                if request["offset"] > at:
                    raise RefusedError("%s.part has only %d bytes" % (decode(path), at), at=at)
                os.ftruncate(file, request["offset"])
                os.lseek(file, request["offset"], os.SEEK_SET)
                while left:
                    data = self.read_some(left)
                    left -= len(data)
                    while data:
                        data = data[os.write(file, data) :]
            finally:
                os.close(file)
            if request.get("final"):
                finish(path, request)
        except (RefusedError, OSError):
            while left:
                left -= len(self.read_some(left))  # the next request begins behind them
            raise
        self.answer({"ok": True})

    def have(self, request: dict) -> None:
        """{"have": [SHA...], "home"}: which objects are not here yet, and how much there is of those begun."""
        missing, partial = [], {}
        for sha in request["have"]:
            path = object_path(request["home"], sha)
            if not os.path.exists(path):
                missing.append(sha)
                try:
                    partial[sha] = os.stat(path + b".part").st_size
                except OSError:
                    pass
        self.answer({"ok": True, "missing": missing, "partial": partial})

    def tree(self, request: dict) -> None:
        """{"tree": DIR, "home", "files": [[REL, SHA, MODE]...]}: a folder of copies of objects, which appears whole."""
        folder = encode(expand(request["tree"]))
        within(folder, request["home"])
        if not os.path.isdir(folder):
            part = folder + b".part-%d" % os.getpid()
            remove_old_parts(folder)
            try:
                os.makedirs(part)
                for name, sha, mode in request["files"]:
                    copy_object(object_path(request["home"], sha), inside(part, name), sha, mode)
                try:
                    os.rename(part, folder)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise  # else another was quicker
            finally:
                remove_tree(part)
        self.answer({"ok": True})

    def list(self, request: dict) -> None:
        """{"list": DIR}: every file below it."""
        files: Any = []
        folder = encode(expand(request["list"]))
        for path, facts in walk(folder):
            entry = {"name": decode(path), "size": facts.st_size, "mtime": facts.st_mtime}
            if stat.S_ISLNK(facts.st_mode):
                entry["link"] = decode(os.readlink(os.path.join(folder, path)))
            if stat.S_ISLNK(facts.st_mode) or stat.S_ISREG(facts.st_mode):
                files.append(entry)
        self.answer({"ok": True, "files": files})

    def remove(self, request: dict) -> None:
        """{"remove": [PATH...], "home"}: files and whole folders, the home itself too; those that are not there are
        fine."""
        home = os.path.abspath(expand(request["home"]))
        if home in ("/", os.path.abspath(os.path.expanduser("~"))):
            raise RefusedError("%s is no folder of a lab" % home)
        paths = [encode(os.path.abspath(expand(path))) for path in request["remove"]]
        for path in paths:
            if decode(path) != home:
                within(path, home)
        for path in paths:
            remove_tree(path)
        self.answer({"ok": True})

    # Other questions that may take a while.

    def packages(self, request: dict) -> None:
        """{"packages": PYTHON}: what that interpreter has installed."""
        import subprocess

        code = (
            "import json,importlib.metadata as m;"
            "print(json.dumps({d.metadata['Name']:d.version for d in m.distributions() if d.metadata['Name']}))"
        )
        found = {}
        try:
            said = subprocess.run(
                ["nice", "-n", "19", expand(request["packages"]), "-c", code],  # tasks go first
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=30,
            )
            found = json.loads(said.stdout.decode("utf-8"))
        except (OSError, ValueError, subprocess.SubprocessError):
            pass  # no such program, or older than Python 3.8
        self.answer({"ok": True, "packages": found})

    def leave(self, request: dict) -> None:
        """{"leave": SPOOL}: whether an agent is alive there, and what it runs."""
        from tui_lab.engine.agent.leaving import spool_facts

        self.answer(dict(spool_facts(request["leave"]), ok=True))


def open_plain(path: bytes) -> int:
    """A file for reading. Raises OSError, RefusedError where it is no plain file."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise RefusedError("%s is a symbolic link" % decode(path))
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise RefusedError("%s is no plain file" % decode(path))
    return file


def within(path: bytes, home: str) -> None:
    """Raises RefusedError where a path leads out of the home, be it by symbolic links."""
    if not is_below(decode(path), expand(home)):
        raise RefusedError("%s is not below %s" % (decode(path), home))


def inside(folder: bytes, name: str) -> bytes:
    """The path of a relative name in a folder. Raises RefusedError where it is no such name."""
    if name.startswith("/") or not name or any(part in ("", ".", "..") for part in name.split("/")):
        raise RefusedError("%r is no name of a file in a folder" % name)
    return os.path.join(folder, encode(name))


def object_path(home: str, sha: str) -> bytes:
    if len(sha) != 64 or not all(letter in "0123456789abcdef" for letter in sha):
        raise RefusedError("%r is no SHA-256" % sha)
    return encode(os.path.join(expand(home), "objects", sha))


def finish(path: bytes, request: dict) -> None:
    """Give a whole file its name, after a look whether it is what it should be."""
    part = path + b".part"
    if request.get("sha") is not None and sha_of(part) != request["sha"]:
        os.unlink(part)
        raise RefusedError("%s came damaged" % decode(path), at=0)
    os.chmod(part, request.get("mode") or 0o644)
    os.rename(part, path)


def sha_of(path: bytes) -> str:
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while True:
            data = file.read(PIECE)
            if not data:
                return digest.hexdigest()
            digest.update(data)


def copy_object(source: bytes, target: bytes, sha: str, mode: int) -> None:
    """Copy an object; one that a crash of the node has damaged is removed. Raises RefusedError, with the
    object's name in `missing`."""
    digest = hashlib.sha256()
    os.makedirs(os.path.dirname(target), exist_ok=True)
    try:
        reading = open(source, "rb", buffering=0)
    except FileNotFoundError:
        raise RefusedError("an object is not here: %s" % sha, missing=[sha])
    with reading, open(target, "xb", buffering=0) as writing:
        while True:
            data = reading.read(PIECE)
            if not data:
                break
            digest.update(data)
            while data:
                data = data[writing.write(data) :]
    if digest.hexdigest() != sha:
        os.unlink(source)
        raise RefusedError("an object is damaged: %s" % sha, missing=[sha])
    os.chmod(target, mode)


def remove_tree(path: bytes) -> None:
    """A file or a folder with all in it, without following symbolic links; nothing there is fine."""
    import shutil

    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
        return
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def remove_old_parts(folder: bytes) -> None:
    """Of servers that have died while they made this tree."""
    parent, name = os.path.split(folder)
    if not os.path.isdir(parent):
        return
    for other in os.listdir(parent):
        pid = other.rpartition(b".part-")[2]
        if other.startswith(name + b".part-") and pid.isdigit() and not os.path.exists("/proc/%d" % int(pid)):
            remove_tree(os.path.join(parent, other))
