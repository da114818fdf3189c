"""What a person types and clicks acts in the order in which it came.

Textual hands a key to the queue of the widget that has the focus, runs bindings in the queue of the app, and changes
the focus by a message. Keys that arrive in one piece (over SSH, from a paste, on a busy machine) then overtake each
other. Here each of them waits until the one before has had all its effects.
"""

from __future__ import annotations

import asyncio
import sys
import termios
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from textual import events
from textual.command import CommandPalette

if TYPE_CHECKING:
    from textual.app import App

LONGEST: Final = 5.0
"""Seconds after which input goes on, whatever it waits for."""
_LOOK: Final = 0.005  # seconds between two looks at what is waited for
_PASSING: Final = (events.MouseMove, events.MouseScrollDown, events.MouseScrollUp, events.MouseScrollLeft,
                   events.MouseScrollRight)  # fmt: skip


class InputOrder:
    """The app asks `admit` about each event of the driver, and handles those that are admitted; the others are posted
    to it again when it is their turn."""

    def __init__(self, app: App[int]) -> None:
        self._app = app
        self._waiting: deque[events.Event] = deque()
        self._effects: deque[events.Event] = deque()  # come before those that wait
        self._turn: events.Event | None = None  # the event that was posted again
        self._settling: asyncio.Task[None] | None = None
        self._holds: dict[object, float] = {}  # until when each lasts

    def admit(self, event: events.Event) -> bool:
        """Whether an event may be handled now."""
        if event is self._turn:
            self._turn = None
        elif self._settling is not None:
            self._waiting.append(event)
            return False
        if self._settling is None and not isinstance(event, _PASSING):
            self._settling = asyncio.create_task(self._settle(), name="input order")
        return True

    def hold(self, seconds: float = LONGEST) -> Callable[[], None]:
        """Let input wait until the function is called that this returns, for what a thread or the next picture of
        the screen has to do first. Only on the screen's thread."""
        token = object()
        self._holds[token] = time.monotonic() + seconds

        def release() -> None:
            self._holds.pop(token, None)

        return release

    def after(self, event: events.Event) -> None:
        """Handle an event before those that wait: it is an effect of the one that is being handled."""
        if self._settling is None:
            self._app.post_message(event)
        else:
            self._effects.append(event)

    async def _settle(self) -> None:
        """Wait for the effects of one event after the other, until none waits."""
        try:
            while True:
                await self._quiet()
                queue = self._effects or self._waiting
                if not queue:
                    return
                self._turn = event = queue.popleft()
                if not self._app.screen_stack or not self._app.post_message(event):
                    return  # the screen is being taken down
                while self._turn is not None and self._app.is_running:
                    await asyncio.sleep(0)
        finally:
            self._settling = None

    async def _quiet(self) -> None:
        """Until nothing is left to do but to wait for time, threads or people."""
        end = time.monotonic() + LONGEST
        await asyncio.sleep(0)
        while (now := time.monotonic()) < end and self._app.is_running:
            if _ready():
                await asyncio.sleep(0)
            elif any(until > now for until in self._holds.values()) or self._searching():
                await asyncio.sleep(_LOOK)
            else:
                return

    def _searching(self) -> bool:
        """Whether the command palette has yet to find what was typed."""
        stack = self._app.screen_stack
        if not stack or not isinstance(stack[-1], CommandPalette):
            return False
        return any(worker.node is stack[-1] and not worker.is_finished for worker in self._app.workers)


def drop_typed() -> None:
    """Forget what was typed and nobody has read yet."""
    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)


def _ready() -> bool:
    """Whether the loop has something to run at once. There is no public way to ask it; a loop that keeps its callbacks
    elsewhere counts as quiet."""
    return bool(getattr(asyncio.get_running_loop(), "_ready", ()))
