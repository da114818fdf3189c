"""Output files of attempts on a node that does not see the lab's folder: which there are, and their removal once the
engine has them."""

import os
import re

from tui_lab.engine.agent.attempt import METRICS, STREAMS, Attempt
from tui_lab.engine.agent.text import decode, encode
from tui_lab.portable.beneath import Folder, NoFolderError
from tui_lab.portable.globs import matcher

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

INLINE = 1 << 16  # bytes of a file that is sent in the event
INLINE_TOTAL = 1 << 20  # bytes of all of them
MAX_SKIPPED = 1000  # files that stay here and are named
METRICS_CHUNK = 1 << 18  # bytes of live metrics in a message


class CollectedFiles:
    """The files in an attempt's folder, as they are now. `files` go to the engine, `skipped` stay here, `body` has the
    bytes of the small ones in the order of `files`.

    concurrent: the numbers of other attempts that use the folder now."""

    def __init__(self, attempt: Attempt, concurrent=()) -> None:
        self.files: Any = []
        self.skipped: Any = []
        self.link: Any = None  # target of a symbolic link in the place of the folder
        self.error = ""  # why the files are not known
        self.is_whole = True  # nothing is there that can't be collected
        self.skipped_more = {"files": 0, "size": 0}
        self.body = b""
        self.room = attempt.message["collect"]["most"]
        self.top = attempt.folder.rstrip("/") + "/"
        wanted = matcher(attempt.message["collect"]["keep"])
        later = attempt.message["collect"].get("later") or ()
        declared = matcher([*(attempt.message.get("outs") or ()), *later])
        own, others = numbered_files(attempt, concurrent)
        try:
            with attempt.open_folder() as folder:
                self.add_files(folder, own, others, wanted, declared)
                if attempt.message["steps"] > 1 and folder.has_empty_folders():
                    self.is_whole = False
        except NoFolderError as error:
            self.link = None if error.link is None else decode(error.link)
            self.error = "" if self.link is not None else "its folder is a file"
        except FileNotFoundError:
            self.error = "its folder is gone"
        except OSError as error:
            self.error = "its folder can't be read: %s" % error.strerror

    def add_files(self, folder: Folder, own: set, others: "OtherAttempts", wanted, declared) -> None:
        """Sort the entries of the folder into `files` and `skipped`.

        wanted: tells whether a path is to be collected. declared: whether it is, of any size: later stages read it."""
        found = [(decode(entry.path), entry) for entry in folder.walk()]
        found = [pair for pair in found if pair[0] not in others]
        found.sort(key=lambda pair: (pair[0] not in own, pair[0]))
        behind = targets(self.top, (entry.path for name, entry in found if entry.is_link and declared(name)))
        pieces = []
        inlined = 0
        for name, entry in found:
            facts = entry.facts
            if entry.error is not None:
                self.skip(name, 0, error=entry.error.strerror)
            elif entry.is_link:
                self.add_link(folder, name, wanted(name) or declared(name))
            elif facts is not None and entry.is_file:
                read_later = declared(name) or name in behind
                kept = read_later or ((name in own or wanted(name)) and facts.st_size <= self.room)
                if not kept or not readable(facts):
                    self.skip(name, facts.st_size)
                    continue
                file = {"name": name, "size": facts.st_size, "mode": facts.st_mode & 0o777}
                if facts.st_size <= INLINE and inlined + facts.st_size <= INLINE_TOTAL:
                    try:
                        data = content(folder, entry.path, INLINE)
                    except FileNotFoundError:
                        continue  # it was just removed
                    except OSError as error:
                        self.skip(name, facts.st_size, error=error.strerror)
                        continue
                    file["size"], file["inline"] = len(data), True
                    inlined += len(data)
                    pieces.append(data)
                self.room -= 0 if read_later else file["size"]
                self.files.append(file)
            else:
                self.is_whole = False
        self.body = b"".join(pieces)

    def add_link(self, folder: Folder, name: str, wanted) -> None:
        """Add a symbolic link.

        A target within the folder becomes relative, for the folder has another path in the lab."""
        try:
            target = decode(folder.link(encode(name)))
        except OSError:
            return
        if target.startswith(self.top):  # the folder has another path in the lab
            target = os.path.relpath(target, os.path.dirname(self.top + name))
        if wanted:
            self.files.append({"name": name, "link": target})
        else:
            self.skip(name, 0, link=target)

    def skip(self, name: str, size: int, **more) -> None:
        """Note a file that stays here. The first 1000 are named, the others counted."""
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(dict(more, name=name, size=size))
        else:
            self.skipped_more["files"] += 1
            self.skipped_more["size"] += size

    @property
    def collected(self) -> tuple:
        """The files, and the target of the link that stands for the folder: what is removed here once the engine has
        it."""
        return self.files, self.link

    def event_fields(self) -> dict:
        """Return the fields of the event that describe the files."""
        found = {"files": self.files, "left": self.skipped}
        if self.skipped_more["files"]:
            found["left_more"] = self.skipped_more
        if self.link is not None:
            found["folder_link"] = self.link
        if self.error:
            found["folder_trouble"] = self.error
        return found


def numbered_files(attempt: Attempt, concurrent=()) -> tuple:
    """Return the names of this attempt's numbered files, and a container with those of other attempts of the task."""
    bases = [METRICS]
    for step in attempt.names or [None]:
        bases += [name if step is None else step + "." + name for name in STREAMS]
    own = {attempt.file(base) for base in bases}
    return own, OtherAttempts(bases, attempt.message["attempt"], concurrent)


class OtherAttempts:
    """A container of the files of other attempts, by the number in their names.

    A file with any other number was written by the task itself, as `stdout.0`, `stdout.1`, ... by programs that write
    one per rank."""

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


def targets(top: str, links) -> set:
    """Return the names of what some links lead to within a folder, whose path ends with a slash."""
    names = set()
    real = os.path.realpath(encode(top)) + b"/"
    for link in links:
        target = os.path.realpath(os.path.join(real, link))
        if target.startswith(real):
            names.add(decode(target[len(real) :]))
    return names


def readable(facts: os.stat_result) -> bool:
    """Return whether this user may read a file."""
    if os.getuid() == 0:
        return True
    return bool(facts.st_mode & (0o400 if facts.st_uid == os.getuid() else 0o044))


def content(folder: Folder, path: bytes, most: int) -> bytes:
    """Return the bytes of a small file. Raises OSError."""
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
    """Return a message and the bytes that a running attempt has appended to its live metrics; None where there are
    none."""
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
    """Remove the files that the engine has, and the folders that are empty then.

    link: the target of the link that stands for the folder. shared: another attempt still uses the folder, so only this
    attempt's own files are removed."""
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
                parent.unlink(name)  # the engine has the link
        except OSError:
            pass  # it is not empty
