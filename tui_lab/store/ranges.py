"""Sets of task ids as a short list of inclusive ranges: [[0, 2999], [3005, 3005]]."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Ranges: TypeAlias = Sequence[Sequence[int]]


def to_ranges(ids: npt.ArrayLike) -> list[list[int]]:
    """The ranges of a set of ids, ascending."""
    import numpy as np  # commands that only read lists of ranges do without

    sorted_ids = np.unique(np.asarray(ids, dtype=np.int64))
    if len(sorted_ids) == 0:
        return []
    breaks = np.flatnonzero(np.diff(sorted_ids) != 1)
    starts = sorted_ids[np.concatenate(([0], breaks + 1))]
    ends = sorted_ids[np.concatenate((breaks, [len(sorted_ids) - 1]))]
    return np.stack((starts, ends), axis=1).tolist()  # type: ignore[no-any-return]


def to_ids(ranges: Ranges) -> npt.NDArray[np.int64]:
    """All ids of the ranges, ascending."""
    import numpy as np  # commands that only read lists of ranges do without

    if not ranges:
        return np.empty(0, dtype=np.int64)
    return np.concatenate([np.arange(first, last + 1, dtype=np.int64) for first, last in ranges])


def count(ranges: Ranges) -> int:
    """Return how many numbers there are in ranges."""
    return sum(last - first + 1 for first, last in ranges)


def each(ranges: Ranges) -> Iterator[int]:
    """Yield the numbers in ranges."""
    for first, last in ranges:
        yield from range(first, last + 1)


def shown(ids: Iterable[int], most: int = 6) -> str:
    """Ranges as text: `0-12, 17, 20-29`."""
    ranges = to_ranges(list(ids))
    parts = [str(first) if first == last else f"{first}-{last}" for first, last in ranges[:most]]
    if len(ranges) > most:
        parts.append(f"and {count(ranges[most:])} more")
    return ", ".join(parts)
