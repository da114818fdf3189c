"""How the panes look, with a lab that is always the same: at 80x24, 120x40 and 200x60, dark and light."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.tui.conftest import wait_until
from tests.tui.fixed import fixed_lab
from tests.workbench import Workbench
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.frame.keys import Keys
from tui_lab.tui.base import panes
from tui_lab.tui.base.config import Config
from tui_lab.tui.charts.linked import LinkedChart
from tui_lab.tui.panes.chart.pane import ChartPane
from tui_lab.tui.panes.query.answer import AnswerView
from tui_lab.tui.panes.results.pane import ResultsPane, SettingsTable
from tui_lab.tui.panes.tasks.pane import TasksPane
from tui_lab.tui.widgets.plot.plot import Plot
from tui_lab.tui.widgets.table.table import FrameTable

SMALL, MIDDLE, LARGE = (80, 24), (120, 40), (200, 60)
SQL = "SELECT act, avg(accuracy) AS mean FROM results GROUP BY act ORDER BY act"  # no ties, whose order is open


@pytest.fixture(scope="module")
def lab_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    workbench = Workbench(tmp_path_factory.mktemp("fixed"))
    try:
        fixed_lab(workbench)
        yield workbench.folder
    finally:
        workbench.close()


@pytest.fixture
def folder(lab_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_cursor_blink: None) -> Iterator[Path]:
    """The folder with the lab is the current one, so that no path stands on the screen; two cores, and Greenwich."""
    monkeypatch.chdir(lab_folder)
    monkeypatch.setenv("HOME", str(lab_folder))
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1}, raising=False)
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "UTC")
        time.tzset()
        yield lab_folder
    time.tzset()


async def settled(pilot: Pilot[Any]) -> None:
    """Until nothing on the screen changes any more."""
    last, since = "", 0
    while since < 5:
        await pilot.pause(0.06)
        now = "\n".join("".join(part.text for part in line) for line in pilot.app.screen._compositor.render_strips())
        last, since = now, since + 1 if now == last else 0


async def opened(pilot: Pilot[Any], name: str) -> LabApp:
    app = pilot.app
    assert isinstance(app, LabApp)
    await wait_until(pilot, lambda: app.current == "grid" and app.pane is not None)
    app.show_pane(name)
    await wait_until(pilot, lambda: app.focused is not None and app.pane in app.focused.ancestors_with_self)
    return app


LOOKS = [
    ("experiment", SMALL, "lab-dark"),
    ("experiment", MIDDLE, "lab-light"),
    ("nodes", MIDDLE, "lab-dark"),
    ("tasks", SMALL, "lab-dark"),
    ("tasks", MIDDLE, "lab-light"),
    ("tasks", LARGE, "lab-dark"),
    ("results", SMALL, "lab-dark"),
    ("results", MIDDLE, "lab-light"),
    ("query", MIDDLE, "lab-dark"),
    ("chart", SMALL, "lab-dark"),
    ("chart", MIDDLE, "lab-light"),
    ("history", SMALL, "lab-dark"),
    ("help", SMALL, "lab-dark"),
    ("palette", SMALL, "lab-light"),
]


@pytest.mark.parametrize(("name", "size", "theme"), LOOKS, ids=[f"{n}-{s[0]}-{t[4:]}" for n, s, t in LOOKS])
def test_how_it_looks(snap_compare: Any, folder: Path, name: str, size: tuple[int, int], theme: str) -> None:
    file = Path("grid.yaml") if name == "experiment" else None
    app = LabApp(Path("lab"), file=file, config=Config(theme=theme))

    async def shown(pilot: Pilot[Any]) -> None:
        await opened(pilot, name if name in panes.NAMES else "tasks")
        await _prepared(pilot, app, name)
        await settled(pilot)
        assert app.query_one(Keys).size.width == size[0] - 2

    assert snap_compare(app, terminal_size=size, run_before=shown)


async def _prepared(pilot: Pilot[Any], app: LabApp, name: str) -> None:
    if name == "tasks":
        pane = app.query_one(TasksPane)
        await wait_until(
            pilot, lambda: pane.model.table is not None and pane.model.table.frame["accuracy"].drop_nulls().len()
        )
        await pilot.press("f")
        await wait_until(pilot, lambda: "out of memory" in pane.log_panel.view.text)
    elif name == "query":
        app.open_query(SQL)
        await wait_until(pilot, lambda: app.query_one(AnswerView).query_one(FrameTable).frame.height == 3)
        view = app.query_one(AnswerView)
        view.say(re.sub(r"[\d.]+ m?s\b", "0.1 s", view.said))
    elif name == "results":
        chart = app.query_one(ResultsPane).query_one(LinkedChart)  # a worker draws it, after the table is there
        await wait_until(pilot, lambda: app.query_one(SettingsTable).frame.height == 8)
        await wait_until(pilot, lambda: not chart.display or chart.query_one(Plot).text.count("\n") > 5)
    elif name == "chart":
        await wait_until(pilot, lambda: app.query_one(ChartPane).query_one(Plot).text.count("\n") > 5)
    elif name == "help":
        await pilot.press("question_mark")
        await wait_until(pilot, lambda: len(app.screen_stack) == 2)
    elif name == "palette":
        await pilot.press("ctrl+p")
        await wait_until(pilot, lambda: app.screen.query_one(OptionList).option_count)
