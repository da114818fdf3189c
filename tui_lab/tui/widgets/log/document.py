"""Outputs one below the other, as rows of a window: positions in it, and how to move from one to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from rich.text import Text

from tui_lab.tui.widgets.log import local_file
from tui_lab.tui.widgets.log.local_file import Line, NotReadError, Readable
from tui_lab.tui.widgets.log.text import line_text

TITLE: Final = -1  # the offset of a part's title


class Place(NamedTuple):
    """Where a row stands: part, offset of its line, and which row of a wrapped line it is."""

    part: int
    offset: int
    row: int = 0


@dataclass(frozen=True)
class Part:
    """One output: its file and the name that is shown where there are several."""

    title: str
    file: Readable


@dataclass(frozen=True)
class Item:
    """A line, the title of a part, or what stands for lines that are being read."""

    place: Place
    text: Text
    line: Line | None = None


class Document:
    """Outputs, one below the other. measure: returns how many rows a text takes.

    What reads lines raises NotReadError where they are not here yet.
    """

    def __init__(self, parts: Sequence[Part], ascii_only: bool = False) -> None:
        self.parts = tuple(parts)
        self.ascii = ascii_only
        self.measure: Callable[[Text], int] = lambda text: 1

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(part.file.size for part in self.parts)

    @property
    def filled(self) -> list[int]:
        """The parts that are not empty."""
        return [number for number, part in enumerate(self.parts) if part.file.size > part.file.start]

    @property
    def titled(self) -> bool:
        """Whether each part has a title: there are several that are not empty."""
        return len(self.filled) > 1

    @property
    def first(self) -> Place:
        """The place of the first row."""
        filled = self.filled
        if not filled:
            return Place(0, 0)
        return Place(filled[0], TITLE if self.titled else self.parts[filled[0]].file.start)

    def after(self, place: Place, count: int) -> list[Item]:
        """Items from the one at a place on."""
        return list(islice(self._items(place), count))

    def page(self, place: Place, count: int) -> list[Item]:
        """Items from the one at a place on; where they are not here yet, one that says so is the last."""
        items: list[Item] = []
        try:
            for item in islice(self._items(place), count):
                items.append(item)
        except NotReadError:
            end = items[-1] if items else None
            at = place if end is None else Place(end.place.part, end.line.end if end.line is not None else TITLE)
            items.append(Item(at._replace(offset=max(0, at.offset)), Text("..." if self.ascii else "…")))
        return items

    def _items(self, place: Place) -> Iterator[Item]:
        number, offset = place.part, place.offset
        filled = self.filled
        while number < len(self.parts):
            if number in filled:
                file = self.parts[number].file
                if offset == TITLE:
                    if self.titled:
                        yield self._title(number)
                    offset = file.start
                for line in local_file.lines_from(file, offset):
                    yield self._item(number, line)
            number, offset = number + 1, TITLE

    def before(self, place: Place, count: int) -> list[Item]:
        """Items in front of the one at a place, in order."""
        items: list[Item] = []
        number, offset = place.part, place.offset
        filled = self.filled
        while len(items) < count and number >= 0:
            if number in filled and offset != TITLE:
                file = self.parts[number].file
                lines = local_file.before(file, offset, count - len(items))
                items = [*(self._item(number, line) for line in lines), *items]
                if len(items) < count and self.titled:
                    items.insert(0, self._title(number))
            number -= 1
            offset = self.parts[number].file.size if number >= 0 else 0
        return items

    def _item(self, number: int, line: Line) -> Item:
        return Item(Place(number, line.start), line_text(line, self.ascii), line)

    def _title(self, number: int) -> Item:
        rule = "--" if self.ascii else "──"
        return Item(Place(number, TITLE), Text(f"{rule} {self.parts[number].title} {rule}", "bold"))

    # --- Moving by rows

    def down(self, top: Place, rows: int, height: int) -> Place:
        """So many rows further, but not past the end."""
        left = rows + top.row
        last = self.last(height)
        for item in self.after(top, rows + 1):
            tall = self.measure(item.text)
            if left < tall:
                return min(Place(*item.place[:2], left), last)
            left -= tall
        return last

    def up(self, top: Place, rows: int) -> Place:
        """So many rows back, but not before the beginning."""
        if rows <= top.row:
            return Place(top.part, top.offset, top.row - rows)
        left = rows - top.row
        for item in reversed(self.before(top, rows)):
            tall = self.measure(item.text)
            if left <= tall:
                return Place(*item.place[:2], tall - left)
            left -= tall
        return self.first

    def last(self, height: int) -> Place:
        """The top of the window when the end is at its bottom."""
        if not self.parts:
            return Place(0, 0)
        end = Place(len(self.parts) - 1, max(0, self.parts[-1].file.size))
        return self.up(end, height) if self.filled else self.first

    def settled(self, top: Place, height: int) -> Place:
        """Return a place that may be the top of a window of this height."""
        if not self.filled:
            return self.first
        part = min(max(top.part, 0), len(self.parts) - 1)
        if part not in self.filled:
            return self.first
        file = self.parts[part].file
        offset = top.offset
        if offset != TITLE:
            offset = local_file.line_start(file, min(max(offset, file.start), max(file.start, file.size - 1)))
        elif not self.titled:
            offset = file.start
        row = top.row if offset == top.offset else 0
        if row:
            row = min(row, max(0, self.measure(self.after(Place(part, offset), 1)[0].text) - 1))
        return max(self.first, min(Place(part, offset, row), self.last(height)))
