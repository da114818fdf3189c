"""The Chart pane, driven as a person does."""

from __future__ import annotations

import asyncio
import math
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Request, Source
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base.charted import Charted
from tui_lab.tui.base.config import Config
from tui_lab.tui.charts import source
from tui_lab.tui.panes.chart.pane import ChartPane
from tui_lab.tui.panes.tasks.pane import TasksPane
from tui_lab.tui.widgets.choice import ChoiceScreen
from tui_lab.tui.widgets.plot.plot import Plot
from tui_lab.tui.widgets.prompt import PromptScreen
from tui_lab.tui.widgets.table.table import FrameTable

FRAME = pl.DataFrame({"lr": [1, 2, 3] * 2, "act": ["a"] * 3 + ["b"] * 3, "acc": [1.0, 2.0, 3.0, 2.0, 3.0, 4.0]})


def painted(app: LabApp) -> list[str]:
    """The lines of the table of the visible pane."""
    assert app.pane is not None
    table = app.pane.query(FrameTable).first()
    return [table.render_line(y).text for y in range(table.size.height)]


@asynccontextmanager
async def opened(
    lab: Path, size: tuple[int, int] = (80, 24), frame: pl.DataFrame | None = None, config: Config | None = None
) -> AsyncIterator[tuple[Pilot[Any], ChartPane]]:
    app = LabApp(lab, config=config)
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: app.snapshot.taken)
        if frame is None:
            app.show_pane("chart")
        else:
            app.open_chart(frame, "a title")
        pane = await wait_until(pilot, lambda: app.query_one(ChartPane))
        yield pilot, pane


async def chosen(pilot: Pilot[Any], pane: ChartPane, key: str, typed: str) -> None:
    """Take an item of the list that a key opens."""
    before = pane.made
    await pilot.press(key)
    await wait_until(pilot, lambda: isinstance(pilot.app.screen, ChoiceScreen))
    pilot.app.screen.query_one(Input).value = typed
    await pilot.pause()
    await pilot.press("enter")
    await wait_until(pilot, lambda: pane.made is not before)


async def test_the_steps_of_the_current_experiment(small_lab: Path) -> None:
    async with opened(small_lab) as (pilot, pane):
        await wait_until(pilot, lambda: "error" in pane.plot.text)
        assert pane.made is not None and pane.made.request.kind == "steps"
        assert pane.made.request.columns["hue"] == "task"
        assert "steps of small" in pane.panel.title


async def test_steps_are_those_of_the_tasks_that_are_marked_or_filtered(small_lab: Path) -> None:
    app = LabApp(small_lab, config=Config(ascii=True))

    async def drawn(pilot: Pilot[Any], title: str) -> list[int]:
        await pilot.press("alt+6")
        await wait_until(pilot, lambda: title in app.query_one(ChartPane).panel.title)
        rows = app.query_one(ChartPane).rows
        assert rows is not None
        await pilot.press("alt+3")
        await wait_until(pilot, lambda: app.query_one(TasksPane).table.has_focus)
        return rows.source.frame["task_id"].unique().sort().to_list()

    async with app.run_test(size=(100, 30)) as pilot:
        app.show_pane("tasks")
        await wait_until(pilot, lambda: app.query_one(TasksPane).table.frame.height == 8)
        app.show_tasks("small", "kind = 'a'")
        await wait_until(pilot, lambda: app.chosen is not None)
        assert await drawn(pilot, "steps of small, 4 tasks like kind = 'a', 12 rows") == [0, 1, 4, 5]
        await pilot.press("space", "space")
        assert await drawn(pilot, "steps of small, 2 tasks marked, 6 rows") == [0, 1]
        await pilot.press("escape", "escape")
        await wait_until(pilot, lambda: app.chosen is None)
        assert await drawn(pilot, "steps of small, 24 rows") == list(range(8))


async def test_the_answer_of_a_query(small_lab: Path) -> None:
    async with opened(small_lab, frame=FRAME) as (pilot, pane):
        await wait_until(pilot, lambda: "act:  ● a  ■ b" in pane.plot.text)
        await wait_until(pilot, lambda: pane.plot.has_focus)
        assert "6 rows: a title" in pane.panel.title


