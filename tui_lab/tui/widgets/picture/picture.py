"""A picture with a line above it that says whose it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.segment import ControlType, Segment
from rich.style import Style
from textual.errors import NoWidget
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from tui_lab.client.formatting import shortened
from tui_lab.tui.widgets.picture.tile import Tile

_NONE: Final[list[Strip]] = []
_NARROWEST: Final = 4  # cells of what may cover a picture
_IS_CONTROL: Final = [(ControlType.CURSOR_FORWARD, 0)]  # any will do: it says that the text takes no cells


class Picture(Widget, can_focus=True):
    """Shows pixels, in the middle of its width; or a note in their place.

    The terminal paints tiles over the cells, and forgets them where cells are painted again. So they are sent with the
    last line of cells that they cover, and only while nothing lies upon them: else the picture is shown by the cells.
    """

    DEFAULT_CSS = "Picture { width: 1fr; height: 1fr; }"

    def __init__(self) -> None:
        super().__init__()
        self._title = self._note = ""
        self._lines: list[Strip] = _NONE
        self._tiles: Sequence[Tile] = ()
        self._covered = False

    def on_mount(self) -> None:
        self.screen.screen_layout_refresh_signal.subscribe(self, self._look_for_covers, immediate=True)

    @property
    def pixels(self) -> tuple[int, int]:
        """The pixels for which there is room, from left to right and from top to bottom."""
        return max(0, self.size.width - 1), 2 * max(0, self.size.height - 1)

    @property
    def note(self) -> str:
        """What is shown in the place of a picture."""
        return self._note

    @property
    def is_drawn(self) -> bool:
        """Whether a picture is shown."""
        return bool(self._lines)

    def say(self, title: str, note: str) -> None:
        """Show a note in the place of a picture. title: whose it is; nothing where that need not be said."""
        self._put(title, note, _NONE, ())

    def draw(self, title: str, lines: list[Strip], tiles: Sequence[Tile] = ()) -> None:
        """Show a picture. tiles: what the terminal paints over its lines."""
        self._put(title, "", lines, tiles)

    def _put(self, title: str, note: str, lines: list[Strip], tiles: Sequence[Tile]) -> None:
        if (title, note) != (self._title, self._note) or lines is not self._lines:
            self._title, self._note, self._lines, self._tiles = title, note, lines, tiles
            self._covered = self._is_covered()
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, style = self.size.width, self.rich_style
        if y == 0 or not self._lines:
            text = self._title if y == 0 else self._note if y == 1 else ""
            return Strip([Segment(shortened(text, width), style)]).adjust_cell_length(width, style)
        if y > len(self._lines):
            return Strip.blank(width, style)
        line = self._lines[y - 1]
        return Strip([Segment(" " * self._left, style), *line]).adjust_cell_length(width, style)

    @property
    def _left(self) -> int:
        """Cells before the picture."""
        return max(0, (self.size.width - self._lines[0].cell_length) // 2)

    # --- What the terminal paints over the cells

    def render_lines(self, crop: Region) -> list[Strip]:
        strips = super().render_lines(crop)
        if self._tiles and not self._covered and self.screen.is_active and self._fits(crop):
            strips = [strips[0], *[self._blank()] * len(self._lines), *strips[1 + len(self._lines) :]]
            for tile in self._tiles:
                last = tile.row + tile.rows  # below the title
                strip = strips[last]
                # At the end of the line: Textual may cut the line, and would cut the sequence with it.
                strips[last] = Strip([*strip, self._sequence(tile)], strip.cell_length)
        return strips

    def _blank(self) -> Strip:
        """Return a line below the picture. Terminals paint it at once, unlike a line of many colours."""
        strip = Strip.blank(self.size.width, self.rich_style)
        for one in self.get_line_filters():
            strip = strip.apply_filter(one, self.background_colors[1])
        return strip

    def _fits(self, crop: Region) -> bool:
        """Return whether all of it is painted, and there is room."""
        lines = self._lines
        return crop.size == self.size and len(lines) < crop.height and lines[0].cell_length < crop.width

    def _sequence(self, tile: Tile) -> Segment:
        x, y = self.region.x + self._left + tile.column, self.region.y + 1 + tile.row
        return Segment(f"\x1b7\x1b[{y + 1};{x + 1}H{tile.sequence}\x1b8", Style.null(), _IS_CONTROL)

    def _look_for_covers(self, _: Screen[object]) -> None:
        if self._tiles and (covered := self._is_covered()) != self._covered:
            self._covered = covered
            self.refresh()

    def _is_covered(self) -> bool:
        """Return whether another widget, such as a short message, lies upon it."""
        if not self._tiles or not self.is_on_screen:
            return False
        x, y, width, height = self.region
        columns = [*range(x, x + width, _NARROWEST), x + width - 1]
        try:
            return any(
                self.screen.get_widget_at(column, line)[0] is not self
                for line in range(y, y + height)
                for column in columns
            )
        except NoWidget:
            return True
