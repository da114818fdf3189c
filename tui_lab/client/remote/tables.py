"""The tables of results on their way to a mirror: the rows of those tasks that differ from what was sent before."""

from __future__ import annotations

import io
import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from tui_lab.protocol.remote import Rows
from tui_lab.results import cache
from tui_lab.store import layout, ranges
from tui_lab.store.parquet import About

_TASK: Final = "task_id"
_ATTEMPT: Final = "attempt"
_HASH: Final = "hash"


@dataclass(frozen=True)
class _Sent:
    """A table at one time (of its file, in ns), with what it says of itself, and a hash of each row."""

    mtime: int
    frame: pl.DataFrame
    about: About
    hashes: pl.DataFrame


class TableSender:
    """Remembers what was sent. file: the name by which a table is sent."""

    def __init__(self) -> None:
        self._sent: dict[str, _Sent] = {}

    def news(self, path: Path, file: str, known: int) -> tuple[Rows, bytes] | None:
        """Return what a mirror lacks whose table is from some time, 0 for none; None where it lacks nothing. Raises
        OSError."""
        mtime = path.stat().st_mtime_ns
        before = self._sent.get(file)
        now = before
        if now is None or now.mtime != mtime:
            found = cache.read(path)
            if found is None:
                return None
            frame = _needed(path, *found)
            now = _Sent(mtime, frame, found[1], frame.select(_TASK, frame.hash_rows().alias(_HASH)))
            self._sent[file] = now
        if known == mtime:
            return None
        about = zlib.compress(json.dumps(now.about).encode(), 1)
        if before is None or before.mtime != known or before.frame.schema != now.frame.schema:
            return Rows(file, mtime, len(about)), about + _packed(now.frame)
        changed = _changed(before.hashes, now.hashes)
        rows = now.frame.filter(pl.col(_TASK).is_in(changed.implode()))
        return Rows(file, mtime, len(about), known, ranges.to_ranges(changed.to_numpy())), about + _packed(rows)


def _needed(path: Path, frame: pl.DataFrame, about: About) -> pl.DataFrame:
    """The columns and rows that a reader takes from a cache: facts come from the journal."""
    if path.name != layout.RESULTS_FILE:
        return frame
    metrics = [column for column, *_ in about["metrics"].values() if column in frame.columns]
    return frame.select(_TASK, _ATTEMPT, *dict.fromkeys(metrics)).filter(pl.col(_ATTEMPT).is_not_null())


def _changed(before: pl.DataFrame, now: pl.DataFrame) -> pl.Series:
    """Return the tasks of which any row came, went or changed, ascending."""
    came = now.join(before, on=[_TASK, _HASH], how="anti")[_TASK]
    gone = before.join(now, on=[_TASK, _HASH], how="anti")[_TASK]
    return pl.concat([came, gone]).unique().sort()


def _packed(frame: pl.DataFrame) -> bytes:
    target = io.BytesIO()
    frame.write_parquet(target)
    return target.getvalue()


def take(path: Path, message: Rows, body: bytes) -> None:
    """Write the table of a mirror. One that is not what the rows are news of is removed: it is sent whole the next
    time."""
    about: About = json.loads(zlib.decompress(body[: message.about]))
    frame = pl.read_parquet(io.BytesIO(body[message.about :]))
    if message.base:
        known = cache.read(path) if _mtime(path) == message.base else None
        if known is None:
            path.unlink(missing_ok=True)
            return
        changed = pl.Series(ranges.to_ids(message.changed), dtype=pl.Int64)
        frame = pl.concat([known[0].filter(~pl.col(_TASK).is_in(changed.implode())), frame])
    if path.name == layout.RESULTS_FILE:
        frame = frame.sort(_TASK)
    path.parent.mkdir(parents=True, exist_ok=True)
    cache.write(path, frame, about)
    if path.exists():
        os.utime(path, ns=(message.mtime, message.mtime))


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
