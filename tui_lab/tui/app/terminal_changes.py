"""Changes of the terminal of which only the last counts: its size, and whether it has the focus.

A window that is dragged, or one that a window manager goes over again and again, reports many of them, and each costs a
layout or new styles for everything. From the second on, they wait until no more come for a moment, or for so long that
one who drags a window sees what becomes of it.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from textual import events

if TYPE_CHECKING:
    from textual.app import App
    from textual.timer import Timer

MANY: Final = 2
"""Changes within WINDOW seconds that are a burst."""
WINDOW: Final = 0.2
SETTLED: Final = 0.05
"""Seconds without another change after which the last one is handled,"""
LONGEST: Final = 0.5
"""or after which it is, though more come."""

_KINDS: Final[tuple[tuple[type[events.Event], ...], ...]] = ((events.Resize,), (events.AppFocus, events.AppBlur))


class TerminalChanges:
    """The app asks `admit` about each event, and handles those that are admitted."""

    def __init__(self, app: App[int]) -> None:
        self._app = app
        self._came = [deque[float](maxlen=MANY) for _ in _KINDS]
        self._kept: list[events.Event | None] = [None for _ in _KINDS]
        self._turns: list[events.Event] = []  # those that were posted again
        self._timer: Timer | None = None
        self._since = 0.0  # when the first came that waits

    def admit(self, event: events.Event) -> bool:
        """Return whether an event may be handled now; else it is posted again, unless a newer one takes its place."""
        kind = next((number for number, one in enumerate(_KINDS) if isinstance(event, one)), None)
        if kind is None:
            return True
        if any(event is one for one in self._turns):
            self._turns = [one for one in self._turns if one is not event]
            return True
        came = self._came[kind]
        came.append(now := time.monotonic())
        if len(came) < MANY or now - came[0] > WINDOW:
            self._kept[kind] = None  # older
            return True
        if not any(self._kept):
            self._since = now
        self._kept[kind] = event
        if self._timer is None:
            self._timer = self._app.set_timer(SETTLED, self._go_on)
        elif now + SETTLED < self._since + LONGEST:
            self._timer.reset()
        return False

    def _go_on(self) -> None:
        self._timer = None
        for kind in range(len(_KINDS)):
            if (event := self.take(kind)) is not None:
                self._turns.append(event)
                self._app.post_message(event)

    def take(self, kind: int = 1) -> events.Event | None:
        """Return the change that waits, by default of the focus, to be handled now: typed keys are for its widget."""
        event, self._kept[kind] = self._kept[kind], None
        return event
