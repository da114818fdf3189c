"""What stands in place of what is not there: what it would be, and the key that brings it. All panels show it alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Final, NamedTuple

from textual.content import Content

from tui_lab.results.terminal.guard import visible
from tui_lab.tui.base.formatting import MUTED

Parts = tuple[tuple[str, str], ...]
"""Texts behind each other, each with its tone: `muted` or `accent bold`."""
KEY_TONE: Final = "accent bold"
SIGNS: Final = ("○", "o")
_INDENT: Final = 4  # cells
_LEAST: Final = 16  # cells of a line, however narrow the room is
_WIDE: Final = 400


class Empty(NamedTuple):
    """What would be here, and the action that brings it, by its id. does: what that does, behind its key."""

    what: str
    action: str
    does: str


Keys = Callable[[str], str]
"""Gives the key of an action, by its id, as it is shown."""
Instead = str | Empty
"""What is said in place of what is not there: a reason, as of an error, may have no key."""


def sentence(said: Instead, keys: Keys) -> str:
    """Return what is said in one line."""
    return said if isinstance(said, str) else f"{said.what}: {keys(said.action)} {said.does}"


def lines(said: Instead, width: int, ascii: bool, keys: Keys) -> list[Parts]:
    """Return the lines of what is said, for so many cells of width; the first one is blank."""
    room = max(_LEAST, width - _INDENT - 1)
    if isinstance(said, str):
        return [(), *(((f"  {line}", "muted"),) for line in wrap(visible(said), room))]
    found: list[Parts] = [()]
    for number, line in enumerate(wrap(visible(said.what), room)):
        sign = f"  {SIGNS[ascii]} " if not number else " " * _INDENT
        found.append(((sign + line, "muted"),))
    shown_key = keys(said.action)
    room -= len(shown_key) + 2
    for number, line in enumerate(wrap(said.does, max(_LEAST, room))):
        key = shown_key if not number else " " * len(shown_key)
        found.append(((" " * _INDENT, ""), (key, KEY_TONE), (f"  {line}", "muted")))
    return found


def content(said: Instead, ascii: bool, keys: Keys, width: int = 0) -> Content:
    """Return what is said for a widget that shows a text, and wraps it where its width is not known."""
    return Content("\n").join(_line(parts) for parts in lines(said, width or _WIDE, ascii, keys))


def _line(parts: Sequence[tuple[str, str]]) -> Content:
    styles = {"muted": MUTED, KEY_TONE: "bold $text-accent"}
    return Content.assemble(*((text, styles.get(tone, "")) for text, tone in parts))
