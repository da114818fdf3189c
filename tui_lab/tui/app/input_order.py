"""Keys and clicks act in the order in which they came.

Textual hands a key to the queue of the widget that has the focus, runs bindings in the queue of the app, and changes
the focus by a message. Keys that arrive in one piece (over SSH, from a paste, on a busy machine) then overtake each
other. Here each of them waits until the one before has had all its effects.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from textual import actions, events
from textual.command import CommandPalette

from tui_lab.tui.base.pane import is_text
from tui_lab.tui.base.repeated import AddsUp

if TYPE_CHECKING:
    from textual.app import App
    from textual.binding import ActiveBinding
    from textual.screen import Screen

T = TypeVar("T")

LONGEST: Final = 5.0
"""Seconds after which input goes on, whatever it waits for, but"""
BEGINNING: Final = 20.0
"""seconds for what a screen begins with: without it, a key has nothing to act on."""
LONGEST_PASTE: Final = 200_000  # characters; more than that takes text fields many seconds
PAUSE: Final = 0.3
"""Seconds of waiting after which a key that leaves acts at once."""
_LOOK: Final = 0.005  # seconds between two looks at what is waited for
_PASSING: Final = (events.MouseMove, events.MouseScrollDown, events.MouseScrollUp, events.MouseScrollLeft,
                   events.MouseScrollRight)  # fmt: skip
_MOVING: Final = ("cursor", "page", "move")
"""Actions of tables and logs that do nothing else than to move a cursor, or a window."""
_REPEATED: Final = 256  # keys that act at once


class _Waiting(NamedTuple):
    """An event that is not handled yet. tired: it leads away, and was not typed in one go with what waits before it."""

    event: events.Event
    way_out: bool
    tired: bool


class InputOrder:
    """The app asks `admit` about each event of the driver, and handles those that are admitted; the others are posted
    to it again when it is their turn. is_way_out tells which lead away from what is read on the screen, or out."""

    def __init__(self, app: App[int], is_way_out: Callable[[events.Event], bool]) -> None:
        self._app = app
        self._is_way_out = is_way_out
        self._waiting: deque[_Waiting] = deque()
        self._effects: deque[events.Event] = deque()  # come before those that wait
        self._turns: list[events.Event] = []  # the events that were posted again
        self._settling: asyncio.Task[None] | None = None
        self._holds: dict[object, float] = {}  # until when each lasts
        self._rows: set[object] = set()  # those of them that a way out does not wait for

    def admit(self, event: events.Event) -> bool:
        """Return whether an event may be handled now."""
        if self._turns and event is self._turns[0]:
            del self._turns[0]
        elif self._settling is not None or self._waits(event):
            last = self._waiting[-1] if self._waiting else None
            before = last.event.time if last is not None else -math.inf
            # To ask takes a while, and a key that is held down comes often.
            way_out = last.way_out if last is not None and _is_same(last.event, event) else self._is_way_out(event)
            self._waiting.append(_Waiting(event, way_out, way_out and event.time - before >= PAUSE))
            self._begin()
            return False
        if not isinstance(event, _PASSING):
            self._begin()
        return True

    def _waits(self, event: events.Event) -> bool:
        """Return whether an event has to wait, though none was before it: for what comes by itself, as at first."""
        now = time.monotonic()
        held = any(until > now for until in self._holds.values())
        return held and not isinstance(event, _PASSING) and not self._is_way_out(event)

    def _begin(self) -> None:
        if self._settling is None:
            self._settling = asyncio.create_task(self._settle(), name="input order")

    def hold(self, seconds: float = LONGEST, rows: bool = False) -> Callable[[], None]:
        """Let input wait until the function is called that this returns, for what a thread or the next picture of
        the screen has to do first. Only on the screen's thread.

        rows: a thread reads what keys act on. A key that leads away waits for that only where it came in one go with
        keys before it that do.
        """
        token = object()
        self._holds[token] = time.monotonic() + seconds
        if rows:
            self._rows.add(token)

        def release() -> None:
            self._holds.pop(token, None)
            self._rows.discard(token)

        return release

    async def for_question(self, answer: Awaitable[T]) -> T:
        """Await what a question needs. What is typed meanwhile waits, because it is for the question."""
        release = self.hold()
        try:
            return await answer
        finally:
            release()

    def _is_held(self, now: float) -> bool:
        """Return whether the next event has to wait."""
        leaving = (not self._effects and self._waiting and self._waiting[0].way_out) or any(
            one.tired for one in self._waiting
        )
        return any(until > now and not (leaving and token in self._rows) for token, until in self._holds.items())

    def after(self, event: events.Event) -> None:
        """Handle an event before those that wait: it is an effect of the one that is being handled."""
        if self._settling is None:
            self._app.post_message(event)
        else:
            self._effects.append(event)

    async def _settle(self) -> None:
        """Wait for the effects of each event in turn, until none waits."""
        try:
            while True:
                await self._quiet()
                if self._effects:
                    self._turns = [self._effects.popleft()]
                elif self._waiting:
                    self._turns = self._next()
                else:
                    return
                for event in tuple(self._turns):
                    if not self._app.screen_stack or not self._app.post_message(event):
                        return  # the screen is being taken down
                while self._turns and self._app.is_running:
                    await asyncio.sleep(0)
        finally:
            self._settling = None

    def _next(self) -> list[events.Event]:
        """Take the next event; and with a key that does nothing but move a cursor or a window, those behind it that are
        the same: it is not painted where a key that is held down has been meanwhile. Where their moves add up, they
        are one move, and the last key."""
        taken = [self._waiting.popleft().event]
        if not self._waiting or not _is_same(taken[0], self._waiting[0].event):
            return taken
        moving = self._moving(taken[0])
        if moving is None:
            return taken
        while self._waiting and len(taken) < _REPEATED and _is_same(taken[0], self._waiting[0].event):
            taken.append(self._waiting.popleft().event)
        name, numbers = actions.parse(moving.binding.action)[1:]
        if len(taken) == 1 or not isinstance(moving.node, AddsUp) or name not in moving.node.ADDS_UP:
            return taken
        whole = "", name, tuple(number * (len(taken) - 1) for number in numbers if isinstance(number, int))
        self._app.call_later(self._app.run_action, whole, moving.node)
        return taken[-1:]

    def _moving(self, event: events.Event) -> ActiveBinding | None:
        """Return what a key does, if that is a move of the widget with the focus."""
        if not isinstance(event, events.Key) or not self._app.screen_stack:
            return None
        active = self._app.screen.active_bindings.get(event.key)
        if active is None or active.node is not self._app.focused or not active.enabled:
            return None
        return active if active.binding.action.partition("(")[0] in _MOVING else None

    async def _quiet(self) -> None:
        """Wait until the app has nothing left to do at once."""
        end = max((time.monotonic() + LONGEST, *self._holds.values()))
        await asyncio.sleep(0)
        while (now := time.monotonic()) < end and self._app.is_running:
            if _ready():
                await asyncio.sleep(0)
            elif self._is_held(now) or self._searching():
                await asyncio.sleep(_LOOK)
            else:
                return

    def _searching(self) -> bool:
        """Return whether the command palette is still searching."""
        stack = self._app.screen_stack
        if not stack or not isinstance(stack[-1], CommandPalette):
            return False
        return any(worker.node is stack[-1] and not worker.is_finished for worker in self._app.workers)


class WaysOut:
    """Knows which keys open another pane, or leave the widget with the focus or the screen. actions: those of the app
    that do."""

    def __init__(self, app: App[int], actions: Iterable[str]) -> None:
        self._app = app
        self._actions = set(actions)

    def add(self, action: str) -> None:
        """Note another action that does."""
        self._actions.add(action)

    def leads(self, event: events.Event) -> bool:
        """Return whether an event does."""
        app = self._app
        if not isinstance(event, events.Key) or not app.screen_stack:
            return False
        if event.key in ("ctrl+c", "escape"):
            return True
        active = app.screen.active_bindings.get(event.key)
        typed = event.is_printable and is_text(app.focused)
        return active is not None and active.node is app and not typed and active.binding.action in self._actions


def letter_after_escape(event: events.Key, screen: Screen[object]) -> events.Key | None:
    """Return the letter of an unused key with alt: terminals send escape and a letter in the same way."""
    alt, _, letter = event.key.rpartition("+")
    if alt != "alt" or len(letter) != 1 or event.key in screen.active_bindings:
        return None
    return events.Key(letter, letter)


def too_long(event: events.Paste) -> str:
    """Return why a text is not pasted; empty where it is."""
    if len(event.text) <= LONGEST_PASTE:
        return ""
    size = f"{len(event.text):,} characters; at most {LONGEST_PASTE:,} are the most"
    return f"that is too long to be pasted: {size}; a file is opened instead (1, then o)"


def _is_same(one: events.Event, other: events.Event) -> bool:
    """Return whether two events are the same key."""
    return isinstance(one, events.Key) and isinstance(other, events.Key) and one.key == other.key


def _ready() -> bool:
    """Return whether the loop has something to run at once. There is no public way to ask; a loop that keeps its
    callbacks elsewhere counts as idle."""
    return bool(getattr(asyncio.get_running_loop(), "_ready", ()))
