"""The checkpoint of an experiment: `state.parquet`, the fold of its journal up to a byte offset.

A cache, so that a lab of a million tasks opens at once: ignored where it is missing, damaged, of another
format, or where the journal is not the one that it was made from.
"""

from __future__ import annotations

import logging
import os
from array import array
from collections import Counter
from pathlib import Path
from typing import Any, Final
from zlib import crc32

import msgspec
import numpy as np
import polars as pl

from tui_lab.store import journal, layout, parquet, step_facts
from tui_lab.store.errors import LabError
from tui_lab.store.events import Changes, Ended, Key, NodesChanged, Paused, Prioritized, Raised, Submitted
from tui_lab.store.fold import COLUMNS, STATES, State

FORMAT: Final = 12
_METADATA: Final = "tui_lab"
_BLOCK: Final = 1 << 22

log = logging.getLogger(__name__)


# What the events of a checkpoint can say: another version may know more.
_MEMBERS: Final = [
    name for kind in (Submitted, NodesChanged, Paused, Prioritized, Ended) for name in kind.__struct_fields__
]


class _About(msgspec.Struct, kw_only=True):
    """A state without its columns, and the journal that it was made from."""

    format: int = FORMAT
    members: list[str] = msgspec.field(default_factory=_MEMBERS.copy)
    size: int
    identity: str
    nodes: list[str]
    stages: list[str]
    spools: dict[str, str]
    plan: int
    submissions: list[Submitted]
    note: str
    paused: Paused | None
    accepted_failures: int
    drained: bool
    prioritized: Prioritized | None
    ended: Ended | None
    continued: float
    offset: int
    environments: dict[str, str]
    placement: NodesChanged | None
    changes: list[tuple[int, Changes]]
    notes: list[tuple[int, str]]
    raised: list[tuple[int, Raised]]
    stopping: list[tuple[Key, str]]
    quarantined: list[str]
    node_runs: list[tuple[int, str, int]]
    crc: int
    stamp: list[int]


# Members of a state that are kept as they are.
_KEPT: Final = (
    *(
        "size",
        "identity",
        "nodes",
        "stages",
        "spools",
        "plan",
        "submissions",
        "note",
        "paused",
        "accepted_failures",
        "drained",
        "prioritized",
        "ended",
        "continued",
        "offset",
    ),
    *("environments", "placement"),
)


def write(state: State, folder: Path) -> None:
    """Write a state, in place of an older one; not that of a damaged journal, for it would hide the damage. A disk that
    does not take it is no error: it is a cache."""
    path = folder / layout.CHECKPOINT_FILE
    partial = path.with_suffix(".partial")
    try:
        if state.damage or not journal.whole(folder / layout.JOURNAL_FILE, state.proof[0]):
            return
        with open(folder / layout.JOURNAL_FILE, "rb") as file:
            crc, stamp = _crc(file.fileno(), state.offset, state.proof), _stamp(file.fileno())
        state.proof = (state.offset, crc)
        about = _About(
            **{name: getattr(state, name) for name in _KEPT},
            changes=list(state.changes.items()),
            notes=list(state.notes.items()),
            raised=list(state.raised.items()),
            stopping=list(state.stopping.items()),
            quarantined=sorted(state.quarantined),
            node_runs=[(run, node, one) for one, (run, node) in state.run_for.items()],
            crc=crc,
            stamp=stamp,
        )
        series = {name: np.frombuffer(state.columns[name], dtype=code) for name, (code, _) in COLUMNS.items()}
        for step, columns in enumerate(state.steps.columns):
            for name, (code, _) in step_facts.COLUMNS.items():
                series[f"{step}.{name}"] = np.frombuffer(columns[name], dtype=code)
        frame = pl.DataFrame(series)
        frame.write_parquet(partial, compression="lz4", metadata={_METADATA: msgspec.json.encode(about).decode()})
        partial.replace(path)
    except (OSError, ValueError, LabError, pl.exceptions.PolarsError) as error:
        log.warning("%s: %s", path, error)
        partial.unlink(missing_ok=True)


def read(folder: Path) -> State:
    """Return the state of the checkpoint; an empty state where it can't be used."""
    path = folder / layout.CHECKPOINT_FILE
    try:
        about = _about(path)
        if about is None:
            return State()
        with open(folder / layout.JOURNAL_FILE, "rb") as file:
            # An untouched file needs no second look; all of another one must be what it was made from.
            touched = about.stamp != _stamp(file.fileno())
            if touched and about.crc != _crc(file.fileno(), about.offset):
                return State()
        frame = parquet.read(path)
        state = State()
        for name in _KEPT:
            setattr(state, name, getattr(about, name))
        state.proof = (about.offset, about.crc)
        state.changes, state.notes, state.stopping = dict(about.changes), dict(about.notes), dict(about.stopping)
        state.raised = dict(about.raised)
        state.quarantined = set(about.quarantined)
        for run, node, one in about.node_runs:
            state.node_runs.setdefault(run, {})[node] = one
            state.run_for[one] = (run, node)
        if frame.height != state.size:
            return State()
        state.columns = {name: _column(frame, name, code) for name, (code, _) in COLUMNS.items()}
        while f"{len(state.steps.columns)}.attempt" in frame.columns:
            step = len(state.steps.columns)
            facts = step_facts.COLUMNS.items()
            state.steps.columns.append({name: _column(frame, f"{step}.{name}", code) for name, (code, _) in facts})
        planned = np.frombuffer(state.columns["planned"], dtype=np.int8) == 1
        counts = np.bincount(np.frombuffer(state.columns["state"], dtype=np.int8)[planned], minlength=len(STATES))
        state.counts = Counter(dict(enumerate(counts.tolist())))
        return state
    except (OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError):
        return State()


def _column(frame: pl.DataFrame, name: str, code: str) -> array[Any]:
    column = array(code)
    column.frombytes(frame[name].to_numpy().astype(code, copy=False).tobytes())
    return column


def cut(folder: Path) -> int:
    """Return the bytes that the journal had when the checkpoint was made, and has no more; 0 where that is unknown.
    Lines that were cut off at the end leave no other trace."""
    path = folder / layout.JOURNAL_FILE
    try:
        about = _about(folder / layout.CHECKPOINT_FILE)  # first, for a journal grows meanwhile
        if about is None:
            return 0
        size, identity = 0, ""
        if path.exists():
            with open(path, "rb") as file:
                size, identity = os.fstat(file.fileno()).st_size, journal.identity_of(file.fileno())
        return max(0, about.offset - size) if identity in ("", about.identity) else 0
    except (OSError, KeyError, TypeError, ValueError, pl.exceptions.PolarsError):
        return 0


def _about(path: Path) -> _About | None:
    """Return what a checkpoint was made from; None of another version. Raises OSError, PolarsError, KeyError."""
    try:
        found = msgspec.json.decode(parquet.metadata(path, _METADATA), type=_About)
    except msgspec.MsgspecError:
        return None
    return found if (found.format, found.members) == (FORMAT, _MEMBERS) else None


def _stamp(file: int) -> list[int]:
    """Return what identifies an unchanged file. Raises OSError."""
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
