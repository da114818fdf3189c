"""The panels beside the kinds of failures."""

from __future__ import annotations

from pathlib import Path

from tests.tui.conftest import wait_until
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base.empty import Empty
from tui_lab.tui.panes.tasks.why import WhyPanel


async def test_what_is_said_instead_is_wrapped_anew(tmp_path: Path) -> None:
    app = LabApp(tmp_path / "lab")
    async with app.run_test(size=(120, 30)) as pilot:
        await wait_until(pilot, lambda: app.snapshot.taken)
        panel = WhyPanel("What they share", "why")
        await app.mount(panel)
        panel.say_instead("What they share", Empty("some words " * 8, "app.leave_text", "goes back"))
        await wait_until(pilot, lambda: panel.text.count("some words") == 8)
        await pilot.resize_terminal(50, 30)
        narrow = await wait_until(pilot, lambda: max(map(len, panel.text.splitlines())) < 50 and panel.text)
        await pilot.resize_terminal(120, 30)
        await wait_until(pilot, lambda: panel.text.count("\n") < narrow.count("\n"))
