"""Labs on other machines: for each a folder here, the mirror, that follows its journals, plans and tables.

A mirror is a lab for all that reads. What it does not have, the outputs and the engine, is asked of its other side.
This module knows the other sides to which a connection is kept.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Protocol

from tui_lab.store.errors import LabError


class Running(Protocol):
    """A program that runs for the screen, and prints into a file. No function blocks."""

    def poll(self) -> int | None:
        """Return its exit status, below 0 for a signal; None while it runs."""
        ...

    def end(self, *, kill: bool = False) -> None:
        """Send it SIGTERM, or SIGKILL."""
        ...

    def close(self) -> None:
        """End it, where it still runs: nothing shows it any more."""
        ...


class OtherSide(Protocol):
    """The machine of a mirror's lab. Its functions block, and belong in threads; each raises StorageError where the
    machine can't be reached."""

    @property
    def name(self) -> str:
        """How the user calls the lab: `[USER@]HOST:LAB`."""
        ...

    @property
    def host(self) -> str:
        """The machine, as the user calls it."""
        ...

    @property
    def trouble(self) -> str:
        """Why the machine can't be reached just now; empty while it can."""
        ...

    @property
    def connections(self) -> int:
        """How often a connection was made: what could not be asked before, can be now."""
        ...

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables of a login there."""
        ...

    @property
    def umask(self) -> int:
        """The mask of new files there."""
        ...

    def engine(self, start: bool, patience: float = ...) -> socket.socket | None:
        """Return a connection to the lab's engine; None where none runs, unless it is to be started. patience: seconds
        to wait for a machine that is away, 0 by default."""
        ...

    def read(
        self, experiment: str, task: int, attempt: int, name: str, offset: int, most: int
    ) -> tuple[bytes | None, int]:
        """Return a piece of an output, and the size of the whole; None where the machine has no such file."""
        ...

    def tails(self, experiment: str, wanted: Sequence[tuple[int, int, str, int]], most: int) -> list[tuple[int, bytes]]:
        """Return the sizes of several outputs, -1 for those that are nowhere, and bytes of each. wanted: task, attempt,
        name, and an offset, below 0 from the end."""
        ...

    def fetch(
        self, experiment: str, task: int, most: int = ..., endings: Sequence[str] = ...
    ) -> Sequence[tuple[str, int, int]]:
        """Bring the files of a task into the mirror; return of the larger ones name, size and time. most: bytes of
        each, at most. endings: of their names, by default all, which is for a task that has ended."""
        ...

    def fetch_file(self, experiment: str, task: int, name: str, mtime: int, progress: Callable[[int], None]) -> None:
        """Bring a file of a task into the mirror. mtime: when it was changed, in ns. progress: hears how many bytes
        have come."""
        ...

    def write(self, path: Path, data: bytes) -> None:
        """Write a file there and here. path: of the one here. Raises LabError where it was changed there meanwhile."""
        ...

    def run(self, module: Sequence[str], output: Path, columns: int) -> Running:
        """Run a module of Python beside the lab; it ends with the connection. module: its name and its words. output:
        where here to write what it prints."""
        ...

    def verify(self, experiment: str) -> None:
        """Raises LabError where tasks have changed the program of the newest submission."""
        ...

    def bring(self, experiment: str, kinds: Sequence[str] = ()) -> None:
        """Read what is new in the outputs there, and bring the tables here. kinds: those besides that of all tasks."""
        ...


class _Mirror(NamedTuple):
    root: Path
    side: OtherSide


_mirrors: dict[str, _Mirror] = {}  # by the lab's folder


def add(lab: Path, root: Path, side: OtherSide) -> None:
    """Let a folder be the mirror of a lab. root: what stands for the root of that machine's files."""
    _mirrors[str(lab.absolute())] = _Mirror(root.absolute(), side)


def remove(lab: Path) -> None:
    """Forget the other side of a mirror."""
    _mirrors.pop(str(lab.absolute()), None)


def other_side(lab: Path) -> OtherSide | None:
    """Return the other side of a mirror; None for a lab of this machine."""
    found = _mirrors.get(str(lab.absolute())) if _mirrors else None
    return None if found is None else found.side


def in_mirror(path: Path) -> bool:
    """Return whether a path belongs to a mirror: to the lab, or to the files around it."""
    return any(path.absolute().is_relative_to(one.root) for one in _mirrors.values())


def bring(folder: Path, most: int, endings: Sequence[str]) -> tuple[str, Sequence[tuple[str, int, int]]]:
    """Bring files of a task here, given its folder in a mirror; return the machine, and of the files that are larger
    name, size and time. most: bytes of each, at most. endings: of their names. Nothing happens for a folder of this
    machine, nor while the other one is away."""
    for lab, one in list(_mirrors.items()):
        if folder.is_relative_to(lab):
            name, *_, task = folder.relative_to(lab).parts
            with suppress(LabError):
                return one.side.host, one.side.fetch(name, int(task), most, endings)
    return "", ()


def as_there(text: str) -> str:
    """Return a text with the paths that it has on the other machine, for the user."""
    for one in _mirrors.values():
        text = text.replace(str(one.root), "")
    return text
