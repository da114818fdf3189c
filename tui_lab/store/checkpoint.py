"""The checkpoint of an experiment: `state.parquet`, the fold of its journal up to a byte offset.

A cache, so that a lab of a million tasks opens at once: ignored where it is missing, damaged, of another
format, or where the journal is not the one that it was made from.
"""

from __future__ import annotations

import json
import logging
import os
from array import array
from collections import Counter
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import numpy as np
import polars as pl

from tui_lab.store import journal, layout, parquet
from tui_lab.store.errors import LabError
from tui_lab.store.fold import COLUMNS, STATES, State

FORMAT: Final = 4
_METADATA: Final = "tui_lab"
_FACTS: Final = (
    "size",
    "identity",
    "nodes",
    "spools",
    "plan",
    "submissions",
    "paused",
    "drained",
    "ended",
    "offset",
    "environments",
    "placement",
)
_BLOCK: Final = 1 << 22

log = logging.getLogger(__name__)


def write(state: State, folder: Path) -> None:
    """Write a state, in place of an older one; not that of a damaged journal, for it would hide the damage. A disk that
    does not take it is no error: it is a cache."""
    path = folder / layout.CHECKPOINT_FILE
    partial = path.with_suffix(".partial")
    facts: dict[str, Any] = {name: getattr(state, name) for name in _FACTS}
    facts["changes"] = list(state.changes.items())
    facts["notes"] = list(state.notes.items())
    facts["stopping"] = list(state.stopping.items())
    facts["quarantined"] = sorted(state.quarantined)
    facts["format"] = FORMAT
    try:
        if state.damage or not journal.whole(folder / layout.JOURNAL_FILE, state.proof[0]):
            return
        with open(folder / layout.JOURNAL_FILE, "rb") as file:
            facts["crc"] = _crc(file.fileno(), state.offset, state.proof)
            facts["stamp"] = _stamp(file.fileno())
        state.proof = (state.offset, facts["crc"])
        frame = pl.DataFrame(
            {name: np.frombuffer(state.columns[name], dtype=code) for name, (code, _) in COLUMNS.items()}
        )
        frame.write_parquet(partial, compression="lz4", metadata={_METADATA: json.dumps(facts)})
        partial.replace(path)
    except (OSError, ValueError, LabError, pl.exceptions.PolarsError) as error:
        log.warning("%s: %s", path, error)
        partial.unlink(missing_ok=True)


def read(folder: Path) -> State:
    """The state that the checkpoint holds; a state from before the first event where it is of no use."""
    path = folder / layout.CHECKPOINT_FILE
    try:
        facts = parquet.about(path, _METADATA)
        if facts["format"] != FORMAT:
            return State()
        with open(folder / layout.JOURNAL_FILE, "rb") as file:
            # An untouched file needs no second look; all of another one must be what it was made from.
            touched = facts["stamp"] != _stamp(file.fileno())
            if touched and facts["crc"] != _crc(file.fileno(), facts["offset"]):
                return State()
        frame = parquet.read(path)
        state = State()
        for name in _FACTS:
            setattr(state, name, facts[name])
        state.proof = (facts["offset"], facts["crc"])
        state.changes = dict(facts["changes"])
        state.notes = dict(facts["notes"])
        state.stopping = {(task, attempt): why for (task, attempt), why in facts["stopping"]}
        state.quarantined = set(facts["quarantined"])
        for name, (code, _) in COLUMNS.items():
            column = array(code)
            column.frombytes(frame[name].to_numpy().astype(code, copy=False).tobytes())
            if len(column) != state.size:
                return State()
            state.columns[name] = column
        planned = np.frombuffer(state.columns["planned"], dtype=np.int8) == 1
        counts = np.bincount(np.frombuffer(state.columns["state"], dtype=np.int8)[planned], minlength=len(STATES))
        state.counts = Counter(dict(enumerate(counts.tolist())))
        return state
    except (OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError):
        return State()


def cut(folder: Path) -> int:
    """Bytes that the journal had when the checkpoint was made from it, and has no more; 0 where nothing tells. Lines
    that were cut off at the end leave no other trace in it."""
    path = folder / layout.JOURNAL_FILE
    try:
        facts = parquet.about(folder / layout.CHECKPOINT_FILE, _METADATA)  # first, for a journal grows meanwhile
        if facts["format"] != FORMAT:
            return 0
        size, identity = 0, ""
        if path.exists():
            with open(path, "rb") as file:
                size, identity = os.fstat(file.fileno()).st_size, journal.identity_of(file.fileno())
        return max(0, int(facts["offset"]) - size) if identity in ("", facts["identity"]) else 0
    except (OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError):
        return 0


def _stamp(file: int) -> list[int]:
    """What tells an untouched file. Raises OSError."""
    facts = os.fstat(file)
    return [facts.st_ino, facts.st_size, facts.st_mtime_ns]


def _crc(file: int, end: int, known: tuple[int, int] = (0, 0)) -> int:
    """CRC-32 of a file up to an offset, from one on where it is known. Raises OSError, ValueError where the file is
    shorter."""
    offset, value = known
    while offset < end:
        block = os.pread(file, min(_BLOCK, end - offset), offset)
        if not block:
            raise ValueError("the journal is shorter")
        value = crc32(block, value)
        offset += len(block)
    return value
