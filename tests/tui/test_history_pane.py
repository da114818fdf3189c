"""The History pane: the submissions of a lab, two of them compared, any of them opened again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.conftest import Workshop
from tests.tui.conftest import wait_until
from tui_lab.store.lab import Lab
from tui_lab.tui.app import LabApp
from tui_lab.tui.history_compare import Comparing
from tui_lab.tui.history_pane import HistoryPane
from tui_lab.tui.history_results import compare_results
from tui_lab.tui.table import FrameTable

FIRST = """
name: e
command: 'echo "score: $(( {x} * {scale} + {repeat} ))"'
parameters: {x: [1, 2]}
defaults: {scale: 10}
repeat: 3
metrics: {score: {pattern: 'score: (@float@)', goal: max}}
"""


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """A lab with three submissions of `e`, in which the second runs another program text."""
    shop = Workshop(tmp_path_factory.mktemp("history"))
    try:
        for text in (FIRST, FIRST.replace("{scale: 10}", "{scale: 20}").replace("x: [1, 2]", "x: [2, 3]")):
            result = shop.call("--run", shop.write("e.yaml", text), "--node", "localhost", 2)
            assert result.returncode == 0, result.stderr
        yield shop
    finally:
        shop.close()


async def opened(app: LabApp, pilot: Pilot[int]) -> HistoryPane:
    await wait_until(pilot, lambda: app.pane is not None and app.current is not None)
    await pilot.press("alt+7")
    await wait_until(pilot, lambda: isinstance(app.pane, HistoryPane) and app.pane.table.frame.height)
    assert isinstance(app.pane, HistoryPane)
    return app.pane


def test_results_by_setting(twice: Workshop) -> None:
    folder = Lab.open(twice.lab_path).experiment("e")
    found = compare_results((folder, 1), (folder, 2))
    assert (found.metric, found.goal, found.same) == ("score", "max", False)
    rows = {row["x"]: row for row in found.frame.to_dicts()}
    assert (rows["2"]["n_1"], rows["2"]["n_2"], rows["2"]["change"]) == (3, 3, 20.0)
    assert rows["2"]["p"] < 0.001
    assert (rows["1"]["n_2"], rows["3"]["n_1"], rows["3"]["mean_2"]) == (None, None, "61 ± 2.5")
    assert found.frame["x"][0] == "2"  # what differs most comes first
    assert compare_results((folder, 1), (folder, 1)).same


async def test_submissions_are_listed_the_newest_first(twice: Workshop) -> None:
    app = LabApp(twice.lab_path)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(app, pilot)
        assert pane.table.frame["address"].to_list() == ["e#2", "e#1"]
        assert pane.table.frame["outcome"].to_list() == ["✓ 6", "✓ 6"]
        detail = str(pane.query_one("#submission", Static).render())
        assert "tui-lab --run" in detail and "6 tasks of 6" in detail


async def test_two_are_compared(twice: Workshop) -> None:
    app = LabApp(twice.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        await pilot.press("space", "space", "c")
        await wait_until(pilot, lambda: isinstance(app.screen, Comparing))
        table = await wait_until(pilot, lambda: (t := app.screen.query_one(FrameTable)).frame.height and t)
        assert table.frame.height == 3
        text = str(app.screen.query_one("#difference", Static).render())
        assert "-defaults: {scale: 10}" in text and "+defaults: {scale: 20}" in text
        assert "0 tasks in both, 6 only in e#2, 6 only in e#1" in text
        await pilot.press("escape")
        await wait_until(pilot, lambda: not isinstance(app.screen, Comparing))


async def test_an_experiment_is_opened_again(own_lab: Workshop) -> None:
    assert own_lab.call("--run", own_lab.write("other.yaml", "name: other\ncommand: 'true'\n")).returncode == 0
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(app, pilot)
        assert app.current == "other"
        assert pane.table.frame["address"].to_list() == ["other#1", "small#1"]
        await pilot.press("j", "enter")
        await wait_until(pilot, lambda: app.current == "small")
        assert app.pane is not None and app.pane.NAME == "tasks"


async def test_the_file_of_a_submission_opens(own_lab: Workshop) -> None:
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("e")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "experiment")
        assert app.file is not None and app.file.name == "small.yaml"


async def test_a_submission_that_comes_is_added(own_lab: Workshop) -> None:
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(app, pilot)
        assert pane.table.frame.height == 1
        assert own_lab.call("--run", own_lab.write("other.yaml", "name: other\ncommand: 'true'\n")).returncode == 0
        await wait_until(pilot, lambda: pane.table.frame["outcome"].to_list() == ["✓ 1", "✓ 6  ✗ 2"])
