"""One line of text over the whole width."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.events import Click
from textual.style import Style
from textual.widget import Widget

from tui_lab.tui.base.pane import Host, host_of


def clickable(content: Content, action: str) -> Content:
    """Return text that runs an action when it is clicked."""
    return content.stylize(Style.from_meta({"do": action}))  # "@click" would underline it


class Line(Widget):
    """One line of text over the whole width."""

    ALLOW_SELECT = False
    DEFAULT_CSS = "Line { height: 1; width: 1fr; padding: 0 1; text-wrap: nowrap; }"
    _drawn: Content | None = None

    def text(self) -> Content:
        """Return what the line says."""
        raise NotImplementedError

    def render(self) -> RenderResult:
        self._drawn = self.text()
        return self._drawn

    def renew(self) -> None:
        """Draw the line again if it says something else: painting takes far more time than asking."""
        if self.is_attached and (self._drawn is None or not self._drawn.is_same(self.text())):
            self.refresh()

    @property
    def lab_app(self) -> Host:
        """The app, as panes and lines know it."""
        return host_of(self)

    @property
    def ascii(self) -> bool:
        """Whether only ASCII characters are drawn."""
        return self.lab_app.config.ascii

    async def on_click(self, event: Click) -> None:
        action = event.style.meta.get("do")
        if action:
            await self.run_action(action)

    @property
    def room(self) -> int:
        """Cells of the line."""
        return self.content_size.width

    def fitted(self, left: Content, right: Content) -> Content:
        """Return both texts, at the ends of the line; the left one is cut if there is too little room."""
        room = max(0, self.room - right.cell_length - (2 if right else 0))
        left = left.truncate(room, ellipsis=True) if left.cell_length > room else left
        return Content.assemble(left, " " * (self.room - left.cell_length - right.cell_length), right)
