"""The screen's frame: panes and their keys, header, help, palette, what is remembered, leaving."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from textual.css.query import NoMatches
from textual.events import DescendantFocus
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from tests.tui.conftest import wait_until
from tests.workbench import Workbench, alive, until
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.app.frame.keys import Keys
from tui_lab.tui.app.frame.lab_line import LabLine
from tui_lab.tui.app.frame.line import Line
from tui_lab.tui.app.frame.notice import Notice
from tui_lab.tui.app.frame.runs import Runs
from tui_lab.tui.app.frame.tabs import Tabs
from tui_lab.tui.app.help import Help
from tui_lab.tui.app.messages import READING
from tui_lab.tui.app.palette import registry
from tui_lab.tui.base import panes
from tui_lab.tui.base.config import Config, SavedState, state_folder
from tui_lab.tui.panes.chart.pane import ChartPane
from tui_lab.tui.panes.tasks.pane import TasksPane
from tui_lab.tui.widgets.dialogs import Choose
from tui_lab.tui.widgets.editor import Editor


def text(line: Line) -> str:
    """What a line of the frame shows."""
    return str(line.render())


def shown(app: LabApp) -> str:
    """The name of the pane that is visible."""
    return app.pane.NAME if app.pane is not None else ""


def toasts(app: LabApp) -> list[str]:
    return [one.message for one in app._notifications]


async def opened(app: LabApp, pilot: Pilot[int], name: str = "tasks") -> None:
    await wait_until(pilot, lambda: shown(app) == name and app.current is not None)
    await pilot.pause()


async def test_the_screen_opens_on_a_lab_and_shows_how_it_stands(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.current == "small")
        found = app.snapshot.experiment("small")
        assert found is not None
        assert (found.planned, found.counts["done"], found.counts["failed"]) == (8, 6, 2)
        await wait_until(pilot, lambda: "100%" in text(app.query_one(Runs)))
        assert "✓ 6 done  ✗ 2 failed" in text(app.query_one(Runs))
        assert "small" in text(app.query_one(LabLine))
        await wait_until(pilot, lambda: "no engine" in text(app.query_one(LabLine)))


async def test_a_message_that_could_be_read_goes_with_the_next_key(
    small_lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        app.tell("small has ended: 8 done")
        await pilot.pause()
        await pilot.press("j")
        assert "small has ended: 8 done" in toasts(app)  # too early
        monkeypatch.setitem(READING, "information", 0.0)
        app.clear_notifications()
        app._messages._read_by = None
        app.tell("small has ended: 8 done")
        await pilot.pause()
        assert "small has ended: 8 done" in toasts(app)
        await pilot.press("j")
        assert not toasts(app)
        app.tell("no such file", "error")
        app.tell("copied")
        await pilot.pause()
        await pilot.press("j")
        assert "no such file" in toasts(app)  # a mistake is not typed away


@pytest.mark.parametrize(
    ("width", "panes"),
    [
        (120, " 0 Now  1 Experiment  2 Nodes  3 Tasks  4 Results  5 Query  6 Chart  7 History "),
        (70, " 0 Now  1 Expe  2 Node  3 Tasks  4 Resu  5 Quer  6 Char  7 Hist "),
        (40, " 0  1  2  3 Tasks  4  5  6  7 "),
    ],
)
async def test_all_panes_are_in_sight_however_narrow(small_lab: Path, width: int, panes: str) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(width, 12)) as pilot:
        await opened(app, pilot)
        assert text(app.query_one(Tabs)) == panes
        assert "? Help" in text(app.query_one(Keys)) and "/ Filter" in text(app.query_one(Keys))


async def test_numbers_open_the_panes(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        for number, name in enumerate(panes.NAMES):
            await pilot.press(f"alt+{number}")
            await wait_until(pilot, lambda: shown(app) == name)
            assert app.saved_state.of_lab("pane") == name


async def test_keys_may_be_pressed_before_the_first_pane_is_there(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        for _ in range(3):
            app.simulate_key("alt+3")
            app.simulate_key("alt+4")
            await asyncio.sleep(0)
        app.simulate_key("alt+3")
        await wait_until(pilot, lambda: len(app.query("ResultsPane")) == 1)
        await wait_until(pilot, lambda: shown(app) == "tasks" and app.focused is not None and app.focused.id == "tasks")
        assert len(app.query("TasksPane")) == len(app.query("ResultsPane")) == 1


async def test_in_a_text_field_letters_are_text_and_escape_leaves_it(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        await pilot.press("alt+5")
        await wait_until(pilot, lambda: app.focused is not None and app.focused.check_consume_key("x", "x"))
        await pilot.press("6", "q", "question_mark")
        assert app.pane is not None and app.pane.NAME == "query" and app.is_running
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.focused is not None and not app.focused.check_consume_key("x", "x"))
        await pilot.press("6")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "chart")


async def test_every_key_of_a_pane_is_its_own() -> None:
    """No key means two things in a pane, unless one of both acts at a time; none hides a key of the whole screen."""
    everywhere = {key: one for one in registry()["app"] for key in one.keys.split(",")}
    for name, actions in registry().items():
        if name != "app":
            keys = [key.strip() for one in actions for key in one.keys.split(",")]
            chooses = "check_action" in vars(panes.load(name))
            assert chooses or len(keys) == len(set(keys)), name
            assert not (set(keys) & set(everywhere)) - {"escape"}, name
        for one in actions:
            assert one.owner == name
            assert one.help.endswith(".") and one.label
            assert not {"ctrl+m", "ctrl+h", "ctrl+i"} & set(one.keys.split(","))


async def test_help_says_what_the_pane_is_for_and_its_keys_as_they_are_set(small_lab: Path) -> None:
    app = LabApp(small_lab, config=Config(keys={"nodes.drain": "f7"}))
    async with app.run_test(size=(100, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("2")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "nodes")
        await pilot.press("question_mark")
        await wait_until(pilot, lambda: isinstance(app.screen, Help))
        assert isinstance(app.screen, Help)
        rows = {what: key for _, rows in app.screen.groups for key, what in rows}
        assert rows["Give the node no more tasks; running ones may finish."] == "f7"
        assert rows["Leave the screen. The run goes on."] == "q"
        await pilot.press("3")  # nothing moves behind it
        assert app.pane is not None and app.pane.NAME == "nodes"
        await pilot.press("escape")
        await wait_until(pilot, lambda: not isinstance(app.screen, Help))


async def test_keys_of_one_s_own_act_and_unknown_ones_are_told(small_lab: Path) -> None:
    app = LabApp(small_lab, config=Config(keys={"app.theme": "f7", "tasks.rety": "R", "tasks.filter": "ctrl+f"}))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await opened(app, pilot)
        assert app.theme == "lab-dark"
        await pilot.press("f7")
        assert app.theme == "lab-light"
        assert app.key("app.theme") == "f7" and app.query_one("#task-filter", Input).placeholder.startswith("^f filter")
        assert (app.key("experiment.metrics"), app.key("experiment.metrics", in_text=True)) == ("m", "alt+m")
        await wait_until(pilot, lambda: any('did you mean "tasks.retry"?' in one for one in toasts(app)))


async def test_the_palette_runs_an_action_of_another_pane(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("ctrl+p")
        await wait_until(pilot, lambda: app.screen.query(OptionList))
        await pilot.press(*"theme", "space", *"lab", "minus", *"light")
        options = app.screen.query_one(OptionList)
        await wait_until(pilot, lambda: options.option_count == 1)
        await pilot.press("enter")
        await wait_until(pilot, lambda: app.theme == "lab-light")


async def test_another_experiment_is_chosen_and_remembered(own_lab: Workbench) -> None:
    file = own_lab.write("other.yaml", "name: other\ncommand: 'true'\n")
    own_lab("--run", file)
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        assert app.current == "other"
        await pilot.press("E")
        await wait_until(pilot, lambda: isinstance(app.screen, Choose))
        await pilot.press("j", "enter")
        await wait_until(pilot, lambda: app.current == "small")
    again = LabApp(own_lab.lab_path)
    async with again.run_test(size=(80, 24)) as pilot:
        await opened(again, pilot)
        assert again.current == "small"
    named = LabApp(own_lab.lab_path, file=Path(file), place=(2, 3))
    async with named.run_test(size=(80, 24)) as pilot:
        await opened(named, pilot, "experiment")
        assert named.current == "other", "that of the file that is opened"
        editor = named.query_one(Editor)
        await wait_until(pilot, lambda: editor.cursor_location == (1, 2))


async def test_a_run_from_elsewhere_is_seen_and_its_end_told(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(app, pilot)
        file = own_lab.write(
            "later.yaml", f"name: later\ncommand: until [ -e {own_lab.folder}/go ]; do sleep 0.05; done; exit {{x}}\n"
            "parameters: {x: [0, 3]}\n",
        )  # fmt: skip
        run = own_lab.start("--run", file, "--node", "localhost", 2)
        one = await wait_until(pilot, lambda: app.snapshot.experiment("later"))
        assert one is not None
        await wait_until(pilot, lambda: app.snapshot.experiment("later").counts["running"] == 2)  # type: ignore[union-attr]
        assert app.current == "small"  # what someone looks at does not change under their eyes
        await wait_until(pilot, lambda: "going" in text(app.query_one(LabLine)))
        (own_lab.folder / "go").touch()
        await wait_until(pilot, lambda: any("later: the first failure" in message for message in toasts(app)))
        await wait_until(pilot, lambda: "later has ended: 1 done, 1 failed" in toasts(app))
    until(lambda: run.poll() is not None)


@pytest.mark.fault
async def test_a_dead_engine_is_told_and_another_goes_on(own_lab: Workbench) -> None:
    file = own_lab.write(
        "long.yaml", f"name: long\ncommand: until [ -e {own_lab.folder}/go ]; do sleep 0.05; done\n"
        "parameters: {x: [1, 2, 3]}\n",
    )  # fmt: skip
    own_lab("--run", file, "--node", "localhost", 1, "--detach")
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.snapshot.engine is not None and app.snapshot.engine.active == ("long",))
        pid = until(own_lab.engine_pid)
        os.kill(pid, signal.SIGKILL)
        await wait_until(pilot, lambda: app.snapshot.died)
        await wait_until(pilot, lambda: "f6 starts" in text(app.query_one(Notice)))
        await pilot.press("f6")
        await wait_until(pilot, lambda: app.snapshot.engine is not None and not app.snapshot.died)
        (own_lab.folder / "go").touch()
        one = await wait_until(pilot, lambda: (e := app.snapshot.experiment("long")) and e.ended and e)
        assert one.counts["done"] == 3
        assert not app.query_one(Notice).has_class("shown")


async def test_leaving_stops_nothing(own_lab: Workbench) -> None:
    file = own_lab.write(
        "long.yaml", f"name: long\ncommand: until [ -e {own_lab.folder}/go ]; do sleep 0.05; done\n"
    )  # fmt: skip
    own_lab("--run", file, "--detach")
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.snapshot.engine is not None and app.pane is not None)
        await pilot.press("q")
    assert app.return_code == 0
    pid = own_lab.engine_pid()
    assert pid is not None and alive(pid)
    (own_lab.folder / "go").touch()
    until(lambda: own_lab.experiment("long").state().counts_by_name()["done"] == 1)


async def test_a_lab_that_can_t_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "lab.json").write_text('{"format": 99, "id": "x"}')
    app = LabApp(tmp_path / "lab")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: "made by a newer tui-lab" in text(app.query_one(Notice)))


async def test_a_picture_of_the_screen_is_written_into_the_lab(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("f12")
        found = await wait_until(pilot, lambda: list(own_lab.lab_path.glob("*.svg")))
        assert "small" in found[0].read_text()


async def test_the_keys_below_fit_and_say_where_the_rest_is(small_lab: Path) -> None:
    for width in (80, 120, 300):
        app = LabApp(small_lab)
        async with app.run_test(size=(width, 24)) as pilot:
            await opened(app, pilot)
            shown = text(app.query_one(Keys))
            assert len(shown) == width - 2
            assert shown.rstrip().endswith("? Help  ^p Commands  q Leave")


@pytest.mark.parametrize("content", ["", "[]", '{"labs": 3, "theme": []}', "\x00\xff"])
def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path, content: str) -> None:
    file = state_folder() / "screen.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    found = SavedState(file, tmp_path)
    assert found.of_lab("pane") is None
    assert found.get("theme", "lab-dark") == "lab-dark"
    found.put_of_lab("pane", "nodes")
    found.put("split", 40)
    found.write()
    again = SavedState(file, tmp_path)
    assert (again.of_lab("pane"), again.get("split", 50)) == ("nodes", 40)
    assert json.loads(file.read_text())["labs"] == {str(tmp_path): {"pane": "nodes"}}


@pytest.mark.slow
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (300, 100)])
async def test_every_pane_fits_every_size(small_lab: Path, size: tuple[int, int]) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot)
        for number, name in enumerate(panes.NAMES):
            await pilot.press(f"alt+{number}")
            await wait_until(pilot, lambda: shown(app) == name)
            assert app.pane is not None
            assert app.pane.region.height == size[1] - 4 and app.pane.region.width == size[0]
            assert app.screen.max_scroll_y == 0


async def test_the_footer_has_the_keys_that_act_in_a_text(own_lab: Workbench) -> None:
    app = LabApp(own_lab.lab_path, file=own_lab.folder / "small.yaml")
    async with app.run_test(size=(120, 30)) as pilot:
        await wait_until(pilot, lambda: shown(app) == "experiment" and app.focused is not None)
        assert "esc Leave text" not in text(app.query_one(Keys))
        await pilot.press("i")
        await wait_until(pilot, lambda: "esc Leave text" in text(app.query_one(Keys)))
        assert "^r Run" in text(app.query_one(Keys)) and "^s Save" in text(app.query_one(Keys))
        await pilot.press("escape")
        await wait_until(pilot, lambda: "esc Leave text" not in text(app.query_one(Keys)))


async def test_a_colon_opens_the_commands_outside_of_texts(small_lab: Path) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("ctrl+l", "slash", "colon", "escape")
        assert app.query_one("#task-filter", Input).value == ":" and len(app.screen_stack) == 1
        await pilot.press("colon")
        await wait_until(pilot, lambda: len(app.screen_stack) == 2)


async def test_what_was_stopped_is_not_counted_as_ended(workbench: Workbench) -> None:
    """The share and the bar beside it say the same."""
    file = workbench.write("e.yaml", "command: test {x} = 1 || sleep 60\nparameters: {x: {range: [1, 40]}}\n")
    workbench("--run", file, "--detach", "--node", "localhost", 1)
    until(lambda: [task["state"] for task in workbench.tasks()].count("done") == 1)
    workbench("stop", "e", code=None)
    until(lambda: [task["state"] for task in workbench.tasks()].count("stopped") == 38)
    app = LabApp(workbench.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: app.current == "e" and "%" in text(app.query_one(Runs)))
        line = text(app.query_one(Runs))
        assert " 2%" in line and line.count("━") <= 2 and "■ 38" in line


async def test_the_way_out_of_every_text_stands_below(small_workbench: Workbench) -> None:
    app = LabApp(small_workbench.lab_path, file=small_workbench.folder / "small.yaml")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: shown(app) == "experiment" and app.current is not None)
        await wait_until(pilot, lambda: text(app.query_one(Keys)).startswith("i Edit"))
        for keys in (("i",), ("alt+3", "slash"), ("alt+3", "enter", "slash"), ("alt+5",)):
            await pilot.press(*keys)
            await wait_until(pilot, lambda: "esc Leave text" in text(app.query_one(Keys)))
            await pilot.press("escape")


async def test_focus_that_comes_while_a_pane_goes(small_lab: Path) -> None:
    """At the end of the screen, what is removed gives the focus to what is left."""
    app = LabApp(small_lab)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(app, pilot)
        app.show_pane("chart")
        chart = await wait_until(pilot, lambda: app.query_one(ChartPane))
        app.show_pane("tasks")
        await opened(app, pilot)
        await app.query_one(TasksPane).remove_children()
        chart.post_message(DescendantFocus(chart))
        await pilot.pause()
    assert app.return_code in (0, None)


def test_what_a_pane_lacks_while_the_screen_ends_is_no_error(tmp_path: Path) -> None:
    app = LabApp(tmp_path / "lab")  # it does not run, as when it ends
    app._handle_exception(NoMatches("a pane is mounted without its table"))
    assert app.return_code is None
