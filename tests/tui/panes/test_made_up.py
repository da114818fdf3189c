"""A pane of another package has a tab, a key, its actions, help, and a place in the command palette."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.widgets import Static

from tests.cli.test_plugins import install
from tests.tui.conftest import wait_until
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.frame.tabs import Tabs
from tui_lab.tui.app.palette import commands, help_groups
from tui_lab.tui.base.panes import PANES


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    points = {"names": "tests.made_up.pane:NamesPane", "broken": "no_such_module:Pane"}
    install(tmp_path, {"tui_lab.panes": points})
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path / "packages")
        PANES.reload()
        yield
    PANES.reload()


@pytest.mark.usefixtures("package")
async def test_it_is_like_any_other(small_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(LabApp, "notify", lambda self, message, **more: told.append(message))
    app = LabApp(small_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        await wait_until(pilot, lambda: app.current == "small" and app.query_one(Tabs).others == ("names",))
        assert "8 Names" in str(app.query_one(Tabs).render())
        assert len(told) == 1 and told[0].startswith('"broken" of the entry points tui_lab.panes')
        await pilot.press("8")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "names")
        await wait_until(pilot, lambda: str(app.query_one("#names", Static).render()) == "small")
        await pilot.press("s")
        await wait_until(pilot, lambda: "SMALL" in told)
        assert ("Names", [("s", "Say the names aloud.")]) in help_groups(app)
        titles = [one.title for one in commands(app)]
        assert "Names" in titles and "Names: Shout" in titles
        await pilot.press("3")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "tasks")
