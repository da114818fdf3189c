"""Marked tasks side by side."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from textual.widgets import Static

from tests.tui.conftest import wait_until
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.help import Help
from tui_lab.tui.comparing.screen import Comparing
from tui_lab.tui.panes.tasks.choose_columns import ChooseColumns
from tui_lab.tui.panes.tasks.pane import TasksPane
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.picture.picture import Picture
from tui_lab.tui.widgets.plot.plot import Plot


async def test_marked_tasks_are_compared(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        app.show_pane("tasks")
        pane = await wait_until(pilot, lambda: app.query_one(TasksPane))
        await wait_until(pilot, lambda: pane.table.frame.height == 8 and pane.table.has_focus)
        await pilot.press("c")  # the columns, as long as nothing is marked
        await wait_until(pilot, lambda: isinstance(app.screen, ChooseColumns))
        await pilot.press("escape")
        pane.table.go_to(0)
        await pilot.press("space", "C")
        await wait_until(pilot, lambda: isinstance(app.screen, ChooseColumns))
        await pilot.press("escape")
        pane.table.go_to(2)
        await pilot.press("c", "i", "i")  # in one go; `i`: pictures, and the logs again
        await wait_until(pilot, lambda: isinstance(app.screen, Comparing))

        def said(selector: str) -> list[list[str]]:
            lines = str(app.screen.query_one(selector, Static).render()).splitlines()
            return [line.split() for line in lines if line.strip()]

        await wait_until(pilot, lambda: said("#compare-parameters Static")[0][0] != "reading")
        assert said("#compare-parameters Static") == [["kind"], ["A", "0", "a"], ["B", "2", "b"]]
        values = {line[0]: line[1:] for line in said("#compare-differences Static")[1:]}
        assert values["score"] == ["1.5", "1.5", "+0.0"] and values["error"] == ["3.5", "3.5", "+0.0"]
        assert values["loss"][:2] == ["0.1", "0.1"]
        assert "no interval" in str(app.screen.query_one("#compare-how", Static).render())
        assert app.screen.query_one("#compare-curves", Panel).title == "error by step"
        chart = app.screen.query_one("#compare-curves Plot", Plot).chart
        assert chart is not None and [one.name for one in chart.series] == ["A 0", "B 2"]
        assert len({one.color for one in chart.series}) == 2
        for letter in "AB":
            log = app.screen.query_one(f"#compare-{letter}", LogPanel)
            await wait_until(pilot, partial(lambda log: "loss: 0.1" in log.view.text, log))
        await pilot.press("question_mark")
        page = await wait_until(pilot, lambda: isinstance(app.screen, Help) and app.screen)
        assert page.heading == "Compare" and "side by side" in page.text
        assert ("L", "Let the logs scroll together, or each for itself.") in dict(page.groups)["Compare"]
        await pilot.press("escape", "i")
        await wait_until(pilot, lambda: "no picture" in app.screen.query(Picture)[1].render_line(1).text)
        await pilot.press("plus", "plus")
        await wait_until(pilot, lambda: not app.screen.query_one("#compare-words").display)
        await pilot.press("escape")
        await wait_until(pilot, lambda: pane.table.has_focus)
        assert pane.table.marked == {0}
