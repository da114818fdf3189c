"""How often something expensive is done."""

from __future__ import annotations

import time


class Throttle:
    """Limits how often something expensive is done."""

    def __init__(self, least: float, share: float) -> None:
        self.least, self.share = least, share
        self.wanted = False
        self.busy = False
        self._next = 0.0

    def delay(self) -> float:
        """Return the seconds until it may happen."""
        return max(0.0, self._next - time.monotonic())

    def began(self) -> None:
        """Note that it is being done."""
        self.busy, self.wanted = True, False

    def ended(self, seconds: float) -> None:
        """Note that it is done, and took so long."""
        self.busy = False
        self._next = time.monotonic() + max(self.least - seconds, self.share * seconds)
