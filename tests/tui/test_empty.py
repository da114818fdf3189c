"""No panel is blank: each that has nothing to show says what would be there, and names a key that acts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.results.conftest import LabOnDisk
from tests.tui.conftest import wait_until
from tui_lab.store.lab import Lab
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base import panes
from tui_lab.tui.base.config import Config
from tui_lab.tui.base.empty import Empty, content, lines
from tui_lab.tui.panes.tasks.pane import TasksPane
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.plot.plot import Plot
from tui_lab.tui.widgets.table.table import FrameTable

FILE = """name: grid
command: ./run {lr}
parameters: {lr: [1, 2, 3]}
metrics: {loss: {pattern: 'loss (@float@)', goal: min}}
"""
NAMES = {"/": "slash", "esc": "escape", "|": "vertical_line"}


def test_what_is_said() -> None:
    keys = {"tasks.filter": "/"}.__getitem__
    said = Empty("No task matches " * 4, "tasks.filter", "changes the filter, or removes it")
    texts = ["".join(text for text, _ in parts) for parts in lines(said, 40, False, keys)]
    assert texts[0] == "" and texts[1].startswith("  ○ No task") and texts[2].startswith("    ")
    assert all(len(text) <= 40 for text in texts) and any(text.startswith("    /  changes") for text in texts)
    assert "o No task" in content(said, True, keys).plain
    assert lines("[red]\x1b", 40, False, keys)[1][0][0] == "  [red]\\x1b"


def inside(app: LabApp, panel: Panel) -> str:
    """What is seen in a panel, without its border."""
    region = panel.content_region
    rows = app.screen._compositor.render_strips()[region.y : region.bottom]
    return "\n".join(row.crop(region.x, region.right).text for row in rows)


async def check(pilot: Pilot[Any], app: LabApp, names: tuple[str, ...] = panes.NAMES) -> dict[str, list[str]]:
    """Look at the panels of panes; return what is said in place of what is not there, by pane."""
    found: dict[str, list[str]] = {}
    for name in names:
        if app.pane is None or name != app.pane.NAME:
            app.show_pane(name)
        await wait_until(pilot, lambda: app.focused is not None and app.pane in app.focused.ancestors_with_self)

        def panels() -> dict[str, str]:
            assert app.pane is not None
            shown = [one for one in app.pane.query(Panel) if one.is_on_screen and one.content_region]
            return {one.id or type(one).__name__: inside(app, one) for one in shown}

        await wait_until(
            pilot, lambda: panels() and all(one.strip() and "reading" not in one for one in panels().values())
        )
        assert app.pane is not None
        for table in app.pane.query(FrameTable):
            assert not table.is_on_screen or table.frame.height or isinstance(table.placeholder, Empty), (name, table)
        for plot in app.pane.query(Plot):
            assert not plot.is_on_screen or plot.chart is not None or "○" in plot.render().plain, (name, plot)
        for text in panels().values():
            for match in re.finditer(r"○ (.*?) *$\n(?:.*\n){0,2}? +(\S{1,3})  (\S.*)", text, re.MULTILINE):
                key = match[2]
                active = app.screen.active_bindings
                assert NAMES.get(key, key.replace("^", "ctrl+")) in active, (name, match[0])
                found.setdefault(name, []).append(match[1])
            assert text.count("○") <= len(found.get(name, ())), text
    return found


@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_an_empty_lab(tmp_path: Path, size: tuple[int, int]) -> None:
    Lab.create(tmp_path / "lab")
    app = LabApp(tmp_path / "lab", config=Config(keys={"app.experiment": "f11"} if size[0] > 100 else {}))
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: app.snapshot.lab is not None and app.pane is not None)
        found = await check(pilot, app)
        assert {"dashboard", "nodes", "tasks", "results", "query", "chart", "history"} <= found.keys()
        app.show_pane("tasks")
        await wait_until(pilot, lambda: app.query_one(TasksPane).table.has_focus)
        await pilot.press("enter")  # does what the key does
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "experiment")


async def test_a_lab_without_results(tmp_path: Path) -> None:
    disk = LabOnDisk(tmp_path)
    folder = disk.submit(FILE)
    disk.start(folder, 0, {"stdout": "nothing\n"})
    app = LabApp(disk.lab.path)
    async with app.run_test(size=(200, 60)) as pilot:
        await wait_until(pilot, lambda: app.current == "grid" and app.pane is not None)
        await check(pilot, app)
        app.show_pane("tasks")
        pane = await wait_until(pilot, lambda: app.query_one(TasksPane))
        await wait_until(pilot, lambda: pane.table.frame.height == 3 and pane.table.has_focus)
        await pilot.press("F")
        await wait_until(pilot, lambda: pane.tasks.is_grouped and isinstance(pane.tasks.groups.placeholder, Empty))
        assert "No task has failed" in (await check(pilot, app, ("tasks",)))["tasks"]
        await pilot.press("escape")
        pane.tasks.set_text("lr = 9")
        await wait_until(pilot, lambda: not pane.table.frame.height)
        assert "No task matches" in (await check(pilot, app, ("tasks",)))["tasks"]
        pane.table.focus()
        await pilot.press("enter")
        await wait_until(pilot, lambda: pane.tasks.filter.has_focus)
