"""Terminals of sixteen colours, and those that show ASCII only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.tui.app.test_in_terminal import PROGRAM, Terminal
from tests.tui.app.test_in_terminal import pytestmark as needs_tmux
from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base import themes
from tui_lab.tui.base.config import Config, config_file, read_config


def painted(app: LabApp) -> str:
    """All that the terminal was given for the whole screen."""
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips())


async def each_pane(pilot: Pilot[Any], app: LabApp) -> None:
    await wait_until(pilot, lambda: app.snapshot.lab is not None)
    for key in "1234567":
        await pilot.press("escape", key)
        await wait_until(pilot, lambda: app.pane is not None)
        await pilot.pause(0.1)
        assert painted(app).isascii(), key


@pytest.mark.slow
async def test_no_pane_shows_more_than_ascii(small_lab: Path) -> None:
    app = LabApp(small_lab, config=Config(ascii=True))
    async with app.run_test(size=(120, 40)) as pilot:
        await each_pane(pilot, app)
        await pilot.press("question_mark")
        await pilot.pause(0.1)
        assert painted(app).isascii()


def test_what_the_file_says_goes_first() -> None:
    file = config_file()
    assert read_config(file, ascii=True).ascii
    file.parent.mkdir(parents=True)
    file.write_text("ascii = false\n")
    assert not read_config(file, ascii=True).ascii


@pytest.mark.parametrize("theme", [themes.ANSI_DARK, themes.ANSI_LIGHT], ids=lambda theme: theme.name)
def test_words_have_another_colour_than_their_ground(theme: Any) -> None:
    colours = theme.to_color_system().generate()
    for name in ("error", "warning", "success"):
        assert colours[f"text-{name}"].split()[0] != colours[f"{name}-muted"].split()[0]
    states = [colours[f"text-{name}"] for name in ("success", "error", "primary", "warning", "accent")]
    assert len(set(states)) == len(states)
    row = "block-cursor-blurred"
    assert colours[f"{row}-foreground"] != colours[f"{row}-background"] != colours["background"]


@pytest.mark.parametrize(("theme", "colours"), [("ansi-dark", (15, 8)), ("ansi-light", (0, 7))])
async def test_the_chosen_line_of_a_list_can_be_read(small_lab: Path, theme: str, colours: tuple[int, int]) -> None:
    app = LabApp(small_lab, config=Config(theme=theme))
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.current is not None and app.pane is not None)
        for key in ("E", "ctrl+p"):
            await pilot.press(key)
            await wait_until(pilot, lambda: len(app.screen_stack) == 2)
            listed = app.screen.query_one(OptionList)
            await wait_until(pilot, lambda: listed.highlighted is not None)
            line = listed.render_line(listed.gutter.top)
            styles = [one.style for one in line if one.text.strip() and one.style is not None]
            found = {(style.color and style.color.number, style.bgcolor and style.bgcolor.number) for style in styles}
            assert found == {colours}
            await pilot.press("escape")
            await wait_until(pilot, lambda: len(app.screen_stack) == 1)


@pytest.mark.parametrize(("name", "wanted"), [("lab-dark", "ansi-dark"), ("lab-light", "ansi-light")])
def test_sixteen_colours_have_a_theme_of_theirs(
    monkeypatch: pytest.MonkeyPatch, small_lab: Path, name: str, wanted: str
) -> None:
    monkeypatch.setenv("TERM", "xterm-16color")
    monkeypatch.delenv("COLORTERM", raising=False)
    before = LabApp(small_lab)
    before.saved_state.put("theme", name)
    before.saved_state.write()
    assert LabApp(small_lab).theme == wanted
    assert LabApp(small_lab, config=Config(theme=name)).theme == name


@needs_tmux
@pytest.mark.parametrize("setting", ["PYTHONIOENCODING=latin-1", "TERM=linux", "LC_ALL=C"])
def test_a_terminal_that_lacks_signs(small_workbench: Workbench, tmp_path: Path, setting: str) -> None:
    terminal = Terminal(tmp_path)
    try:
        terminal.type(f"{setting} {PROGRAM} {small_workbench.lab_path}\n")
        terminal.wait("History")
        terminal.press("3")
        screen = terminal.wait("+ done")
        assert screen.isascii()
        assert "\\u" not in screen
    finally:
        terminal.close()
