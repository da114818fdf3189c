"""How far a running task is, and what is left of it: by its steps, or by how long others took."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

MOST: Final = 0.99
"""The largest share of a task that runs: it is not done."""
AGREE: Final = 0.9
"""The share of done tasks that must have ended at the same step,"""
WITHIN: Final = 0.02
"""or so near to it."""
OVERDUE: Final = 1.5
"""Of how many times the longest duration a task is said to be nearly done; after that, nothing tells how far it is."""
EARLY: Final = 0.01
"""The share of the steps before which they don't tell how long the rest takes."""


@dataclass(frozen=True, slots=True)
class Progress:
    """share: from 0 to MOST; left: seconds until the end. None where that is not known."""

    share: float | None = None
    left: float | None = None


def total_steps(ends: Sequence[float]) -> float | None:
    """Return the step at which tasks end, from the last steps of done ones; None where they don't agree."""
    if not ends:
        return None
    middle = median(ends)
    near = sum(abs(end - middle) <= WITHIN * middle for end in ends)
    return middle if middle > 0 and near >= AGREE * len(ends) else None


def task_progress(elapsed: float, step: float | None, total: float | None, durations: Sequence[float] = ()) -> Progress:
    """Return how far a task is that has run for `elapsed` seconds.

    step, total: where it is, and where it ends. durations: those of done tasks like it, ascending.
    """
    if step is not None and total and step >= 0:
        share = step / total
        if share >= EARLY:
            return Progress(min(MOST, share), elapsed * max(0.0, 1 - share) / share)
    if not durations:
        return Progress(None if step is None or not total else max(0.0, step / total))
    longer = durations[bisect_right(durations, elapsed) :]
    if not longer:  # it takes longer than any before
        return Progress(MOST if elapsed <= OVERDUE * durations[-1] else None)
    left = median(longer) - elapsed
    return Progress(min(MOST, elapsed / (elapsed + left)), left)
