"""Panels side by side: which fit, how wide they are, and what `|`, `+` and `-` do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.widgets import Input

from tests.tui.conftest import wait_until
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.widgets.panels.layout import Arrangement, Room, fitting, name_of, widths
from tui_lab.tui.widgets.panels.row import PanelRow

ROOMS = {"tasks": Room(60, 3), "log": Room(50, 2), "curve": Room(40, 2)}
ARRANGEMENTS: tuple[Arrangement, ...] = (
    (("tasks", "log"),),
    (("tasks",), ("log",)),
    (("tasks",), ("log", "curve")),
    (("tasks",), ("log",), ("curve",)),
)


@given(st.integers(60, 400), st.sets(st.sampled_from(["log", "curve"])), st.sampled_from(["", "tasks", "log", "curve"]))
def test_columns_fill_the_width_and_none_is_too_narrow(width: int, absent: set[str], grown: str) -> None:
    for one in fitting(ARRANGEMENTS, ROOMS, absent, width):
        found = widths(one, ROOMS, width, grown)
        assert sum(found) == width
        assert all(cells >= max(ROOMS[name].least for name in column) for cells, column in zip(found, one, strict=True))
        assert not absent & {name for column in one for name in column}


@pytest.mark.parametrize(
    ("width", "absent", "wanted"),
    [
        (80, (), ["tasks/log"]),
        (120, ("curve",), ["tasks/log", "tasks|log"]),
        (160, (), ["tasks/log", "tasks|log", "tasks|log/curve", "tasks|log|curve"]),
        (20, ("log",), ["tasks"]),
    ],
)
def test_what_fits(width: int, absent: tuple[str, ...], wanted: list[str]) -> None:
    assert [name_of(one) for one in fitting(ARRANGEMENTS, ROOMS, absent, width)] == wanted


def test_a_column_too_small_for_its_share_gets_its_least_width() -> None:
    assert widths((("tasks",), ("log",), ("curve",)), ROOMS, 151, "tasks") == [61, 50, 40]


async def test_panels_are_arranged_enlarged_and_remembered(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.current is not None and app.pane is not None and app.focused is not None)
        app.show_pane("tasks")
        await wait_until(pilot, lambda: app.query(PanelRow) and app.focused is not None and app.focused.id == "tasks")
        row = app.query_one(PanelRow)
        assert row.shown == (("task-list", "task-log"),)
        await pilot.resize_terminal(120, 40)
        await wait_until(pilot, lambda: row.shown == (("task-list",), ("task-log",)))
        tasks, log = app.query_one("#task-list"), app.query_one("#task-log")
        assert tasks.region.right == log.region.x
        assert tasks.region.height == log.region.height == row.size.height

        await pilot.press("plus", "plus", "equals_sign")
        await wait_until(pilot, lambda: row.alone == "task-list" and not log.display)
        assert tasks.region.width == row.size.width
        await pilot.press("minus")
        await wait_until(pilot, lambda: log.display and tasks.region.width >= 70 and log.region.width == 50)
        await pilot.press("underscore", "vertical_line", "tab")  # the chosen one, and the focus goes on to the log
        await wait_until(pilot, lambda: row.shown == (("task-list", "task-log"),))
        await wait_until(pilot, lambda: app.focused is not None and app.focused.id == "log-view")
        await pilot.press("plus", "plus", "slash", "vertical_line", "plus")  # texts take the signs
        await wait_until(pilot, lambda: isinstance(app.focused, Input) and app.focused.value == "|+")
        assert row.alone == "task-log"
    again = LabApp(small_lab)
    async with again.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: again.pane is not None and again.pane.NAME == "tasks" and again.query(PanelRow))
        await wait_until(pilot, lambda: again.query_one(PanelRow).shown == (("task-list", "task-log"),))
