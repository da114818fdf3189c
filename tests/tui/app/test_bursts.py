"""In every pane and dialog: what arrives in one burst does what the same keys do one by one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, TextArea
from textual.worker import Worker

from tests.tui.app.test_app import shown
from tests.tui.app.test_input_order import burst, settled
from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.panes.chart.pane import ChartPane
from tui_lab.tui.widgets.table.table import FrameTable

SCENES = {
    "chart": ["6", "k", "text:catx", "backspace", "text:eg", "enter", "r", "text:0 1", "enter", "T", "j", "j"],
    "chart choices": ["6", "k", "text:box", "enter", "h", "text:kind", "enter", "l", "text:y", "enter", "x", "escape"],
    "results": ["4", "j", "b", "j", "m", "d", "v", "escape", "k"],
    "results to tasks": ["4", "j", "j", "enter", "j", "space", "j"],
    "history": ["7", "space", "c", "escape", "3", "j", "7", "question_mark", "escape"],
    "log search": ["3", "j", "enter", "slash", "text:losx", "backspace", "text:s", "enter", "n", "N", "G"],
    "columns and groups": ["3", "c", "down", "space", "enter", "v", "down", "enter", "j", "enter", "j"],
    "failures": ["3", "F", "j", "enter", "f", "z", "escape", "R", "text:timeout=5m", "escape", "j"],
    "nodes and palette": ["2", "j", "ctrl+p", "text:history", "enter", "j", "E", "down", "escape", "2"],
    "write a chart": ["6", "w", "ctrl+a", "text:/nowhere/x.png", "enter", "escape", "k", "escape", "4", "y", "j"],
    "query": ["5", "ctrl+a", "ctrl+k", "text:from smalx", "backspace", "text:l", "f5"],
}  # fmt: skip
USUAL = ("chart", "results", "query")  # the others: --long


def state(app: LabApp) -> Any:
    """What a person sees to have been done."""
    focused = app.focused
    chart = app.query_one(ChartPane).request if shown(app) == "chart" else None
    return (
        shown(app),
        [type(screen).__name__ for screen in app.screen_stack],
        focused.id or type(focused).__name__ if focused is not None else None,
        [(one.id, one.value) for screen in app.screen_stack for one in screen.query(Input)],
        [(one.id, one.text) for screen in app.screen_stack for one in screen.query(TextArea)],
        [one.highlighted for one in app.screen.query(OptionList)],
        [
            (one.id, one.cursor_row, sorted(map(str, getattr(one, "marked", ()))), one.frame.height)
            for one in app.screen.query(FrameTable)
            if one.display and one.region
        ],
        chart,
    )


async def rested(app: LabApp, pilot: Pilot[Any], seconds: float) -> Any:
    """The state once no thread reads anything, and it stays so for longer than the screen's own timers wait."""
    end, since, last = time.monotonic() + 30, time.monotonic(), None
    while time.monotonic() - since < seconds:
        assert time.monotonic() < end
        await settled(app, pilot)
        await pilot.pause(0.01)
        if (now := state(app)) != last or any(one._thread_worker and not one.is_finished for one in app.workers):
            since, last = time.monotonic(), now
    return last


async def played(lab: Workbench, keys: list[str], at_once: bool) -> Any:
    app = LabApp(lab.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.current is not None)
        app.show_pane("tasks")  # the one that was left last may be another
        await rested(app, pilot, 0.1)
        if at_once:
            burst(app, *keys)
        else:
            for key in keys:
                for part in key.removeprefix("text:") if key.startswith("text:") else [key]:
                    burst(app, f"text:{part}" if key.startswith("text:") else part)
                    await rested(app, pilot, 0.1)
        return await rested(app, pilot, 0.3)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scene", [scene if scene in USUAL else pytest.param(scene, marks=pytest.mark.long) for scene in SCENES]
)
async def test_a_burst_does_what_single_keys_do(
    scene: str, own_lab: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly = await played(own_lab, SCENES[scene], False)
    assert await played(own_lab, SCENES[scene], True) == slowly

    # And where everything that a thread reads comes late, as on a busy machine: keys wait for what they are meant for.
    run = Worker._run_threaded

    async def late(worker: Worker[Any]) -> Any:
        await asyncio.sleep(0.2)
        return await run(worker)

    monkeypatch.setattr(Worker, "_run_threaded", late)
    assert await played(own_lab, SCENES[scene], True) == slowly
