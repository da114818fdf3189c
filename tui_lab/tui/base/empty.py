"""What stands in place of what is not there: what it would be, and the key that brings it. All panels show it alike."""

from __future__ import annotations

from collections.abc import Sequence
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
_NAMES: Final = {"slash": "/", "escape": "esc", "vertical_line": "|"}


class Empty(NamedTuple):
    """What would be here, and the key that brings it. key: its name in Textual, such as `slash`."""

    what: str
    key: str
    does: str

    @property
    def shown_key(self) -> str:
        """The key as it is printed on the screen: `/`, `^j`."""
        return _NAMES.get(self.key, self.key.replace("ctrl+", "^"))

    def __str__(self) -> str:
        return f"{self.what}: {self.shown_key} {self.does}"


Instead = str | Empty
"""What is said in place of what is not there: a reason, as of an error, may have no key."""


def lines(said: Instead, width: int, ascii: bool) -> list[Parts]:
    """Return the lines of what is said, for so many cells of width; the first one is blank."""
    room = max(_LEAST, width - _INDENT - 1)
    if isinstance(said, str):
        return [(), *(((f"  {line}", "muted"),) for line in wrap(visible(said), room))]
    found: list[Parts] = [()]
    for number, line in enumerate(wrap(visible(said.what), room)):
        sign = f"  {SIGNS[ascii]} " if not number else " " * _INDENT
        found.append(((sign + line, "muted"),))
    room -= len(said.shown_key) + 2
    for number, line in enumerate(wrap(said.does, max(_LEAST, room))):
        key = said.shown_key if not number else " " * len(said.shown_key)
        found.append(((" " * _INDENT, ""), (key, KEY_TONE), (f"  {line}", "muted")))
    return found


def content(said: Instead, ascii: bool, width: int = _WIDE) -> Content:
    """Return what is said for a widget that shows a text, and wraps it unless the width is given."""
    return Content("\n").join(_line(parts) for parts in lines(said, width, ascii))


def _line(parts: Sequence[tuple[str, str]]) -> Content:
    styles = {"muted": MUTED, KEY_TONE: "bold $text-accent"}
    return Content.assemble(*((text, styles.get(tone, "")) for text, tone in parts))
