"""Numbers, places and bars as short texts. Nothing here knows Textual, and nothing is heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from tui_lab.store import mirrors

if TYPE_CHECKING:
    from tui_lab.store.events import Paused

# `tui_lab.client.formatting` is imported when there is something to show: the screen's frame stands before that.
# In ASCII each mark is a letter of its own.
ASCII_MARKS: Final = {"done": "+", "failed": "x", "running": ">", "pending": ".", "stopped": "#", "lost": "?"}
MUTED: Final = "$foreground 68% $quiet"
"""As quiet as it can be read, by WCAG AA, on the grounds of our themes; dim where a theme has sixteen colours."""
# Styles by the theme: fitting for light, dark and terminal colours.
STATE_STYLES: Final = {
    "done": "$text-success",
    "failed": "$text-error",
    "running": "$text-primary",
    "pending": MUTED,
    "stopped": "$text-warning",
    "lost": "$text-accent",
}
_PAUSES: Final = {
    "first_failures": "the first tasks failed",
    "max_failures": "too many tasks failed",
    "asked": "by command",
    "no_node": "no node can be reached",
    "error": "by an error",
}
_EIGHTHS: Final = " ▁▂▃▄▅▆▇█"
_ASCII_LEVELS: Final = " .:-=+*#@"


def mark(state: str, ascii: bool = False) -> str:
    """Return the sign of a state. ascii: for terminals that lack the usual signs."""
    from tui_lab.client.formatting import STATE_MARKS

    return ASCII_MARKS[state] if ascii else STATE_MARKS[state]


def count_words(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """States that have tasks, in the order of their marks."""
    from tui_lab.client.formatting import STATE_MARKS

    return [(state, counts[state]) for state in STATE_MARKS if counts.get(state)]


def rate_words(rate: float) -> str:
    """Tasks per second, minute or hour, whichever reads best."""
    for unit, seconds in (("s", 1), ("min", 60), ("h", 3600)):
        value = rate * seconds
        if value >= 1:
            return f"{value:,.0f}/{unit}" if value >= 20 else f"{value:.1f}/{unit}"
    return f"{rate * 86400:.1f}/day"


def span_words(seconds: float) -> str:
    """A length of time that does not flicker: whole seconds at least."""
    from tui_lab.client.formatting import span

    return span(max(1, round(seconds)))


def called(lab: Path) -> str:
    """Return what the user calls a lab: its folder, or its address on another machine."""
    side = mirrors.other_side(lab)
    return home(lab) if side is None else side.name


def home(path: Path) -> str:
    """A path as people write it."""
    try:
        return f"~/{path.absolute().relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def short(text: str, width: int) -> str:
    """The end of a path or name, where all of it does not fit: the end tells more."""
    if cell_len(text) <= width:
        return text
    return "…" + text[len(text) - max(1, width - 1) :]


def bar(width: int, parts: Sequence[tuple[float, str]], whole: float, ascii: bool = False) -> list[tuple[str, str]]:
    """A bar of `width` cells as (text, style) pieces. A part that is not nothing gets a cell at least."""
    full, empty = ("#", "-") if ascii else ("━", "─")
    cells: list[tuple[str, str]] = []
    used = 0
    for value, style in parts:
        share = round(width * value / whole) if whole else 0
        length = min(width - used, max(share, 1 if value else 0))
        if length > 0:
            cells.append((full * length, style))
            used += length
    return [*cells, (empty * (width - used), "$foreground 30%")]


def sparkline(values: Sequence[float | None], width: int, ascii: bool = False) -> str:
    """The newest `width` values, each from 0 to 1, as a line of small columns; a gap where one is not known."""
    levels = _ASCII_LEVELS if ascii else _EIGHTHS
    shown = [" " if value is None else levels[max(1, min(8, round(value * 8)))] for value in values[-width:]]
    return "".join(shown).rjust(width)


def columns_of(values: Sequence[float | None], width: int, height: int, top: float, ascii: bool = False) -> list[str]:
    """The newest `width` values, each from 0 to `top`, as columns of `height` lines; a gap where one is not known."""
    levels = _ASCII_LEVELS if ascii else _EIGHTHS
    eighths = [
        None if one is None else max(1, min(8 * height, round(8 * height * one / top))) for one in values[-width:]
    ]
    lines = []
    for below in range(8 * (height - 1), -1, -8):
        cells = (" " if one is None else levels[max(0, min(8, one - below))] for one in eighths)
        lines.append("".join(cells).rjust(width))
    return lines


def paused_words(event: Paused) -> str:
    """Return that a run is paused, and why."""
    return f"paused: {_PAUSES.get(event.reason, event.reason)}"
