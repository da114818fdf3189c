"""The dashboard: what it computes, and that it shows a run at a glance."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from statistics import mean

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tui.conftest import wait_until
from tests.workbench import Workbench, until
from tui_lab.results.statistics.resolution import resolution
from tui_lab.results.statistics.sample import Sample, describe
from tui_lab.store.events import Paused
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base.empty import Empty
from tui_lab.tui.base.snapshot import ExperimentSnapshot
from tui_lab.tui.panes.dashboard.data import Now, NowReader, best_so_far, progress_chart, span_of
from tui_lab.tui.panes.dashboard.pane import READING, DashboardPane, idle
from tui_lab.tui.tasks.frame import TaskTable
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.plot.plot import Plot

VALUES = st.one_of(st.floats(-1e3, 1e3), st.integers(0, 9).map(lambda n: n / 100), st.sampled_from([0.0, 1.0]))
"""Any, printed with two decimals, and successes."""
TASKS = st.lists(
    st.tuples(st.integers(0, 3), VALUES, st.sampled_from(["done", "failed", "running", "pending"])),
    min_size=1,
    max_size=40,
)


def table_of(tasks: list[tuple[int, float, str]]) -> TaskTable:
    begun = [state != "pending" for _, _, state in tasks]
    over = [state in ("done", "failed") for _, _, state in tasks]
    frame = pl.DataFrame(
        {
            "lr": [lr for lr, _, _ in tasks],
            "task_id": list(range(len(tasks))),
            "state": [state for _, _, state in tasks],
            "loss": [value if state == "done" else None for _, value, state in tasks],
            "started_at": [1000.0 + place if yes else None for place, yes in enumerate(begun)],
            "ended_at": [1001.5 + place if yes else None for place, yes in enumerate(over)],
        },
        schema_overrides={"loss": pl.Float64, "started_at": pl.Float64, "ended_at": pl.Float64},
    )
    return TaskTable(frame, ("lr",), ("loss",), frozenset(), 0)


@settings(max_examples=150, deadline=None)
@given(TASKS, st.sampled_from(["min", "max"]))
def test_the_best_so_far_is_that_of_a_plain_computation(tasks: list[tuple[int, float, str]], goal: str) -> None:
    table = table_of(tasks)
    best, chart = best_so_far(table, "loss", goal, span_of(table.frame))  # type: ignore[arg-type]
    values: dict[int, list[float]] = {}
    course = []
    for lr, value, state in tasks:
        if state == "done":
            values.setdefault(lr, []).append(value)
            course.append((max if goal == "max" else min)(mean(one) for one in values.values()))
    if best is None:
        assert not values
        return
    lr = int(best.setting.partition("=")[2])
    assert best.mean == pytest.approx(mean(values[lr]), abs=1e-6)
    assert best.mean == pytest.approx(course[-1], abs=1e-6)
    assert best.n == len(values[lr])
    same = describe(Sample(tuple(values[lr])), known=resolution(values.values()))  # that of Results
    if same.half is None:
        assert best.half is None
    else:
        assert best.half == pytest.approx(same.half, rel=1e-6, abs=1e-4)
    if chart is not None:
        states = [state for _, _, state in tasks if state != "pending"]
        still = [] if states[-1] == "done" and "running" not in states else [course[-1]]  # goes on until the last event
        points = chart.series[0].points.select("x", "y").rows()
        gaps = [(b[0] - a[0], c[0] - b[0]) for a, b, c in zip(points, points[1:], points[2:], strict=False)]
        held = [at for at, (before, after) in enumerate(gaps, 1) if after < before / 1000]
        shown = [y for at, (_, y) in enumerate(points) if at not in held]
        assert shown == pytest.approx(course + still, abs=1e-6)
        assert all(points[at][1] == points[at - 1][1] for at in held), "each value holds"
        jumps = [at for at in range(len(points) - 1) if points[at + 1][1] != points[at][1]]
        assert set(jumps) <= set(held), "until the next"
        progress = progress_chart(table.frame, span_of(table.frame))
        assert progress is not None and chart.x.range is not None
        assert chart.x.range[0] == 0 and chart.x.label == progress.x.label


@settings(max_examples=80, deadline=None)
@given(TASKS)
def test_progress_ends_with_the_present_counts(tasks: list[tuple[int, float, str]]) -> None:
    frame = table_of(tasks).frame
    chart = progress_chart(frame, span_of(frame))
    states = [state for _, _, state in tasks]
    if chart is None:
        assert len(set(states) - {"pending"}) <= 1  # nothing began, or only one moment is known
        return
    last = {series.name: series.points["y"][-1] for series in chart.series}
    assert last.get("done", 0) == states.count("done")
    assert last.get("failed", 0) == states.count("failed")
    assert last["running"] == states.count("running")


def test_the_charts_begin_after_a_long_pause() -> None:
    table = table_of([(0, 1.0, "done"), (1, 0.5, "done"), (0, 0.2, "done"), (1, 0.1, "failed")])
    times = [1000.0, 1001.0, 9000.0, 9003.0]
    frame = table.frame.with_columns(started_at=pl.Series(times), ended_at=pl.Series([one + 2 for one in times]))
    progress = progress_chart(frame, span_of(frame))
    _, best = best_so_far(replace(table, frame=frame), "loss", "min", span_of(frame))
    assert progress is not None and best is not None
    assert progress.x.range == best.x.range == (0, 5)
    done = next(one.points for one in progress.series if one.name == "done")
    assert (done["y"][0], done["y"][-1]) == (2, 3)  # what was done before counts
    assert best.series[0].points.select("x", "y").rows() == [(0, 0.5), (2, 0.5), (5, 0.5)]
    # A task that runs all the time is no pause.
    frame = frame.with_columns(
        state=pl.Series(["running", "done", "done", "failed"]), ended_at=pl.Series([None, 1003.0, 9002.0, 9005.0])
    )
    progress = progress_chart(frame, span_of(frame))
    assert progress is not None and progress.x.range is not None and progress.x.range[1] * 86400 > 9005 - 1000


RUN = """
name: fit
parameters: {lr: [1, 2, 3]}
repeat: 2
command: |
  [ {lr} = 3 ] && { echo "out of memory" >&2; exit 3; }
  echo "acc: 0.{lr}"
  [ {lr} = 2 ] && until [ -e GO ]; do sleep 0.05; done
  true
