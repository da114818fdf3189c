"""Searching all outputs of a document, from where someone looks, round its end."""

from __future__ import annotations

from collections.abc import Callable

from tui_lab.tui import log_scan
from tui_lab.tui.log_document import TITLE, Document, Place
from tui_lab.tui.log_file import Readable, after
from tui_lab.tui.log_scan import Needle


def seek(
    document: Document, needle: Needle, start: Place, direction: int, first: bool, going: Callable[[], bool]
) -> tuple[Place | None, bool]:
    """The next line with the needle in a direction, and whether the search went round. `first`: the line at the
    start counts."""
    parts, count = document.parts, len(document.parts)
    if not count:
        return None, False
    for turn in range(count + 1):
        number = (start.part + direction * turn) % count
        file = parts[number].file
        if turn == 0:
            offset = max(start.offset, file.start)
            if direction > 0 and not first and start.offset != TITLE:
                offset = _line_end(file, offset)
        else:
            offset = file.start if direction > 0 else file.size
        look = log_scan.find if direction > 0 else log_scan.find_back
        found = look(file, needle, offset, going)
        if found is not None:
            at = Place(number, found)
            return at, turn > 0 and (at <= start if direction > 0 else at >= start)
        if not going():
            break
    return None, False


def _line_end(file: Readable, offset: int) -> int:
    lines = after(file, offset, 1)
    return lines[0].end if lines else file.size
