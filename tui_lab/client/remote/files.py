"""Which files of a lab its mirror has, and how they are compared."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final
from zlib import crc32

from tui_lab.protocol.remote import Have
from tui_lab.store import declared_files, layout

GROWING: Final = (layout.JOURNAL_FILE, layout.NODES_FILE)
"""Files to which lines are appended."""
TAIL: Final = 4096  # bytes at the end of such a file that tell whether it is the same
LARGEST: Final = 64 << 20  # bytes of a file besides plans and tables
TABLES: Final = re.compile(r"results[.\w-]*\.parquet")
DEPTH: Final = 4  # folders below that of an experiment's file whose files come along
SMALL: Final = 1 << 20  # bytes of such a file
SEVERAL: Final = 2000  # such files
TOGETHER: Final = 16 << 20  # bytes of them
_PLAN: Final = re.compile(r"\d+\.(parquet|yaml)")
QUERIES: Final = "queries"
_WHOLE: Final = (".json", ".yaml")


def of_lab(lab: Path) -> Iterator[str]:
    """Yield the files beside the experiments, relative to the lab. The marker comes first, where the engine is last."""
    yield layout.LAB_FILE
    yield from _listed(lab, QUERIES, lambda name: name.endswith(".sql"))
    yield layout.NODES_FILE
    yield layout.ENGINE_FILE


def of_experiment(lab: Path, name: str) -> Iterator[str]:
    """Yield the files of an experiment, relative to the lab, but for its journal: that tells of them, and follows."""
    for folder, wanted in (
        (layout.PLANS, _PLAN.fullmatch),
        (layout.ENVIRONMENT, _is_whole),
        (layout.CODE, _is_whole),
        ("", _is_whole),
    ):
        yield from _listed(lab, f"{name}/{folder}".rstrip("/"), wanted)


def _is_whole(name: str) -> bool:
    return name.endswith(_WHOLE) and not name.startswith(".")


def _listed(lab: Path, folder: str, wanted: Callable[[str], object]) -> Iterator[str]:
    try:
        names = [path.name for path in (lab / folder).iterdir()]
    except OSError:
        return
    for name in sorted(names):
        if wanted(name) and is_text(name):
            yield f"{folder}/{name}"


def is_text(name: str) -> bool:
    """Return whether a name can be sent."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def experiments(lab: Path) -> list[str]:
    """Return the names of the folders that have a journal."""
    with os.scandir(lab) as entries:
        return sorted(
            entry.name
            for entry in entries
            if is_text(entry.name) and os.path.exists(f"{entry.path}/{layout.JOURNAL_FILE}")  # noqa: PTH110
        )


def grows(file: str) -> bool:
    """Return whether lines are appended to a file."""
    return file.rpartition("/")[2] in GROWING


def tail_sum(path: Path, size: int) -> int:
    """Return the CRC-32 of the bytes before an offset of a file. Raises OSError."""
    with open(path, "rb") as file:
        return crc32(os.pread(file.fileno(), min(size, TAIL), max(0, size - TAIL)))


def have(path: Path, file: str) -> Have | None:
    """Return what tells of a file that is here; None where it is not."""
    try:
        facts = path.stat()
        return Have(facts.st_size, facts.st_mtime_ns, tail_sum(path, facts.st_size) if grows(file) else 0)
    except OSError:
        return None


def of_tables(lab: Path, name: str) -> Iterator[str]:
    """Yield the caches with the tables of an experiment, and what else its readers keep, relative to the lab."""
    yield from _listed(lab, name, TABLES.fullmatch)
    yield from _listed(lab, name, _is_whole)


def of_project(file: Path) -> Iterator[str]:
    """Yield the absolute paths of an experiment's file and of the small files beside and below it: programs, templates,
    tables. Hidden ones, labs and virtual environments are left out."""
    yield str(file)
    top, left, room = str(file.parent), SEVERAL, TOGETHER
    deep = 0 if file.parent == Path.home() else DEPTH
    for folder, folders, names in os.walk(top):
        at = folder.count("/") - top.count("/")
        folders[:] = sorted(name for name in folders if at < deep and _is_of_program(folder, name))
        for name in sorted(names):
            path = f"{folder}/{name}"
            with suppress(OSError):
                facts = os.lstat(path)
                if name.startswith(".") or not stat.S_ISREG(facts.st_mode) or not is_text(path):
                    continue
                if facts.st_size > SMALL or path == str(file):
                    continue
                left, room = left - 1, room - facts.st_size
                if left < 0 or room < 0:
                    return
                yield path


def _is_of_program(folder: str, name: str) -> bool:
    path = f"{folder}/{name}"
    foreign = any(os.path.lexists(f"{path}/{marker}") for marker in declared_files.MARKERS)
    return not foreign and not name.startswith(".") and name not in declared_files.LEFT_OUT
