"""A window on outputs of any size by the Line API: what is in sight is read by offset, never the whole."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Final

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui_lab.tui.base.actions import Action, bindings
from tui_lab.tui.base.empty import KEY_TONE, Instead, lines
from tui_lab.tui.base.pane import keys_of
from tui_lab.tui.base.wheel import Wheel
from tui_lab.tui.widgets.log.document import TITLE, Document, Item, Place
from tui_lab.tui.widgets.log.local_file import NotReadError
from tui_lab.tui.widgets.log.scan import Needle

SIDEWAYS: Final = 8  # cells that a key moves sideways
WHEEL: Final = 3  # rows


def _action(name: str, keys: str, label: str, help: str, call: str = "", shown: bool = False) -> Action:
    return Action(f"log.{name}", keys, label, help, shown=shown, call=call or name, listed=False)


@dataclass
class Row:
    """A row of the window."""

    item: Item
    strip: Strip
    first: bool  # of its line


class LogView(ScrollView, can_focus=True):
    """Shows a Document. The window's top is a place in it, so that growth at the end moves nothing.

    A move that needs lines which are not here yet waits for them, and so do those after it: until then, the window
    stays where it is.
    """

    ALLOW_SELECT = False
    ADDS_UP: ClassVar = frozenset({"move"})
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--title",
        "log--match",
        "log--current",
        "log--bar",
        "log--note",
        "log--key",
    }
    DEFAULT_CSS = """
    LogView {
        background: $surface; color: $foreground; overflow: hidden hidden; padding: 0 0 0 1;
        & > .log--title { color: $text-primary; text-style: bold; }
        & > .log--match { background: $warning 40%; text-style: bold; }
        & > .log--current { background: $primary 30%; }
        & > .log--bar { color: $scrollbar; }
        & > .log--note { color: $text-muted; }
        & > .log--key { color: $text-accent; text-style: bold; }
    }
    """
    ACTIONS: ClassVar[tuple[Action, ...]] = (
        _action("down", "down,j", "Down", "A line down.", "move(1)"),
        _action("up", "up,k", "Up", "A line up.", "move(-1)"),
        _action("pagedown", "pagedown,space", "Page down", "A page down.", "page(1)"),
        _action("pageup", "pageup", "Page up", "A page up.", "page(-1)"),
        _action("halfdown", "ctrl+d", "Half a page down", "Half a page down.", "page(0.5)"),
        _action("halfup", "ctrl+u", "Half a page up", "Half a page up.", "page(-0.5)"),
        _action("first", "g,home", "Beginning", "To the beginning.", "beginning"),
        _action("last", "G,end", "End", "To the end.", "end"),
        _action("left", "left,h", "Left", "To the left.", "sideways(-1)"),
        _action("right", "right,l", "Right", "To the right.", "sideways(1)"),
        _action("follow", "f", "Follow", "Follow the end of the log, or stop following.", shown=True),
        _action("wrap", "w", "Wrap", "Wrap long lines, or cut them.", shown=True),
    )
    BINDINGS = bindings(ACTIONS)

    follow: reactive[bool] = reactive(False, repaint=False)
    wrap: reactive[bool] = reactive(False, repaint=False)

    @dataclass
    class Moved(Message):
        """Another part of the output is shown, or its format has changed."""

        view: LogView

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, LogView.Moved)

    @dataclass
    class Scrolled(Message):
        """The user has moved the window: it did not move because the output grew."""

        view: LogView

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._wheel = Wheel(self, lambda turns: self.action_move(turns * WHEEL))
        self.document = Document(())
        self.top = Place(0, 0)
        self.sideways = 0
        self.needle: Needle | None = None
        self.hit: Place | None = None
        self.note: Instead = ""  # where there is nothing to show
        self._moves: deque[Callable[[], Place]] = deque()  # that wait
        self._moved_by_user = False
        self._placed = True  # the window's first place in the document is known
        self._rows: list[Row] | None = None
        self._style: Style | None = None  # to ask for it takes as long as to draw a line

    # --- What is shown

    def open(self, document: Document, at_end: bool = False, note: Instead = "") -> None:
        """Show other outputs from their beginning, or with their end."""
        self.document, self.note = document, note
        document.measure = self._measure
        self.sideways, self.hit, self._placed = 0, None, False
        self._move(lambda: document.last(self._height) if at_end else document.first, jump=True)

    def grown(self) -> None:
        """The files may be larger now."""
        if self.follow:
            self._move(lambda: self.document.last(self._height), jump=True)
        else:
            self._move(lambda: self._settled(self.top))

    def came(self) -> None:
        """Go on: lines that were not here may be now."""
        self._go_on()

    def _move(self, to: Callable[[], Place], jump: bool = False, by_user: bool = False) -> None:
        """Put the window's top where `to` says, after the moves that wait, or with `jump` in their place."""
        if jump:
            self._moves.clear()
        self._moves.append(to)
        self._moved_by_user |= by_user
        self._go_on()

    def _go_on(self) -> None:
        with suppress(NotReadError):
            while self._moves:
                self.top = self._moves[0]()
                self._moves.popleft()
            self._placed = True
        self.changed()
        if self._moved_by_user and not self._moves:
            self._moved_by_user = False
            self.post_message(self.Scrolled(self))

    def show(self, place: Place, needle: Needle | None = None) -> None:
        """Bring a line into sight, some rows below the top, and mark the words in it."""
        self.needle, self.hit, self.follow = needle, place, False
        if any(row.item.place[:2] == place[:2] and row.item.line is not None for row in self.rows):
            self._move(lambda: self.top, jump=True, by_user=True)
        else:
            self._move(lambda: self._settled(self.document.up(place, self._height // 3)), jump=True, by_user=True)

    def go(self, place: Place, sideways: int) -> None:
        """Put a line at the top of the window, or as near to it as there are lines."""
        self.follow, self.sideways = False, sideways
        self._move(lambda: self._settled(place), jump=True)

    def go_to_share(self, share: float, sideways: int) -> None:
        """Put the window where so much of its way is above it, from 0 to 1."""

        def to() -> Place:
            first, last = self._way
            if share >= 1:
                return self.document.last(self._height)
            return self._settled(self._place(round(first + share * (last - first))))

        self.follow, self.sideways = False, sideways
        self._move(to, jump=True)

    def _settled(self, place: Place) -> Place:
        return self.document.settled(place, self._height)

    @property
    def progress(self) -> float:
        """How much of the window's way is above it: 0 at the beginning, 1 where the end is in sight."""
        try:
            first, last = self._way
        except NotReadError:
            first, last = 0, self.document.size
        return 1.0 if last <= first else min(1.0, max(0.0, (self._byte(self.top) - first) / (last - first)))

    @property
    def _way(self) -> tuple[int, int]:
        """The bytes at the window's top at the beginning, and at the end."""
        return self._byte(self.document.first), self._byte(self.document.last(self._height))

    def changed(self) -> None:
        """Draw again: the place, the width or the outputs have changed."""
        self._rows = None
        self.refresh()
        self.post_message(self.Moved(self))

    def _scrolled(self) -> None:
        self.changed()
        self.post_message(self.Scrolled(self))

    @property
    def _height(self) -> int:
        return max(1, self.size.height)

    @property
    def _width(self) -> int:
        return max(1, self.size.width - 1)  # a cell for the bar

    def _measure(self, text: Text) -> int:
        return max(1, -(-text.cell_len // self._width)) if self.wrap else 1

    @property
    def rows(self) -> list[Row]:
        """The rows in sight."""
        if self._rows is None:
            self._rows = []
            for item in self.document.page(self.top, self._height + 1) if self._placed else ():
                strips = self._strips(item)
                skip = self.top.row if item.place[:2] == self.top[:2] else 0
                for number in range(skip, len(strips)):
                    self._rows.append(Row(item, strips[number], number == 0))
            del self._rows[self._height :]
        return self._rows

    def _strips(self, item: Item) -> list[Strip]:
        text, base = item.text, self._base
        if item.line is None:
            base = self.get_component_rich_style("log--title" if item.place.offset == TITLE else "log--note")
        elif self.hit is not None and self.hit[:2] == item.place[:2]:
            base = self.get_component_rich_style("log--current")
        if self.needle is not None and item.line is not None:
            spans = self.needle.spans(text.plain)
            if spans:
                style = self.get_component_rich_style("log--match")
                text = text.copy()
                for start, end in spans:
                    text.stylize(style, start, end)
        parts = [
            Segment(part.text, base + (part.style or Style.null()))
            for part in text.render(self.app.console)
            if part.text
        ]
        strip = Strip(parts, text.cell_len)
        width = self._width
        if not self.wrap:
            return [strip.crop_extend(self.sideways, self.sideways + width, base)]
        count = self._measure(text)
        return [strip.crop_extend(number * width, (number + 1) * width, base) for number in range(count)]

    @property
    def _base(self) -> Style:
        if self._style is None:
            self._style = self.rich_style
        return self._style

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._rows, self._style = None, None

    def render_line(self, y: int) -> Strip:
        width, rows = self._width, self.rows
        if y < len(rows):
            strip = rows[y].strip
        elif not rows and y < len(said := lines(self._said, width, self.document.ascii, keys_of(self))):
            styles = {"muted": self.get_component_rich_style("log--note")}
            styles[KEY_TONE] = self.get_component_rich_style("log--key")
            parts = [Segment(text, styles.get(tone, self._base)) for text, tone in said[y]]
            strip = Strip(parts).crop_extend(0, width, self._base)
        else:
            strip = Strip.blank(width, self._base)
        return Strip.join([strip, self._bar(y)])

    @property
    def _said(self) -> Instead:
        """What stands in the place of lines."""
        return self.note if self._placed else "..." if self.document.ascii else "…"

    def _bar(self, y: int) -> Strip:
        """Return a cell of the bar at the right, which shows where in the outputs the window is."""
        total, rows = self.document.size, self.rows
        if not rows or total == 0 or (self.top == self.document.first and len(rows) < self._height):
            return Strip.blank(1, self._base)
        low, high = self._byte(rows[0].item.place), self._byte(rows[-1].item.place, end=rows[-1].item)
        height = self._height
        start = min(height - 1, low * height // total)
        stop = max(start + 1, -(-high * height // total))
        mark = "|" if self.document.ascii else "┃"
        style = self.get_component_rich_style("log--bar")
        return Strip([Segment(mark if start <= y < stop else " ", style)], 1)

    def _byte(self, place: Place, end: Item | None = None) -> int:
        before = sum(part.file.size for part in self.document.parts[: place.part])
        return before + (end.line.end if end is not None and end.line is not None else max(0, place.offset))

    @property
    def share(self) -> float:
        """How much of the outputs is above the window's bottom, 0 to 1."""
        rows = self.rows
        if not rows or not self.document.size:
            return 1.0
        return min(1.0, self._byte(rows[-1].item.place, end=rows[-1].item) / self.document.size)

    @property
    def text(self) -> str:
        """What is in sight."""
        return "\n".join(row.item.text.plain for row in self.rows if row.first)

    # --- Moving

    def action_move(self, rows: int) -> None:
        def to() -> Place:
            if rows > 0:
                return self.document.down(self.top, rows, self._height)
            return self.document.up(self.top, -rows)

        self.follow = False
        self._move(to, by_user=True)

    def action_page(self, pages: float) -> None:
        self.action_move(int(pages * max(1, self._height - 1)) or (1 if pages > 0 else -1))

    def action_beginning(self) -> None:
        self.follow = False
        self._move(lambda: self.document.first, jump=True, by_user=True)

    def action_end(self) -> None:
        self._move(lambda: self.document.last(self._height), jump=True, by_user=True)

    def action_sideways(self, steps: int) -> None:
        if not self.wrap:
            longest = max((row.item.text.cell_len for row in self.rows), default=0)
            self.sideways = max(0, min(self.sideways + steps * SIDEWAYS, max(0, longest - self._width // 2)))
            self._scrolled()

    def action_follow(self) -> None:
        self.follow = not self.follow
        self._scrolled()

    def action_wrap(self) -> None:
        self.wrap = not self.wrap

    def watch_follow(self) -> None:
        if self.follow:
            self._move(lambda: self.document.last(self._height), jump=True)
        else:
            self.changed()

    def watch_wrap(self) -> None:
        self.sideways = 0
        self._move(lambda: self._settled(self.top._replace(row=0)))

    def on_resize(self) -> None:
        at_end = self.follow or (self._rows is not None and self.share >= 1.0 and self.top != self.document.first)
        self._move(lambda: self.document.last(self._height) if at_end else self._settled(self.top))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self._wheel.turn(1)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self._wheel.turn(-1)

    def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and offset.x == self._width and self.document.size:
            self._jump(self.document.size * offset.y // self._height)

    def _jump(self, byte: int) -> None:
        self.follow = False
        self._move(lambda: self._settled(self._place(byte)), jump=True, by_user=True)

    def _place(self, byte: int) -> Place:
        """Return the place of a byte of the outputs together."""
        parts = self.document.parts
        for number, part in enumerate(parts):
            if byte < part.file.size or number == len(parts) - 1:
                return Place(number, byte)
            byte -= part.file.size
        return Place(0, 0)
