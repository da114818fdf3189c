"""Lines of a table: cells and tones become segments of a strip."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.strip import Strip

from tui_lab.tui.widgets.table.cells import Cell, Drawing, fitted
from tui_lab.tui.widgets.table.layout import GAP, GUTTER, Layout

if TYPE_CHECKING:
    from textual.widget import Widget

Segments = list[Segment]
WHOLE: Final = ("header", "cursor")  # component classes that colour a whole line


class Tones:
    """The styles of a table's lines and of the tones on them; a line's background shines through."""

    def __init__(self, widget: Widget) -> None:
        self._widget = widget
        self._known: dict[tuple[str, ...], Style] = {}

    def clear(self) -> None:
        """Forget the styles: the theme or the focus has changed."""
        self._known.clear()

    def __call__(self, *names: str) -> Style:
        # The focus changes what the classes mean, without a message.
        key = (*names, "focus") if self._widget.has_focus else names
        if key not in self._known:
            self._known[key] = self._made(names)
        return self._known[key]

    def _made(self, names: Sequence[str]) -> Style:
        whole = [name for name in names if name in WHOLE]
        style = self._widget.get_component_rich_style(f"table--{whole[0]}") if whole else self._widget.rich_style
        for tone in " ".join(name for name in names if name not in whole).split():
            part = self._widget.get_component_rich_style(f"table--{tone}", default=Style.null())
            colour = None if "cursor" in whole else part.color
            style += Style(color=colour, bold=part.bold, underline=part.underline)
        return style


def line(
    width: int,
    layout: Layout,
    scroll: int,
    cell: Callable[[int, int], Segments],
    mark: Segment,
    blank: Style,
) -> Strip:
    """A line of `width` cells: the mark, the frozen columns, and of the others what `scroll` leaves in sight.

    `cell` makes a column's cell in so many cells of width.
    """
    still = [Segment(f"{mark.text:<{GUTTER}}", mark.style)]
    for place in range(layout.frozen):
        still += cell(place, layout.widths[place])
    places = layout.moving(scroll, width)
    room = max(0, width - layout.still)
    moving: list[Segment] = []
    for place in places:
        start = layout.offsets[place] - layout.still - scroll
        if start < 0 and layout.widths[place] < room:  # a number without its first digits would mislead
            moving.append(Segment(" " * (layout.offsets[place + 1] - layout.offsets[place]), blank))
        else:
            moving += cell(place, min(layout.widths[place], max(1, room - start)))
    start = layout.offsets[places.start] if places else layout.still
    left = layout.still + scroll - start
    body = Strip(moving).crop_extend(left, left + room, blank)
    return Strip.join([Strip(still), body]).crop_extend(0, width, blank)


def segments(cell: Cell, width: int, right: bool, pad: int, style: Style, blank: Style, ellipsis: str) -> Segments:
    """A cell and the gap behind it."""
    text = fitted(cell.text, width, right, max(0, pad), ellipsis)
    space = Segment(" " * GAP, blank)
    if isinstance(text, Text):
        parts = text.render(_console())
        style += (
            text.style if isinstance(text.style, Style) else Style.parse(text.style)
        )  # which `render` may leave out
        return [*(Segment(part.text, style + (part.style or Style.null())) for part in parts), space]
    return [Segment(text, style), space]


def drawn(drawing: Drawing, width: int, room: int, tone: Callable[[str], Style], blank: Style) -> Segments:
    """A drawing of `width` cells in a room that may be narrower, and the gap behind it."""
    parts = [Segment(text, tone(name)) for text, name in drawing]
    return [*Strip(parts).crop_extend(0, width, blank).crop(0, room), Segment(" " * GAP, blank)]


@cache
def _console() -> Console:
    """Only looks up the names of styles."""
    return Console()
