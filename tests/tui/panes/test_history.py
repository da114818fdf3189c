"""The History pane: the submissions of a lab, two of them compared, any of them opened again."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.store.lab import Lab
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.panes.experiment.editor_side import EditorSide
from tui_lab.tui.panes.history.compare import Comparing, compare_results
from tui_lab.tui.panes.history.pane import HistoryPane
from tui_lab.tui.widgets.dialogs import Confirm
from tui_lab.tui.widgets.table.table import FrameTable

FIRST = """
name: e
command: 'echo "score: $(( {x} * {scale} + {repeat} ))"'
parameters: {x: [1, 2]}
defaults: {scale: 10}
repeat: 3
metrics: {score: {pattern: 'score: (@float@)', goal: max}}
"""


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    """A lab with three submissions of `e`, in which the second runs another program text."""
    workbench = Workbench(tmp_path_factory.mktemp("history"))
    try:
        for text in (FIRST, FIRST.replace("{scale: 10}", "{scale: 20}").replace("x: [1, 2]", "x: [2, 3]")):
            workbench("--run", workbench.write("e.yaml", text), "--node", "localhost", 2)
        yield workbench
    finally:
        workbench.close()


async def opened(app: LabApp, pilot: Pilot[int]) -> HistoryPane:
    await wait_until(pilot, lambda: app.pane is not None and app.current is not None)
    await pilot.press("alt+7")
    await wait_until(pilot, lambda: isinstance(app.pane, HistoryPane) and app.pane.table.frame.height)
    assert isinstance(app.pane, HistoryPane)
    return app.pane


def test_results_by_setting(twice: Workbench) -> None:
    folder = Lab.open(twice.lab_path).experiment("e")
    found = compare_results((folder, 1), (folder, 2))
    assert (found.metric, found.goal, found.same) == ("score", "max", False)
    rows = {row["x"]: row for row in found.frame.to_dicts()}
    assert (rows["2"]["n_1"], rows["2"]["n_2"], rows["2"]["change"]) == (3, 3, 20.0)
    assert rows["2"]["p"] < 0.001
    assert (rows["1"]["n_2"], rows["3"]["n_1"], rows["3"]["mean_2"]) == (None, None, "61.0 ± 2.5")
    assert found.frame["x"][0] == "2"  # what differs most comes first
    assert compare_results((folder, 1), (folder, 1)).same


TWO = """
command: 'echo "a: {x}"; echo "b: {x}{repeat}"; echo "word: up"'
parameters: {x: [1, 2]}
repeat: 2
metrics: {METRICS}
"""


@pytest.mark.slow
def test_experiments_whose_leading_metrics_differ_are_compared_by_one_of_both(workbench: Workbench) -> None:
    metrics = {
        "one": "{a: {pattern: 'a: (@float@)', goal: max}, b: 'b: (@float@)', word: 'word: (.*)'}",
        "two": "{c: {pattern: 'a: (@float@)', goal: min}, b: 'b: (@float@)', word: 'word: (.*)'}",
        "three": "{word: 'word: (.*)', d: 'a: (@float@)'}",
    }
    for name, text in metrics.items():
        file = workbench.write(f"{name}.yaml", TWO.replace("{METRICS}", text))
        workbench("--run", file, "--node", "localhost", 2)
    one, two, three = ((Lab.open(workbench.lab_path).experiment(name), 1) for name in metrics)
    assert (compare_results(one, two).metric, compare_results(two, one).metric) == ("b", "b")
    assert compare_results(one, three).metric is None  # words have no mean


async def test_submissions_are_listed_the_newest_first(twice: Workbench) -> None:
    app = LabApp(twice.lab_path)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(app, pilot)
        assert pane.table.frame["address"].to_list() == ["e#2", "e#1"]
        assert pane.table.frame["outcome"].to_list() == ["✓ 6", "✓ 6"]
        detail = str(pane.query_one("#submission", Static).render())
        assert "tui-lab --run" in detail and "6 tasks of 6" in detail


async def test_two_are_compared(twice: Workbench) -> None:
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


async def test_an_experiment_is_opened_again(own_lab: Workbench) -> None:
    own_lab("--run", own_lab.write("other.yaml", "name: other\ncommand: 'true'\n"))
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(app, pilot)
        assert app.current == "other"
        assert pane.table.frame["address"].to_list() == ["other#1", "small#1"]
        await pilot.press("j", "enter")
        await wait_until(pilot, lambda: app.current == "small")
        assert app.pane is not None and app.pane.NAME == "tasks"


def side_of(app: LabApp) -> EditorSide:
    return app.query_one(EditorSide)


def headline(app: LabApp) -> str:
    return side_of(app).title


async def reopened(app: LabApp, pilot: Pilot[int], *keys: str) -> EditorSide:
    await opened(app, pilot)
    await pilot.press(*keys)
    await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "experiment" and side_of(app).file)
    return side_of(app)


async def test_an_unchanged_file_is_just_opened(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        side = await reopened(app, pilot, "o")
        await wait_until(pilot, lambda: "small.yaml" in headline(app))
        assert side.file is not None and side.file.path.name == "small.yaml" and not side.unsaved
        assert "submitted" not in headline(app)


@pytest.fixture
def changed(workbench: Workbench) -> Workbench:
    """Two submissions of `e` from the same file, which is `echo 3` by now."""
    for number in (1, 2, 3):
        file = workbench.write("e.yaml", f"name: e\ncommand: echo {number}\n")
        if number < 3:
            workbench("--run", file, "--node", "localhost", 1)
    return workbench


async def test_a_submission_is_reopened_as_it_was(changed: Workbench) -> None:
    app = LabApp(changed.lab_path)
    file = changed.folder / "e.yaml"
    async with app.run_test(size=(100, 30)) as pilot:
        side = await reopened(app, pilot, "j", "o")
        await wait_until(pilot, lambda: "echo 1" in side.text)
        date = datetime.date.today().isoformat()
        assert re.search(rf"● as submitted on {date} \d\d:\d\d \(#1\), unsaved  e.yaml", headline(app))
        assert side.file is not None and side.file.path == file and side.unsaved
        # Saving asks before the file of today is gone.
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("n")
        await wait_until(pilot, lambda: not isinstance(app.screen, Confirm))
        assert "echo 3" in file.read_text() and side.unsaved
        side.editor.focus()
        await pilot.press("#")
        await wait_until(pilot, lambda: "(#1), edited  e.yaml" in headline(app))
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await wait_until(pilot, lambda: not side.unsaved)
        assert file.read_text() == "name: e\n#command: echo 1\n"  # the cursor is where the texts differ
        await wait_until(pilot, lambda: "submitted" not in headline(app))


async def test_reopening_asks_before_changes_are_given_up_and_can_be_undone(changed: Workbench) -> None:
    app = LabApp(changed.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        side = await reopened(app, pilot, "o")
        await wait_until(pilot, lambda: "echo 2" in side.text)
        await reopened(app, pilot, "j", "o")
        await wait_until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await wait_until(pilot, lambda: "echo 1" in side.text and "(#1), unsaved" in headline(app))
        side.editor.focus()
        await pilot.press("ctrl+z")
        await wait_until(pilot, lambda: "echo 3" in side.text)
        assert not side.unsaved and "submitted" not in headline(app)


async def test_a_submission_is_reopened_whose_file_is_gone(changed: Workbench) -> None:
    file = changed.folder / "e.yaml"
    file.unlink()
    app = LabApp(changed.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        side = await reopened(app, pilot, "o")
        await wait_until(pilot, lambda: "echo 2" in side.text)
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: not side.unsaved)
        assert file.read_text() == "name: e\ncommand: echo 2\n"


async def test_a_submission_that_comes_is_added(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(app, pilot)
        assert pane.table.frame.height == 1
        own_lab("--run", own_lab.write("other.yaml", "name: other\ncommand: 'true'\n"))
        await wait_until(pilot, lambda: pane.table.frame["outcome"].to_list() == ["✓ 1", "✓ 6  ✗ 2"])


def test_settings_that_are_equal_have_no_row_and_are_counted(twice: Workbench) -> None:
    folder = Lab.open(twice.lab_path).experiment("e")
    same = compare_results((folder, 1), (folder, 1))
    assert (same.frame.height, same.equal) == (0, 2)
    assert compare_results((folder, 1), (folder, 2)).equal == 0
