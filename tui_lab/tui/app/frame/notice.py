"""A line that is there only if there is something to say."""

from __future__ import annotations

from textual.content import Content
from textual.events import Click
from textual.reactive import reactive

from tui_lab.tui.app.frame.line import Line
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.base.snapshot import LabSnapshot


class Notice(Line):
    """A notice: what the engine waits for, or that it died."""

    DEFAULT_CSS = """
    Notice { display: none; height: auto; max-height: 3; text-wrap: wrap; }
    Notice { background: $warning-muted; color: $text-warning; }
    Notice.shown { display: block; }
    Notice.error { background: $error-muted; color: $text-error; }
    """
    said: reactive[str] = reactive("", layout=True)

    def show(self, text: str, error: bool = False) -> None:
        """Show a text, or hide the line where the text is empty. error: in the colour of errors."""
        self.said = text
        self.set_class(bool(text), "shown")
        self.set_class(error, "error")

    def follow(self, snapshot: LabSnapshot) -> None:
        """Show the worst that is to be said of a lab, or nothing."""
        if snapshot.died:
            key = host_of(self).key("app.start_engine")
            self.show(f"The engine has died. Nothing is lost: {key} starts another one, and the run goes on.", True)
        elif snapshot.problem:
            self.show(snapshot.problem, True)
        elif damaged := [one.damage for one in snapshot.experiments if one.damage]:
            self.show(damaged[0], True)
        else:
            notes = [f"{one.name}: {one.note}" for one in snapshot.experiments if one.active and one.note]
            self.show("; ".join(filter(None, [snapshot.engine.notice if snapshot.engine is not None else "", *notes])))

    def text(self) -> Content:
        return Content(f"! {self.said}")

    async def on_click(self, event: Click) -> None:
        if self.has_class("error"):
            await self.run_action("app.start_engine")
