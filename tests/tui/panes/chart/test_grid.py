"""The grid of small charts."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import polars as pl
from textual.widgets import Input

from tests.tui.conftest import wait_until
from tests.tui.panes.chart.test_pane import opened
from tui_lab.results.charts.colours import Palette
from tui_lab.results.charts.model import Request, Source, stretches
from tui_lab.results.charts.terminal.style import Look
from tui_lab.tui.base.snapshot import NodeSample
from tui_lab.tui.charts.source import Rows
from tui_lab.tui.panes.chart.grid import Subject, page
from tui_lab.tui.widgets.plot.grid import even_shape

NAMES = ("loss", "accuracy", "grad_norm")
STEPS = pl.DataFrame(
    {
        "step": [*range(40)] * 2,
        "act": ["a"] * 40 + ["b"] * 40,
        **{name: [float(n) for n in range(80)] for name in NAMES},
    }
)


def test_each_metric_and_what_the_nodes_do_have_a_chart() -> None:
    now = time.time()
    samples = {
        node: [NodeSample(now - n, busy=3, load=1.5) for n in (*range(80, 60, -1), *range(20, 0, -1))]
        for node in ("n1", "n2")
    }
    rows = Rows(Source(STEPS, ("act",), NAMES, "grid"), "steps", "steps of grid")
    subject = Subject(rows, Request("steps", {"x": "step", "hue": "act"}), samples, Palette())
    names = subject.names()
    assert names == [*NAMES, "slots in use", "load of nodes, per core"]
    assert subject.names("OF no") == ["load of nodes, per core"]
    smalls = page(subject, names, [(40, 9)] * 5, Look())
    assert [len(one.lines) for one in smalls] == [9] * 5
    assert [run.text for run in smalls[0].values] == [" ● 39", " ■ 79"]
    half = Rows(Source(STEPS.with_columns(pl.col("loss") / 4), ("act",), NAMES, "grid"), "steps", "steps of grid")
    (small,) = page(replace(subject, rows=half), ["loss"], [(40, 9)], Look())
    assert [run.text for run in small.values] == [" ● 9.75", " ■ 19.75"]  # equally many decimals
    load = subject.made("load of nodes, per core").chart
    assert load is not None and load.y.range == (0, 1.5) and [one.name for one in load.series] == ["n1", "n2"]
    assert [part.height for part in stretches(load.series[0].points, load.gap)] == [20, 20]  # no line between them
    slots = subject.made("slots in use").chart
    assert slots is not None and slots.table["slots in use"].max() == 3 and slots.y.whole
    assert [even_shape(count, 4, 4) for count in (0, 1, 4, 5, 7, 9, 16, 17)] == [
        (1, 1), (1, 1), (4, 1), (3, 2), (4, 2), (3, 3), (4, 4), (4, 4)
    ]  # fmt: skip
    assert Subject(None, Request("lines"), {}, Palette()).names() == []


async def test_from_the_grid_to_one_chart_and_back(small_lab: Path) -> None:
    async with opened(small_lab, (120, 40), frame=STEPS) as (pilot, pane):
        await wait_until(pilot, lambda: "loss" in pane.plot.text or "grad_norm" in pane.plot.text)
        await pilot.press("g")
        await wait_until(pilot, lambda: all(name in pane.grid.text for name in NAMES))
        await wait_until(pilot, lambda: pane.grid.has_focus)
        assert "charts" in pane.panel.subtitle and not pane.plot.display
        assert "╭" in pane.grid.text and "⠤" in pane.grid.text
        first = pane.grid.chosen
        await pilot.press("right")
        chosen = pane.grid.chosen
        assert chosen != first
        await pilot.resize_terminal(80, 24)
        await wait_until(pilot, lambda: pane.grid.chosen == chosen and chosen in pane.grid.text)
        await pilot.press("slash")
        await wait_until(pilot, lambda: pilot.app.screen.query(Input))
        pilot.app.screen.query_one(Input).value = "norm"
        await pilot.press("enter")
        await wait_until(pilot, lambda: pane.grid.names == ("grad_norm",) and 'with "norm"' in pane.panel.subtitle)
        await pilot.press("enter")
        await wait_until(pilot, lambda: pane.plot.has_focus and "grad_norm" in pane.plot.text.split("\n")[0])
        assert pane.made is not None and pane.made.request.columns["y"] == "grad_norm"
