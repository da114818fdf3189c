"""Going back to where one came from, with what was shown there; and to a panel by its letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from tests.tui.app.test_app import shown, toasts
from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.jump import Jump, targets
from tui_lab.tui.app.places import MOST, Place, Places
from tui_lab.tui.base import panes
from tui_lab.tui.panes.results.pane import ResultsPane
from tui_lab.tui.panes.tasks.pane import TasksPane


def test_back_and_forward() -> None:
    places = Places()
    a, b, c, d = (Place(name, "e") for name in "abcd")
    assert places.back(a) is None
    places.leave(a)
    places.leave(a)
    places.leave(b)
    assert places.back(c) == b and places.back(b) == a and places.back(a) is None
    assert places.forward(a) == b and places.forward(b) == c and places.forward(c) is None
    assert places.back(c) == b
    places.leave(b)  # elsewhere: what was ahead is gone
    assert places.forward(d) is None
    for number in range(2 * MOST):
        places.leave(Place(str(number), None))
    found = [places.back(d)]
    while found[-1] is not None:
        found.append(places.back(found[-1]))
    assert len(found) == MOST + 1


async def test_escape_leads_back_with_cursor_and_filter(small_lab: Path, tmp_path: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.current)

        def tasks() -> TasksPane:
            assert isinstance(app.pane, TasksPane)
            return app.pane

        def results() -> ResultsPane:
            assert isinstance(app.pane, ResultsPane)
            return app.pane

        await pilot.press("3", "slash", *"done", "enter")
        await wait_until(pilot, lambda: tasks().table.frame.height == 6)
        tasks().focus_first()
        await pilot.press("j", "j")
        task = tasks().table.key_at(tasks().table.cursor_row)
        await pilot.press("4")
        await wait_until(pilot, lambda: results().table.frame.height)
        await pilot.press("j", "enter")
        await wait_until(pilot, lambda: tasks().model.view.text != "done" and tasks().table.frame.height < 6)
        # In one go: from the log to the table, and back to the setting.
        await pilot.press("enter")
        await pilot.press("escape", "escape")
        await wait_until(pilot, lambda: results().table.cursor_row == 1)
        await pilot.press("alt+right")
        await wait_until(pilot, lambda: tasks().table.frame.height < 6)
        await pilot.press("alt+left")
        await wait_until(pilot, lambda: results().table.cursor_row == 1)

        # What a pane showed before another one led there comes back, too.
        await pilot.press("3")
        tasks().tasks.set_text("done")
        await wait_until(pilot, lambda: tasks().table.frame.height == 6)
        tasks().table.go_to(task)
        app.show_tasks("small", "state = 'failed'")
        await wait_until(pilot, lambda: tasks().table.frame.height == 2)
        await pilot.press("escape")
        await wait_until(pilot, lambda: tasks().table.frame.height == 6)
        await wait_until(pilot, lambda: tasks().table.key_at(tasks().table.cursor_row) == task)
        assert tasks().tasks.filter.value == "done"

        # Before there was an experiment, none was left, and none is gone; what was of another lab is forgotten.
        app._navigation._places.leave(Place("results", None))
        await pilot.press("alt+left")
        await wait_until(pilot, lambda: shown(app) == "results")
        assert not [one for one in toasts(app) if "gone" in one]
        app._navigation._places.leave(Place("tasks", "small"))
        app.change_lab(tmp_path)
        assert not app.back()


async def test_each_pane_is_as_it_was_left(small_workbench: Workbench, tmp_path: Path) -> None:
    folder = small_workbench.folder
    other = tmp_path / "other.yaml"
    other.write_text("command: echo hi\n")
    app = LabApp(small_workbench.lab_path, file=folder / "small.yaml")
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.current)

        def pane(name: str) -> Any:
            return app.query_one(f"#pane-{name}")

        async def prepare(name: str) -> None:
            """Put the pane into a state of which each part has to come back."""
            shown = pane(name)
            match name:
                case "experiment":
                    await wait_until(pilot, lambda: shown.side.file is not None)
                    shown.side.editor.go_to(3, 2)
                case "tasks":
                    await wait_until(pilot, lambda: shown.table.frame.height == 8)
                    await pilot.press("slash", *"done", "enter")
                    await wait_until(pilot, lambda: shown.table.frame.height == 6)
                    shown.table.focus()
                    await pilot.press("s", "s", "j", "j")
                    await wait_until(pilot, lambda: shown.model.view.order == ("task_id", True))
                case "results":
                    await wait_until(pilot, lambda: shown.table.frame.height and shown.table.has_focus)
                    await pilot.press("m")
                    await wait_until(pilot, lambda: shown.request.metric == "loss" and not shown._looking)
                    await pilot.press("j")
                case "query":
                    app.open_query("SELECT x, score FROM results ORDER BY x")
                    await wait_until(pilot, lambda: shown.view.table.frame.height > 2)
                    await pilot.press("j", "j")
                case "chart":
                    await wait_until(pilot, lambda: shown.made is not None and shown.made.chart is not None)
                    shown._take_aggregate("median")
                    await wait_until(pilot, lambda: shown.made.request.aggregate == "median")
                case "history":
                    await wait_until(pilot, lambda: shown.table.frame.height)

        ways = {
            "experiment": lambda: app.open_file(other),
            "tasks": lambda: app.show_tasks("small", "state = 'failed'"),
            "query": lambda: app.open_query("SELECT 1"),
            "chart": lambda: app.open_chart(pl.DataFrame({"a": [1, 2], "b": [3, 4]}), "other"),
        }
        for name in panes.NAMES:
            app.show_pane(name)
            await wait_until(pilot, lambda: app.focused is not None and pane(name) in app.focused.ancestors_with_self)
            await prepare(name)
            await pilot.pause()
            before = pane(name).place()
            ways.get(name, lambda: app.lead_to("tasks"))()
            away = "tasks" if name not in ways else name
            await wait_until(pilot, lambda: app.focused is not None and pane(away) in app.focused.ancestors_with_self)
            if name in ways:
                await wait_until(pilot, lambda: pane(name).place() != before)
            app.action_go_back()
            await wait_until(pilot, lambda: app.pane is pane(name) and pane(name).place() == before)
            if name == "history":
                assert app.pane is not None and app.pane.experiment_here == "small"


async def test_a_letter_leads_to_a_panel(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.current)
        await pilot.press("3")
        await wait_until(pilot, lambda: isinstance(app.pane, TasksPane) and app.pane.table.frame.height)
        assert len(targets(app.screen)) >= 2
        pane = app.pane
        assert isinstance(pane, TasksPane)
        await pilot.press("J", "s", "G")  # in one go: the last key is for the log
        await wait_until(pilot, lambda: pane.log_panel.has_pseudo_class("focus-within"))
        await pilot.press("slash")  # a text of the log
        await pilot.press("ctrl+g")
        await wait_until(pilot, lambda: isinstance(app.screen, Jump))
        await pilot.press("a")
        await wait_until(pilot, lambda: not pane.log_panel.has_pseudo_class("focus-within"))
        await pilot.press("J", "4")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "results")
        await pilot.press("J", "escape")
        assert len(app.screen_stack) == 1
