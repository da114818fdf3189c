"""Outputs of attempts on a node that does not see the lab's folder: what there is, and its removal once it is home."""

import os
import re

from tui_lab.engine.agent.attempt import METRICS, STREAMS, Attempt
from tui_lab.engine.agent.text import decode, encode
from tui_lab.portable.beneath import Folder, NoFolderError
from tui_lab.portable.globs import matcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INLINE = 1 << 16  # bytes of a file that may ride in the event
INLINE_TOTAL = 1 << 20  # of all those together
MAX_SKIPPED = 1000  # files that stay behind and are named one by one
METRICS_CHUNK = 1 << 18  # bytes of live metrics in a message


class CollectedFiles:
    """What an attempt has left in its folder, as it is now: `files` come home, `left` stay, `body` are the bytes of
    the small ones in the order of `files`. concurrent: the numbers of other attempts that use the folder now."""

    def __init__(self, attempt: Attempt, concurrent=()) -> None:
        self.files: Any = []
        self.skipped: Any = []
        self.link: Any = None  # where a symbolic link leads that stands in the place of the folder
        self.error = ""  # why nothing can be said of the files
        self.skipped_more = {"files": 0, "size": 0}
        self.body = b""
        self.room = attempt.message["collect"]["most"]
        self.top = attempt.folder.rstrip("/") + "/"
        wanted = matcher(attempt.message["collect"]["keep"])
        own, others = numbered_files(attempt, concurrent)
        try:
            with attempt.open_folder() as folder:
                self.add_files(folder, own, others, wanted)
        except NoFolderError as error:
            self.link = None if error.link is None else decode(error.link)
            self.error = "" if self.link is not None else "its folder is a file"
        except FileNotFoundError:
            self.error = "its folder is gone"
        except OSError as error:
            self.error = "its folder can't be read: %s" % error.strerror

    def add_files(self, folder: Folder, own: set, others: "OtherAttempts", wanted) -> None:
        found = [(decode(entry.path), entry) for entry in folder.walk()]
        found = [pair for pair in found if pair[0] not in others]
        found.sort(key=lambda pair: (pair[0] not in own, pair[0]))
        pieces = []
        inlined = 0
        for name, entry in found:
            facts = entry.facts
            if entry.error is not None:
                self.skip(name, 0, error=entry.error.strerror)
            elif entry.is_link:
                self.add_link(folder, name, wanted(name))
            elif facts is not None and entry.is_file:
                if not (name in own or wanted(name)) or facts.st_size > self.room or not readable(facts):
                    self.skip(name, facts.st_size)
                    continue
                file = {"name": name, "size": facts.st_size, "mode": facts.st_mode & 0o777}
                if facts.st_size <= INLINE and inlined + facts.st_size <= INLINE_TOTAL:
                    try:
                        data = content(folder, entry.path, INLINE)
                    except FileNotFoundError:
                        continue  # it has just vanished
                    except OSError as error:
                        self.skip(name, facts.st_size, error=error.strerror)
                        continue
                    file["size"], file["inline"] = len(data), True
                    inlined += len(data)
                    pieces.append(data)
                self.room -= file["size"]
                self.files.append(file)
        self.body = b"".join(pieces)

    def add_link(self, folder: Folder, name: str, wanted) -> None:
        try:
            target = decode(folder.link(encode(name)))
        except OSError:
            return
        if target.startswith(self.top):  # the folder has another path at home
            target = os.path.relpath(target, os.path.dirname(self.top + name))
        if wanted:
            self.files.append({"name": name, "link": target})
        else:
            self.skip(name, 0, link=target)

    def skip(self, name: str, size: int, **more) -> None:
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(dict(more, name=name, size=size))
        else:
            self.skipped_more["files"] += 1
            self.skipped_more["size"] += size

    @property
    def collected(self) -> tuple:
        """What goes from here once it is home: files, and where the link leads that stands for the folder."""
        return self.files, self.link

    def event_fields(self) -> dict:
        """What the event says of them."""
        found = {"files": self.files, "left": self.skipped}
        if self.skipped_more["files"]:
            found["left_more"] = self.skipped_more
        if self.link is not None:
            found["folder_link"] = self.link
        if self.error:
            found["folder_trouble"] = self.error
        return found


def numbered_files(attempt: Attempt, concurrent=()) -> tuple:
    """Names of the numbered files of this attempt, and a container of those of other attempts of its task."""
    bases = [METRICS]
    for step in attempt.names or [None]:
        bases += [name if step is None else step + "." + name for name in STREAMS]
    own = {attempt.file(base) for base in bases}
    return own, OtherAttempts(bases, attempt.message["attempt"], concurrent)


class OtherAttempts:
    """Files of other attempts, by the number that they carry. What carries another one a task has written itself, as
    programs that write `stdout.0`, `stdout.1`, ... for their ranks."""

    def __init__(self, bases: list, number: int, concurrent) -> None:
        self.match = re.compile("(?:%s)(?:\\.([1-9][0-9]*))?\\Z" % "|".join(map(re.escape, bases))).match
        self.number = number
        self.concurrent = concurrent

    def __contains__(self, name: str) -> bool:
        found = self.match(name)
        if found is None or found.group(1) == "1":
            return False
        number = int(found.group(1) or 1)
        return number < self.number or (number != self.number and number in self.concurrent)


def readable(facts: os.stat_result) -> bool:
    if os.getuid() == 0:
        return True
    return bool(facts.st_mode & (0o400 if facts.st_uid == os.getuid() else 0o044))


def content(folder: Folder, path: bytes, most: int) -> bytes:
    """The bytes of a small file. Raises OSError."""
    file = folder.read(path)
    try:
        data = b""
        while len(data) < most:
            more = os.read(file, most - len(data))
            if not more:
                break
            data += more
        return data
    finally:
        os.close(file)


def new_metrics(attempt: Attempt):
    """(message, bytes) with what a running attempt has appended to its live metrics; None where that is nothing."""
    name = attempt.file(METRICS)
    try:
        with attempt.open_folder() as folder:
            file = folder.read(encode(name))
    except OSError:
        return None
    try:
        data = os.pread(file, METRICS_CHUNK, attempt.metrics_sent)
    except OSError:
        return None
    finally:
        os.close(file)
    if not data:
        return None
    message = {"type": "output", "key": attempt.key, "name": name, "offset": attempt.metrics_sent}
    attempt.metrics_sent += len(data)
    return message, data


def remove_collected(attempt: Attempt, files: list, link, shared: bool) -> None:
    """Remove what was carried home, and the folders that are empty then. link: where the one leads that was carried in
    the place of the folder. shared: another attempt still uses the folder, so that only this one's own files may go."""
    own, _ = numbered_files(attempt)
    try:
        parent, name = attempt.open_parent()
    except OSError:
        return
    with parent:
        try:
            with parent.folder(name) as folder:
                for entry in files if link is None else ():
                    if not shared or entry["name"] in own:
                        try:
                            folder.unlink(encode(entry["name"]))
                        except OSError:
                            pass
                if not shared:
                    folder.prune()
            if not shared:
                parent.rmdir(name)
        except NoFolderError as error:
            if link is not None and not shared and error.link == encode(link):
                parent.unlink(name)  # it was carried home, and nothing behind it
        except OSError:
            pass  # something has stayed in it
