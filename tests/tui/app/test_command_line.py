"""The command line: everything can be typed, is completed, and acts as its key or its subcommand does."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, Static

from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.cli.commands import COMMANDS
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.command_line.line import CommandLine
from tui_lab.tui.app.command_line.run import Lines
from tui_lab.tui.app.command_line.words import Vocabulary, Word, complete, ghost, meant
from tui_lab.tui.app.control import LabControl
from tui_lab.tui.app.palette import registry
from tui_lab.tui.base import panes
from tui_lab.tui.widgets.dialogs import Decide
from tui_lab.tui.widgets.process import ProcessPanel

HELP = {name: one.help for name, one in COMMANDS.own.items()}
SOME = Vocabulary(
    (
        Word("open", "Open a pane.", "pane"),
        Word("pause", "Start no more tasks for now.", "experiment"),
        Word("parse", "Read metrics again."),
        Word("app.pause", "Pause: pause the experiment."),
        Word("tasks.retry_with", "Retry with: run tasks again."),
    ),
    {"pane": ("nodes", "tasks"), "experiment": ("grid", "green")},
)


def lines(line: str) -> list[str]:
    return [one.line for one in complete(SOME, line)]


def test_the_likeliest_comes_first() -> None:
    assert lines("pa") == ["pause", "parse", "app.pause", "open"]  # by its name, a part of it, a word of its help
    assert lines("pau") == ["pause", "app.pause"]
    assert lines("again") == ["parse", "tasks.retry_with"]
    assert lines("trw") == ["tasks.retry_with"]  # letters in their order
    assert lines("") == [word.name for word in SOME.words]
    assert ghost(complete(SOME, "pau"), "pau") == "pause" and not ghost(complete(SOME, "again"), "again")


def test_arguments_are_completed() -> None:
    assert lines("pause gr") == ["pause grid", "pause green"]
    assert lines("pause grid gre") == ["pause grid green"]
    assert lines("open t") == ["open tasks"] and lines("open tasks n") == []
    assert lines("nothing of this ") == []


def test_a_word_may_be_short_where_it_is_clear() -> None:
    assert meant(SOME, "pau grid") == "pause grid"
    assert meant(SOME, "tasks.r") == "tasks.retry_with" and meant(SOME, "op") == "open"
    assert meant(SOME, "pa grid") is None and meant(SOME, "") is None


async def test_all_that_can_be_done_can_be_typed(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.current)
        taken = Lines(app, LabControl(app), HELP)
        names = {word.name for word in taken.vocabulary.words}
        assert set(COMMANDS.own) <= names and set(panes.NAMES) <= names
        assert {one.id for actions in registry().values() for one in actions if one.listed} <= names
        assert taken.wrong("staus") == 'no command "staus"; did you mean "status"?'
        assert taken.wrong("theme nothing") == 'no theme "nothing"' and taken.wrong("open") == "open: which pane?"
        assert taken.wrong("query 'x") == "a quote is not closed"
        assert not taken.wrong("status small") and not taken.wrong("theme lab-light")


@pytest.mark.slow
async def test_lines_act_and_are_remembered(own_lab: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    own_lab.write("long.yaml", "command: 'while [ ! -e go ]; do sleep 0.02; done'\nrepeat: 3\n")
    own_lab.run("long.yaml", "--node", "localhost", "1", "--detach")
    monkeypatch.chdir(own_lab.folder)
    app = LabApp(own_lab.lab_path, commands=lambda: HELP)

    async def typed(text: str) -> None:
        await pilot.press("colon", *("space" if letter == " " else letter for letter in text))

    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await wait_until(pilot, lambda: app.current == "long" and app.snapshot.experiment("long"))
        # In one go: the line takes what was typed before it was there.
        await pilot.press("colon", "p", "a", "u", "s", "e", "enter")
        await wait_until(pilot, lambda: (one := app.snapshot.experiment("long")) and one.paused)
        await typed("resume long")
        await pilot.press("enter")
        await wait_until(pilot, lambda: (one := app.snapshot.experiment("long")) and not one.paused)
        await typed("stop")
        await pilot.press("enter")
        await wait_until(pilot, lambda: isinstance(app.screen, Decide))
        await pilot.press("n")

        await typed("stat")
        await wait_until(pilot, lambda: isinstance(app.screen, CommandLine))
        await pilot.press("tab", "tab", "shift+tab", "enter")
        panel = await wait_until(pilot, lambda: app.screen.query_one(ProcessPanel))
        await wait_until(pilot, lambda: not panel.running and "long" in panel.text)
        assert "tui-lab sta" in panel.title
        await pilot.press("tab")  # leads away from it: escape closes it from there, too
        await wait_until(pilot, lambda: not panel.has_focus_within)
        await pilot.press("escape")
        await wait_until(pilot, lambda: not app.screen.query(ProcessPanel))
        assert app.pane is not None and app.pane.has_focus_within

        await typed("nod")
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "nodes")
        await typed("what is this")
        await pilot.press("enter")
        said = app.screen.query_one("#command-said", Static)
        await wait_until(pilot, lambda: 'no command "what"' in str(said.render()))
        await pilot.press("escape", "colon", "up", "up")
        assert app.screen.query_one(Input).value.startswith("sta")
        await pilot.press("escape")
        (own_lab.folder / "go").touch()
    again = LabApp(own_lab.lab_path)
    assert again.saved_state.lines_of_lab("commands")[:2] == ["pause", "resume long"]
