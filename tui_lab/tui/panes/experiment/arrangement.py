"""Where the panels of the Experiment pane stand."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.widgets.panels.layout import Arrangement, Room

ROOMS: Final = {
    "text": Room(50, 11),
    "plan-panel": Room(40, 9),
    "tester-panel": Room(50, 9),
    "outputs-panel": Room(60, 9),
}
ARRANGEMENTS: Final[tuple[Arrangement, ...]] = (
    (("text", "outputs-panel"),),
    (("text", "plan-panel", "tester-panel"),),
    (("text",), ("outputs-panel",)),
    (("text",), ("plan-panel", "tester-panel")),
    (("text",), ("plan-panel",), ("tester-panel",)),
    (("text",), ("plan-panel", "tester-panel"), ("outputs-panel",)),
)
NARROW: Final = 100
"""Cells of width below which plan and pattern stand under the text, one at a time."""
