"""What arrives in one burst acts as if it was typed slowly: in text fields, dialogs, panes, with pastes and clicks."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.app import App
from textual.geometry import Size
from textual.pilot import Pilot
from textual.widgets import Input, TextArea

from tests.tui.app.test_app import opened, shown
from tests.tui.app.test_in_terminal import PROGRAM, Terminal, leave, terminal  # noqa: F401 - a fixture
from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.tui.app import input_order
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.help import Help
from tui_lab.tui.app.input_order import InputOrder
from tui_lab.tui.app.terminal_changes import TerminalChanges
from tui_lab.tui.app.watcher import Watcher
from tui_lab.tui.base.snapshot import LabSnapshot
from tui_lab.tui.panes.experiment.launch import LaunchDialog
from tui_lab.tui.widgets.dialogs import Ask
from tui_lab.tui.widgets.open_dialog import OpenDialog

NAMES = {"/": "slash", " ": "space", "=": "equals_sign", "*": "asterisk", ",": "comma", ".": "full_stop",
         "<": "less_than_sign", "?": "question_mark", "'": "apostrophe"}  # fmt: skip


def burst(app: LabApp, *parts: str | events.Event) -> None:
    """Everything at once: a text of several characters is typed, other words are keys."""
    for part in parts:
        if isinstance(part, str) and part.startswith("text:"):
            for character in part.removeprefix("text:"):
                app.post_message(events.Key(NAMES.get(character, character), character))
        elif isinstance(part, str):
            app.post_message(events.Key(part, " " if part == "space" else part if len(part) == 1 else None))
        else:
            app.post_message(part)


async def settled(app: LabApp, pilot: Pilot[Any]) -> None:
    """All that was posted has had its effects: input may not have begun yet, and goes on where an effect is input."""
    await pilot.pause()
    while True:
        await wait_until(pilot, lambda: app._input._settling is None)
        await pilot.pause()
        if app._input._settling is None:
            return


async def test_a_filter_is_typed_corrected_and_left_at_once(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        burst(app, "slash", "text:kinx", "backspace", "text:d", "left", "right", "text: = 'q", "backspace", "text:b'",
              "enter", "j", "j", "space")  # fmt: skip
        await settled(app, pilot)
        pane: Any = app.pane
        assert app.query_one("#task-filter", Input).value == "kind = 'b'"
        # The mark is on the third of the rows that the filter leaves.
        assert pane.table.marked == {pane.table.frame["task_id"][2]}
        assert set(pane.table.frame["kind"].to_list()) == {"b"}


async def test_keys_wait_until_the_lab_was_read_first(small_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = threading.Event()
    look = Watcher._look

    def slow(self: Watcher) -> LabSnapshot:
        read.wait()
        return look(self)

    monkeypatch.setattr(Watcher, "_look", slow)
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        burst(app, "3", "F")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "tasks" and app.pane.is_mounted)
        pane: Any = app.pane
        assert not pane.tasks.is_grouped
        read.set()
        await wait_until(pilot, lambda: pane.tasks.shows_failures)
        await settled(app, pilot)
        assert pane.tasks.shows_failures


async def test_a_key_that_is_held_down_moves_as_far_as_it_comes_often(
    small_lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = LabApp(small_lab)
    moves: list[int] = []
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        pane: Any = app.pane
        move = pane.table.action_cursor

        def counted(rows: int) -> None:
            moves.append(rows)
            move(rows)

        monkeypatch.setattr(pane.table, "action_cursor", counted)
        burst(app, *["j"] * 300, *["k"] * 5, "j", "space")
        await settled(app, pilot)
        assert pane.table.marked == {pane.table.frame["task_id"][3]}
        assert sum(moves) == 300 - 5 + 1 and len(moves) < 20


class Changing(App[int]):
    """Notes the changes of its terminal that it handles."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = TerminalChanges(self)
        self.handled: list[events.Event] = []

    async def on_event(self, event: events.Event) -> None:
        if self.changes.admit(event):
            self.handled.append(event)
            await super().on_event(event)


async def test_of_many_changes_of_the_terminal_the_last_counts() -> None:
    app = Changing()
    async with app.run_test(size=(80, 24)) as pilot:
        app.handled.clear()
        for number in range(100):
            size = Size(81 + number, 30)
            app.post_message(events.Resize(size, size))
            app.post_message(events.AppFocus())
            app.post_message(events.AppBlur())
        await wait_until(pilot, lambda: app.size.width == 180 and not app.app_focus)
        changes = [event for event in app.handled if isinstance(event, (events.AppFocus, events.AppBlur))]
        assert isinstance(changes[-1], events.AppBlur) and len(changes) <= 4
        assert sum(isinstance(event, events.Resize) for event in app.handled) <= 4