@pytest.mark.slow
async def test_every_choice_draws_anew(small_lab: Path) -> None:
    async with opened(small_lab, frame=FRAME) as (pilot, pane):
        await wait_until(pilot, lambda: pane.plot.text)
        await chosen(pilot, pane, "k", "categories")
        await chosen(pilot, pane, "x", "act")
        await chosen(pilot, pane, "h", "none")
        await chosen(pilot, pane, "m", "median")
        await chosen(pilot, pane, "e", "sd")
        await chosen(pilot, pane, "l", "y")
        assert pane.made is not None
        request = pane.made.request
        assert (request.kind, request.aggregate, request.error) == ("categories", "median", "sd")
        assert request.log == frozenset("y")
        assert request.columns == {"x": "act", "y": "acc"}
        await chosen(pilot, pane, "k", "heatmap")  # it wants a z, and has no log
        assert pane.made.chart is not None and pane.made.chart.kind.name == "heatmap"
        await chosen(pilot, pane, "z", "lr")
        await chosen(pilot, pane, "k", "pareto")
        before = pane.made
        await pilot.press("Z")
        await wait_until(pilot, lambda: pane.made not in (None, before) and pane.made.request.kind == "lines")


@pytest.mark.slow
async def test_a_part_of_the_y_axis(small_lab: Path) -> None:
    async with opened(small_lab, frame=FRAME) as (pilot, pane):
        await wait_until(pilot, lambda: pane.plot.text)
        await chosen(pilot, pane, "k", "categories")
        await pilot.press("r", *"0.5 0.4", "enter", *["backspace"] * 7, *"0.25 0.5", "enter")
        await wait_until(pilot, lambda: "the bars begin at 0.25" in str(pane.notes.content))
        assert pane.made is not None and pane.made.request.ranges == {"y": (0.25, 0.5)}
        await pilot.press("r", *["backspace"] * 8, "enter")
        await wait_until(pilot, lambda: pane.made is not None and not pane.made.request.ranges)
        await pilot.press("b")
        await wait_until(pilot, lambda: "the bars begin at" in str(pane.notes.content) and "≈" in pane.plot.text)
        await pilot.press("b")
        await wait_until(pilot, lambda: "≈" not in pane.plot.text)


async def test_an_impossible_choice_is_a_sentence(small_lab: Path) -> None:
    async with opened(small_lab, frame=FRAME) as (pilot, pane):
        await wait_until(pilot, lambda: pane.plot.text)
        await chosen(pilot, pane, "y", "act")
        await wait_until(pilot, lambda: "act holds no numbers" in pane.plot.text)
        await chosen(pilot, pane, "y", "acc")
        await wait_until(pilot, lambda: "●" in pane.plot.text)


async def test_the_same_data_as_text(small_lab: Path) -> None:
    async with opened(small_lab, frame=FRAME) as (pilot, pane):
        await wait_until(pilot, lambda: pane.plot.text)
        await pilot.press("T")
        await wait_until(pilot, lambda: pane.table.has_focus)
        assert pane.table.frame.columns[:3] == ["act", "lr", "acc"]
        assert "a: 3 points; least 1 at 1, greatest 3 at 3" in str(pane.summary.content)
        await pilot.press("T")
        await wait_until(pilot, lambda: pane.plot.has_focus)
        await pilot.resize_terminal(130, 30)  # from here on beside the chart
        await wait_until(pilot, lambda: pane.row.shown == (("chart-panel",), ("chart-values",)))
        await pilot.press("left")
        await wait_until(pilot, lambda: str(pane.summary.content).startswith("lr 2\n● a 2\n■ b 3"))
        await chosen(pilot, pane, "e", "none")  # another drawing keeps it
        assert str(pane.summary.content).startswith("lr 2\n● a 2\n■ b 3")
        await pilot.press("escape", "vertical_line")
        await wait_until(pilot, lambda: pane.row.shown == (("chart-panel", "chart-values"),))
        assert str(pane.summary.content).startswith("lines: acc over lr")


async def test_ascii(small_lab: Path) -> None:
    async with opened(small_lab, frame=FRAME, config=Config(ascii=True)) as (pilot, pane):
        await wait_until(pilot, lambda: "lr" in pane.plot.text)
        assert pane.plot.text.isascii()
        await pilot.press("a")
        await wait_until(pilot, lambda: "●" in pane.plot.text)


