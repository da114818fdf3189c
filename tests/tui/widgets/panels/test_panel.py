"""What stands in the border of a panel."""

from __future__ import annotations

from textual.app import App, ComposeResult
from textual.containers import Vertical
from textual.widgets import Static

from tui_lab.tui.widgets.panels.panel import Panel


class Alone(App[None]):
    def compose(self) -> ComposeResult:
        yield Vertical(Panel(Static("text"), title="One"))


def lines(app: Alone) -> list[str]:
    return ["".join(part.text for part in line) for line in app.screen._compositor.render_strips()]


async def test_what_changed_while_nothing_was_seen_of_it_is_painted() -> None:
    app = Alone()
    async with app.run_test(size=(40, 10)) as pilot:
        panel = app.query_one(Panel)
        panel.set_subtitle("n 5")
        await pilot.pause()
        assert "n 5" in lines(app)[-1]
        for height, words in (("6", "n 6"), ("6", "n 7"), ("1fr", "n 8"), ("1fr", "n 9")):
            app.query_one(Vertical).display = False
            await pilot.pause()
            panel.set_title(f"Title of {words}")
            panel.set_subtitle(words)
            panel.styles.height = height
            await pilot.pause()
            app.query_one(Vertical).display = True
            await pilot.pause()
            shown = [line for line in lines(app) if line.strip()]
            assert words in shown[-1] and f"Title of {words}" in shown[0]
