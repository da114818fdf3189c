"""The Nodes pane: every state in words and symbol, what is asked of the engine, history without one."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.protocol.control import NodeStatus
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.followers import WatchedEngine, sample
from tui_lab.tui.base.snapshot import EngineSnapshot, LabSnapshot, NodeSample
from tui_lab.tui.panes.nodes.pane import STATES, NodesPane, columns, detail, nodes_frame, nodes_of
from tui_lab.tui.panes.tasks.pane import TasksPane

BUSY = NodeStatus.of({
    "name": "tower", "state": "up", "slots": 16, "used": 16, "load": 15.8, "cores": 16, "memory": 64 << 30,
    "memory_used": 32 << 30, "host": "192.0.2.9", "python": "3.9.2", "latency": 0.032, "clock_offset": -3.4,
    "tasks": [["grid", number, 1 + number % 2] for number in range(100, 116)], "tags": ["x86", "gpu"],
    "gpus": [{"index": 0, "used": 88, "memory_used": 9 << 30, "memory": 24 << 30}, {"index": 1, "used": 12}],
})  # fmt: skip
AWAY = NodeStatus.of({
    "name": "slow", "state": "away", "slots": 2, "used": 2, "error": "connection refused\x1b[31m",
    "tasks": [["grid", 4, 1], ["grid", 5, 1]], "open": 2, "away_for": 40.0, "lost_in": 560.0, "cores": 4,
})  # fmt: skip
SAMPLES = {"tower": tuple(NodeSample(1000.0 + i, 1, i / 20, 0.5, 0.5) for i in range(20)), "old": (NodeSample(1.0),)}


def test_a_row_says_all_in_words_and_symbols() -> None:
    snapshot = LabSnapshot(engine=EngineSnapshot(1, nodes=(BUSY, AWAY)), samples=SAMPLES)
    rows = nodes_frame(nodes_of(snapshot), SAMPLES, False, 120).to_dicts()
    assert [row["state"] for row in rows] == ["● up", "! away 40 s", "· not in use"]
    assert [row["slots"] for row in rows] == ["16/16", "2/2", None]
    assert rows[0]["load"].startswith("15.8 ") and rows[0]["memory"].startswith(" 50% ▄▄")
    assert rows[0]["note"] == "x86 gpu"
    assert rows[1]["note"] == "connection refused"
    assert rows[1]["gpu"] is None


def test_what_was_granted_says_when_it_ends_and_is_counted_when_it_has() -> None:
    granted = structs.replace(BUSY, name="big.4711", pool="big", job="4711", ends_in=7500.0, tags=[])
    pool = NodeStatus(name="big", state="pool", pending=0, doing="1 allocation is up")
    ended = {f"big.{job}": (NodeSample(float(job), pool="big"),) for job in (4708, 4709)}
    snapshot = LabSnapshot(engine=EngineSnapshot(1, nodes=(pool, granted)), samples={**ended})
    rows = nodes_frame(nodes_of(snapshot), {}, False, 120).to_dicts()
    assert [(row["name"], row["slots"], row["note"]) for row in rows] == [
        ("big", None, "1 allocation is up"),
        ("big.4711", "16/16", "ends in 2 h 5 min"),
    ]
    assert (rows[0]["load"], rows[0]["memory"]) == (None, None)
    assert detail(pool, (), 118, 1, False, [pool]).plain.split("\n") == ["big  ", "1 allocation is up"]
    assert "job 4711  ends in 2 h 5 min" in detail(granted, (), 118, 1, False, [granted]).plain
    (left,) = nodes_of(LabSnapshot(samples={**ended}))
    assert (left.name, left.doing) == ("big", "2 allocations of it, all ended")


@pytest.mark.parametrize("width", [80, 100, 120, 300])
@pytest.mark.parametrize("gpus", [False, True])
def test_the_columns_fit(width: int, gpus: bool) -> None:
    found = columns(False, gpus, width)
    assert 2 + sum((column.width or 0) + 2 for column in found) <= width + 1


def test_marks_tell_every_state_apart() -> None:
    for number in (0, 1):
        marks = [words[number] for words in STATES.values()]
        assert len(set(marks)) == len(marks)


def test_the_node_under_the_cursor_in_full() -> None:
    for width in (78, 118, 298):
        lines = detail(BUSY, SAMPLES["tower"], width, 1, False, [BUSY]).plain.split("\n")
        text = "\n".join(lines)
        assert "15.8 on 16 cores" in text and "32.0 GiB of 64.0 GiB" in text
        assert "grid/100 grid/101.2" in text
        assert "clock off by 3 s" in text and "answers in 32 ms" in text
        assert "0: 88% busy, 9.0 GiB of 24.0 GiB" in text
        assert all(len(line) <= width for line in lines[1:])
    assert "and" in detail(BUSY, (), 78, 1, False, [BUSY]).plain
    high = detail(BUSY, SAMPLES["tower"], 44, 3, False, [BUSY]).plain.split("\n")
    assert sum("100% " in line for line in high) == 3 and sum("  0% " in line for line in high) == 3, "three histories"
    assert all(len(line) <= 44 for line in high if "█" in line or "▄" in line)


def test_a_node_that_is_away_shows_nothing_of_the_past_as_of_now() -> None:
    seen = {"slow": SAMPLES["tower"]}
    row = nodes_frame([AWAY], seen, False, 120).to_dicts()[0]
    assert (row["load"], row["memory"], row["gpu"]) == (None, None, None)
    lines = detail(
        structs.replace(AWAY, at=time.time() - 7200), SAMPLES["tower"], 78, 1, False, [BUSY, AWAY]
    ).plain.split("\n")
    assert lines[0] == "slow  4 cores  seen 2 h ago"
    told = " ".join(line.strip() for line in lines[1:3])
    assert told == "away for 40 s (connection refused); lost in 9 min 20 s, then its 2 tasks run elsewhere"
    assert lines[3] == "it had   grid/4 grid/5"
    assert all("before" in line and "%" not in line for line in lines[4:])
    assert all(len(line) <= 78 for line in lines)


@pytest.mark.parametrize("seconds", [0.2, 59.9, 3599.0, 86399.0, 864000.0])
def test_since_when_a_node_is_away_fits_its_column(seconds: float) -> None:
    state = nodes_frame([structs.replace(AWAY, away_for=seconds)], {}, False, 80)["state"][0]
    column = next(column for column in columns(False, False, 80) if column.name == "state")
    assert column.width is not None and len(state) <= column.width
    assert column.style is not None and column.style(state) == "warning"


def test_shares_come_from_what_is_known() -> None:
    found = sample(5.0, BUSY)
    assert (found.slots, found.load, found.memory, found.gpu) == (1.0, 15.8 / 16, 0.5, 0.5)
    assert sample(5.0, NodeStatus(name="x")) == NodeSample(5.0)


def test_samples_of_the_lab_are_read(own_lab: Workbench) -> None:
    lines = [
        {"node": "tower", "at": 1_700_000_000 + i, "memory": 100, "memory_used": i, "gpus": []} for i in range(300)
    ]
    (own_lab.lab_path / "nodes.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = WatchedEngine(own_lab.lab).samples["tower"]
    assert len(found) == 120
    assert (found[-1].at, found[-1].memory) == (1_700_000_299, 2.99)


async def opened(app: LabApp, pilot: Pilot[int]) -> NodesPane:
    await wait_until(pilot, lambda: app.pane is not None and app.current is not None)
    await pilot.press("alt+2")
    await wait_until(pilot, lambda: isinstance(app.pane, NodesPane) and app.pane.table.frame.width)
    assert isinstance(app.pane, NodesPane)
    return app.pane


async def test_the_nodes_of_a_run_are_shown_and_changed(own_lab: Workbench) -> None:
    file = own_lab.write(
        "long.yaml", f"name: long\ncommand: until [ -e {own_lab.folder}/go ]; do sleep 0.05; done\n"
        "parameters: {x: [1, 2, 3, 4]}\n",
    )  # fmt: skip
    own_lab("--run", file, "--node", "localhost", 1, "--detach")
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        pane = await opened(app, pilot)
        await wait_until(pilot, lambda: pane.node is not None and pane.node.state == "up")
        row = pane.table.row(0)
        assert row is not None
        assert (row["name"], row["state"]) == ("localhost", "● up")
        await wait_until(pilot, lambda: "long/" in str(pane.query_one("#node", Static).render()))
        await pilot.press("greater_than_sign")
        await wait_until(pilot, lambda: pane.node is not None and pane.node.slots == 2)
        await pilot.press("d")
        await wait_until(pilot, lambda: pane.node is not None and pane.node.state == "drained")
        await pilot.press("u")
        await wait_until(pilot, lambda: pane.node is not None and pane.node.state == "up")
        (own_lab.folder / "go").touch()
        await wait_until(pilot, lambda: (one := app.snapshot.experiment("long")) and one.ended)


async def test_without_an_engine_there_is_nothing_to_change(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        pane = await opened(app, pilot)
        pane.show(replace(app.snapshot, samples={"tower": SAMPLES["tower"]}))
        await pilot.press("d")
        await wait_until(pilot, lambda: any("no engine is running" in one.message for one in app._notifications))


async def test_the_tasks_of_an_idle_node_are_those_that_ran_there(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("t")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "tasks")
        await wait_until(pilot, lambda: app.query_one(TasksPane).table.frame.height == 8)
        assert any("nothing runs on localhost" in one.message for one in app._notifications)


@pytest.mark.parametrize("row", ["up", "away"])
def test_the_pane_looks_right(snap_compare: Any, small_lab: Path, row: str) -> None:
    app = LabApp(small_lab)

    async def show(pilot: Pilot[int]) -> None:
        pane = await opened(app, pilot)
        app._watcher.close()
        app.lab_path = Path("lab")
        nodes = (BUSY, AWAY, NodeStatus(name="bad", state="quarantined", slots=2, used=0, error="10 failed"))
        samples = {**SAMPLES, "slow": SAMPLES["tower"]}
        engine = EngineSnapshot(1, ("small",), "", nodes)
        app.snapshot = replace(app.snapshot, engine=engine, samples=samples, taken=time.time())
        await wait_until(pilot, lambda: pane.table.frame.height == 4)
        if row == "away":
            await pilot.press("j")
        await wait_until(pilot, lambda: pane.node is not None and pane.node.state == row)
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=show)
