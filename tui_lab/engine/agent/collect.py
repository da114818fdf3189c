"""Outputs of attempts on a node that does not see the lab's folder: what there is, and its removal once it is home."""

import errno
import os
import re
import stat

from tui_lab.engine.agent.attempt import METRICS, STREAMS, Attempt
from tui_lab.engine.agent.globs import matcher
from tui_lab.engine.agent.processes import decode, encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INLINE = 1 << 16  # bytes of a file that may ride in the event
INLINE_ALL = 1 << 20  # of all those together
LISTED = 1000  # files that stay behind and are named one by one
LIVE = 1 << 18  # bytes of live metrics in a message


def walk(folder: bytes):
    """(path relative to the folder, status) of everything in it that is no folder; what vanishes meanwhile is left
    out. Symbolic links are not followed."""
    waiting = [b""]
    while waiting:
        below = waiting.pop()
        try:
            with os.scandir(os.path.join(folder, below)) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    path = os.path.join(below, entry.name)
                    try:
                        if entry.is_dir(follow_symlinks=False):
                            waiting.append(path)
                        else:
                            yield path, entry.stat(follow_symlinks=False)
                    except OSError:
                        pass
        except OSError:
            if not below:
                raise


class Outputs:
    """What an attempt has left in its folder, as it is now: `files` come home, `left` stay, `body` are the bytes of
    the small ones in the order of `files`."""

    def __init__(self, attempt: Attempt) -> None:
        self.files: Any = []
        self.left: Any = []
        self.left_more = {"files": 0, "size": 0}
        self.body = b""
        self.room = attempt.message["collect"]["most"]
        wanted = matcher(attempt.message["collect"]["keep"])
        own, others = streams(attempt)
        folder = encode(attempt.folder)
        try:
            found = [(decode(path), facts) for path, facts in walk(folder) if decode(path) not in others]
        except OSError:
            found = []  # it never came to a folder, or someone removed it
        found.sort(key=lambda pair: (pair[0] not in own, pair[0]))
        pieces = []
        inlined = 0
        for name, facts in found:
            if stat.S_ISLNK(facts.st_mode):
                self.add_link(folder, name, wanted(name))
            elif stat.S_ISREG(facts.st_mode):
                if not (name in own or wanted(name)) or facts.st_size > self.room or not readable(facts):
                    self.leave(name, facts.st_size)
                    continue
                entry = {"name": name, "size": facts.st_size, "mode": facts.st_mode & 0o777}
                if facts.st_size <= INLINE and inlined + facts.st_size <= INLINE_ALL:
                    data = content(os.path.join(folder, encode(name)), INLINE)
                    if data is None:
                        continue  # it has just vanished
                    entry["size"], entry["inline"] = len(data), True
                    inlined += len(data)
                    pieces.append(data)
                self.room -= entry["size"]
                self.files.append(entry)
        self.body = b"".join(pieces)

    def add_link(self, folder: bytes, name: str, wanted) -> None:
        try:
            target = decode(os.readlink(os.path.join(folder, encode(name))))
        except OSError:
            return
        if wanted:
            self.files.append({"name": name, "link": target})
        else:
            self.leave(name, 0, link=target)

    def leave(self, name: str, size: int, **more) -> None:
        if len(self.left) < LISTED:
            self.left.append(dict(more, name=name, size=size))
        else:
            self.left_more["files"] += 1
            self.left_more["size"] += size

    def members(self) -> dict:
        """What the event says of them."""
        found = {"files": self.files, "left": self.left}
        if self.left_more["files"]:
            found["left_more"] = self.left_more
        return found


def streams(attempt: Attempt) -> tuple:
    """Names of the numbered files of this attempt, and a container of those of other attempts of its task."""
    bases = [METRICS]
    for step in attempt.names or [None]:
        bases += [name if step is None else step + "." + name for name in STREAMS]
    own = {attempt.file(base) for base in bases}
    return own, Numbered(bases, own)


class Numbered:
    """Files that carry the number of an attempt, but for those of one."""

    def __init__(self, bases: list, own: set) -> None:
        self.match = re.compile("(?:%s)(?:\\.[0-9]+)?\\Z" % "|".join(map(re.escape, bases))).match
        self.own = own

    def __contains__(self, name: str) -> bool:
        return name not in self.own and self.match(name) is not None


def readable(facts: os.stat_result) -> bool:
    if os.getuid() == 0:
        return True
    return bool(facts.st_mode & (0o400 if facts.st_uid == os.getuid() else 0o044))


def content(path: bytes, most: int):
    """The bytes of a small file, None where it is gone or no plain file any more."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        data = b""
        while len(data) < most:
            more = os.read(file, most - len(data))
            if not more:
                break
            data += more
        return data
    except OSError:
        return None
    finally:
        os.close(file)


def fresh_metrics(attempt: Attempt):
    """(message, bytes) with what a running attempt has appended to its live metrics; None where that is nothing."""
    name = attempt.file(METRICS)
    try:
        file = os.open(encode(os.path.join(attempt.folder, name)), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        data = os.pread(file, LIVE, attempt.metrics_told)
    except OSError:
        return None
    finally:
        os.close(file)
    if not data:
        return None
    message = {"type": "output", "key": attempt.key, "name": name, "offset": attempt.metrics_told}
    attempt.metrics_told += len(data)
    return message, data


def remove(attempt: Attempt, files: list, shared: bool) -> None:
    """Remove what was carried home, and the folders that are empty then. shared: another attempt still uses the
    folder, so that only this one's own files may go."""
    folder = encode(attempt.folder)
    own, _ = streams(attempt)
    for entry in files:
        if not shared or entry["name"] in own:
            try:
                os.unlink(os.path.join(folder, encode(entry["name"])))
            except OSError:
                pass
    if not shared:
        prune(folder)


def prune(folder: bytes) -> None:
    """Remove a folder and those below it, as far as they are empty."""
    found = [path for path, _, _ in os.walk(folder)]
    for path in reversed(found):
        try:
            os.rmdir(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                return
