"""The lines above: the progress of what runs, and the slots of nodes."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from tests.tui.conftest import wait_until
from tui_lab.protocol.control import NodeStatus
from tui_lab.store.events import Paused
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.frame.lab_line import LabLine
from tui_lab.tui.app.frame.line import Line
from tui_lab.tui.app.frame.runs import Runs
from tui_lab.tui.base.config import Config
from tui_lab.tui.base.snapshot import EngineSnapshot, ExperimentSnapshot, LabSnapshot


def going(name: str, **more: object) -> ExperimentSnapshot:
    facts = {
        "counts": {"done": 1203, "failed": 27, "running": 5, "pending": 685},
        "planned": 1920,
        "queued": 690,
        "active": True,
        "rate": 412 / 3600,
        "eta": time.time() + 7830,
        "throughput": (1, 2, 3, 4, 5, 6, 7, 8),
    }
    return ExperimentSnapshot(name, **{**facts, **more})  # type: ignore[arg-type]


def nodes(**slots: tuple[int, int]) -> EngineSnapshot:
    found = tuple(NodeStatus(name=name, used=used, slots=all_) for name, (used, all_) in slots.items())
    return EngineSnapshot(active=("grid",), nodes=found)


def text(line: Line) -> list[str]:
    return [row.rstrip() for row in str(line.render()).split("\n")]


async def shown(line: type[Line], size: tuple[int, int], folder: Path, *states: LabSnapshot, ascii: bool = False):  # type: ignore[no-untyped-def]
    app = LabApp(folder / "lab", config=Config(ascii=ascii))
    async with app.run_test(size=size) as pilot:
        await wait_until(pilot, lambda: app.snapshot.taken)
        found, heights = [], []
        for state in states:
            app.query_one(Runs).current = app.query_one(LabLine).current = "grid"
            app.query_one(Runs).snapshot = app.query_one(LabLine).snapshot = state
            await pilot.pause()
            found.append(text(app.query_one(line)))
            heights.append(app.query_one(line).size.height)
        assert heights == [len(rows) for rows in found]
        assert all(len(row) <= size[0] - 2 for rows in found for row in rows)
        return found


async def test_each_experiment_that_runs_has_a_line(tmp_path: Path) -> None:
    others = [going("a_long_name_of_one"), ExperimentSnapshot("old"), going("third"), going("fourth")]
    one = LabSnapshot(experiments=(ExperimentSnapshot("old"), going("grid")))
    several = LabSnapshot(experiments=(*others, going("grid")))
    (alone,), lines, again = await shown(Runs, (120, 40), tmp_path, one, several, one)
    bar, share, count, rate, *left = alone.split()
    assert (set(bar), share, count, rate, left[:4]) == (
        {"━", "─"},
        "64%",
        "1,230/1,920",
        "6.9/min",
        ["2", "h", "10", "min"],
    )
    assert "⣠⣴⣾⣿" in alone, "its throughput"
    assert alone.endswith("✓ 1,203 done  ✗ 27 failed  ▶ 5 running  · 685 pending")
    assert [line.split()[0] for line in lines] == ["grid", "a_long_name_of_one", "third"]
    assert lines[-1].endswith("+1 more") and len({line.index("━") for line in lines}) == 1
    assert again == [alone]


async def test_where_there_is_little_room_what_says_least_goes(tmp_path: Path) -> None:
    several = LabSnapshot(experiments=(going("other"), going("grid", grows=True)))
    paused = LabSnapshot(experiments=(going("grid", paused=Paused(0.0, "asked", 0)),))
    queued = going("grid", rate=None, eta=None, throughput=(), counts={"pending": 1920})
    queue = LabSnapshot(experiments=(queued,))
    few = LabSnapshot(experiments=(going("grid", active=False, counts={"done": 16, "failed": 2}, planned=18),))
    (line,), (second,), (third,), (fourth,) = await shown(Runs, (80, 24), tmp_path, several, paused, queue, few)
    assert "waiting" in third and fourth.endswith("✓ 16 done  ✗ 2 failed"), "where there is room, states have words"
    assert "64%" in line and "at least 2 h 10 min left" in line and "1,230/1,920" not in line
    assert line.endswith("✓ 1,203  ✗ 27  ▶ 5  · 685")
    assert "paused" in second and "left" not in second


@pytest.mark.parametrize("ascii", [False, True])
async def test_slots_in_use_of_each_node(tmp_path: Path, ascii: bool) -> None:
    grid = (going("grid"),)
    few = LabSnapshot(experiments=grid, engine=nodes(n1=(3, 4), a_node_with_a_name=(1, 2), big=(12, 64)))
    many = LabSnapshot(experiments=grid, engine=nodes(**{f"n{i}": (1, 2) for i in range(300)}))
    idle = LabSnapshot(experiments=grid, engine=EngineSnapshot(nodes=nodes(n1=(0, 4)).nodes))
    first, second, third = await shown(LabLine, (150, 40), tmp_path, few, many, idle, ascii=ascii)
    full, free, dot = ("#", "-", "*") if ascii else ("▮", "▯", "●")
    assert first[0].endswith(f"n1 {full * 3}{free}  …th_a_name {full}{free}  big 12/64  {dot} going")
    assert second[0].endswith(f"300/600 slots  {dot} going")
    assert third[0].endswith(f"  {dot} engine idle") and "n1" not in third[0]


async def test_lines_are_painted_when_their_text_changes(tmp_path: Path) -> None:
    app = LabApp(tmp_path / "lab")
    async with app.run_test(size=(120, 30)) as pilot:
        await wait_until(pilot, lambda: app.snapshot.taken)
        lines = app.query_one(LabLine), app.query_one(Runs)
        asked: list[str] = []
        for line in lines:
            line.current = "grid"
            line.text = partial(lambda of: asked.append(type(of).__name__) or type(of).text(of), line)  # type: ignore
        one = going("grid", eta=None)
        for load, used, wanted in ((0.5, 1, 4), (0.7, 1, 1), (0.9, 2, 2)):
            engine = EngineSnapshot(active=("grid",), nodes=(NodeStatus(name="n", used=used, slots=4, load=load),))
            asked.clear()
            for line in lines:
                line.snapshot = LabSnapshot(experiments=(one,), engine=engine, taken=time.time())
            await pilot.pause()
            assert len(asked) == wanted, "one that is painted is asked once more"
