"""The Results pane: settings best first, what can't be told apart, a baseline, and the way to tasks and charts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.experiment.expressions import expression
from tui_lab.results.statistics.report import Options, make
from tui_lab.results.tables import refresh
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.comparing.screen import Comparing
from tui_lab.tui.panes.experiment.launch import LaunchDialog
from tui_lab.tui.panes.results import pane as results_pane
from tui_lab.tui.panes.results.choice import ParametersDialog
from tui_lab.tui.panes.results.pane import ResultsPane, SettingsTable
from tui_lab.tui.panes.results.rows import condition, key
from tui_lab.tui.panes.results.view import ViewRequest, make_view
from tui_lab.tui.widgets.log.panel import LogPanel
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.panels.row import PanelRow
from tui_lab.tui.widgets.plot.plot import Plot

# Values chosen so that x=3 is best, x=2 is tied with it, x=1 is worse; null and NaN are among them.
GRADES = """
command: |
  case {x}{repeat} in
    10) echo "score: 1.0" ;; 11) echo "score: 1.1" ;; 12) echo "score: 1.2" ;;
    20) echo "score: 5.0" ;; 21) echo "score: 5.4" ;; 22) echo "score: 4.9" ;;
    30) echo "score: 5.3" ;; 31) echo "score: 5.2" ;; 32) echo "score: 5.1" ;;
    40) echo "score: nan" ;; *) echo nothing ;;
  esac
  seq $(({x} < 3 ? 200 : 300))
  echo "cost: {x}.5 kB/s"
  echo "label: {word}"
parameters: {x: [1, 2, 3, 4], word: ["it's"]}
repeat: 3
metrics:
  score: {pattern: 'score: (@float@)', goal: max}
  cost: {pattern: 'cost: (@quantity@)', unit: B/s, goal: min}
  label: 'label: (.*)'
