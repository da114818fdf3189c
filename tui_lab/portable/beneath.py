"""Files below a folder, reached without following a symbolic link.

At any moment a task may put a link, or something of another kind, in the place of anything in its folder. So no whole
path is ever opened here: each part is opened by itself, relative to the descriptor of the part before, and never
through a link (`O_NOFOLLOW`; what openat2 does with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV, on any
kernel and Python). File systems that are mounted below are not entered: they may belong to another machine. The base
folder is the exception: it belongs to the owner, and may be a link or lie behind links.

Paths are bytes, relative, without `.` and `..`."""

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

KEPT_SUFFIX = b".tui-lab-old"  # suffix of a file or folder that was moved aside
NAME_MAX = 255  # bytes of a file name
MAX_DEPTH = 200  # levels of folders that are walked: each is opened from the top
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
OPEN_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class NoFolderError(OSError):
    """Raised when something else is in the place of a folder; `link` is its target, if it is a symbolic link."""

    link = None  # type: bytes | None


class MountError(OSError):
    """Raised when another file system, or another part of the same one, is mounted in the place of a folder."""


class Entry:
    """An entry below a folder: anything but a folder, or a folder that was not entered, for which `error` says why.

    facts: the stat result of the entry itself, not of a link's target; None where the kernel gives none."""

    def __init__(self, path: bytes, facts: "os.stat_result | None", error: "OSError | None" = None) -> None:
        self.path = path
        self.facts = facts
        self.error = error

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file."""
        return self.facts is not None and stat.S_ISREG(self.facts.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.facts is not None and stat.S_ISLNK(self.facts.st_mode)


def split_path(path: bytes) -> "list[bytes]":
    """Return the parts of a path. Raises ValueError for a path that could lead out of a folder, or is empty."""
    parts = path.split(b"/")
    if b"\0" in path or any(part in (b"", b".", b"..") for part in parts):
        raise ValueError("%r is no name of a file in a folder" % os.fsdecode(path))
    return parts


class Folder:
    """An open folder. It stays the same folder while it is open, whatever happens to its name."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._system = None  # type: tuple[int, bytes] | None

    @property
    def system(self) -> "tuple[int, bytes]":
        """The file system and the mount that it is in.

        Only root can mount a part of a file system elsewhere in it, so the mount is asked for only by root."""
        if self._system is None:
            mount = mount_of(self.descriptor) if os.geteuid() == 0 else b""
            self._system = os.fstat(self.descriptor).st_dev, mount
        return self._system

    @classmethod
    def base(cls, path: bytes, make: bool = False) -> "Folder":
        """Open the owner's folder; links are followed. Raises OSError."""
        while True:
            try:
                return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY))
            except FileNotFoundError:
                if not make:
                    raise
                os.makedirs(path, exist_ok=True)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)

    # --- Folders below

    def folder(self, path: bytes, make: bool = False, clear: bool = False) -> "Folder":
        """Open a folder below this one; b"" is this one itself. make: create it where it does not exist.

        clear: move aside what is no folder. Raises OSError, NoFolderError."""
        at = Folder(os.dup(self.descriptor))
        for part in split_path(path) if path else ():
            with at:
                at = at._open_child(part, make, clear)
        return at

    def _open_child(self, name: bytes, make: bool, clear: bool) -> "Folder":
        while True:
            try:
                found = Folder(os.open(name, OPEN_FOLDER, dir_fd=self.descriptor))
            except FileNotFoundError:
                if not make:
                    raise
                try:
                    os.mkdir(name, dir_fd=self.descriptor)
                except FileExistsError:
                    pass
            except OSError as error:
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                if not clear:
                    raise self._no_folder_error(name)
                self.clear(name)
            else:
                if found.system == self.system:
                    return found
                found.close()
                raise MountError(errno.EXDEV, "another file system is mounted there", name)

    def _no_folder_error(self, name: bytes) -> NoFolderError:
        try:
            link = os.readlink(name, dir_fd=self.descriptor)
        except OSError:
            return NoFolderError(errno.ENOTDIR, "is no folder", name)
        error = NoFolderError(errno.ENOTDIR, "is a symbolic link, not a folder", name)
        error.link = link
        return error

    def parent(self, path: bytes, make: bool = False, clear: bool = False) -> "tuple[Folder, bytes]":
        """Return the folder that holds the last part of a path, and that part. make, clear: as for `folder`."""
        parts = split_path(path)
        return self.folder(b"/".join(parts[:-1]), make, clear), parts[-1]

    # --- Looking

    def facts(self, path: bytes) -> os.stat_result:
        """Return the stat result of what a path names, even of a link. Raises OSError."""
        folder, name = self.parent(path)
        with folder:
            return os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)

    def link(self, path: bytes) -> bytes:
        """Return the target of a symbolic link. Raises OSError."""
        folder, name = self.parent(path)
        with folder:
            return os.readlink(name, dir_fd=folder.descriptor)

    def read(self, path: bytes) -> int:
        """Return a descriptor for reading a plain file. Raises OSError, also where it is none."""
        folder, name = self.parent(path)
        with folder:
            try:
                file = os.open(name, OPEN_FILE, dir_fd=folder.descriptor)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                raise OSError(errno.ELOOP, "is a symbolic link", path)
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            raise OSError(errno.EINVAL, "is no plain file", path)
        return file

    def entries(self) -> "Iterator[Entry]":
        """Yield the entries of this folder by name, folders included; those that are removed meanwhile are left out.

        Raises OSError."""
        for name in sorted(map(os.fsencode, os.listdir(self.descriptor))):
            try:
                yield Entry(name, os.stat(name, dir_fd=self.descriptor, follow_symlinks=False))
            except FileNotFoundError:
                pass
            except OSError as error:  # a FUSE mount whose server has died
                yield Entry(name, None, error)

    def walk(self) -> "Iterator[Entry]":
        """Yield everything below that is no folder, and the folders that can't be entered. What is removed meanwhile is
        left out.

        Raises OSError where this folder itself can't be read."""
        for _, _, entries in self._tree():
            for entry in entries:
                yield entry

    def has_empty_folders(self) -> bool:
        """Return whether a folder below has nothing in it. Raises OSError where this folder itself can't be read."""
        bare, parents = set(), {b""}
        for below, _, entries in self._tree():
            parents.add(below.rpartition(b"/")[0])
            if not entries:
                bare.add(below)
        return bool(bare - parents)

    def _tree(self) -> "Iterator[tuple[bytes, Folder | None, list[Entry]]]":
        """Yield each folder below: its path, b"" for this one; the folder, open until the next is asked for; its
        entries without the folders that follow.

        For a folder that can't be entered, the folder is None, and an entry says why."""
        waiting = [b""]
        while waiting:
            below = waiting.pop()
            entries = []  # type: list[Entry]
            try:
                folder = self.folder(below)
            except FileNotFoundError:
                continue
            except OSError as error:
                yield below, None, [Entry(below, None, error)]
                continue
            with folder:
                try:
                    for entry in folder.entries():
                        path = below + b"/" + entry.path if below else entry.path
                        is_folder = entry.facts is not None and stat.S_ISDIR(entry.facts.st_mode)
                        if is_folder and path.count(b"/") < MAX_DEPTH:
                            waiting.append(path)
                            continue
                        if is_folder:
                            entry.error = OSError(errno.ENAMETOOLONG, "it is more than %d folders deep" % MAX_DEPTH)
                        entry.path = path
                        entries.append(entry)
                except OSError as error:
                    if not below:
                        raise
                    entries.append(Entry(below, None, error))
                yield below, folder, entries

    # --- Writing

    def create(self, path: bytes, append: bool = False) -> int:
        """Return a descriptor for writing a new file; what has its name is moved aside. Raises OSError."""
        folder, name = self.parent(path, make=True, clear=True)
        with folder:
            while True:
                try:
                    return os.open(name, _OPEN_NEW | (os.O_APPEND if append else 0), 0o666, dir_fd=folder.descriptor)
                except FileExistsError:
                    folder.clear(name, plain=True)

    def reopen(self, path: bytes, append: bool = False, made: "int | None" = None) -> int:
        """Return a descriptor for writing to a plain file. Raises OSError.

        It is a new file where there is none, or where the file may have a hard link outside of the folder; that one is
        kept under another name. made: the inode of a file that was made here, which may have any number of links."""
        folder, name = self.parent(path)
        with folder:
            file = folder.open_own(name, os.O_WRONLY | (os.O_APPEND if append else 0), made)
            if file is None:
                folder.clear(name)
                file = folder.create(name, append)
            return file

    def open_own(self, name: bytes, flags: int, made: "int | None" = None) -> "int | None":
        """Return a descriptor of a plain file that has only this name, or was made here; None where there is none.

        Raises OSError."""
        try:
            file = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise
            return None
        facts = os.fstat(file)
        if stat.S_ISREG(facts.st_mode) and (facts.st_nlink == 1 or facts.st_ino == made):
            os.set_blocking(file, True)
            return file
        os.close(file)
        return None

    def symlink(self, target: bytes, path: bytes) -> None:
        """Make a symbolic link, or change its target. Raises OSError."""
        folder, name = self.parent(path, make=True, clear=True)
        with folder:
            folder.clear(name)
            os.symlink(target, name, dir_fd=folder.descriptor)

    def rename(self, name: bytes, other: bytes) -> None:
        """Rename an entry of this folder, in the place of a file or link with the new name. Raises OSError."""
        try:
            os.rename(name, other, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except OSError as error:
            if error.errno not in (errno.EISDIR, errno.ENOTEMPTY, errno.EEXIST):
                raise
            self.clear(other)  # a folder is in the way
            os.rename(name, other, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def clear(self, name: bytes, plain: bool = False) -> None:
        """Make room for something of another kind. Links, empty folders and special files are removed; files and other
        folders are kept under another name.

        plain: remove a plain file as well, for another takes its place."""
        try:
            facts = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                try:
                    os.rmdir(name, dir_fd=self.descriptor)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    self._move_aside(name)
            elif stat.S_ISREG(facts.st_mode) and not plain:
                self._move_aside(name)
            else:
                os.unlink(name, dir_fd=self.descriptor)
        except FileNotFoundError:
            pass

    def _move_aside(self, name: bytes) -> None:
        number = 1
        while True:
            ending = KEPT_SUFFIX if number == 1 else KEPT_SUFFIX + b"-%d" % number
            other = name[: NAME_MAX - len(ending)] + ending
            try:
                os.stat(other, dir_fd=self.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                os.rename(name, other, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
                return
            number += 1

    # --- Removing

    def unlink(self, path: bytes) -> None:
        """Remove a file or link. Raises OSError."""
        folder, name = self.parent(path)
        with folder:
            os.unlink(name, dir_fd=folder.descriptor)

    def remove(self, path: bytes) -> None:
        """Remove a file, a link, or a folder with its content. It is no error where it does not exist.

        Raises OSError."""
        try:
            folder, name = self.parent(path)
        except FileNotFoundError:
            return
        with folder:
            try:
                with folder.folder(name) as whole:
                    whole.empty()
                os.rmdir(name, dir_fd=folder.descriptor)
            except FileNotFoundError:
                pass
            except NoFolderError:
                folder.unlink(name)

    def empty(self) -> None:
        """Remove the content of this folder. Raises OSError at the end, where something can't be removed."""
        trouble = self._empty()
        while isinstance(trouble, _TooDeepError):
            trouble = self._empty()
        if trouble is not None:
            raise trouble

    def _empty(self) -> "OSError | None":
        """Return the first error. What lies too deep has been moved up, to be removed by another call."""
        trouble = None  # type: OSError | None
        folders = []
        for below, folder, entries in self._tree():
            if folder is not None and below:
                folders.append(below)
            for entry in entries:
                try:
                    name = entry.path.rpartition(b"/")[2]
                    if entry.error is None and folder is not None:
                        os.unlink(name, dir_fd=folder.descriptor)
                    elif entry.facts is not None and folder is not None:  # a folder
                        self._move_up(folder, name)
                        trouble = _TooDeepError()
                    else:
                        raise entry.error or OSError(errno.EIO, os.strerror(errno.EIO))
                except FileNotFoundError:
                    pass
                except OSError as error:
                    error.filename = entry.path
                    trouble = trouble or error
        for below in reversed(folders):
            try:
                self.rmdir(below)
            except FileNotFoundError:
                pass
            except OSError as error:
                trouble = trouble or error
        return trouble

    def _move_up(self, folder: "Folder", name: bytes) -> None:
        number = 1
        while True:
            try:
                other = KEPT_SUFFIX + b"-%d" % number
                os.stat(other, dir_fd=self.descriptor, follow_symlinks=False)
                number += 1
            except FileNotFoundError:
                os.rename(name, other, src_dir_fd=folder.descriptor, dst_dir_fd=self.descriptor)
                return

    def prune(self) -> None:
        """Remove the empty folders below, and those that are empty then."""
        for below in reversed([below for below, folder, _ in self._tree() if folder is not None and below]):
            try:
                self.rmdir(below)
            except OSError:
                pass  # something is in it, or it is gone

    def rmdir(self, path: bytes) -> None:
        """Remove an empty folder. Raises OSError."""
        folder, name = self.parent(path)
        with folder:
            os.rmdir(name, dir_fd=folder.descriptor)


class _TooDeepError(OSError):
    pass


def mount_of(descriptor: int) -> bytes:
    """Return the id of the mount that an open file is in; empty where the kernel does not report it."""
    try:
        file = os.open("/proc/self/fdinfo/%d" % descriptor, os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.read(file, 1000).partition(b"mnt_id:")[2].partition(b"\n")[0].strip()
    finally:
        os.close(file)
