"""A bordered part of a pane: its title and count stand in the border, whose colour says where the focus is."""

from __future__ import annotations

from typing import Self

from rich.text import Text
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget

from tui_lab.tui.base.formatting import MUTED


class Panel(Vertical):
    """Widgets below each other, inside a border. On a small screen only the upper border is drawn (`lab.tcss`), and has
    both texts."""

    ALLOW_MAXIMIZE = False
    DEFAULT_CSS = """
    Panel {
        height: 1fr; width: 1fr; background: $surface;
        border: round $foreground 30%; border-title-color: $text-muted; border-subtitle-color: $text-muted;
        &:focus-within { border: round $border; border-title-color: $text-primary; border-title-style: bold; }
        &:ansi { border: round $border-blurred; }
        &:ansi:focus-within { border: heavy $border; }
    }
    """

    class Detail(Message):
        """What a widget inside has to say of what its cursor is on, for the lower border; empty if nothing."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    _rows: tuple[int, ...] = ()  # those of the border that change

    def __init__(self, *children: Widget, title: str = "", id: str | None = None, classes: str | None = None) -> None:
        super().__init__(*children, id=id, classes=classes)
        self._title, self._subtitle, self._detail = Content(title), Content(), Content()
        self.border_title = self._title or None

    @property
    def title(self) -> str:
        """What it is, and how many."""
        return self._title.plain

    @property
    def subtitle(self) -> str:
        """What is to be known besides; of what the cursor is on, if a widget has something to say of it."""
        return (self._detail or self._subtitle).plain

    def set_title(self, title: Content | Text | str) -> None:
        """Show a text in the upper border."""
        self._title = _content(title)
        self._show()

    def set_subtitle(self, text: Content | Text | str) -> None:
        """Show a text in the lower border."""
        self._subtitle = _content(text)
        self._show()

    def on_panel_detail(self, event: Detail) -> None:
        event.stop()
        self._detail = Content(event.text)
        self._show()

    def on_resize(self) -> None:
        self._show()

    def _show(self) -> None:
        title, subtitle = self._title, self._detail or self._subtitle
        if self.styles.border_bottom[0] in ("", "none"):  # only a full border keeps its line away from the text
            more = ("  ", (subtitle.plain, f"not bold {MUTED}")) if subtitle else ()
            title, subtitle = Content.assemble(" ", title, *more, " ") if title or more else title, Content()
        self._put("border_title", title, -1)
        self._put("border_subtitle", subtitle, self.size.height)

    def _put(self, name: str, text: Content, row: int) -> None:
        """Set a title, where it differs: to set it paints the whole widget, and its line alone need be painted."""
        if (text.markup if text else None) == getattr(self, name):
            return
        self._rows = (row,) if self.size.height else ()  # where nothing is seen of it, all is painted later
        try:
            setattr(self, name, text or None)
        finally:
            self._rows = ()

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        if self._rows:
            left, width = -self.gutter.left, self.outer_size.width
            regions = tuple(Region(left, row, width, 1) for row in self._rows)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)


def _content(text: Content | Text | str) -> Content:
    return Content.from_rich_text(text) if isinstance(text, Text) else Content(text) if isinstance(text, str) else text
