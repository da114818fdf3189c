"""What the terminal is asked while the screen is shown.

Textual reads all that the terminal sends. It knows where the cursor is said to be, and takes any other answer for typed
keys. So each question stands between two questions for the cursor: what comes between their answers is the answer, and
whatever else was typed there acts as it would have.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from textual import events

if TYPE_CHECKING:
    from textual.app import App

PATIENCE: Final = 2.0  # seconds that the terminal has
_WHERE: Final = "\x1b[6n"
_VERSION: Final = re.compile(r"\^P>\|(.*?)\^\\")  # Textual has ^ in place of escape


class Questions:
    """Writes questions, and is shown what arrives. One question at a time."""

    def __init__(self, app: App[int], write: Callable[[str], None]) -> None:
        self._app = app
        self._write = write
        self._asked = 0  # places of the cursor that are to come
        self._places: list[tuple[int, int]] = []  # those that came
        self._came = asyncio.Event()  # all of them
        self._keys: list[events.Key] | None = None  # of an answer

    async def version(self) -> str:
        """Return what the terminal says that it is, by XTVERSION; nothing where it does not say."""
        if not self._can_ask:
            return ""
        keys: list[events.Key] = []
        self._keys = keys
        await self._ask(f"{_WHERE}\x1b[>q{_WHERE}", 2)
        self._keys = None
        said = "".join(_character(key) for key in keys)
        found = _VERSION.search(said)
        at = 0
        for key in keys:
            if found is None or not found.start() <= at < found.end():
                self._app.post_message(key)
            at += len(_character(key))
        return found[1] if found else ""

    async def cursor_after(self, sequences: Sequence[str]) -> list[tuple[int, int]]:
        """Write some sequences, each at the upper left corner. Return where the cursor was after each, as column and
        row; none where the terminal does not say."""
        if not self._can_ask:
            return []
        places = await self._ask(
            "\x1b7" + "".join(f"\x1b[H{one}{_WHERE}" for one in sequences) + "\x1b8", len(sequences)
        )
        self._app.screen.refresh()  # some may have changed what is shown there
        return places

    @property
    def _can_ask(self) -> bool:
        return not (self._asked or self._app.is_headless or self._app.is_web)

    async def _ask(self, text: str, answers: int) -> list[tuple[int, int]]:
        self._asked, self._places = answers, []
        self._came.clear()
        self._write(text)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._came.wait()
        except TimeoutError:
            return []
        finally:
            self._asked = 0
        return self._places

    def takes(self, event: events.Event) -> bool:
        """Return whether an event is a part of an answer, or may be one: then it is not to be handled."""
        if not self._asked:
            return False
        if isinstance(event, events.CursorPosition):
            self._places.append((event.x, event.y))
            if len(self._places) == self._asked:
                self._came.set()
            return True
        if self._keys is None or len(self._places) != 1 or not isinstance(event, events.Key):
            return False
        self._keys.append(event)
        return True


def _character(key: events.Key) -> str:
    return key.character or "\0"
