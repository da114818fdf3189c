"""Changes of the terminal of which only the last counts: its size, and whether it has the focus.

A window that is dragged, or one that a window manager goes over again and again, reports many of them, and each costs a
layout or new styles for everything. From the third on, they wait a moment for the next.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

from textual import events

if TYPE_CHECKING:
    from textual.app import App

MANY: Final = 3
"""Changes within WINDOW seconds that are a burst."""
WINDOW: Final = 0.2
PACE: Final = 0.06  # seconds between two changes of a burst that are handled

_KINDS: Final[tuple[tuple[type[events.Event], ...], ...]] = ((events.Resize,), (events.AppFocus, events.AppBlur))


class TerminalChanges:
    """The app asks `admit` about each event, and handles those that are admitted."""

    def __init__(self, app: App[int]) -> None:
        self._app = app
        self._came = [deque[float](maxlen=MANY) for _ in _KINDS]
        self._kept: list[events.Event | None] = [None for _ in _KINDS]
        self._turns: list[events.Event] = []  # those that were posted again
        self._pacing = False

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
        self._kept[kind] = event
        if not self._pacing:
            self._pacing = True
            self._app.set_timer(PACE, self._go_on)
        return False

    def _go_on(self) -> None:
        self._pacing = False
        for kind in range(len(_KINDS)):
            if (event := self.take(kind)) is not None:
                self._turns.append(event)
                self._app.post_message(event)

    def take(self, kind: int = 1) -> events.Event | None:
        """Return the change that waits, by default of the focus, to be handled now: typed keys are for its widget."""
        event, self._kept[kind] = self._kept[kind], None
        return event
