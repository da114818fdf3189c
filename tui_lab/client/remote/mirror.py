"""The mirror: the folder here with the journals, plans and tables of a lab on another machine.

It is a lab for all that reads. The folders above it are those of the lab's path there, so that what lies beside the lab
is found beside the mirror.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import zlib
from contextlib import suppress
from pathlib import Path, PurePosixPath

from tui_lab.client.remote import files
from tui_lab.protocol.remote import Appended, Have, Hello, RemoteError, Replaced
from tui_lab.store import layout
from tui_lab.store.errors import storage_error


def cache_folder() -> Path:
    """Return where the mirrors are: `$XDG_CACHE_HOME/tui-lab/remote`. Raises RuntimeError where there is no home."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".cache") / "tui-lab" / "remote"


class Mirror:
    """The mirror of the lab that a helper has named. Its functions raise StorageError for a disk that does not take it,
    RemoteError for names that lead out of it."""

    def __init__(self, place: str, hello: Hello) -> None:
        """place: the machine, as the user names it."""
        mark = hashlib.sha256(f"{place}\0{hello.lab}".encode(errors="replace")).hexdigest()[:8]
        if not hello.lab.startswith("/") or not hello.identity.isalnum():
            raise RemoteError(f"no lab has the path {hello.lab!r:.200}")
        self.root = cache_folder() / f"{hello.identity[:16]}-{mark}"
        self.lab = self._below(self.root, hello.lab.lstrip("/"))
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            self.root.mkdir(mode=0o700, exist_ok=True)
            self.lab.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise storage_error(self.lab, error) from error

    @staticmethod
    def _below(folder: Path, name: str) -> Path:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or name.startswith("/") or "\0" in name:
            raise RemoteError(f"a file called {name!r:.200}")
        return folder.joinpath(*parts)

    def path(self, file: str) -> Path:
        """Return where a file of the lab is here, or one with an absolute path there."""
        return self._below(self.root, file[1:]) if file.startswith("/") else self._below(self.lab, file)

    def there(self, path: Path) -> str:
        """Return the absolute path there of a file that is here."""
        return f"/{path.absolute().relative_to(self.root)}"

    def have(self) -> dict[str, Have]:
        """Return what tells of the files that are here."""
        found: dict[str, Have] = {}
        names = files.experiments(self.lab)
        listed = [*files.of_lab(self.lab), *(one for name in names for one in files.of_experiment(self.lab, name))]
        listed += [f"{name}/{layout.JOURNAL_FILE}" for name in names]
        for file in listed:
            if file == layout.LAB_FILE:
                continue  # the marker is another one here
            if (known := files.have(self.lab / file, file)) is not None:
                found[file] = known
        for folder, folders, beside in os.walk(self.root):
            folders[:] = [one for one in folders if f"{folder}/{one}" != str(self.lab)]
            for path in (Path(folder) / one for one in beside if not one.startswith(".")):
                if (known := files.have(path, "")) is not None:
                    found[self.there(path)] = known
        return found

    def have_tables(self, name: str) -> dict[str, Have]:
        """The same of the tables of an experiment."""
        listed = files.of_tables(self.lab, name)
        return {file: known for file in listed if (known := files.have(self.lab / file, file)) is not None}

    def have_below(self, folder: Path) -> dict[str, Have]:
        """The same of all files in a folder of the lab."""
        paths = (Path(below) / name for below, _, names in os.walk(folder) for name in names)
        listed = ((str(path.relative_to(self.lab)), files.have(path, "")) for path in paths)
        return {file: known for file, known in listed if known is not None}

    # --- What comes

    def append(self, message: Appended, body: bytes) -> None:
        """Write bytes of a file that grows."""
        path, data = self.path(message.file), _whole(body, message.raw)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                if os.fstat(file).st_size > message.offset:
                    os.ftruncate(file, message.offset)
                rest, offset = memoryview(data), message.offset
                while rest:
                    written = os.pwrite(file, rest, offset)
                    rest, offset = rest[written:], offset + written
                os.utime(file, ns=(message.mtime, message.mtime))
            finally:
                os.close(file)
        except OSError as error:
            raise storage_error(path, error) from error

    def replace(self, message: Replaced, body: bytes) -> None:
        """Write a whole file, at once."""
        path, data = self.path(message.file), _whole(body, message.raw)
        if message.file == layout.LAB_FILE:
            data = self._marker(data)
            with suppress(OSError):
                if path.read_bytes() == data:
                    return  # readers would take another one for another lab
        elif (known := files.have(path, "")) is not None and (known.size, known.mtime) == (len(data), message.mtime):
            return
        partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_bytes(data)
                os.utime(partial, ns=(message.mtime, message.mtime))
                partial.replace(path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            raise storage_error(path, error) from error

    def _marker(self, data: bytes) -> bytes:
        """The lab's marker with the place of the mirror: else it would be the copy of a lab, or one that was moved."""
        try:
            marker = dict(json.loads(data))
        except (ValueError, TypeError):
            return data
        marker["place"] = {"path": os.path.realpath(self.lab), "inode": self.lab.stat().st_ino}
        marker.pop("before", None)
        return json.dumps(marker).encode() + b"\n"

    def remove(self, file: str) -> None:
        """Remove a file; an experiment, where it is its journal."""
        path = self.path(file)
        name, _, rest = file.partition("/")
        if rest == layout.JOURNAL_FILE:
            shutil.rmtree(self.path(name), ignore_errors=True)
            return
        with suppress(OSError):
            path.unlink()


def _whole(body: bytes, raw: int) -> bytes:
    """Return what a body holds. Raises RemoteError where it is not so many bytes."""
    try:
        unpack = zlib.decompressobj()
        data = unpack.decompress(body, raw + 1) if raw else b""
    except zlib.error as error:
        raise RemoteError(f"a body that is damaged: {error}") from None
    if len(data) != raw:
        raise RemoteError(f"a body of {len(data)} bytes instead of {raw}")
    return data
