"""A table over a Polars frame by the Line API: only the rows in sight are read, formatted and drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

import polars as pl
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import BindingType
from textual.geometry import Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_lab.experiment.data_types import Row
from tui_lab.results.precision import Digits
from tui_lab.tui.base.empty import Empty, Instead, lines
from tui_lab.tui.base.pane import keys_of
from tui_lab.tui.base.wheel import Wheel
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.table.cells import (
    Cell,
    Column,
    Measure,
    exact,
    floats,
    has_digits,
    is_right,
    widths,
)
from tui_lab.tui.widgets.table.layout import GAP, GUTTER, Layout
from tui_lab.tui.widgets.table.looks import CLASSES, CSS, KEYS
from tui_lab.tui.widgets.table.page import Overlay, Page
from tui_lab.tui.widgets.table.paint import Segments, Tones, drawn, line, segments
from tui_lab.tui.widgets.table.sight import Sight

__all__ = ["Column", "FrameTable", "next_order"]

SAMPLE: Final = 24  # rows by which columns that are out of sight are measured
LEAST_TEXT: Final = 4  # cells in which the beginning of a text says something
Order = tuple[str, bool]


def next_order(order: Order | None, column: str) -> Order | None:
    """Return the next order of a column: ascending, descending, unsorted."""
    if order is None or order[0] != column:
        return column, False
    return None if order[1] else (column, True)


class FrameTable(ScrollView, can_focus=True):
    """Rows of a frame, with a cursor that stays on its row (by `key`) when the frame is replaced."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = CLASSES
    DEFAULT_CSS = CSS
    BINDINGS: ClassVar[list[BindingType]] = KEYS
    ADDS_UP: ClassVar = frozenset({"cursor"})

    cursor_row: reactive[int] = reactive(0, repaint=False)
    cursor_column: reactive[int] = reactive(0, repaint=False)
    sort_by: reactive[Order | None] = reactive(None)

    class TableMessage(Message):
        """A message of a table."""

        def __init__(self, table: FrameTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> FrameTable:
            return self.table

    class RowHighlighted(TableMessage):
        """The cursor is on another row, or its row has other values now."""

        def __init__(self, table: FrameTable, row: Row | None) -> None:
            super().__init__(table)
            self.row = row

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, FrameTable.RowHighlighted) and message.table is self.table

    class RowSelected(TableMessage):
        """Enter, or a double click."""

        def __init__(self, table: FrameTable, row: Row) -> None:
            super().__init__(table)
            self.row = row

    class HeaderSelected(TableMessage):
        """A click on the header, or the key to sort by the column under the cursor."""

        def __init__(self, table: FrameTable, column: str) -> None:
            super().__init__(table)
            self.column = column

    def __init__(
        self, *, id: str | None = None, classes: str | None = None, key: str | None = None, frozen: int = 0
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._wheel = Wheel(self, self._turned)
        self.key = key
        self.frozen = frozen
        self.rests_on_first = False  # until the user moves the cursor, it stays on whatever row is the first
        self.placeholder: Instead = "nothing to show"
        self.overlay: Overlay | None = None  # newer values for the rows in sight, which are passed to it
        self.marked: set[Any] = set()
        self.frame = pl.DataFrame()
        self.total = 0
        self._columns: tuple[Column, ...] = ()
        self._right: list[bool] = []  # columns that are aligned right
        self._measures: list[Measure] = []
        self._digits: dict[int, Digits] = {}  # of the columns of floats, by place
        self._unread: set[int] = set()  # those of them that have not been judged by this frame
        self._said = ""  # of the cell under the cursor
        self._layout_ = Layout.of((), 0, 0)
        self._pinned = 0
        self._about = (0, 0, 0)
        self._sight = Sight()
        self._page = self._held = Page(self.frame, (), 0, 0, None, "", {})
        self._chosen: Any = None  # the key that the user went to
        self._tones = Tones(self)

    # --- The frame

    @property
    def ascii(self) -> bool:
        """Whether only ASCII characters are drawn."""
        return bool(getattr(getattr(self.app, "config", None), "ascii", False))

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns, in the order in which they are shown."""
        return self._columns

    def set_frame(
        self, frame: pl.DataFrame, *, columns: Sequence[Column] | None = None, total: int | None = None, pinned: int = 0
    ) -> None:
        """Show another frame, by default all its columns. total: number of rows, where these are not all. pinned: the
        first rows, which stay above while the others scroll."""
        shown = tuple(columns) if columns is not None else tuple(Column(name) for name in frame.columns)
        before = self.key_at(self.cursor_row)
        line = self.sight.line_of(self.cursor_row, self.scroll_offset.y)
        in_sight = self.sight.shows(self.cursor_row, self.scroll_offset.y)
        was_held = self.cursor_row < self.sight.held
        names = [column.name for column in self._columns]
        self.frame, self.total, self._pinned = frame, frame.height if total is None else total, pinned
        if [column.name for column in shown] != names:
            current = names[self.cursor_column] if self.cursor_column < len(names) else ""
            wanted = [column.name for column in shown]
            self._measures = [Measure() for _ in shown]
            self._columns, self._digits = shown, {}
            # What watches it reads cells, of which the old ones are still there.
            self.set_reactive(FrameTable.cursor_column, wanted.index(current) if current in wanted else 0)
        schema = frame.schema
        number = [place for place, column in enumerate(shown) if has_digits(column, schema.get(column.name))]
        self._digits = {place: self._digits.get(place) or Digits() for place in number}
        self._unread = set(number)
        if [column.name for column in shown] != names and shown:
            places = range(len(shown))
            self._judge(places)
            sample = Page(frame.head(SAMPLE), shown, 0, SAMPLE, None, self._null, self._digits)
            sample.measure(places, self._measures)
        for place, (column, old) in enumerate(zip(shown, self._columns, strict=True)):
            if column.width != old.width:
                self._measures[place] = Measure()
        self._columns = shown
        self._right = [is_right(column, schema.get(column.name)) for column in shown]
        row = self._row_of(self._chosen)
        if row is None and self.rests_on_first and self._chosen is None:
            row = 0
        if row is None:
            row = self._row_of(before)
        if row is None:
            row = min(self.cursor_row, max(0, frame.height - 1))
        self._look(force=True)
        if in_sight and not was_held and row >= self.sight.held:
            stays = not self.scroll_offset.y and self.sight.shows(row, 0)
            self.scroll_to(y=0 if stays else self.sight.scroll_for(row, line), animate=False)
        moved = row != self.cursor_row
        self.cursor_row = row
        self._look(force=True)
        self.refresh()
        if not moved:
            self._say()
            self.post_message(self.RowHighlighted(self, self.row(row)))

    def refresh_rows(self) -> None:
        """Ask `overlay` again for the rows in sight."""
        for before in (self._held, self._page):
            after = Page(self.frame, self._columns, before.start, before.stop, self.overlay, self._null, {})
            if after.rows.rows() != before.rows.rows():
                self._look(force=True)
                return

    def keys_in_sight(self) -> list[Any]:
        """Return the keys of the rows in sight."""
        if self.key is None or self.key not in self.frame.columns:
            return []
        start, stop = self.sight.moving(self.scroll_offset.y)
        keys = self.frame[self.key]
        return [*keys[: self.sight.held].to_list(), *keys[start:stop].to_list()]

    def _row_of(self, key: Any) -> int | None:
        if key is None or self.key is None or self.key not in self.frame.columns:
            return None
        if self.key_at(self.cursor_row) == key:
            return self.cursor_row  # mostly; to look through a million takes a while
        return self.frame[self.key].index_of(key)

    def key_at(self, index: int) -> Any:
        """The key of a row, None where there is no such row or no key."""
        if self.key is None or self.key not in self.frame.columns or not 0 <= index < self.frame.height:
            return None
        return self.frame[self.key][index]

    def row(self, index: int) -> Row | None:
        """The values of a row, as new as they are shown; None where there is no such row."""
        if not 0 <= index < self.frame.height:
            return None
        for page in (self._held, self._page):
            if page.holds(index, index + 1):
                return page.row(index)
        return self.frame.row(index, named=True)

    def rest(self) -> None:
        """Forget the row that the user chose."""
        self._chosen = None

    def go_to(self, key: Any) -> bool:
        """Put the cursor on the row with this key; whether there is one."""
        self._chosen = key
        row = self._row_of(key)
        if row is not None:
            self.cursor_row = row
        return row is not None

    # --- Where things stand

    @property
    def sight(self) -> Sight:
        """Which rows stand on which lines."""
        return self._sight_of(self.scrollable_content_region.height - 1)

    def _sight_of(self, lines: int) -> Sight:
        if self._about != (about := (self.frame.height, self._pinned, lines)):
            self._about, self._sight = about, Sight.of(*about)
        return self._sight

    @property
    def _null(self) -> str:
        return "-" if self.ascii else "·"

    @property
    def _ellipsis(self) -> str:
        return "~" if self.ascii else "…"

    def _look(self, force: bool = False) -> None:
        """Prepare the cells in sight; where that needs wider columns, the columns move."""
        if not self.is_mounted:
            return
        sight = self.sight
        start, stop = sight.moving(self.scroll_offset.y)
        if force or not self._page.holds(start, stop):
            self._page = Page(self.frame, self._columns, start, stop, self.overlay, self._null, self._digits)
        if force or self._held.stop != sight.held:
            self._held = Page(self.frame, self._columns, 0, sight.held, self.overlay, self._null, self._digits)
        room = self.scrollable_content_region.width
        places = [*range(self._layout_.frozen), *self._layout_.moving(self.scroll_offset.x, room)]
        places = [place for place in places if place < len(self._columns)]
        self._judge(places)
        for place in self._digits.keys() & set(places):
            if self._held.take_digits(place) | self._page.take_digits(place):
                self._measures[place] = Measure()
                self._held.forget(place)
                self._page.forget(place)
        grown = self._held.measure(places, self._measures) | self._page.measure(places, self._measures)
        if grown or force or len(self._layout_.widths) != len(self._columns):
            self._layout_ = Layout.of(
                widths(self._columns, self._titles(), self._measures, GAP, room - GUTTER), self.frozen, max(room, 1)
            )
            across = self._layout_.width if self.frame.height else min(self._layout_.width, room)
            size = Size(across, sight.height + 1)
            if size != self.virtual_size:
                self.virtual_size = size
            self.refresh()
        self._say()

    def _say(self) -> None:
        """Say what the cell under the cursor holds, where it shows less."""
        said = self.exact
        if said != self._said:
            self._said = said
            self.post_message(Panel.Detail(said))

    @property
    def exact(self) -> str:
        """The column under the cursor and its value, where the cell does not show all of it: rounded, or cut."""
        index, place = self.cursor_row, self.cursor_column
        page = next((page for page in (self._held, self._page) if page.holds(index, index + 1)), None)
        if page is None or not 0 <= place < len(self._layout_.widths) or self._columns[place].draw is not None:
            return ""
        column = self._columns[place]
        text = exact(page.row(index).get(column.name), page.cell(place, index), self._layout_.widths[place])
        return f"{column.title} {text}" if text else ""

    def _judge(self, places: Iterable[int]) -> None:
        """Find how the floats of these columns are written, by rows from all over the frame."""
        for place in self._unread & set(places):
            self._unread.discard(place)
            rows = self.frame[self._columns[place].name]
            some = range(0, rows.len(), max(1, rows.len() // SAMPLE))
            parts = [rows[:SAMPLE], *(rows[row : row + 1] for row in some if row >= SAMPLE)]
            if self._digits[place].begin(value for part in parts for value in floats(part)):
                self._measures[place] = Measure()

    def on_mount(self) -> None:
        super().on_mount()  # type: ignore[no-untyped-call]
        self._look(force=True)

    def on_resize(self) -> None:
        self._look(force=True)
        self._show_cursor()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        self._look()
        super().watch_scroll_y(old_value, new_value)

    def watch_scroll_x(self, old_value: float, new_value: float) -> None:
        self._look()
        super().watch_scroll_x(old_value, new_value)

    # --- The cursor

    def watch_cursor_row(self, old: int, new: int) -> None:
        self._show_cursor()
        self._refresh_row(old)
        self._refresh_row(new)
        self._say()
        self.post_message(self.RowHighlighted(self, self.row(new)))

    def watch_cursor_column(self) -> None:
        if self.is_mounted and self.cursor_column < len(self._layout_.widths):
            room = self.scrollable_content_region.width
            self.scroll_to(x=self._layout_.scroll_to(self.cursor_column, self.scroll_offset.x, room), animate=False)
        self._say()
        self.refresh()

    def watch_sort_by(self) -> None:
        self._look(force=True)

    def _show_cursor(self) -> None:
        scroll = self.scroll_offset.y
        if self.is_mounted and (wanted := self.sight.scroll_to(self.cursor_row, scroll)) != scroll:
            self.scroll_to(y=wanted, animate=False)

    def _refresh_row(self, row: int) -> None:
        line = self.sight.line_of(row, self.scroll_offset.y)
        if line >= 0:
            self.refresh_line(line + 1 + self.scroll_offset.y)

    def _move(self, row: int) -> None:
        if self.frame.height:
            self.cursor_row = max(0, min(row, self.frame.height - 1))
            self._chosen = self.key_at(self.cursor_row)

    def action_cursor(self, rows: int) -> None:
        self._move(self.cursor_row + rows)

    def action_page(self, pages: float) -> None:
        self._move(self.cursor_row + int(pages * max(1, self.sight.body - 1)))

    def action_row(self, row: int) -> None:
        self._move(row if row >= 0 else self.frame.height + row)

    def action_column(self, columns: int) -> None:
        if self._columns:
            self.cursor_column = max(0, min(self.cursor_column + columns, len(self._columns) - 1))

    def action_sort(self) -> None:
        if self.cursor_column < len(self._columns):
            self.post_message(self.HeaderSelected(self, self._columns[self.cursor_column].name))

    def action_select(self) -> None:
        row = self.row(self.cursor_row)
        if row is not None:
            self.post_message(self.RowSelected(self, row))
        elif isinstance(self.placeholder, Empty):
            wanted, active = self.placeholder.action, self.screen.active_bindings.values()
            for one in [one for one in active if one.binding.id == wanted][:1]:
                self.call_later(self.app.run_action, one.binding.action, one.node)

    def toggle_mark(self) -> None:
        """Mark the row under the cursor, or take its mark away, and go to the next."""
        key = self.key_at(self.cursor_row)
        if key is not None:
            self.marked ^= {key}
            self._refresh_row(self.cursor_row)
            self._move(self.cursor_row + 1)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._turn(event, 1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._turn(event, -1)

    def _turn(self, event: events.MouseEvent, by: int) -> None:
        if not (event.ctrl or event.shift):  # those go sideways
            event.stop()
            event.prevent_default()
            self._wheel.turn(by)

    def _turned(self, turns: int) -> None:
        self.scroll_to(y=self.scroll_target_y + turns * self.app.scroll_sensitivity_y, animate=False)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        place = self._layout_.at(offset.x, self.scroll_offset.x)
        if place is not None:
            self.cursor_column = place
        if offset.y == 0:
            if place is not None:
                self.post_message(self.HeaderSelected(self, self._columns[place].name))
            return
        row = self.sight.row_at(offset.y - 1, self.scroll_offset.y)
        if row is not None:
            self._move(row)
            if event.chain == 2:
                self.action_select()

    def action_copy_cell(self) -> None:
        row = self.row(self.cursor_row)
        if row is not None and self.cursor_column < len(self._columns):
            name = self._columns[self.cursor_column].name
            self._copy([row.get(name)], name)

    def action_copy_row(self) -> None:
        row = self.row(self.cursor_row)
        if row is not None:
            self._copy([row.get(column.name) for column in self._columns], "the row")

    def _copy(self, values: Sequence[Any], what: str) -> None:
        copy = getattr(self.app, "copy", None)
        if copy is not None:
            copy("\t".join("" if value is None else str(value) for value in values), what)

    # --- Drawing

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._tones.clear()

    def _note(self, number: int, width: int) -> Strip:
        """Return a line of what is said in place of rows."""
        said = lines(self.placeholder, width, self.ascii, keys_of(self)) if not self.frame.height else []
        parts = said[number] if number < len(said) else ()
        return Strip([Segment(text, self._tones(tone)) for text, tone in parts]).crop_extend(0, width, self._tones())

    def render_line(self, y: int) -> Strip:
        region = self.scrollable_content_region
        width = region.width
        if y == 0:
            plain, current = self._tones("header"), self._tones("header", "column")
            title = lambda place, room: self._title(place, room, plain, current)  # noqa: E731
            return line(width, self._layout_, self.scroll_offset.x, title, Segment("", plain), plain)
        sight = self._sight_of(region.height - 1)
        row = sight.row_at(y - 1, self.scroll_offset.y)
        if row is None:
            if sight.held and y == sight.held + 1:
                return Strip([Segment(("-" if self.ascii else "┄") * width, self._tones("muted"))], width)
            return self._note(y - 1, width)
        page = self._page_with(row, sight.held)
        base = ("cursor",) if row == self.cursor_row else ()
        mark = Segment("", self._tones(*base))
        if self.marked and self.key_at(row) in self.marked:
            mark = Segment("*" if self.ascii else "●", self._tones(*base, "mark"))
        return line(
            width,
            self._layout_,
            self.scroll_offset.x,
            lambda place, room: self._cell(page, place, room, row, base),
            mark,
            self._tones(*base),
        )

    def _page_with(self, row: int, held: int) -> Page:
        """Return the page with a row. A table that is shown again is painted before it hears of its size."""
        if row < held:
            if not self._held.holds(row, row + 1):
                self._held = Page(self.frame, self._columns, 0, held, self.overlay, self._null, self._digits)
            return self._held
        if not self._page.holds(row, row + 1):
            self._page = Page(self.frame, self._columns, row, row + 1, self.overlay, self._null, self._digits)
        return self._page

    def _title(self, place: int, room: int, plain: Style, current: Style) -> Segments:
        head = self._columns[place].head
        if head is not None:
            style = lambda tone: current if place == self.cursor_column and not tone else self._tones("header", tone)  # noqa: E731
            width = self._layout_.widths[place]
            return drawn(head(width), width, room, style, plain)
        title: str | Text = self._titles()[place]
        if place == self.cursor_column:  # the words alone are underlined
            title = Text(str(title), style=current)
        return segments(Cell(title, 0), room, self._right[place], 0, plain, plain, self._ellipsis)

    def _titles(self) -> list[str]:
        marks = ("^", "v") if self.ascii else ("↑", "↓")
        name, descending = self.sort_by or ("", False)
        return [
            f"{column.title} {marks[descending]}" if self.sort_by and column.name == name else column.title
            for column in self._columns
        ]

    def _cell(self, page: Page, place: int, room: int, row: int, base: tuple[str, ...]) -> Segments:
        draw = self._columns[place].draw
        if draw is not None:
            width, values = self._layout_.widths[place], self.row(row) or {}
            return drawn(draw(values, width), width, room, lambda tone: self._tones(*base, tone), self._tones(*base))
        cell = page.cell(place, row)
        # Of a column that stands half outside, what says nothing is left away. An ellipsis tells of it: that of the
        # title where it is cut, too; else one in the cell, which would look like one without a value.
        if room < self._layout_.widths[place] and cell.width > room and (self._right[place] or room < LEAST_TEXT):
            told = cell_len(self._titles()[place]) > room
            cell = Cell("", 0) if told else Cell(self._ellipsis, 1, self._measures[place].tail)
        tones = [cell.tone] if cell.tone else []
        return segments(
            cell,
            room,
            self._right[place],
            self._measures[place].tail - cell.tail,
            self._tones(*base, *tones),
            self._tones(*base),
            self._ellipsis,
        )