"""


@pytest.fixture(scope="module")
def grades(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workbench]:
    workbench = Workbench(tmp_path_factory.mktemp("grades"))
    try:
        workbench.run_text(GRADES, code=None)
        yield workbench
    finally:
        workbench.close()


def pane_of(app: LabApp) -> ResultsPane:
    return app.query_one(ResultsPane)


def words(app: LabApp, selector: str) -> str:
    return str(pane_of(app).query_one(selector, Static).render())


def titled(app: LabApp, selector: str) -> str:
    return pane_of(app).query_one(selector, Panel).title


def cells(app: LabApp) -> list[dict[str, str]]:
    """The table as it is shown, by the titles of its columns."""
    found = pane_of(app)._rows
    if found is None:
        return []
    titles = [column.label.strip() or column.name for column in found.columns]
    names = [column.name for column in found.columns]
    return [dict(zip(titles, map(str.strip, row), strict=True)) for row in found.frame.select(names).rows()]


def drawn(app: LabApp) -> list[str]:
    """The lines of the table, once the forest plot is there."""
    lines = [pane_of(app).table.render_line(y).text for y in range(5)]
    return lines if "●" in lines[1] else []


async def opened(pilot: Pilot[Any], app: LabApp) -> ResultsPane:
    app.show_pane("results")
    await wait_until(pilot, lambda: pane_of(app)._view is not None and pane_of(app).table.has_focus)
    return pane_of(app)


async def settled(pilot: Pilot[Any], app: LabApp, **request: Any) -> None:
    """What was wished for is on screen."""
    await wait_until(
        pilot,
        lambda: (
            (view := pane_of(app)._view)
            and all(getattr(view.request, name) == value for name, value in request.items())
        ),
    )


async def test_best_first_with_all_that_can_not_be_told_from_it(grades: Workbench) -> None:
    app = LabApp(grades.lab_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        table = cells(app)
        assert [row["x"] for row in table] == ["3", "2", "1", "4"]
        assert [row["c0"] for row in table] == ["★ best", "≈ tied", "worse", "! incomplete"]
        assert table[0]["score ± 95 % ▾"].startswith("5.20 ± 0.2") and table[3]["score ± 95 % ▾"] == "no value"
        assert [row["n"] for row in table] == ["3/3", "3/3", "3/3", "0/3 1 NaN 2 null"]
        forest = await wait_until(pilot, lambda: drawn(app))
        places = [line.find("●") for line in forest[1:]]
        assert places[0] >= places[1] > places[2] > 0 and places[3] == -1
        assert "├" in forest[3]
        assert table[0]["cost [B/s] ± 95 %"].startswith("3500")
        assert titled(app, "#results-list") == "score, more is better: 4 settings"
        assert "≈ 1 tied with the best (Welch's t, Holm over 2)" in words(app, "#results-how")
        assert "importance" in words(app, "#results-importance")
        assert "left out 2 without a value and 1 NaN" in words(app, "#results-notes")
        assert titled(app, "#results-detail") == "x=3"


async def test_while_it_reads_it_says_so(grades: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(results_pane, "make_view", lambda *args: (go_on.wait(), make_view(*args))[1])
    app = LabApp(grades.lab_path)
    async with app.run_test(size=(160, 40)) as pilot:
        try:
            app.show_pane("results")
            await wait_until(pilot, lambda: "reading " in words(app, "#results-message"))
            plot = pane_of(app).chart.query_one(Plot)
            assert "reading " in plot.text
        finally:
            go_on.set()
        await wait_until(pilot, lambda: plot.chart)


async def test_metrics_goals_and_orders(grades: Workbench) -> None:
    app = LabApp(grades.lab_path)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app)
        await pilot.press("m")
        await settled(pilot, app, metric="cost")
        assert [row["x"] for row in cells(app)] == ["1", "2", "3", "4"]
        await pilot.press("d")
        await settled(pilot, app, goals={"cost": "max"})
        assert [row["x"] for row in cells(app)] == ["4", "3", "2", "1"]
        await pilot.press("M")
        await settled(pilot, app, metric="score")
        assert pane._rows is not None
        pane.table.cursor_column = [column.label for column in pane._rows.columns].index("x")
        await pilot.press("s")
        await wait_until(pilot, lambda: [row["x"] for row in cells(app)] == ["1", "2", "3", "4"])
        assert pane.table.key_at(pane.table.cursor_row) == "x=1"  # the first row, as nobody has moved the cursor
        pane.table.go_to("x=3")
        await pilot.press("s")
        await wait_until(pilot, lambda: [row["x"] for row in cells(app)] == ["4", "3", "2", "1"])
        assert pane.table.key_at(pane.table.cursor_row) == "x=3"


async def test_a_baseline_adds_differences(grades: Workbench) -> None:
    app = LabApp(grades.lab_path)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app)
        pane.table.go_to("x=1")
        await pilot.press("b")
        await settled(pilot, app, baseline="x = 1")
        table = {row["x"]: row for row in cells(app)}
        assert table["1"]["c0"] == "◆ base" and table["1"]["difference"] == ""
        assert table["3"]["difference"].startswith("+4.10 ± 0.2") and table["3"]["ratio"] == "4.727"
        assert "▲ better" in table["3"].values() and table["3"]["p"] == "<0.001"
        assert "◆ baseline x=1" in words(app, "#results-how")
        pane.table.go_to("x=3")
        await wait_until(pilot, lambda: "from the baseline" in titled(app, "#results-detail"))
        pane.table.go_to("x=1")
        await pilot.press("b")
        await settled(pilot, app, baseline=None)


async def test_the_pareto_front_and_the_grouping(grades: Workbench) -> None:
    app = LabApp(grades.lab_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        app.screen.set_focus(pane_of(app).table)
        await pilot.press("o")
        await wait_until(pilot, lambda: len(app.screen_stack) > 1 or pane_of(app).request.front)
        if len(app.screen_stack) > 1:  # which of the other metrics
            await pilot.press("home", "enter")
        await settled(pilot, app, front="cost")
        assert [row["x"] for row in cells(app)] == ["3", "2", "1"]  # 4 has no score
        assert all(row["c0"].startswith("◇ front") for row in cells(app))
        await pilot.press("o")
        await settled(pilot, app, front=None)
        await pilot.press("v")
        await wait_until(pilot, lambda: isinstance(app.screen, ParametersDialog))
        await pilot.press("space", "enter")
        await settled(pilot, app, by=())
        assert len(cells(app)) == 1 and "averaged over x" in titled(app, "#results-list")


async def test_settings_that_lack_values_are_the_best_where_the_user_says_so(grades: Workbench) -> None:
    request = ViewRequest("score", by=())  # one setting: of its 12 values two are not there, and one is NaN
    for incomplete in (False, True):
        view = make_view(grades.lab_path / "e", replace(request, incomplete=incomplete), 0, "i")
        assert view.metric is not None and (view.metric.best is not None) == incomplete
        assert any("i compares incomplete settings" in note for note in view.notes) != incomplete
    app = LabApp(grades.lab_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        await pilot.press("i")
        assert pane_of(app).request.incomplete
        await pilot.press("i")
        assert not pane_of(app).request.incomplete


async def test_the_way_to_tasks_charts_and_the_clipboard(grades: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    app = LabApp(grades.lab_path)
    asked: list[Any] = []
    monkeypatch.setattr(app, "show_tasks", lambda *words: asked.append(words))
    monkeypatch.setattr(app, "open_chart", lambda *words: asked.append(words))
    monkeypatch.setattr(app, "copy", lambda *words: asked.append(words))
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        await pilot.press("enter", "p", "y")
        await wait_until(pilot, lambda: len(asked) == 3)
        assert asked[0] == ("e", "x = 3")
        frame, title, request = asked[1]
        assert {"x", "score"} <= set(frame.columns) and title == "e: score"
        assert request.columns == {"x": "x", "y": "score"}
        assert asked[2][0].startswith("| x | score |") and "| **5.20 ± 0.25** |" in asked[2][0]


async def test_an_experiment_without_results_is_explained(workbench: Workbench) -> None:
    workbench.run_text("command: exit 1\nparameters: {x: [1, 2]}\nmetrics: {a: 'a (@int@)'}\n", code=None)
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_pane("results")
        await wait_until(pilot, lambda: "all 2 failed" in words(app, "#results-message"))
        assert not pane_of(app).table.display


@pytest.mark.slow
async def test_results_follow_a_run(workbench: Workbench) -> None:
    file = workbench.write(
        "live.yaml", "command: 'sleep 0.{x}; echo a {x}'\nparameters: {x: {range: [1, 9]}}\nmetrics: {a: 'a (@int@)'}\n"
    )
    run = workbench.start("--run", file, "--node", "localhost", 1)
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_pane("results")
        await wait_until(pilot, lambda: 0 < len(cells(app)) < 8)
        assert "planned tasks are not included" in words(app, "#results-notes")
        pane_of(app).table.go_to("x=1")
        await wait_until(pilot, lambda: len(cells(app)) == 8)
        assert pane_of(app).table.key_at(pane_of(app).table.cursor_row) == "x=1"
    assert run.wait(20) == 0


# Each task waits for its turn: the value of a setting grows with x, so every one that comes is the new best.
IN_TURN = """
command: 'until [ -e turn{x} ]; do sleep 0.02; done; echo "score: {x}.5"'
parameters: {x: {range: [1, 31]}}
metrics: {score: {pattern: 'score: (@float@)', goal: max}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("mouse", [False, True])
async def test_the_cursor_is_on_the_best_until_a_person_moves_it(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, mouse: bool
) -> None:
    monkeypatch.setattr("tui_lab.tui.panes.results.pane.PAUSE", 0.1)
    run = workbench.start("--run", workbench.write("turns.yaml", IN_TURN), "--node", "localhost", 4)
    app = LabApp(workbench.lab_path)

    async def upto(pilot: Pilot[Any], count: int) -> None:
        for x in range(1, count + 1):
            (workbench.folder / f"turn{x}").touch()
        await wait_until(pilot, lambda: len(cells(app)) == count)
        await pilot.pause()

    async with app.run_test(size=(80, 24)) as pilot:
        app.show_pane("results")
        for count in (3, 20):
            await upto(pilot, count)
            table = pane_of(app).table
            assert (table.cursor_row, table.scroll_offset.y) == (0, 0)
            assert table.key_at(0) == f"x={count}"
            await wait_until(pilot, lambda: titled(app, "#results-detail") == f"x={count}")
        if mouse:
            await pilot.click(SettingsTable, offset=(10, 3))
        else:
            await pilot.press("j", "j")
        assert table.key_at(table.cursor_row) == "x=18"
        await upto(pilot, 30)
        assert table.key_at(table.cursor_row) == "x=18" and table.cursor_row == 12
    assert run.wait(20) == 0


@pytest.mark.slow
async def test_what_can_not_be_compared_is_not(workbench: Workbench) -> None:
    metric = "metrics: {a: {pattern: 'a (@int@)', goal: max}}\n"
    for name, rest in (("single", "command: echo a 5"), ("nulls", "command: echo {x}\nparameters: {x: [1, 2]}")):
        file = workbench.write(f"{name}.yaml", f"{rest}\n{metric}")
        workbench("--run", file, "--node", "localhost", 1)
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        for name, shown in (("single", ["5"]), ("nulls", ["no value", "no value"])):
            app.current = name
            await wait_until(pilot, lambda: (view := pane_of(app)._view) and view.experiment == name)
            assert [row["a ± 95 % ▾"] for row in cells(app)] == shown
            assert words(app, "#results-how") == "interval: Student's t"
            await wait_until(pilot, lambda: pane_of(app).table.has_focus)  # the keys act after a change, too


async def test_no_lab_yet(tmp_path: Path) -> None:
    app = LabApp(tmp_path / "lab")
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_pane("results")
        await wait_until(pilot, lambda: "No results yet" in words(app, "#results-message"))


def test_what_is_gone_is_left_out(grades: Workbench) -> None:
    view = make_view(grades.lab_path / "e", ViewRequest(baseline='"x" = 99'), 1, "i")
    assert view.report is not None and view.request.baseline is None
    lost = make_view(grades.lab_path / "nothing", ViewRequest(), 1, "i")
    assert lost.report is None and lost.message


@pytest.mark.parametrize(
    "value",
    [0.1, 1e-300, float("nan"), float("-inf"), 2**60, -3, True, False, None, 'it\'s "so"', "", "a\nb", "null"],
)
def test_conditions_mean_their_setting(value: Any) -> None:
    from tui_lab.results.sql.text import is_equal

    other = "other" if isinstance(value, str) else None if value is not None else 1
    frame = pl.DataFrame({'odd "name': [value, other]}, strict=False)
    assert expression.condition(is_equal('odd "name', value), frame).to_list() == [True, False]


def test_what_names_a_setting(grades: Workbench) -> None:
    report = make(refresh(grades.experiment()), Options(metrics=("score",)))
    assert [key(report, place) for place in (0, 1)] == ["x=1", "x=2"]
    assert condition(report, 0) == "x = 1"


async def test_settings_are_seen_in_the_smallest_window(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(40, 12)) as pilot:
        await wait_until(pilot, lambda: app.current is not None)
        app.show_pane("results")
        await wait_until(pilot, lambda: app.query_one(ResultsPane).table.frame.height == 3)
        await wait_until(pilot, lambda: app.query_one(ResultsPane).table.size.height >= 3)


NEARLY_EQUAL = """
command: |
  case {x} in
    1) echo "score: 1.$((2 * ({repeat} % 3)))" ;;
    2) echo "score: 1.$((2 * ({repeat} % 3) + 4))" ;;
    3) echo "score: 0.$(({repeat} % 3))" ;;
  esac
parameters: {x: [1, 2, 3]}
repeat: 3  # as in the paper
metrics: {score: {pattern: 'score: (@float@)', goal: max}}
"""


async def test_the_repeats_that_would_separate_two_settings_are_added(workbench: Workbench) -> None:
    workbench.run_text(NEARLY_EQUAL)
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        detail = pane_of(app).query_one("#results-detail", Panel)
        await wait_until(pilot, lambda: "more repeats would separate it from the next" in detail.subtitle)
        assert detail.subtitle.startswith("a: about ")
        more = int(detail.subtitle.split()[2])
        await pilot.press("a")
        await wait_until(pilot, lambda: isinstance(app.screen, LaunchDialog))
        asked = f"Run {2 * more} tasks of e on localhost"
        await wait_until(pilot, lambda: str(app.screen.query_one("#question", Static).render()).startswith(asked))
        await pilot.press("enter")
        await wait_until(pilot, lambda: (one := app.snapshot.experiment("e")) and one.counts["done"] == 9 + 2 * more)
        assert f"repeat: {3 + more}  # as in the paper" in (workbench.folder / "experiment.yaml").read_text()
        await opened(pilot, app)
        await wait_until(pilot, lambda: [row["n"] for row in cells(app)] == [str(3 + more), str(3 + more), "3"])
        assert cells(app)[0]["c0"] == "★ best"  # and the third lacks nothing


def _has(log: LogPanel, text: str) -> bool:
    return text in log.view.text


async def test_marked_settings_are_compared(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        app.palette.indices("small", "kind", ["b"])  # as another chart had it first
        await opened(pilot, app)
        chart = await wait_until(pilot, lambda: pane_of(app).chart.query_one(Plot).chart)
        assert {series.name: series.color for series in chart.series} == {"a": 1, "b": 0}
        await pilot.press("c")
        assert not isinstance(app.screen, Comparing)  # nothing is marked
        await pilot.press("space", "j", "space", "c")
        await wait_until(pilot, lambda: isinstance(app.screen, Comparing))

        def said(panel: str) -> list[list[str]]:
            static = app.screen.query_one(f"#compare-{panel} Static", Static)
            return [line.split() for line in str(static.render()).splitlines()]

        await wait_until(pilot, lambda: said("differences")[0][-4:] == ["difference", "from", "A", "p"])
        assert [line[0] for line in said("differences")[1:]] == ["A", "B"]
        assert "as in Results, corrected for" in str(app.screen.query_one("#compare-how", Static).render())
        assert said("parameters")[0][0] in ("x", "kind")
        for letter in "AB":
            log = app.screen.query_one(f"#compare-{letter}", LogPanel)
            await wait_until(pilot, partial(_has, log, "loss: 0."))
            assert log.title.startswith(f"{letter} small/")
        await pilot.press("escape")
        await wait_until(pilot, lambda: pane_of(app).table.has_focus)


async def test_four_are_compared_on_screens_of_three_sizes_and_their_logs_scroll_together(grades: Workbench) -> None:
    app = LabApp(grades.lab_path)
    async with app.run_test(size=(200, 60)) as pilot:
        await opened(pilot, app)
        await pilot.press("b", "space", "space", "space", "space", "c", "g", "pagedown")  # in one go
        await wait_until(pilot, lambda: isinstance(app.screen, Comparing))
        logs = {letter: app.screen.query_one(f"#compare-{letter}", LogPanel) for letter in "ABCD"}

        def tops() -> list[int]:
            return [log.line[1] if log.line else -1 for log in logs.values() if log.display]

        def keys() -> str:
            return str(app.screen.query_one("#compare-keys", Static).render())

        def lines(selector: str) -> list[str]:
            return [line.rstrip() for line in str(app.screen.query_one(selector, Static).render()).splitlines()]

        # x=3, 2, 1 and 4, in this order; the first is the baseline. Two have 303 lines, two have 203.
        await wait_until(pilot, lambda: logs["A"].line == (0, logs["A"].view.size.height))
        assert "same progress" in keys()
        first, second, third, fourth = tops()
        assert first == fourth > second == third > 1
        await pilot.press("G")
        assert all(log.view.progress == 1 and "label: it's" in log.view.text for log in logs.values())
        await pilot.press("L", "g")
        assert tops()[0] == 1 and tops()[1] > 1 and "Linked: no" in keys()
        await pilot.press("L")
        assert tops() == [1] * 4

        table = lines("#compare-differences Static")
        assert [line.split()[0] for line in table[1:]] == ["A", "B", "C", "D"] and table[1].endswith("baseline")
        assert table[4].split() == ["D", "no", "value", "0/3"]
        assert "as in Results, corrected for 2 comparisons (Holm)" in "\n".join(lines("#compare-how"))
        assert lines("#compare-parameters Static")[1:] == ["A  3", "B  2", "C  1", "D  4"]
        await pilot.press("m")
        await wait_until(pilot, lambda: "cost" in lines("#compare-differences Static")[0])
        assert tops() == [1] * 4  # the logs stay
        await pilot.press("M")
        await wait_until(pilot, lambda: lines("#compare-differences Static") == table)
        assert len(set(app.palette.indices("e", "x", ["3", "2", "1", "4"]))) == 4  # as in charts

        for size, columns in (((120, 40), 3), ((80, 24), 2), ((200, 60), 4)):
            await pilot.resize_terminal(*size)
            row = app.screen.query_one("#compare-logs", PanelRow)
            await wait_until(pilot, partial(lambda row, count: len(row.shown) == count, row, columns))
            seen = [log for log in logs.values() if log.display]
            await wait_until(pilot, partial(lambda seen: all(one.view.size.height >= 5 for one in seen), seen))
            assert all(log.region.right <= size[0] for log in seen)
            assert lines("#compare-differences Static") == table
        await pilot.resize_terminal(80, 24)
        await wait_until(pilot, lambda: len(tops()) == 2)
        await pilot.press("vertical_line", "vertical_line")  # below each other; then the first beside the third
        await wait_until(pilot, lambda: [name for name, log in logs.items() if log.display] == ["A", "C"])
        await pilot.press("plus", "plus")
        await wait_until(pilot, lambda: logs["A"].size.height > 20)
        await pilot.press("slash", "7", "escape", "escape")  # the field first
        await wait_until(pilot, lambda: pane_of(app).table.has_focus)