async def test_keys_typed_while_the_screen_comes_up_wait_for_its_panes(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        burst(app, "5", "ctrl+a", "ctrl+k", "text:selxx", "backspace", "backspace", "text:ect 1", "escape", "4")
        await settled(app, pilot)
        await wait_until(pilot, lambda: shown(app) == "results")
        assert app.query_one("#sql", TextArea).text == "select 1"


async def test_completions_are_there_for_the_next_key(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        burst(app, "5")
        await settled(app, pilot)
        slow = app.query_one("#sql", TextArea)
        slow.text = ""
        for key in ("s", "e", "l", "tab", "space"):
            await pilot.press(key)
        typed = slow.text
        slow.text = ""
        burst(app, "s", "e", "l", "tab", "space")
        await settled(app, pilot)
        assert slow.text == typed
        assert typed.lower().startswith("select")


async def test_an_editor_takes_keys_and_pastes_in_their_order(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path, file=own_lab.folder / "small.yaml")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: shown(app) == "experiment" and app.pane.side.file is not None)  # type: ignore[union-attr]
        burst(app, "i", "ctrl+home", "text:# selx", "backspace", "text:ec", events.Paste("PASTED\nline"), "backspace",
              "text:t", "enter", "text:# z", "ctrl+u", "text:#", "home", "delete", "text:b", "escape", "3")  # fmt: skip
        await settled(app, pilot)
        editor = app.query_one("#pane-experiment TextArea", TextArea)
        assert editor.text.splitlines()[:3] == ["# selecPASTED", "lint", "b"]
        assert shown(app) == "tasks"


async def test_a_question_takes_the_keys_that_came_with_the_one_that_asks_it(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settled(app, pilot)
        burst(app, "slash", "text:failed", "enter", "r", "n", "question_mark", "escape", "R", "text:timeout=", "space",
              "backspace", "text:2m", "left", "delete", "text:h")  # fmt: skip
        await settled(app, pilot)
        assert isinstance(app.screen, Ask)
        assert app.screen.query_one(Input).value == "timeout=2h"
        burst(app, "enter", "n", "E", "escape", "escape", "4")
        await settled(app, pilot)
        assert len(app.screen_stack) == 1
        assert shown(app) == "results"


async def test_escape_and_a_digit_come_as_one_key(own_lab: Workbench) -> None:
    """A terminal sends them as alt and the digit."""
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        burst(app, "E", "alt+4")
        await settled(app, pilot)
        assert len(app.screen_stack) == 1
        assert shown(app) == "results"


async def test_the_open_dialog_is_waited_for(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path, file=own_lab.folder / "small.yaml")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: shown(app) == "experiment" and app.pane.side.file is not None)  # type: ignore[union-attr]
        burst(app, "o", "text:qqq")
        await settled(app, pilot)
        assert isinstance(app.screen, OpenDialog)
        assert app.screen.query_one(Input).value.endswith("qqq")


async def test_the_launch_question_is_waited_for(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path, file=own_lab.folder / "small.yaml")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: shown(app) == "experiment" and app.pane.side.file is not None)  # type: ignore[union-attr]
        before = app.query_one("#pane-experiment TextArea", TextArea).text
        burst(app, "i", "ctrl+r", "ctrl+r", "shift+tab", "shift+tab", "end", "text: 7", "tab")
        await settled(app, pilot)
        assert isinstance(app.screen, LaunchDialog)
        assert app.query_one("#pane-experiment TextArea", TextArea).text == before


