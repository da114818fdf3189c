"""A line that is there only if there is something to say."""

from __future__ import annotations

from textual.app import RenderResult
from textual.content import Content
from textual.events import Click
from textual.reactive import reactive

from tui_lab.tui.app.frame.line import Line


class Notice(Line):
    """A notice: what the engine waits for, or that it died."""

    DEFAULT_CSS = """
    Notice { display: none; height: auto; max-height: 3; text-wrap: wrap; }
    Notice { background: $warning-muted; color: $text-warning; }
    Notice.shown { display: block; }
    Notice.error { background: $error-muted; color: $text-error; }
    """
    text: reactive[str] = reactive("", layout=True)

    def show(self, text: str, error: bool = False) -> None:
        """Show a text, or hide the line where the text is empty. error: in the colour of errors."""
        self.text = text
        self.set_class(bool(text), "shown")
        self.set_class(error, "error")

    def render(self) -> RenderResult:
        return Content(f"! {self.text}")

    async def on_click(self, event: Click) -> None:
        if self.has_class("error"):
            await self.run_action("app.start_engine")
