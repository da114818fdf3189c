"""The caches beside an experiment's journal: what was read from outputs, so that it is read once.

    results.parquet         every task: parameters, metrics, facts (the table `NAME_tasks` as it was then)
    results.steps.parquet   values by step
    results.rows.parquet    rows
    results.lock            held, without waiting, by the process that writes one of them

Each carries in its Parquet metadata, under `tui_lab`, JSON with the version of this format and fingerprints
of the definitions that it was read by. A file of another version, or one that cannot be read, is as good as
none. A writer writes a file of its own and renames it; who doesn't get the lock, or may not write here, does
without.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from tui_lab.store import mirrors, parquet, ranges
from tui_lab.store.parquet import About

FORMAT: Final = 9
"""Another number makes every cache old: raise it when the same definitions would be read to other values."""

LOCK_FILE: Final = "results.lock"
_KEY: Final = "tui_lab"
_HELD: Final[set[str]] = set()  # POSIX locks don't tell threads of one process apart
_GUARD: Final = threading.Lock()


def fingerprint(definition: Any) -> str:
    """A short text that changes when a definition (anything that JSON can say) does."""
    canonical = orjson.dumps([FORMAT, definition], option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()[:16]


@contextmanager
def writing(experiment: Path) -> Iterator[bool]:
    """Whether the caches of an experiment may be written here and now."""
    if mirrors.other_side(experiment.parent) is not None:
        yield False  # its tables come from the other machine
        return
    name = str(experiment.absolute())
    with _GUARD:
        free = name not in _HELD
        if free:
            _HELD.add(name)
    descriptor = -1
    try:
        if free:
            descriptor = _lock(experiment / LOCK_FILE)
        yield descriptor >= 0
    finally:
        if descriptor >= 0:
            os.close(descriptor)
        if free:
            with _GUARD:
                _HELD.discard(name)


def _lock(path: Path) -> int:
    """The descriptor of the locked file, or -1."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return -1
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor


def read(path: Path) -> tuple[pl.DataFrame, About] | None:
    """A cache and what it says about itself; None if there is none, or it is torn or of another version."""
    try:
        about = parquet.about(path, _KEY)
        if about["format"] != FORMAT:
            return None
        return parquet.read(path), about
    except (
        OSError,
        KeyError,
        TypeError,
        ValueError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ):
        return None


def write(path: Path, frame: pl.DataFrame, about: About) -> None:
    """Replace a cache. Where that is not possible (a full disk), the old one stays."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        frame.write_parquet(partial, metadata={_KEY: json.dumps({"format": FORMAT, **about})})
        partial.replace(path)
    except (OSError, pl.exceptions.PolarsError):
        partial.unlink(missing_ok=True)


# --- Which attempts a cache covers


def covered(frame: pl.DataFrame) -> dict[str, list[list[int]]]:
    """The pairs of `task_id` and `attempt` in a frame: ranges of task ids by attempt."""
    return {
        str(attempt): ranges.to_ranges(part["task_id"].to_numpy())
        for (attempt,), part in frame.select("task_id", "attempt").group_by("attempt")
    }


def pairs(ranges_by_attempt: dict[str, list[list[int]]]) -> pl.DataFrame:
    """The inverse of `covered`."""
    parts = [
        pl.DataFrame({"task_id": ranges.to_ids(found)}, schema={"task_id": pl.Int64}).with_columns(
            attempt=pl.lit(int(attempt), pl.Int32)
        )
        for attempt, found in ranges_by_attempt.items()
    ]
    return pl.concat([pl.DataFrame(schema={"task_id": pl.Int64, "attempt": pl.Int32}), *parts])
