"""A bordered part of a pane: its title and count stand in the border, whose colour says where the focus is."""

from __future__ import annotations

from typing import Self

from rich.text import Text
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget


class Panel(Vertical):
    """Widgets below each other, inside a border."""

    DEFAULT_CSS = """
    Panel {
        height: 1fr; width: 1fr; background: $surface;
        border: round $border-blurred; border-title-color: $text-muted; border-subtitle-color: $text-muted;
        &:focus-within { border: round $border; border-title-color: $text-primary; border-title-style: bold; }
    }
    """

    _line: int | None = None  # the line of the border that changes

    def __init__(self, *children: Widget, title: str = "", id: str | None = None, classes: str | None = None) -> None:
        super().__init__(*children, id=id, classes=classes)
        self.set_title(title)

    @property
    def title(self) -> str:
        """The text in the upper border."""
        return Content.from_markup(self.border_title or "").plain

    @property
    def subtitle(self) -> str:
        """The text in the lower border."""
        return Content.from_markup(self.border_subtitle or "").plain

    def set_title(self, title: Content | Text | str) -> None:
        """Show a text in the upper border. Only that line is painted again, and only if it differs."""
        self._set("border_title", title, -1)

    def set_subtitle(self, text: Content | Text | str) -> None:
        """Show a text in the lower border."""
        self._set("border_subtitle", text, self.size.height)

    def _set(self, name: str, text: Content | Text | str, line: int) -> None:
        if isinstance(text, Text):
            text = Content.from_rich_text(text)
        content = (Content(text) if isinstance(text, str) else text) or None
        if (content.markup if content else None) == getattr(self, name):
            return
        self._line = line
        try:
            setattr(self, name, content)
        finally:
            self._line = None

    def refresh(self, *regions: Region, repaint: bool = True, layout: bool = False, recompose: bool = False) -> Self:
        if self._line is not None:
            regions = (Region(-1, self._line, self.outer_size.width, 1),)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)
