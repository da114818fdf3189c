"""How fast a run goes, and when it will end: from its journal, and calmly.

An estimate that follows each end of a task swings: tasks differ, and several end at once. So what is shown counts down
by the clock, and is drawn to the newest estimate little by little. A pause, another submission, or clearly more or
fewer running tasks begin anew.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np

from tui_lab.store import ranges
from tui_lab.store.events import DependencyDone, Event, Finished, Paused, Requeued, Resumed, Started, Submitted
from tui_lab.store.fold import RUNNING, State

RECENT: Final = 200
"""Ends of tasks that the rate and the usual duration are taken from."""
HALF: Final = 30.0
"""Seconds in which half of the way to a new estimate is gone; fewer while little is known, and near the end. Never more
than half of the time since the first estimate: that one comes from the run's first moments, and is the worst."""
STRIDE: Final = 0.1
"""The share of what is shown that one second may change, besides counting down."""
QUICK: Final = 2.0
"""Seconds: of shorter tasks, ends are counted; of longer ones, what is left of each."""
WINDOW: Final = 10.0
"""Seconds in which as many tasks as there are slots have run at some moment."""
FEW: Final = 20
"""Ends after which a run is known well."""
OTHER: Final = 1 / 3
"""The share by which the number of running tasks differs when the estimate begins anew."""
_OVERDUE: Final = 0.2
"""A task that takes longer than any before is expected to take so much longer."""
_MOST: Final = 1000
"""Running tasks of which each is looked at."""


class Eta:
    """Seconds until an end, smoothed."""

    def __init__(self) -> None:
        self._shown: float | None = None
        self._at = 0.0
        self._since = 0.0  # when the first estimate came

    def reset(self) -> None:
        """Take the next estimate as it is."""
        self._shown = None

    def update(self, now: float, raw: float | None, known: int = FEW) -> float | None:
        """Return what to show. now: of any clock, in seconds; raw: the newest estimate; known: ends behind it."""
        if raw is None:
            self._shown = None
            return None
        passed, self._at = max(0.0, now - self._at), now
        if self._shown is None:
            self._shown, self._since = raw, now
            return raw
        left = max(0.0, self._shown - passed)
        half = max(1.0, min(HALF * min(1.0, known / FEW), (now - self._since) / 2, min(left, raw) / 3))
        most = (STRIDE * left + 0.5) * passed
        self._shown = left + max(-most, min(most, (raw - left) * (1 - 0.5 ** (passed / half))))
        return self._shown