ODD = (
    pl.DataFrame(),
    pl.DataFrame({"x": []}),
    pl.DataFrame({"x": [1.0], "y": [2.0]}),
    pl.DataFrame({"x": [1.0, 2.0], "y": [math.nan, None]}),
    pl.DataFrame({"x": [None, None], "y": [math.inf, -math.inf]}),
    pl.DataFrame({"list": [[1], [2]]}),
    pl.DataFrame({"\x1b[31mx": ["\x1b[0m", "[bold]"], "[y]": [1e308, -1e308]}),
)


async def test_odd_rows_never_crash(small_lab: Path) -> None:
    async with opened(small_lab, frame=FRAME) as (pilot, pane):
        for frame in ODD:
            before = pane.made
            pane.open_chart(frame, "odd")
            await wait_until(pilot, lambda: pane.made is not before and pane.plot.text.strip())
            assert "\x1b" not in pane.plot.text
        await pilot.press("T")
        await pilot.pause()
        assert pane.lab_app.is_running


@pytest.mark.slow
async def test_a_chart_grows_with_its_run(own_lab: Workbench) -> None:
    async with opened(own_lab.lab_path) as (pilot, pane):
        await wait_until(pilot, lambda: pane.rows is not None and pane.rows.source.frame.height == 24)
        await chosen(pilot, pane, "h", "kind")
        words = ("--run", own_lab.folder / "small.yaml", "x=7", "--replace", "--node", "localhost", 2)
        run = await asyncio.to_thread(own_lab.process, *words, code=1)
        assert "4 tasks to run" in run.err
        await wait_until(pilot, lambda: pane.rows is not None and pane.rows.source.frame.height == 36, 40)
        assert pane.made is not None and pane.made.request.columns["hue"] == "kind"  # what was chosen stays


async def test_the_source_is_chosen(small_lab: Path) -> None:
    async with opened(small_lab, frame=FRAME) as (pilot, pane):
        await wait_until(pilot, lambda: pane.plot.text)
        await chosen(pilot, pane, "o", "results")
        await wait_until(pilot, lambda: pane.rows is not None and pane.rows.what == "results")
        await wait_until(pilot, lambda: pane.made is not None and pane.made.request.columns.get("y") == "score")
        await chosen(pilot, pane, "o", "answer")
        await wait_until(pilot, lambda: pane.rows is not None and pane.rows.title == "a title")


@pytest.mark.slow
async def test_a_chart_is_written(small_lab: Path, tmp_path: Path) -> None:
    async with opened(small_lab, frame=FRAME) as (pilot, pane):
        await wait_until(pilot, lambda: pane.made is not None)
        for name in ("a.txt", "a.csv", "a.svg"):
            await pilot.press("W")
            await wait_until(pilot, lambda: isinstance(pilot.app.screen, PromptScreen))
            pilot.app.screen.query_one(Input).value = str(tmp_path / name)
            await pilot.press("enter")
            await wait_until(pilot, (tmp_path / name).exists)
        assert "●" in (tmp_path / "a.txt").read_text()
        await pilot.press("w", "w")  # at once, as the last picture
        await wait_until(pilot, lambda: len(list((small_lab / "charts").glob("acc-?.svg"))) == 2)
        shutil.rmtree(small_lab / "charts")


async def test_without_a_lab_a_sentence_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path / "none") as (pilot, pane):
        await wait_until(pilot, lambda: "No chart yet" in pane.plot.text)
        await pilot.press(*"kxyhmeloTw0a")
        await pilot.press("escape", "escape")
        assert pane.lab_app.is_running


class _Alone(App[None]):
    def compose(self) -> ComposeResult:
        yield Plot()


async def test_a_plot_fits_its_size() -> None:
    chart = make(Request("lines", {"x": "lr", "y": "acc", "hue": "act"}), Source(FRAME))
    async with _Alone().run_test(size=(60, 20)) as pilot:
        plot = pilot.app.query_one(Plot)
        plot.show_chart(chart)
        for width, height in ((60, 20), (90, 30), (40, 10)):
            await pilot.resize_terminal(width, height)
            await wait_until(pilot, lambda: plot.text.count("\n") + 1 == plot.content_size.height)
            assert max(len(line) for line in plot.text.split("\n")) <= width
        await pilot.resize_terminal(15, 4)
        await wait_until(pilot, lambda: "no room" in plot.text)


