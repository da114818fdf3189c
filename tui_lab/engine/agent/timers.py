"""Calls at a later time."""

import heapq
import time

TYPE_CHECKING = False  # importing `typing` would slow down the start
if TYPE_CHECKING:
    from typing import Any


class Timers:
    """Calls with their times. A timer is a list: its call is None once it is cancelled."""

    def __init__(self) -> None:
        self.waiting: Any = []
        self.count = 0
        self.cancelled = 0

    def after(self, seconds: float, call, *arguments) -> list:
        """Call after some seconds; return the timer."""
        self.count += 1
        timer = [time.monotonic() + seconds, self.count, call, arguments]
        heapq.heappush(self.waiting, timer)
        return timer

    def cancel(self, timers: list) -> None:
        """Cancel timers, and empty the list. With a timeout of hours and short tasks they would pile up."""
        for timer in timers:
            timer[2], timer[3] = None, ()
        self.cancelled += len(timers)
        del timers[:]
        if self.cancelled > 1000 and self.cancelled > len(self.waiting) // 2:
            self.waiting = [timer for timer in self.waiting if timer[2] is not None]
            heapq.heapify(self.waiting)
            self.cancelled = 0

    def next(self, now: float, at_most: float) -> float:
        """Return the seconds until the next call, at most `at_most`."""
        if not self.waiting:
            return at_most
        return max(0.0, min(at_most, self.waiting[0][0] - now))

    def run(self) -> None:
        """Make the calls that are due."""
        now = time.monotonic()
        while self.waiting and self.waiting[0][0] <= now:
            _, _, call, arguments = heapq.heappop(self.waiting)
            if call is None:
                self.cancelled -= 1
            else:
                call(*arguments)
