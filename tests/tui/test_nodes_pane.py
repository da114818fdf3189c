"""The Nodes pane: every state in words and symbol, what is asked of the engine, history without one."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.conftest import Workshop
from tests.tui.conftest import wait_until
from tui_lab.tui.app import LabApp
from tui_lab.tui.nodes_look import STATES, columns, detail, nodes_frame, nodes_of
from tui_lab.tui.nodes_pane import NodesPane
from tui_lab.tui.snapshot import EngineSnapshot, LabSnapshot, NodeSample
from tui_lab.tui.watched import WatchedEngine, sample

BUSY: dict[str, Any] = {
    "name": "tower", "state": "up", "slots": 16, "used": 16, "load": 15.8, "cores": 16, "memory": 64 << 30,
    "memory_used": 32 << 30, "host": "192.0.2.9", "python": "3.9.2", "latency": 0.032, "clock_offset": -3.4,
    "tasks": [["grid", number, 1 + number % 2] for number in range(100, 116)], "tags": ["x86", "gpu"],
    "gpus": [{"index": 0, "used": 88, "memory_used": 9 << 30, "memory": 24 << 30}, {"index": 1, "used": 12}],
}  # fmt: skip
AWAY = {"name": "slow", "state": "away", "slots": 2, "used": 0, "error": "connection refused\x1b[31m", "tasks": []}
SAMPLES = {"tower": tuple(NodeSample(1000.0 + i, 1, i / 20, 0.5, 0.5) for i in range(20)), "old": (NodeSample(1.0),)}


def test_a_row_says_all_in_words_and_symbols() -> None:
    snapshot = LabSnapshot(engine=EngineSnapshot(1, nodes=(BUSY, AWAY)), samples=SAMPLES)
    rows = nodes_frame(nodes_of(snapshot), SAMPLES, False, 120).to_dicts()
    assert [row["state"] for row in rows] == ["● up", "! away", "· not in use"]
    assert [row["slots"] for row in rows] == ["16/16", "0/2", None]
    assert rows[0]["load"].startswith("15.8 ") and rows[0]["memory"].startswith(" 50% ▄▄")
    assert rows[0]["note"] == "x86 gpu"
    assert rows[1]["note"] == "connection refused"
    assert rows[1]["gpu"] is None


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
        lines = detail(BUSY, SAMPLES["tower"], width, False).plain.split("\n")
        text = "\n".join(lines)
        assert "15.8 on 16 cores" in text and "32.0 GiB of 64.0 GiB" in text
        assert "grid/100 grid/101.2" in text
        assert "clock off by 3 s" in text and "answers in 32 ms" in text
        assert "0: 88% busy, 9.0 GiB of 24.0 GiB" in text
        assert all(len(line) <= width for line in lines[1:])
    assert "and" in detail(BUSY, (), 78, False).plain


def test_shares_come_from_what_is_known() -> None:
    found = sample(5.0, BUSY)
    assert (found.slots, found.load, found.memory, found.gpu) == (1.0, 15.8 / 16, 0.5, 0.5)
    assert sample(5.0, {"name": "x"}) == NodeSample(5.0)


def test_samples_of_the_lab_are_read(own_lab: Workshop) -> None:
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


async def test_the_nodes_of_a_run_are_shown_and_changed(own_lab: Workshop) -> None:
    file = own_lab.write(
        "long.yaml", f"name: long\ncommand: until [ -e {own_lab.folder}/go ]; do sleep 0.05; done\n"
        "parameters: {x: [1, 2, 3, 4]}\n",
    )  # fmt: skip
    assert own_lab.call("--run", file, "--node", "localhost", 1, "--detach").returncode == 0
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        pane = await opened(app, pilot)
        await wait_until(pilot, lambda: pane.node is not None and pane.node["state"] == "up")
        row = pane.table.row(0)
        assert row is not None
        assert (row["name"], row["state"]) == ("localhost", "● up")
        node = pane.node
        if node is None or "used" not in node:
            pytest.skip("an engine without the commands for nodes")
        await wait_until(pilot, lambda: "long/" in str(pane.query_one("#node", Static).render()))
        await pilot.press("plus")
        await wait_until(pilot, lambda: pane.node is not None and pane.node["slots"] == 2)
        await pilot.press("d")
        await wait_until(pilot, lambda: pane.node is not None and pane.node["state"] == "drained")
        await pilot.press("u")
        await wait_until(pilot, lambda: pane.node is not None and pane.node["state"] == "up")
        (own_lab.folder / "go").touch()
        await wait_until(pilot, lambda: (one := app.snapshot.experiment("long")) and one.ended)


async def test_without_an_engine_there_is_nothing_to_change(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        pane = await opened(app, pilot)
        pane.show(replace(app.snapshot, samples={"tower": SAMPLES["tower"]}))
        await pilot.press("d")
        await wait_until(pilot, lambda: any("no engine is running" in one.message for one in app._notifications))


def test_the_pane_looks_right(snap_compare: Any, small_lab: Path) -> None:
    app = LabApp(small_lab)

    async def show(pilot: Pilot[int]) -> None:
        pane = await opened(app, pilot)
        app._watcher.close()
        app.lab_path = Path("lab")
        nodes = (BUSY, AWAY, {"name": "bad", "state": "quarantined", "slots": 2, "used": 0, "error": "10 failed"})
        snapshot = replace(
            app.snapshot, engine=EngineSnapshot(1, ("small",), "", nodes), samples=SAMPLES, taken=time.time()
        )
        app.snapshot = snapshot
        await wait_until(pilot, lambda: pane.table.frame.height == 4)
        await pilot.pause()

    assert snap_compare(app, terminal_size=(80, 24), run_before=show)