async def test_many_points_are_drawn_in_time() -> None:
    frame = pl.DataFrame({"x": range(200_000), "y": [math.sin(i / 9000) for i in range(200_000)]})
    chart = make(Request("lines", {"x": "x", "y": "y"}), Source(frame))
    async with _Alone().run_test(size=(80, 24)) as pilot:
        plot = pilot.app.query_one(Plot)
        plot.show_chart(chart)
        await wait_until(pilot, lambda: "150000" in plot.text.replace(",", "").replace("k", "000"))


@pytest.mark.parametrize("ascii", [False, True])
def test_how_a_plot_looks(snap_compare: Any, ascii: bool) -> None:
    async def drawn(pilot: Pilot[Any]) -> None:
        plot = pilot.app.query_one(Plot)
        plot.ascii = ascii
        plot.show_chart(make(Request("lines", {"x": "lr", "y": "acc", "hue": "act"}), Source(FRAME)))
        await wait_until(pilot, lambda: "lr" in plot.text)

    assert snap_compare(_Alone(), terminal_size=(80, 24), run_before=drawn)


async def test_what_can_not_be_read_once_is_read_again(small_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def read(*words: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise OSError("in the middle of a change")
        return source.read(*words)

    monkeypatch.setattr("tui_lab.tui.panes.chart.pane.read", read)
    async with opened(small_lab) as (pilot, pane):
        await wait_until(pilot, lambda: "error" in pane.plot.text)
        assert len(calls) == 2


def _marks(app: LabApp, charted: Charted | None = None) -> list[str]:
    """The marks of what has a colour in a chart; by default in the one that was shown last."""
    charted = charted or app.charted
    return [] if charted is None else [mark for mark, _, _ in charted.marks.values()]


async def test_a_brushed_range_becomes_a_filter_of_the_tasks(small_lab: Path) -> None:
    async with opened(small_lab, (120, 40)) as (pilot, pane):
        await wait_until(pilot, lambda: pane.plot.text)
        await chosen(pilot, pane, "o", "results")
        await wait_until(pilot, lambda: pane.rows is not None and pane.rows.what == "results" and pane.made is not None)
        app = cast("LabApp", pilot.app)
        await chosen(pilot, pane, "h", "kind")
        await wait_until(pilot, lambda: app.charted is not None and app.charted.column == "kind")
        first = app.charted
        assert first is not None
        for key in "34":  # the rows have the marks of the chart; in 4, of the one that is drawn there
            await pilot.press(key)
            await wait_until(pilot, partial(lambda key: app.charted is not first or key == "3", key))
            await wait_until(pilot, lambda: set(_marks(app)) <= set(" ".join(painted(app)).split()))
        beside = app.charted
        assert beside is not None and beside.marks.keys() == first.marks.keys() and _marks(app) != _marks(app, first)
        assert [one[1] for one in beside.marks.values()] == [one[1] for one in first.marks.values()]  # its colours
        await pilot.press("3")
        await wait_until(pilot, lambda: set(_marks(app)) <= set(" ".join(painted(app)).split()))
        await pilot.press("6")
        await wait_until(pilot, lambda: app.charted == first)
        await chosen(pilot, pane, "k", "parallel")
        await wait_until(pilot, lambda: "kind" in pane.plot.text and pane.plot.has_focus)
        await pilot.press("left", "left", "left", "left")  # to `x`, whose values are 1 and 3
        await pilot.press(*["down"] * 30, "space", *["up"] * 4, "space")
        await wait_until(pilot, lambda: pane.made is not None and pane.made.chart is not None and pane.made.chart.brush)
        await pilot.press("enter")
        tasks = await wait_until(pilot, lambda: pilot.app.query_one(TasksPane))
        await wait_until(pilot, lambda: tasks.table.frame.height == 4)
        assert pilot.app.query_one(TasksPane).query_one(Input).value == "x = 1"
