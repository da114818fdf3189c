"""Which value has which colour, the same one in every chart and table of a lab."""

from __future__ import annotations

import threading
from collections.abc import Sequence


class Palette:
    """Gives each value of a column a number of a colour when it is first seen, and remembers it. Those that are seen
    together differ. Charts are made in threads."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], dict[str, int]] = {}
        self._lock = threading.Lock()

    def indices(self, experiment: str, column: str, values: Sequence[str]) -> list[int]:
        """Return the numbers of different values, from 0."""
        with self._lock:
            known = self._known.setdefault((experiment, column), {})
            taken = set[int]()
            fresh = []
            for value in values:
                index = known.get(value)
                if index is None or index in taken:
                    fresh.append(value)
                else:
                    taken.add(index)
            free = (index for index in range(len(values)) if index not in taken)
            known.update(zip(fresh, free, strict=False))
            return [known[value] for value in values]