class Pace:
    """The speed of a run, from the events of its journal since it began. Times are in seconds since 1970.

    Runs of stages before the last don't count: their ends are those of no task.
    """

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=RECENT)
        self._durations: deque[float] = deque(maxlen=RECENT)
        self._sorted: list[float] | None = None
        self._running: dict[int, float] = {}  # tasks, and when they were started
        self._crowds: deque[tuple[float, int]] = deque()  # how many ran, lately
        self._slots = 0  # when the estimate began
        self._since = 0.0  # when the first task of the run began
        self._eta = Eta()

    def begin(self, state: State) -> None:
        """Take in what the run has done before it is watched."""
        if not state.submissions:
            return
        self._since = state.continued
        started, ended, took = (
            np.frombuffer(state.columns[name], dtype=np.float64) for name in ("started", "ended", "duration")
        )
        stage = np.frombuffer(state.columns["stage"], dtype=np.int16)
        recent = np.flatnonzero((ended > state.submissions[-1].at) & (stage == 0))
        if len(recent) > RECENT:
            recent = recent[np.argpartition(ended[recent], len(recent) - RECENT)[-RECENT:]]
        recent = recent[np.argsort(ended[recent])]
        self._ends.extend(ended[recent][ended[recent] > self._since].tolist())
        self._durations.extend(duration for duration in took[recent].tolist() if duration == duration)
        codes = np.frombuffer(state.columns["state"], dtype=np.int8)
        running = np.flatnonzero((codes == RUNNING) & (stage == 0))
        ran = started[(stage == 0) & ((ended > self._since) | (codes == RUNNING)) & ~np.isnan(started)]
        self._since = max(self._since, float(ran.min(initial=np.inf))) if len(ran) else self._since
        self._running = dict(zip(running.tolist(), started[running].tolist(), strict=True))

    def hear(self, event: Event, state: State) -> None:
        """Take in an event. state: with it."""
        match event:
            case Started():
                if state.stage(event.task) is None:
                    if not self._ends and not self._running:
                        self._since = event.at  # an engine takes a moment to start: that is no time of tasks
                    self._running[event.task] = event.at
            case Finished():
                self._running.pop(event.task, None)
                over = event.again is None and not event.duplicate and not event.waits
                if over and state.stage(event.task) is None:
                    self._ends.append(event.at)
                    if event.duration is not None:
                        self._durations.append(event.duration)
                        self._sorted = None
            case DependencyDone():
                self._ends.extend([event.at] * min(RECENT, ranges.count(event.tasks)))
            case Submitted() | Resumed() | Requeued():
                self._since = event.at
                self._ends.clear()
                self._eta.reset()
            case Paused():
                self._eta.reset()
            case _:
                pass

    def rate(self, now: float | None = None) -> float | None:
        """Return the tasks that have ended per second, recently."""
        if not self._ends:
            return None
        now = time.time() if now is None else now
        full = len(self._ends) == RECENT
        since = self._ends[0] if full else self._since
        return (len(self._ends) - full) / max(0.05, now - since)

    def remaining(self, queued: int, now: float | None = None, drained: bool = False) -> float | None:
        """Return the seconds until the end; None where nothing is known yet. queued: tasks that have not ended,
        running ones included; drained: only the running ones go on."""
        now = time.time() if now is None else now
        pending = 0 if drained else max(0, queued - len(self._running))
        slots = self._present_slots(now)
        if pending and abs(slots - self._slots) > OTHER * max(slots, self._slots):
            self._slots = slots
            self._eta.reset()
        return self._eta.update(now, self._estimate(pending, slots, now), len(self._ends))

    def _present_slots(self, now: float) -> int:
        """Return how many tasks run at once: when one ends, the next one comes a moment later."""
        crowds = self._crowds
        while crowds and (crowds[0][0] < now - WINDOW or len(crowds) > _MOST):
            crowds.popleft()
        while crowds and crowds[-1][1] <= len(self._running):
            crowds.pop()  # the first one is always the most
        crowds.append((now, len(self._running)))
        return crowds[0][1]

    def _estimate(self, pending: int, slots: int, now: float) -> float | None:
        if not pending and not self._running:
            return 0.0
        mean = self._mean(now)
        if mean is None or not slots or (pending and mean < QUICK):
            rate = self.rate(now)
            return (pending + len(self._running)) / rate if rate else None
        known = self._sorted_durations()
        looked_at = list(self._running.values())[:_MOST]
        left = [_left(known, max(0.0, now - began)) for began in looked_at]
        longest = max(left, default=0.0)
        work = pending * mean + sum(left) * len(self._running) / max(1, len(left))
        return max(work / slots, longest + (mean if pending else 0.0)) if pending <= slots else work / slots

    def _mean(self, now: float) -> float | None:
        """Return how long a task takes. While few have ended, these are the short ones: then the time that the others
        have run by now counts, too."""
        count = len(self._durations)
        if not count:
            return None
        running = len(self._running)
        share = max(0.0, 1 - count / (3 * running)) if running else 0.0
        so_far = sum(max(0.0, now - began) for began in self._running.values()) if share else 0.0
        return (sum(self._durations) + share * so_far) / count

    def _sorted_durations(self) -> list[float]:
        if self._sorted is None:
            self._sorted = sorted(self._durations)
        return self._sorted


def _left(known: Sequence[float], elapsed: float) -> float:
    """Return what is left of a task: what longer ones took beyond that."""
    longer = known[bisect_right(known, elapsed) :]
    return sum(longer) / len(longer) - elapsed if longer else _OVERDUE * elapsed
