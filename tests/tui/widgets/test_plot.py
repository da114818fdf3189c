"""A chart on the screen: the part of it that is shown, the crosshair and what it reads."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from tests.tui.conftest import wait_until
from tui_lab.results.charts.making import make
from tui_lab.results.charts.model import Chart, Request, Source
from tui_lab.results.charts.terminal.marks import Plan, plan
from tui_lab.results.charts.terminal.style import Look
from tui_lab.results.charts.ticks import scale
from tui_lab.tui.widgets.plot.plot import Plot
from tui_lab.tui.widgets.plot.readout import readout
from tui_lab.tui.widgets.plot.window import Window

STEPS = pl.DataFrame(
    {"step": [*range(101)] * 2, "loss": [*range(101), *range(100, -1, -1)], "act": ["a"] * 101 + ["b"] * 101}
)


def chart(kind: str = "lines", frame: pl.DataFrame = STEPS, **columns: str) -> Chart:
    return make(Request(kind, columns or {"x": "step", "y": "loss", "hue": "act"}), Source(frame))  # type: ignore[arg-type]


@given(
    st.floats(-1e6, 1e6),
    st.floats(1e-3, 1e6),
    st.floats(0, 1),
    st.booleans(),
    st.lists(st.sampled_from([0.5, 0.8, 1.3])),
)
def test_zooming_keeps_a_place_where_it_is(low: float, span: float, at: float, log: bool, factors: list[float]) -> None:
    if log:
        low = abs(low) + 1e-3
    whole = Plan(scale(low, low + span, log), scale(0, 1))
    window = Window()
    for factor in factors:
        before = window.x or (whole.x.low, whole.x.high)
        window = window.zoomed(whole, "x", at, factor)
        if window.x is None:
            continue
        assert whole.x.low - span * 1e-6 <= window.x[0] < window.x[1] <= whole.x.high + span * 1e-6
        if factor < 1:
            kept = scale(*before, log).value(at)
            assert scale(*window.x, log)(kept) == pytest.approx(at, abs=1e-3)
    assume(window.x is not None)
    length = window.x[1] - window.x[0] if window.x is not None else 0
    if not log:
        moved = window.panned(whole, "x", 0.25).x
        assert moved is not None and moved[1] - moved[0] == pytest.approx(length, rel=1e-3)


def test_a_part_of_lines_has_their_height_there() -> None:
    whole = chart(frame=STEPS.filter(pl.col("act") == "a"))  # from 0 to 100 both
    part = Window(x=(20, 30)).on(whole)
    assert part.y.range is not None and whole.y.range is None
    assert 19 < part.y.range[0] < 20 and 30 < part.y.range[1] < 31
    assert Window(x=(0, 10), y=(1, 2)).on(whole).y.range == (1, 2)
    assert Window(x=(1000, 1001)).on(whole).y.range is None
    assert Window(x=(0, 10)).on(chart("area", x="step", y="loss", hue="act")).y.range is None


def test_what_the_crosshair_reads() -> None:
    def read(of: Chart, x: float, y: float = 0) -> str:
        return readout(of, plan(of, 20), x, y, Look()).line.plain

    assert read(chart(), 40.4) == "step 40  ● a 40  ■ b 60"
    for y, nearest in ((0, "a"), (49, "a"), (51, "b"), (100, "b")):
        assert readout(chart(), plan(chart(), 20), 40, y, Look()).nearest == nearest
    area = chart("area", x="step", y="loss", hue="act")
    for y, nearest in ((30, "a"), (41, "b"), (99, "b"), (101, "")):  # the band that holds it
        assert readout(area, plan(area, 20), 40, y, Look()).nearest == nearest
    bars = chart("categories", x="act", y="loss")
    assert read(bars, 1) == "act b  loss 50"
    heat = chart("heatmap", STEPS.filter(pl.col("step") < 3), x="step", y="act", z="loss")
    assert read(heat, 2, 1) == "step 2  act b  loss 98"
    assert read(chart("hist", x="loss"), 0.5).startswith("loss 0  count ")
    points = chart("scatter", pl.DataFrame({"step": [1.0, 5.0], "loss": [1.0, 9.0]}), x="step", y="loss")
    assert read(points, 4, 8).split() == ["step", "5", "loss", "9"]


class Alone(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def compose(self) -> ComposeResult:
        yield Plot()

    def on_plot_crossed(self, event: Plot.Crossed) -> None:
        self.said.append(event.text.plain)


async def test_a_chart_that_comes_while_nothing_is_seen_of_it() -> None:
    """It is drawn when there is room for it."""
    app = Alone()
    async with app.run_test(size=(80, 24)) as pilot:
        plot = app.query_one(Plot)
        plot.display = False
        await pilot.pause()
        plot.show_chart(chart("categories", x="act", y="loss"))
        await pilot.pause()
        assert plot.text == ""
        plot.display = True
        await wait_until(pilot, lambda: "┤" in plot.text)


async def test_reading_and_zooming_by_keys_and_mouse() -> None:
    app = Alone()
    async with app.run_test(size=(80, 24)) as pilot:
        plot = app.query_one(Plot)
        plot.show_chart(chart())
        await wait_until(pilot, lambda: "step" in plot.text)
        await pilot.press("right", "right", "right", "left", "up", "up")  # in one go
        assert plot.cross is not None and 45 < plot.cross[0] < 60
        await wait_until(pilot, lambda: app.said and app.said[-1].startswith("step 5"))
        lines = [strip.text for strip in plot.render_lines(plot.region.reset_offset)]
        assert sum("│" in line[20:] for line in lines) > 8 and any("┼" in line for line in lines)
        before = plot.text
        await pilot.press("right_square_bracket", "right_square_bracket")
        assert plot.window.x is not None and plot.window.x[0] < plot.cross[0] < plot.window.x[1]
        await wait_until(pilot, lambda: plot.text != before)
        shown = plot.window
        plot.show_chart(chart(frame=pl.concat([STEPS, STEPS.with_columns(step=pl.col("step") + 101)])))  # it grows
        assert plot.window == shown
        await pilot.press("shift+right")
        assert plot.window.x is not None and plot.window.x[0] > (shown.x or (0, 0))[0]
        await pilot.press("home")
        assert plot.window == Window() and plot.cross is None and app.said[-1] == ""
        await _wheel(pilot)
        assert plot.window.x is not None and plot.window.y is None
        await pilot.click(Plot, offset=(40, 8))
        assert plot.cross is not None
        await pilot.press("escape")
        assert plot.cross is None
        plot.show_chart(chart("hist", x="loss"))  # something else along the axes
        assert plot.window == Window()


async def _wheel(pilot: Pilot[Any]) -> None:
    await pilot._post_mouse_events([events.MouseScrollUp], Plot, offset=(30, 8), button=0)
