"""The panels of a pane side by side, as many as its width has room for; `|` arranges them, `+` enlarges one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from textual.events import Resize
from textual.geometry import Offset, Size
from textual.layout import ArrangeResult, Layout, WidgetPlacement
from textual.layouts.vertical import VerticalLayout
from textual.message import Message
from textual.widget import Widget

from tui_lab.tui.widgets.panels.layout import Arrangement, Room, fitting, name_of, widths
from tui_lab.tui.widgets.panels.panel import Panel

ALONE: Final = 2
"""The degree of enlargement at which only one panel is left."""


class Columns(Layout):
    """Places widgets in columns, those of a column below each other as their styles have it."""

    name = "columns"

    def __init__(self, columns_of: Callable[[int], Iterable[tuple[int, tuple[str, ...]]]]) -> None:
        """columns_of: the width of each column, and the ids of its widgets, for a width of all. Textual keeps what
        `arrange` returned for a size."""
        self._columns_of = columns_of
        self._below = VerticalLayout()

    def arrange(self, parent: Widget, children: list[Widget], size: Size, greedy: bool = True) -> ArrangeResult:
        """Return where each widget is."""
        named = {child.id: child for child in children}
        placements: list[WidgetPlacement] = []
        left = 0
        for width, names in self._columns_of(size.width):
            shown = [named[name] for name in names if name in named]
            column = self._below.arrange(parent, shown, Size(width, size.height), greedy)
            placements += WidgetPlacement.translate(column, Offset(left, 0))
            left += width
        return placements


class PanelRow(Widget):
    """Panels by their ids, in the order in which the focus goes through them. The arrangements are in order of the
    width that they need; the last one that fits is taken, unless the user chose another one."""

    DEFAULT_CSS = "PanelRow { height: 1fr; width: 1fr; }"

    class Arranged(Message):
        """The columns, or their widths, are others."""

    def __init__(
        self,
        *panels: Panel,
        rooms: Mapping[str, Room],
        arrangements: Sequence[Arrangement],
        chosen: dict[str, str] | None = None,
        absent: Iterable[str] = (),
    ) -> None:
        """chosen: the names of the arrangements that the user chose, by the number of those that fit; it is kept up to
        date. absent: panels that have nothing to show yet."""
        super().__init__(*panels)
        self._rooms, self._arrangements = rooms, arrangements
        self._columns = Columns(self._columns_of)
        self._absent = set(absent)
        self._degree, self._enlarged = 0, ""
        self._shown: Arrangement = ()
        self._state: object = None
        self.chosen = {} if chosen is None else chosen

    @property
    def layout(self) -> Layout:
        """Columns."""
        return self._columns

    @property
    def shown(self) -> Arrangement:
        """The columns on the screen."""
        return self._shown

    @property
    def enlarged(self) -> str:
        """The panel that is enlarged; empty where none is."""
        return self._enlarged

    @property
    def alone(self) -> str:
        """The panel that is the only one; empty where there are more."""
        return self._enlarged if self._degree == ALONE else ""

    def width_of(self, name: str) -> int:
        """Return the cells of a line inside a panel; of the widest one where it is not shown."""
        width = next((width for width, names in self._columns_of(self._width) if name in names), self._width)
        return width - self.query_one(f"#{name}").gutter.width

    def set_present(self, name: str, there: bool) -> None:
        """Give a panel a place, or none, because it has something to show, or nothing."""
        if there == (name in self._absent):
            (self._absent.discard if there else self._absent.add)(name)
            if not there and name == self._enlarged:
                self._degree, self._enlarged = 0, ""
            self._arrange()

    def offer(self, arrangements: Sequence[Arrangement], chosen: dict[str, str]) -> None:
        """Arrange the panels in other ways; those that are in none of them are not on the screen."""
        if arrangements is not self._arrangements:
            self._arrangements, self.chosen = arrangements, chosen
            if not any(self._enlarged in column for one in arrangements for column in one):
                self._degree, self._enlarged = 0, ""
            self._arrange()

    def next(self) -> str:
        """Arrange the panels in the next way for which there is room. Return its name; empty where there is none."""
        self._degree, self._enlarged = 0, ""
        possible = self._fitting()
        if len(possible) > 1:
            number = possible.index(self._chosen(possible))
            self.chosen[str(len(possible))] = name_of(possible[(number + 1) % len(possible)])
        self._arrange()
        return name_of(self._shown) if len(possible) > 1 else ""

    def enlarge(self, name: str, by: int) -> None:
        """Enlarge a panel by some degrees, or shrink it: as the others, larger, alone."""
        before = self._degree if name == self._enlarged else 0
        self._degree = max(0, min(ALONE, before + by))
        self._enlarged = name if self._degree else ""
        self._arrange()

    def reveal(self, name: str) -> None:
        """See to it that a panel is on the screen."""
        if self.alone not in ("", name):
            self._degree, self._enlarged = 0, ""
            self._arrange()

    def on_resize(self, event: Resize) -> None:
        self._arrange()

    def on_mount(self) -> None:
        self._arrange()

    @property
    def _width(self) -> int:
        return self.size.width or self.app.size.width  # of the screen before the first layout

    def _fitting(self) -> list[Arrangement]:
        return fitting(self._arrangements, self._rooms, self._absent, self._width)

    def _chosen(self, possible: Sequence[Arrangement]) -> Arrangement:
        name = self.chosen.get(str(len(possible)))
        return next((one for one in possible if name_of(one) == name), possible[-1])

    def _columns_of(self, width: int) -> list[tuple[int, tuple[str, ...]]]:
        return list(zip(widths(self._shown, self._rooms, width, self._enlarged), self._shown, strict=True))

    def _arrange(self) -> None:
        self._shown = shown = ((self.alone,),) if self.alone else self._chosen(self._fitting())
        state = (self._columns_of(self._width), self._enlarged)
        if state == self._state:
            return
        self._state = state
        there = {name: len(column) == 1 for column in shown for name in column}
        with self.app.batch_update():
            panels = self.query_children(Panel)
            for panel in panels:
                name = panel.id or ""
                panel.set_class(name not in there, "-out")
                panel.set_class(there.get(name, False), "-whole")
                panel.set_class(name == self._enlarged, "-enlarged")
            panels.refresh(layout=True)  # that of the row would not let Textual forget where its panels were
        self.post_message(self.Arranged())
