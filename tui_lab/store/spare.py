"""Repeats that `repeat.until` has in reserve: planned, and asked for only where they turn out to be needed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tui_lab.store import ranges
from tui_lab.store.fold import PENDING, State


def spare_tasks(state: State) -> npt.NDArray[np.int64]:
    """Those that the newest submission had, and nothing has asked for since; with the ones that it joined."""
    found = [np.empty(0, dtype=np.int64)]
    for event in reversed(state.submissions):
        found.append(ranges.to_ids(event.spare))
        if not event.joins:
            break
    tasks = np.unique(np.concatenate(found))
    if not tasks.size:
        return tasks
    tasks = tasks[tasks < state.size]
    waits, codes, planned = (
        np.frombuffer(state.columns[name], dtype=np.int8)[tasks] for name in ("queued", "state", "planned")
    )
    spare: npt.NDArray[np.int64] = tasks[(planned == 1) & (waits == 0) & (codes == PENDING)]
    return spare


def counts_without_spare(state: State) -> tuple[dict[str, int], int]:
    """Planned tasks by state, but for spare ones, which are pending only in name; and the number of those."""
    counts = state.counts_by_name()
    spare = len(spare_tasks(state))
    return {**counts, "pending": counts["pending"] - spare}, spare