@pytest.mark.slow
async def test_the_palette_finds_before_enter_chooses(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        burst(app, "ctrl+p", "text:nothinglik", *["backspace"] * 10, "text:theme lab-light", "enter", "4")
        await settled(app, pilot)
        await wait_until(pilot, lambda: app.theme == "lab-light" and len(app.screen_stack) == 1)
        assert shown(app) == "results"


async def test_clicks_stand_between_the_keys_around_them(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settled(app, pilot)
        field = app.query_one("#task-filter", Input)
        x, y = field.region.x + 3, field.region.y
        press: dict[str, Any] = {
            "widget": None,
            "delta_x": 0,
            "delta_y": 0,
            "button": 1,
            "shift": False,
            "meta": False,
            "ctrl": False,
            "x": x,
            "y": y,
            "screen_x": x,
            "screen_y": y,
        }
        burst(app, "j", events.MouseDown(**press), events.MouseUp(**press), "text:x = 1", "enter", "4")
        await settled(app, pilot)
        assert field.value == "x = 1"
        assert shown(app) == "results"


async def test_alt_with_a_letter_that_means_nothing_is_escape_and_the_letter(small_lab: Path) -> None:
    """A terminal sends both in the same way when they come at once."""
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        burst(app, "slash", "text:x", "alt+j", "alt+4")
        await settled(app, pilot)
        assert app.query_one("#task-filter", Input).value == "x"
        assert shown(app) == "results"


async def test_what_never_comes_holds_no_key_for_good(small_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settled(app, pilot)
        app.hold_input(0.3)  # and nobody lets go
        began = time.monotonic()
        burst(app, "question_mark")  # the first one, too
        await wait_until(pilot, lambda: isinstance(app.screen, Help))
        assert time.monotonic() - began >= 0.3
    assert InputOrder(app, lambda event: False).hold(0.1)() is None


@pytest.mark.parametrize("key", ["q", "ctrl+c", "4", "alt+5", "escape"])
@pytest.mark.parametrize("before", [(), ("j", "space")])
async def test_no_way_out_waits_for_rows(
    key: str, before: tuple[str, ...], small_lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also behind keys that do, unless it came in one go with them."""
    monkeypatch.setattr(input_order, "LONGEST", 1000.0)
    admit, taken = InputOrder.admit, list[events.Event]()

    def watched(self: InputOrder, event: events.Event) -> bool:
        admitted = admit(self, event)
        if admitted:
            taken.append(event)
        return admitted

    monkeypatch.setattr(InputOrder, "admit", watched)
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settled(app, pilot)
        release = app.hold_input(1000, rows=True)
        leaving = events.Key(key, key if len(key) == 1 else None)
        leaving.time += 1
        burst(app, "f11", *before, leaving)
        await wait_until(pilot, lambda: leaving in taken)  # though the rows have not come
        if key != "q":
            behind = events.Key(key, leaving.character)
            burst(app, "k", "k", behind)  # in one go
            await wait_until(pilot, lambda: len(app._input._waiting) == 3)
            assert behind not in taken
        release()
        await settled(app, pilot)


@pytest.mark.parametrize("steps", range(0, 60, 8))
async def test_keys_that_come_while_the_screen_is_taken_down_end_nothing_badly(small_lab: Path, steps: int) -> None:
    """However far it has come. run_test raises what the app could not handle."""
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        burst(
            app, "question_mark", "escape", "alt+4", "E", "escape", "alt+5", "ctrl+p", "text:x", "escape", "q", "alt+3"
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        burst(app, "j", "alt+4", "ctrl+p", "escape", "ctrl+q", "q", events.Paste("x"), "ctrl+c")
        if steps % 8:
            app.exit(0)


@pytest.mark.slow
def test_bursts_through_a_real_terminal(workbench: Workbench, terminal: Terminal) -> None:  # noqa: F811
    workbench.run_text("command: echo {x}\nparameters: {x: [1, 2]}\n", code=None)
    terminal.wait("READY")
    terminal.type(PROGRAM)
    terminal.press("Enter")
    terminal.wait("History")
    terminal.press("3")
    terminal.wait("✓ done")
    terminal.press(*"5", "C-a", "C-k", *"selx", "BSpace", *"ect", "Space", *"42", "F5")
    terminal.wait(lambda screen: "select 42" in screen and "1 row" in screen)
    terminal.press("Escape", "3", "/", *"x=22", "BSpace", "Enter", "j")
    terminal.wait("1 of 2")
    terminal.press("Escape")
    leave(terminal)


@pytest.mark.parametrize("keys", [["5"], ["3", "slash"], ["ctrl+p"]])
async def test_a_paste_of_megabytes_is_refused(keys: list[str], small_lab: Path) -> None:
    """What was typed before it and after it stays in order."""
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        long, short = events.Paste("1, " * 1_700_000), events.Paste("de\n")
        burst(app, *keys, "ctrl+a", "ctrl+k", "text:ab", long, "text:c", short)
        await settled(app, pilot)
        field: Any = app.focused
        assert (field.text if isinstance(field, TextArea) else field.value).strip() == "abcde"
        assert any("too long to be pasted: 5,100,000 characters" in one.message for one in app._notifications)
