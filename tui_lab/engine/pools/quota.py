"""How many allocations of a pool are asked for, and which are given back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Standing(NamedTuple):
    """How an allocation stands. granted: it is there. ready: its agent answers, too. works: something is open on it,
    or it is being prepared for that. over: it can't take anything of what waits. leaving: it could not be given back
    before."""

    name: str
    granted: bool
    ready: bool
    works: bool
    over: bool = False
    leaving: bool = False


class Quota:
    """Between `least` and `most` allocations; what has no work for `idle` seconds is given back."""

    def __init__(self, least: int, most: int, idle: float) -> None:
        self.least = least
        self.most = most
        self.idle = idle
        self._idle_since: dict[str, float] = {}  # monotonic, by allocation
        self._needless_since: float | None = None  # more wait than have work

    def to_ask(self, missing: int, standing: Sequence[Standing]) -> int:
        """Return how many to ask for. missing: those that would have work, besides the ones that are ready."""
        coming = sum(not (one.leaving or one.over) for one in standing)
        pending = sum(not (one.leaving or one.ready) for one in standing)
        return min(self.most - coming, max(missing - pending, self.least - coming))

    def to_give_back(self, missing: int, standing: Sequence[Standing], now: float) -> list[str]:
        """Return what has nothing to do, nor will have, for long enough."""
        found = [one.name for one in standing if one.leaving or one.over]
        spare = sum(not (one.leaving or one.over) for one in standing) - self.least
        idle = [one.name for one in standing if one.ready and not (one.works or one.leaving or one.over)]
        before, self._idle_since = self._idle_since, {name: self._idle_since.get(name, now) for name in idle}
        given = [name for name, since in before.items() if name in self._idle_since and now - since >= self.idle]
        given = given[: max(0, spare)]
        return [*found, *given, *self._needless(missing, standing, spare - len(given), now)]

    def _needless(self, missing: int, standing: Sequence[Standing], spare: int, now: float) -> list[str]:
        """Requests that nothing waits for any more: the last ones."""
        waiting = [one.name for one in standing if not one.granted and not one.leaving]
        pending = sum(not (one.leaving or one.ready) for one in standing)
        count = min(len(waiting), spare, pending - missing)
        if count <= 0:
            self._needless_since = None
            return []
        self._needless_since = now if self._needless_since is None else self._needless_since
        return waiting[-count:] if now - self._needless_since >= self.idle else []
