"""The checkpoint of an experiment: `state.parquet`, the fold of its journal up to a byte offset.

A cache, so that a lab of a million tasks opens at once: ignored where it is missing, damaged, of another
format, or where the journal is not the one that it was made from.
"""

from __future__ import annotations

import hashlib
import json
import logging
from array import array
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from tui_lab.store import layout, parquet
from tui_lab.store.fold import COLUMNS, STATES, State

FORMAT: Final = 3
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
_TAIL: Final = 4096  # bytes of the journal that tell it from another

log = logging.getLogger(__name__)


def write(state: State, folder: Path) -> None:
    """Write a state, in place of an older one. A disk that does not take it is no error: it is a cache."""
    path = folder / layout.CHECKPOINT_FILE
    partial = path.with_suffix(".partial")
    facts: dict[str, Any] = {name: getattr(state, name) for name in _FACTS}
    facts["changes"] = list(state.changes.items())
    facts["notes"] = list(state.notes.items())
    facts["stopping"] = list(state.stopping.items())
    facts["quarantined"] = sorted(state.quarantined)
    facts["format"] = FORMAT
    try:
        facts["tail"] = _tail(folder / layout.JOURNAL_FILE, state.offset)
        frame = pl.DataFrame(
            {name: np.frombuffer(state.columns[name], dtype=code) for name, (code, _) in COLUMNS.items()}
        )
        frame.write_parquet(partial, compression="lz4", metadata={_METADATA: json.dumps(facts)})
        partial.replace(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        log.warning("%s: %s", path, error)
        partial.unlink(missing_ok=True)


def read(folder: Path) -> State:
    """The state that the checkpoint holds; a state from before the first event where it is of no use."""
    path = folder / layout.CHECKPOINT_FILE
    try:
        facts = parquet.about(path, _METADATA)
        if facts["format"] != FORMAT or facts["tail"] != _tail(folder / layout.JOURNAL_FILE, facts["offset"]):
            return State()
        frame = parquet.read(path)
        state = State()
        for name in _FACTS:
            setattr(state, name, facts[name])
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


def _tail(journal: Path, offset: int) -> str:
    """A hash of what the journal holds just before an offset. Raises OSError, ValueError where it is
    shorter."""
    with open(journal, "rb") as file:
        file.seek(max(0, offset - _TAIL))
        data = file.read(min(offset, _TAIL))
    if len(data) != min(offset, _TAIL):
        raise ValueError("the journal is shorter")
    return hashlib.sha256(data).hexdigest()
