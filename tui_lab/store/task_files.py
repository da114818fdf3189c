"""The files in a task's folder. Tasks and nodes name them, so every look at one, every write and every removal goes
through here, or through the folder that `task_folder` gives: never behind a link that leads out of the task's folder.

The folders above it are the owner's: a lab, or its `tasks`, may be a link.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from tui_lab.portable.beneath import OPEN_FILE, OPEN_FOLDER, Folder, NoFolderError
from tui_lab.portable.globs import translate

_NO_FOLDER: Final = (errno.ENOTDIR, errno.ELOOP)


class TaskFile(NamedTuple):
    """A file by its name in a task's folder. A name that is absolute or has `..` in it can only be the owner's own,
    from the experiment's file, and is what it says."""

    folder: str
    name: str

    def __str__(self) -> str:
        return self.name if self.name.startswith("/") else f"{self.folder}/{self.name}"

    def open(self, plain: bool = True) -> int:
        """A descriptor for reading, which never waits. A link is followed where it leads to a file of the same task.
        plain: a pipe or a folder is refused; without it, reading finds out.

        Raises OSError: FileNotFoundError where there is none, or a link leads nowhere; else its `strerror` says what
        is wrong, to stand behind the file's name.
        """
        try:
            folder = os.open(self.folder, OPEN_FOLDER)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                raise _no_folder(self.folder) from None
            raise
        try:
            file = os.open(self.name, OPEN_FILE, dir_fd=folder) if "/" not in self.name else self._open_deep(folder)
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            file = self._open_link(folder)
        finally:
            os.close(folder)
        return _plain(file, self.name) if plain else file

    def _open_deep(self, folder: int) -> int:
        """By parts, as `beneath` does it; but what is mounted here may be read."""
        if self.name.startswith("/") or ".." in self.name.split("/"):
            return os.open(self, OPEN_FILE & ~os.O_NOFOLLOW)
        parts = [part for part in self.name.split("/") if part not in ("", ".")]
        try:
            at = os.dup(folder)
            for part in parts[:-1]:
                before = at
                try:
                    at = os.open(part, OPEN_FOLDER, dir_fd=before)
                finally:
                    os.close(before)
        except OSError as error:
            if error.errno in _NO_FOLDER:
                raise OSError(errno.ELOOP, "is behind a symbolic link", self.name) from None
            raise
        try:
            return os.open(parts[-1], OPEN_FILE, dir_fd=at)
        finally:
            os.close(at)

    def _open_link(self, folder: int) -> int:
        """What a link leads to: by a way without links, from the folder that is open."""
        top = os.path.realpath(self.folder)
        real = os.path.realpath(f"{top}/{self.name}")
        if not os.path.lexists(real):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self))
        if real == top:
            raise OSError(errno.EINVAL, "is no plain file", str(self))
        if not real.startswith(f"{top}/"):
            raise OSError(errno.ELOOP, "is a symbolic link out of the task's folder, which is not followed", str(self))
        with Folder(os.dup(folder)) as whole:
            return whole.read(os.fsencode(real[len(top) + 1 :]))

    def trouble(self) -> str:
        """Why it can't be read although something is there, to stand behind its name; else empty."""
        try:
            os.close(self.open())
        except FileNotFoundError:
            return ""
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def __fspath__(self) -> str:
        return str(self)

    @property
    def size(self) -> int | None:
        """Bytes; None where there is no such file, or it can't be read."""
        try:
            file = self.open()
        except OSError:
            return None
        try:
            return os.fstat(file).st_size
        finally:
            os.close(file)


def _plain(file: int, name: str) -> int:
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "is no plain file", name)
    return file


def _no_folder(folder: str) -> OSError:
    try:
        what = f"its folder is a symbolic link to {Path(folder).readlink()}, which is not followed"
    except OSError:
        what = "its folder is a file"
    return OSError(errno.ENOTDIR, what, folder)


def task_folder(path: Path, make: bool = False) -> Folder:
    """A task's folder, open. make: where there is none; a link or file in its place makes room. Raises OSError,
    NoFolderError where it is a link or a file."""
    with Folder.base(os.fsencode(path.parent), make) as parent:
        return parent.folder(os.fsencode(path.name), make, make)


def listed(path: Path, deep: bool = False) -> list[tuple[str, os.stat_result]]:
    """The plain files in a task's folder, by name; deep: at any depth. Empty where there is no such folder."""
    try:
        with task_folder(path) as folder:
            found = folder.walk() if deep else folder.entries()
            return [(os.fsdecode(one.path), one.facts) for one in found if one.facts is not None and one.is_file]
    except OSError:
        return []


def matching(folder: str, glob: str) -> list[str]:
    """Names of the files in a task's folder, and of links to such, that a glob matches: `*` and `?` stay within a name,
    `**` spans folders."""
    import re

    wanted = re.compile(translate(glob), re.DOTALL).fullmatch
    try:
        with task_folder(Path(folder)) as top:
            found = [(os.fsdecode(entry.path), entry) for entry in top.walk()]
    except OSError:
        return []
    return sorted(
        name
        for name, entry in found
        if wanted(name) and (entry.is_file or (entry.is_link and TaskFile(folder, name).size is not None))
    )


__all__ = ["NoFolderError", "TaskFile", "listed", "matching", "task_folder"]
