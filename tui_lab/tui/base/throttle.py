"""How often something expensive is done."""

from __future__ import annotations

import time
from typing import Final

ENOUGH: Final = 5.0
"""Seconds of rest that are enough, if it rests twice as long as it worked: on a busy machine, little
work takes long."""


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
        rest = min(self.share * seconds, max(ENOUGH, 2 * seconds))
        self._next = time.monotonic() + max(self.least - seconds, rest)
