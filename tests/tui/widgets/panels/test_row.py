"""Panels side by side: which fit, how wide they are, and what `|`, `+` and `-` do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult
from textual.widgets import Input

from tests.tui.conftest import wait_until
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.widgets.panels.layout import Arrangement, Room, fitting, name_of, widths
from tui_lab.tui.widgets.panels.panel import Panel
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


class Row(App[None]):
    def compose(self) -> ComposeResult:
        yield PanelRow(*(Panel(id=name) for name in ROOMS), rooms=ROOMS, arrangements=ARRANGEMENTS)


async def test_each_width_is_filled() -> None:
    app = Row()
    async with app.run_test(size=(170, 10)) as pilot:
        row = app.query_one(PanelRow)

        def columns() -> list[int]:
            return [app.query_one(f"#{column[0]}").region.width for column in row.shown]

        for width in (170, 168, 171, 170, 150, 149, 120, 119, 170, 80, 79, 80):
            await pilot.resize_terminal(width, 10)
            await wait_until(pilot, lambda width=width: columns() == widths(row.shown, ROOMS, width))  # type: ignore[misc]
            last = app.query_one(f"#{row.shown[-1][-1]}").region
            assert (last.right, last.bottom) == (width, 10)


BOTH: Arrangement = (("submission-list",), ("submission-panel",))
BELOW: Arrangement = (("submission-list", "submission-panel"),)


async def test_panels_are_arranged_enlarged_and_remembered(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.current is not None and app.pane is not None and app.focused is not None)
        await pilot.press("7")
        await wait_until(pilot, lambda: app.focused is not None and app.focused.id == "submissions")
        row = app.query_one("HistoryPane").query_one(PanelRow)
        await wait_until(pilot, lambda: row.shown == BELOW)
        await pilot.resize_terminal(120, 40)
        await wait_until(pilot, lambda: row.shown == BOTH)
        listed, panel = app.query_one("#submission-list"), app.query_one("#submission-panel")
        await wait_until(pilot, lambda: listed.region.right == panel.region.x)
        assert listed.region.height == panel.region.height == row.size.height

        await pilot.press("plus", "plus", "equals_sign")
        await wait_until(pilot, lambda: row.alone == "submission-list" and listed.region.width == row.size.width)
        assert not panel.display
        await pilot.press("minus")
        await wait_until(pilot, lambda: panel.display and panel.region.width == 50 == 120 - listed.region.width)
        await pilot.press("underscore", "vertical_line")
        await wait_until(pilot, lambda: row.shown == BELOW)
        await pilot.press("3", "slash", "vertical_line", "plus")  # texts take the signs
        await wait_until(pilot, lambda: isinstance(app.focused, Input) and app.focused.value == "|+")
        await pilot.press("alt+7")
        await wait_until(pilot, lambda: app.saved_state.of_lab("pane") == "history")
    again = LabApp(small_lab)
    async with again.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: again.query_one("HistoryPane").query_one(PanelRow).shown == BELOW)
