"""The files that an experiment declares: what the globs of `code` and `inputs` name.

The globs are those of `portable.globs`: a folder means all that is in it. Whatever a walk finds in labs, virtual
environments, and the folders of LEFT_OUT is no part of a program; a glob that begins with the name of such a folder
gets it all the same. A link to a file is that file. A link to a folder is entered where the glob names it, and is told
where a walk comes upon it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from tui_lab.experiment.model import Experiment
from tui_lab.experiment.yaml.problem import SpecError
from tui_lab.portable.globs import matcher, normalize
from tui_lab.store import layout

Key = Literal["code", "inputs"]
KEYS: Final[tuple[Key, ...]] = ("code", "inputs")

LEFT_OUT: Final = frozenset(
    (
        *(".git", ".hg", ".svn", ".venv", "node_modules", ".tox", ".nox"),
        *("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints"),
    )
)
MARKERS: Final = (layout.LAB_FILE, "pyvenv.cfg", "conda-meta")  # in labs and virtual environments
_SPECIAL: Final = re.compile(r"[*?[]")


@dataclass(frozen=True)
class Declared:
    """Files by their path relative to the experiment's folder, and notes on the globs."""

    files: dict[str, Path]
    notices: tuple[str, ...]


def declared(experiment: Experiment, key: Key) -> Declared:
    """The files that a key names, sorted by name. Raises SpecError where one can't be read."""
    found: dict[str, Path] = {}
    notices: list[str] = []
    globs: tuple[str, ...] = getattr(experiment, key)
    for number, glob in enumerate(globs):

        def say(message: str, hint: str = "", number: int = number) -> None:
            notices.append(str(experiment.problem((key, number), message, hint)))

        search = _Search(experiment.folder, glob)
        files = dict(search.files())
        found |= files
        for name in search.linked:
            say(f'"{name}" is a link to a folder, which "{glob}" does not enter', "name it to take what is in it")
        for name in search.closed:
            say(f'"{name}" can\'t be looked into: permission denied')
        if not files and not search.linked:
            left = ": labs, environments and the like are left out" if search.passed else ""
            braces = "braces mean nothing in a glob; write a list, as in [a.py, b.py]" if "{" in glob else ""
            say(f'"{glob}" matches no file{left}', braces)
    return Declared(dict(sorted(found.items())), tuple(notices))


def of_all_stages(experiment: Experiment, key: Key) -> Declared:
    """The files that a key names, of any stage. Raises SpecError where one can't be read."""
    found = [declared(one, key) for one in experiment.per_stage]
    files = {name: path for one in found for name, path in one.files.items()}
    notices = dict.fromkeys(notice for one in found for notice in one.notices)
    return Declared(dict(sorted(files.items())), tuple(notices))


def digests(experiment: Experiment, key: Key) -> dict[str, str]:
    """SHA-256 of each file that a key names. Raises SpecError where one can't be read."""
    return hashed(experiment, key, declared(experiment, key).files)


def hashed(experiment: Experiment, key: str, files: Mapping[str, Path]) -> dict[str, str]:
    """SHA-256 of each of some files, which belong to a key of the experiment. Raises SpecError."""
    found = {}
    for name, path in files.items():
        try:
            found[name] = file_digest(path)
        except OSError as error:
            problem = experiment.problem((key,), f'"{name}" can\'t be read: {error.strerror}')
            raise SpecError([problem]) from None
    return found


def file_digest(path: Path) -> str:
    """Raises OSError."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Search:
    """Looks for what one glob matches. `linked`, `closed`, `passed`: folders that it did not enter, since they are
    links, can't be read, or are left out."""

    def __init__(self, folder: Path, glob: str) -> None:
        self.folder = folder
        self.linked: list[str] = []
        self.closed: list[str] = []
        self.passed: list[str] = []
        parts = [part for part in normalize(glob).split("/") if part]
        count = 0
        while count < len(parts) and (not _SPECIAL.search(parts[count]) or self._exists(parts[: count + 1])):
            count += 1
        self.fixed = "/".join(parts[:count])  # by its name, whatever signs are in it
        rest = "/".join(parts[count:])
        self.whole = not rest
        self.matches = matcher([rest or "**"])
        self.depth = None if "**" in rest or self.whole else len(parts)  # below, nothing is looked at without a match

    def _exists(self, parts: Sequence[str]) -> bool:
        return os.path.lexists(self.folder.joinpath(*parts))

    def files(self) -> Iterator[tuple[str, Path]]:
        start = self.folder / self.fixed
        if start.is_file():
            if self.whole:
                yield self.fixed, start
        elif self.fixed and self.whole and (start / layout.LAB_FILE).exists():
            self.passed.append(self.fixed)  # a lab as a whole; what is in it can be named
        elif start.is_dir():
            yield from self._below(f"{self.fixed}/" if self.fixed else "")

    def _below(self, fixed: str) -> Iterator[tuple[str, Path]]:
        waiting = [fixed]
        while waiting:
            below = waiting.pop()
            try:
                with os.scandir(self.folder / below) as listed:
                    entries = sorted(listed, key=lambda entry: entry.name)
            except PermissionError:
                self.closed.append(below or ".")
                continue
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                name = below + entry.name
                matches = self.matches(name.removeprefix(fixed))
                if entry.is_dir(follow_symlinks=False):
                    if not matches and self.depth is not None and name.count("/") + 1 >= self.depth:
                        continue
                    if is_left_out(Path(entry.path)):
                        self.passed.append(name)
                    else:
                        waiting.append(name + "/")
                elif matches and entry.is_file():
                    yield name, Path(entry.path)
                elif matches and entry.is_dir() and not is_left_out(Path(entry.path)):
                    self.linked.append(name)


def is_left_out(folder: Path) -> bool:
    """Whether a folder, below that of an experiment, is no part of its program."""
    return folder.name in LEFT_OUT or any(os.path.lexists(folder / marker) for marker in MARKERS)
