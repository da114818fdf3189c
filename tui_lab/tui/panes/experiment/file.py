"""A file that is being edited: read, compared with the disk, written back with only the edits changed. Nothing here
uses the screen."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import secrets
import stat
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tui_lab.tui.base.config import state_folder

LARGEST: Final = 4 << 20
"""Bytes of the largest file that is opened: larger ones are not written by hand."""
_BOM: Final = b"\xef\xbb\xbf"


class FileError(Exception):
    """A file that can't be opened or saved. One line for the user."""


@dataclass(frozen=True)
class UnsavedText:
    """An unsaved text that an earlier session left behind."""

    text: str
    at: float
    """Seconds since 1970."""


class EditedFile:
    """One file. `text` is what it held when it was last read or written, with its own line ends; empty for a
    file that is not there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.text = ""
        self.exists = False
        self._bom = False
        self._stamp: tuple[int, int, int] | None = None

    @classmethod
    def read(cls, path: Path) -> EditedFile:
        """Raises FileError; a missing file is a new one."""
        file = cls(path)
        file.reread()
        return file

    def reread(self) -> None:
        """Take in what is on disk. Raises FileError."""
        try:
            stamp = self._stamp_now()
            raw = b"" if stamp is None else self._bytes()
        except OSError as error:
            raise FileError(f"{self.path}: {error.strerror or error}") from error
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            raise FileError(f"{self.path}:{line}: not UTF-8 text; save it as UTF-8 first") from None
        self.exists, self._stamp, self.text = stamp is not None, stamp, text
        self._bom = raw.startswith(_BOM)

    def _bytes(self) -> bytes:
        # O_NONBLOCK: a named pipe must not hang the screen
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                raise FileError(f"{self.path}: this is no file")
            raw = stream.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise FileError(f"{self.path}: larger than {LARGEST >> 20} MiB, too large to be edited here")
        return raw

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def changed_on_disk(self) -> bool:
        """Return whether the file was written or removed by another program since."""
        try:
            return self._stamp_now() != self._stamp
        except OSError:
            return False

    def encoded(self, lines: list[str]) -> bytes:
        """Return what `write` writes. Raises UnicodeEncodeError."""
        return (_BOM if self._bom else b"") + with_line_ends(lines, self.text).encode("utf-8")

    def write(self, lines: list[str]) -> None:
        """Put these lines in place of the file's, in one step: readers see the old file or the new one. Mode
        bits, the byte order mark and the ends of lines that did not change stay as they are. Raises
        FileError."""
        target = Path(os.path.realpath(self.path))  # a link stays a link
        partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else None
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(self.encoded(lines))
                    stream.flush()
                    os.fsync(stream.fileno())
                if mode is not None:
                    partial.chmod(mode)
                partial.replace(target)
            finally:
                partial.unlink(missing_ok=True)
            self.text, self.exists, self._stamp = with_line_ends(lines, self.text), True, self._stamp_now()
        except (OSError, UnicodeEncodeError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise FileError(f"{self.path}: not saved: {reason}") from error

    # --- What was never saved

    @property
    def _copy(self) -> Path:
        return state_folder() / "unsaved" / (hashlib.sha256(os.fsencode(self.path)).hexdigest()[:24] + ".json")

    def keep(self, text: str) -> str:
        """Leave a copy of an unsaved text outside of the project, where only its owner reads it.

        Return why that can't be done, as on a full disk; else an empty text.
        """
        about = {"path": str(self.path), "text": text, "at": time.time()}
        partial = self._copy.with_suffix(f".{secrets.token_hex(4)}")
        try:
            partial.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
                    json.dump(about, stream)
                partial.replace(self._copy)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            return error.strerror or str(error)
        return ""

    def forget(self) -> None:
        """Remove the copy: the text is saved, or given up by the user."""
        with suppress(OSError):
            self._copy.unlink(missing_ok=True)

    def kept(self) -> UnsavedText | None:
        """The copy that an earlier session left, if it differs from the file."""
        try:
            about = json.loads(self._copy.read_text())
            kept = UnsavedText(str(about["text"]), float(about["at"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return kept if kept.text.splitlines() != self.text.splitlines() else None


def with_line_ends(lines: list[str], before: str) -> str:
    """The lines as one text, in which a line that was in the text `before` ends as it did there; new ones end
    as most of them do. A last line that is empty stands for an end of line before it."""
    ends = [line[len((line.splitlines() or [""])[0]) :] for line in before.splitlines(keepends=True)]
    old = before.splitlines()
    if before.endswith(("\n", "\r")) or not before:
        old, ends = [*old, ""], [*ends, ""]
    known = [end for end in ends if end in ("\n", "\r", "\r\n")]
    usual = max(dict.fromkeys(known), key=known.count, default="\n")
    chosen = [usual] * (len(lines) - 1) + [""]
    if set(ends) - {usual, ""}:
        matcher = difflib.SequenceMatcher(None, old, lines, autojunk=False)
        for kind, first, last, start, stop in matcher.get_opcodes():
            if kind == "equal" or (kind == "replace" and last - first == stop - start):
                chosen[start:stop] = ends[first:last]
        # Only the last line may have no end, and an end of line has a line behind it.
        chosen[:-1] = [end or usual for end in chosen[:-1]]
    elif old[-1] == lines[-1]:
        chosen[-1] = ends[-1]
    if chosen[-1] in known:
        chosen[-1] = ""
    return "".join(line + end for line, end in zip(lines, chosen, strict=True))
