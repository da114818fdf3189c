"""After another experiment was chosen each pane shows that one's data, and nothing of the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.app.test_app import shown
from tests.tui.app.test_input_order import burst, settled
from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.tui.app.app import LabApp


def text_of(app: LabApp) -> str:
    """What is on the screen."""
    return unescape(re.sub(r"<[^>]*>", "", app.export_screenshot())).replace("\xa0", " ")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    workbench = Workbench(tmp_path_factory.mktemp("two"))
    try:
        for name, word in (("first", "early"), ("second", "later")):
            text = f"command: 'echo {word}_score={{{word}_knob}}'\nparameters: {{{word}_knob: [1, 2, 3]}}\n"
            text += f"metrics: {{{word}_score: '{word}_score=(@float@)'}}\n"
            workbench("--run", workbench.write(f"{name}.yaml", text), "--node", "localhost", 2)
        yield workbench
    finally:
        workbench.close()


async def chosen_by_keys(app: LabApp, pilot: Pilot[Any], name: str) -> None:
    """Choose an experiment as a person does, in one burst."""
    burst(app, "E", f"text:{name}", "enter")
    await wait_until(pilot, lambda: app.current == name and len(app.screen_stack) == 1)


@pytest.mark.slow
@pytest.mark.parametrize("key", ["1", "3", "4", "6"])
async def test_every_pane_follows(key: str, two: Workbench) -> None:
    """The choice by keys, and one that is made elsewhere."""
    app = LabApp(two.lab_path)
    async with app.run_test(size=(150, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "second")
        await pilot.press(f"alt+{key}", *(["escape"] if key == "1" else []))
        await wait_until(pilot, lambda: "later_" in text_of(app))
        await chosen_by_keys(app, pilot, "first")
        await wait_until(pilot, lambda: "early_" in text_of(app) and "later_" not in text_of(app))
        app.current = "second"
        await wait_until(pilot, lambda: "later_" in text_of(app) and "early_" not in text_of(app))


@pytest.mark.slow
@pytest.mark.parametrize("typed", ["SELECT * FROM results", "failures", ".schema results"])
async def test_a_query_is_asked_of_the_other_experiment(typed: str, two: Workbench) -> None:
    app = LabApp(two.lab_path)
    async with app.run_test(size=(150, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "second")
        app.open_query(typed)
        pane: Any = await wait_until(pilot, lambda: app.pane if shown(app) == "query" else None)
        await wait_until(pilot, lambda: pane.last is not None and "later" in str(pane.view.table.frame))
        await chosen_by_keys(app, pilot, "first")
        await wait_until(pilot, lambda: "early" in str(pane.view.table.frame))
        assert "later" not in str(pane.view.table.frame)
        assert pane.last.current == "first"


@pytest.mark.slow
async def test_a_query_that_fails_for_the_other_experiment_leaves_no_rows(two: Workbench) -> None:
    app = LabApp(two.lab_path)
    async with app.run_test(size=(150, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "second")
        app.open_query("SELECT later_score FROM results")
        pane: Any = await wait_until(pilot, lambda: app.pane if shown(app) == "query" else None)
        await wait_until(pilot, lambda: pane.view.table.frame.height == 3)
        await chosen_by_keys(app, pilot, "first")
        await wait_until(pilot, lambda: "later_score" in pane.view.said)
        assert pane.view.table.frame.height == 0
        assert pane.last is None  # nothing to draw or to export
        await chosen_by_keys(app, pilot, "second")
        await wait_until(pilot, lambda: pane.view.table.frame.height == 3)


@pytest.mark.slow
async def test_a_query_that_is_going_begins_anew_for_the_other_experiment(two: Workbench) -> None:
    app = LabApp(two.lab_path)
    endless = "SELECT count(*) FROM range(100000000000) a, range(100000) b, results"
    async with app.run_test(size=(150, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "second")
        app.open_query(endless)
        pane: Any = await wait_until(pilot, lambda: app.pane if shown(app) == "query" else None)
        before = await wait_until(pilot, lambda: pane.run_)
        await chosen_by_keys(app, pilot, "first")
        await wait_until(pilot, lambda: pane.run_ is not before and pane.run_.current == "first" and before.cancelled)
        burst(app, "escape")
        await wait_until(pilot, lambda: pane.view.said == "cancelled")


async def test_a_query_of_named_tables_stays(two: Workbench) -> None:
    app = LabApp(two.lab_path)
    async with app.run_test(size=(150, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "second")
        app.open_query("SELECT * FROM second")
        pane: Any = await wait_until(pilot, lambda: app.pane if shown(app) == "query" else None)
        run = await wait_until(pilot, lambda: pane.last)
        await chosen_by_keys(app, pilot, "first")
        assert pane.run_ is None
        assert pane.last is run


async def test_history_and_nodes_lead_to_tasks_of_the_other_experiment(two: Workbench) -> None:
    app = LabApp(two.lab_path)
    async with app.run_test(size=(150, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "second")
        await pilot.press("alt+7")
        await wait_until(pilot, lambda: "first#1" in text_of(app) and "second#1" in text_of(app))
        await chosen_by_keys(app, pilot, "first")
        assert "first#1" in text_of(app)
        assert "second#1" in text_of(app)
        await pilot.press("alt+2")
        await wait_until(pilot, lambda: "localhost" in text_of(app))
        await pilot.press("t")
        await wait_until(pilot, lambda: shown(app) == "tasks")
        assert app.current == "first"


@pytest.mark.parametrize(
    ("keys", "chosen"),
    [
        (["text:fi"], "first"),
        (["text:sec"], "second"),
        (["text:fx", "backspace", "text:irst"], "first"),
        (["j"], "first"),  # no experiment begins so: it goes down
        (["j", "k"], "second"),
        (["q"], "second"),
        (["text:fq", "escape"], "second"),  # q is a letter of the text by then
        (["text:sec", *["backspace"] * 3, "j"], "first"),
        (["text:first tasks"], "second"),  # nothing is like it: enter does nothing
    ],
)
async def test_what_is_typed_narrows_the_experiments(keys: list[str], chosen: str, two: Workbench) -> None:
    app = LabApp(two.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: app.current == "second" and app.pane is not None)
        burst(app, "E", *keys, *([] if keys[-1] in ("q", "escape") else ["enter"]))
        await settled(app, pilot)
        if keys == ["text:first tasks"]:
            assert len(app.screen_stack) == 2
            burst(app, "escape")
            await settled(app, pilot)
        assert len(app.screen_stack) == 1
        assert app.current == chosen


@pytest.mark.slow
async def test_an_experiment_is_found_by_its_whole_name(workbench: Workbench) -> None:
    for name in ("job", "jobs", "my-job"):
        file = workbench.write(f"{name}.yaml", "command: 'true'\n")
        workbench("--run", file)
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: app.current == "my-job" and app.pane is not None)
        await chosen_by_keys(app, pilot, "job")
        await chosen_by_keys(app, pilot, "jobs")