metrics: {acc: {pattern: 'acc: (\\S+)', type: float, goal: max}}
"""


def test_where_no_task_runs_the_key_that_goes_on_is_named() -> None:
    one = ExperimentSnapshot("grid", queued=3, paused=Paused(1.0, "first_failures", 10))
    assert idle(one) == Empty("Paused: the first tasks failed", "app.pause", "goes on")
    assert idle(replace(one, queued=0)) == idle(None)  # nothing is left to go on with
    stopped = replace(one, paused=None, counts={"stopped": 41})
    assert idle(stopped, True) == Empty("No task runs: 41 tasks stopped", "app.undo", "runs them again")
    assert idle(stopped) == idle(None)


async def test_the_dashboard_of_a_run(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    go = workbench.folder / "go"
    workbench("--run", workbench.write("fit.yaml", RUN.replace("GO", str(go))), "--detach", "--node", "localhost", "4")
    assert until(workbench.engine_pid)
    monkeypatch.chdir(workbench.folder)
    may_read, read = threading.Event(), NowReader.read
    monkeypatch.setattr(NowReader, "read", lambda self: read(self) if may_read.wait(60) else Now())
    app = LabApp(Path("lab"), first="dashboard")
    async with app.run_test(size=(120, 40)) as pilot:
        pane: DashboardPane = await wait_until(pilot, lambda: app.query_one(DashboardPane))
        assert app.pane is pane
        await wait_until(pilot, lambda: [one.text for one in pane.query(Plot)] == [READING, READING])
        may_read.set()
        await wait_until(pilot, lambda: pane.now.running.height == 2 and sum(one.count for one in pane.now.kinds) == 2)
        await wait_until(pilot, lambda: pane.now.best is not None and pane.now.best.n == 2)
        shown = {panel.id: panel for panel in pane.query(Panel)}
        await wait_until(pilot, lambda: shown["now-running"].title == "Running  2")
        assert shown["now-best"].title.startswith("Best so far  acc 0.1")
        assert "lr=1" in shown["now-best"].subtitle
        assert shown["now-failures"].title == "Failures  2"
        await wait_until(pilot, lambda: shown["now-nodes"].title == "Nodes  1")
        await wait_until(pilot, lambda: "running" in pane.query_one("#now-states", Plot).text)
        assert app.focused is pane.table
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "tasks")
        await pilot.press("0", "f")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "tasks")
        go.touch()
        await pilot.press("0")
        await wait_until(pilot, lambda: pane.now.best is not None and "lr=2" in pane.now.best.setting)
        await wait_until(pilot, lambda: pane.now.running.height == 0)
