"""The Experiment pane: what is wrong, what a run would do, what a pattern finds, and the launch."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from textual import events
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Checkbox, Input, OptionList, Static

from tests.tui.conftest import wait_until
from tests.workbench import Workbench, searching, until
from tui_lab.client.errors import UsageError
from tui_lab.experiment.cluster.entry import NodeEntry
from tui_lab.experiment.load import load
from tui_lab.results.extraction import slow_search
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base.config import state_folder
from tui_lab.tui.base.templates import TEMPLATES
from tui_lab.tui.panes.experiment import trial
from tui_lab.tui.panes.experiment.launch import LaunchDialog, nodes_of, nodes_words, slots_of
from tui_lab.tui.panes.experiment.launcher import Launcher
from tui_lab.tui.panes.experiment.offers import OffersScreen
from tui_lab.tui.panes.experiment.pane import ExperimentPane
from tui_lab.tui.panes.experiment.plan import PlanView
from tui_lab.tui.panes.experiment.tester import PatternTester, columns_line, output_line
from tui_lab.tui.panes.experiment.trial import Asked, Line, Outputs, Trial, asked_at, try_out
from tui_lab.tui.widgets.dialogs import Confirm
from tui_lab.tui.widgets.menu import Menu
from tui_lab.tui.widgets.open_dialog import NewDialog, OpenDialog, entries
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.table.table import FrameTable

Change = Callable[[str], str]


def pane_of(app: LabApp) -> ExperimentPane:
    return app.query_one(ExperimentPane)


def shown(app: LabApp, selector: str) -> str:
    return str(app.screen.query_one(selector, Static).render())


def titled(app: LabApp, selector: str) -> str:
    return app.screen.query_one(selector, Panel).title


async def opened(pilot: Pilot[Any], app: LabApp) -> ExperimentPane:
    """The pane with its file, planned."""
    await wait_until(pilot, lambda: pane_of(app).side.file is not None and pane_of(app)._planned is not None)
    return pane_of(app)


async def rewrite(pilot: Pilot[Any], app: LabApp, change: Change) -> ExperimentPane:
    pane = await opened(pilot, app)
    pane.side.replace_text(change(pane.side.text))
    return pane


def small(own_lab: Workbench) -> LabApp:
    return LabApp(own_lab.lab_path, file=own_lab.folder / "small.yaml")


async def test_the_plan_says_what_would_run(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        await rewrite(pilot, app, lambda text: text.replace("repeat: 2", "repeat: 3"))
        text = await wait_until(
            pilot, lambda: "12 tasks" in shown(app, "#forecast-text") and shown(app, "#forecast-text")
        )
        assert "6 tasks to run, about" in text  # four new ones, and two that failed
        assert "4 combinations × 3 repeats = 12 tasks" in text
        assert "+ 4 new" in text and "✓ 6 done" in text and "✗ 2 failed" in text
        assert 'echo "loss: 0.3' in text  # as they would run
        assert "● unsaved" in titled(app, "#text")


async def test_why_tasks_would_run_again(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        await rewrite(pilot, app, lambda text: text.replace("to stderr", "to standard error"))
        await wait_until(pilot, lambda: "again: command changed" in shown(app, "#forecast-text"))


async def test_problems_stand_at_their_lines_and_in_a_list(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await rewrite(
            pilot, app, lambda text: text.replace("repeat:", "repeats:").replace("goal: max", "goal: maxx")
        )
        await wait_until(pilot, lambda: len(pane.side.editor.marks) == 2)
        first, second = pane.side.editor.marks
        lines = pane.side.text.split("\n")
        assert lines[first.line].startswith("repeats:") and 'did you mean "repeat"' in first.text
        assert "goal: maxx" in lines[second.line]
        assert titled(app, "#plan-panel") == "2 problems: nothing runs"
        listing = pane.query_one(PlanView).listing
        assert listing.option_count == 2
        drawn = "\n".join(strip.text for strip in pane.side.editor.render_lines(pane.side.editor.size.region))
        assert "✗" in drawn and "there is no key" in drawn
        await pilot.press("f8")
        assert pane.side.editor.cursor_location == (first.line, first.column)
        assert "there is no key" in shown(app, "#said")
        await pilot.press("ctrl+n")
        assert pane.side.editor.cursor_location[0] == second.line
        listing.focus()
        await pilot.press("home", "enter")
        await wait_until(pilot, lambda: pane.side.editor.cursor_location[0] == first.line)
        assert pane.side.editor.has_focus
        await pilot.press("escape", "r")  # nothing runs from a file with an error
        await pilot.pause()
        assert app.screen is app.screen_stack[0]
        await pilot.press("i", "f7", "f7", "end", "space", "#")  # both, though they are not marked again yet
        await wait_until(pilot, lambda: not pane.side.editor.marks)
        assert "\nrepeat: 2 #\n" in pane.side.text and "goal: max}\n" in pane.side.text
        await pilot.press("ctrl+z", "ctrl+z")
        assert "repeats: 2\n" in pane.side.text


async def test_letters_belong_to_the_text_until_it_is_left(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(pilot, app)
        await pilot.press("i")
        pane.side.editor.move_cursor(pane.side.editor.document.end)
        await pilot.press(*"more:", "enter", *"q")
        assert pane.side.text.endswith("more:\n  q")
        await pilot.press("escape")
        assert not pane.side.editor.has_focus
        assert pane.unsaved == "small.yaml"


def on_metric(name: str) -> Callable[[ExperimentPane], None]:
    def go(pane: ExperimentPane) -> None:
        line = next(i for i, text in enumerate(pane.side.text.split("\n")) if text.startswith(f"  {name}:"))
        pane.side.editor.go_to(line, 4)

    return go


def trial_of(app: LabApp) -> Trial | None:
    return app.query_one(PatternTester).trial


@pytest.mark.slow
async def test_the_pattern_under_the_cursor_is_tried_on_a_real_output(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app)
        on_metric("score")(pane)
        trial = await wait_until(pilot, lambda: trial_of(app))
        assert trial.found and trial.value in (1.5, 3.5) and trial.outputs == 6
        line = trial.lines[trial.focus]
        assert line.text[slice(*trial.value_span)] == str(trial.value)
        task = trial.task
        assert f"task {task[0]}" in shown(app, "#tester")
        pane.focus()
        await pilot.press("right_square_bracket")
        await wait_until(pilot, lambda: (now := trial_of(app)) is not None and now.task != task)
        pane.side.replace_text(pane.side.text.replace("score: (@float@)", "scor: (@float@)"))
        on_metric("score")(pane)
        trial = await wait_until(pilot, lambda: (found := trial_of(app)) and not found.found and found)
        assert "nearest line" in trial.hint and "score: " in trial.lines[trial.focus].text
        pane.side.replace_text(pane.side.text.replace("'scor: (@float@)'", "'score:(@float@)'"))
        on_metric("score")(pane)
        trial = await wait_until(pilot, lambda: (found := trial_of(app)) and "spaces differ" in found.hint and found)
        assert "score: " in trial.lines[trial.focus].text
        pane.side.replace_text(pane.side.text.replace("'score:(@float@)'", "'((l|o)+)+$'"))
        on_metric("score")(pane)
        await wait_until(
            pilot, lambda: (found := trial_of(app)) and "(l|o)" in (found.asked.metric.source.search or "")
        )


def test_a_pattern_is_explained_also_on_a_busy_machine(
    own_lab: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The helper that searches takes long to start: that is no time of the pattern.
    (tmp_path / "slow").mkdir()
    (tmp_path / "slow" / "sitecustomize.py").write_text(f"import time\ntime.sleep({2 * trial.QUICK})\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "slow"))
    monkeypatch.setattr(slow_search, "_HELPERS", slow_search._Helpers())
    file = own_lab.folder / "small.yaml"
    text = file.read_text().replace("'score: (@float@)'", "'score:(@float@)'")
    line = next(i for i, one in enumerate(text.splitlines()) if one.startswith("  score:"))
    asked = asked_at(file, text, line)
    assert isinstance(asked, Asked)
    tried = try_out(own_lab.lab, asked, Outputs())
    assert not tried.found and "spaces differ" in tried.hint


@pytest.mark.parametrize(
    ("rows", "matches", "columns", "marked"),
    [
        ("{pattern: 'epoch (?P<epoch>@int@) loss (?P<loss>@float@)?'}", 3, ["epoch int 3", "loss float 2 of 3"], 3),
        ("{pattern: 'epoch (?P<epoch>@int@).*\\nloss: (?P<loss>@float@)'}", 2, ["epoch int 2", "loss float 2"], 4),
        ("{each: '^epoch'}", 3, ["score float 1 of 3", "loss float 2 of 3"], 3),
        ("{csv: t.csv}", 2, ["a 2", "b 1 of 2"], 0),
        ("{pattern: '(?P<no>nothing)'}", 0, [], 0),
    ],
)
async def test_rows_are_tried_on_a_real_output(
    own_lab: Workbench, rows: str, matches: int, columns: list[str], marked: int
) -> None:
    output = "hi\nepoch 1 loss 0.5\nloss: 0.5\nepoch 2 loss 0.25\nloss: 0.25\nepoch 3 loss \nscore: 1\n"
    for task in range(8):
        folder = own_lab.experiment("small").task_folder(task)
        (folder / "stdout").write_text(output)
        (folder / "t.csv").write_text("a,b\n1,2\n3,\n")
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await rewrite(pilot, app, lambda text: f"{text}rows: {rows}\n")
        pane.side.editor.go_to(pane.side.text.splitlines().index(f"rows: {rows}"), 0)
        trial = await wait_until(pilot, lambda: trial_of(app))
        assert trial.asked.name == "rows" and trial.matches == matches
        assert [" ".join(str(columns_line(replace(trial, columns=(one,)))).split()) for one in trial.columns] == (
            columns if matches else ["no text 0"]
        )
        assert sum(len(line.spans) for line in trial.lines) == marked
        assert ("✓ 3 rows" if matches == 3 else "✓ 2 rows" if matches else "nothing matches") in shown(app, "#tester")


@pytest.mark.parametrize("before", [0, 1, 20, 50_000])
@pytest.mark.parametrize("after", [0, 1, 20, 50_000])
def test_of_a_long_line_the_part_is_shown_that_counts(before: int, after: int) -> None:
    text = "é" * before + "score: 12.5" + "z" * after
    span = (before + 7, before + 11)
    line = Line(0, text, ((before, before + 11),))
    shown = str(output_line(line, 1, 40, span, True))
    assert len(shown) <= 40 and "12.5" in shown
    assert ("…" in shown) == (len(text) > 37)
    cut = shown[3:].strip("…")
    assert cut in text and (len(text) <= 37 or len(shown) == 40)


@pytest.mark.slow
async def test_a_pattern_that_never_ends_is_ended(own_lab: Workbench) -> None:
    (own_lab.experiment("small").task_folder(0) / "stdout").write_text("a" * 40 + "!\n")
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await rewrite(pilot, app, lambda text: text.replace("'score: (@float@)'", "'(a+)+$'"))
        on_metric("score")(pane)
        for _ in range(12):
            trial = await wait_until(pilot, lambda: trial_of(app))
            if trial.task[0] == 0 and trial.asked.metric.source.search == "(a+)+$":
                break
            pane.focus()
            await pilot.press("right_square_bracket")
            await wait_until(pilot, lambda: (now := trial_of(app)) is not None and now.asked.which == pane.tester.which)
        assert "takes more than" in trial.message


@pytest.mark.slow
async def test_keys_act_while_a_pattern_never_ends(own_lab: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "PATIENCE", 100_000.0)
    for folder in own_lab.lab_path.glob("small/tasks/*/*"):
        (folder / "stdout").write_text("a" * 60 + "!\n")
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await rewrite(pilot, app, lambda text: text.replace("'score: (@float@)'", "'(a+)+$'"))
        on_metric("score")(pane)
        helpers = await wait_until(pilot, lambda: searching(os.getpid()))
        try:
            pane.side.editor.focus()
            await pilot.press("end", "x", "escape", "question_mark", "escape", "4")
            await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "results")
            assert "x" in pane.side.text.splitlines()[pane.side.editor.cursor_location[0]]
            assert set(helpers) <= set(searching(os.getpid()))
        finally:
            monkeypatch.undo()  # what is asked from now on ends by itself
            quiet = 0
            while quiet < 3:  # another one is tried where one ends
                going = searching(os.getpid(), 0.0)
                for helper in going:
                    os.kill(helper, signal.SIGKILL)
                quiet = 0 if going else quiet + 1
                await pilot.pause(0.5)


@pytest.mark.slow
async def test_saving_keeps_comments_and_asks_before_it_writes_over(own_lab: Workbench) -> None:
    path = own_lab.folder / "small.yaml"
    path.write_text("# first\n" + path.read_text() + "# last\n")
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await rewrite(pilot, app, lambda text: text.replace("repeat: 2", "repeat: 3"))
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: not pane.unsaved)
        saved = path.read_text()
        assert saved.startswith("# first\n") and saved.endswith("# last\n") and "repeat: 3" in saved
        pane.side.replace_text(saved.replace("repeat: 3", "repeat: 4"))
        path.write_text(saved + "# someone else\n")
        pane.side.check_disk()
        await wait_until(pilot, lambda: "changed on disk" in titled(app, "#text"))
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("n")
        await wait_until(pilot, lambda: app.screen is app.screen_stack[0])
        assert path.read_text().endswith("# someone else\n") and pane.unsaved
        await pilot.press("f9")
        await wait_until(pilot, lambda: isinstance(app.screen, Confirm))
        await pilot.press("y")
        await wait_until(pilot, lambda: pane.side.text.endswith("# someone else\n"))
        path.write_text("# read at once\n" + saved)
        pane.side.check_disk()
        await wait_until(pilot, lambda: pane.side.text.startswith("# read at once"))
        assert not pane.unsaved


async def test_what_was_not_saved_is_offered_again(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await rewrite(pilot, app, lambda text: text + "# precious\n")
        await pilot.pause()
    again = small(own_lab)
    async with again.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: isinstance(again.screen, Confirm))
        await pilot.press("y")
        await wait_until(pilot, lambda: pane_of(again).side.text.endswith("# precious\n"))
        assert pane_of(again).unsaved


async def test_what_can_not_be_kept_aside_is_said_before_leaving(own_lab: Workbench) -> None:
    """A full disk, or as here no folder for it."""
    state_folder().parent.mkdir(parents=True, exist_ok=True)
    state_folder().write_text("a file in its place")
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await rewrite(pilot, app, lambda text: text + "# precious\n")
        await pilot.press("escape", "q")
        await wait_until(pilot, lambda: isinstance(app.screen, Confirm))
        said = " ".join(str(app.screen.query(Static).first().render()).split())
        assert said.startswith("small.yaml is not saved, and can't be kept (")
        assert "leaving loses what was changed" in said
        await pilot.press("n")
        await wait_until(pilot, lambda: len(app.screen_stack) == 1)
        assert pane_of(app).unsaved


async def test_your_own_editor(own_lab: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    script = own_lab.write("editor.sh", "#!/bin/sh\necho '# by hand' >>\"$1\"\n")
    script.chmod(0o755)
    monkeypatch.setenv("VISUAL", f"sh '{script}'")
    app = small(own_lab)
    from contextlib import nullcontext

    monkeypatch.setattr(app, "suspend", nullcontext)  # a headless screen has nothing to lend
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(pilot, app)
        await pilot.press("i", "ctrl+e")
        await wait_until(pilot, lambda: pane.side.text.endswith("# by hand\n"))
        assert not pane.unsaved


async def test_words_are_completed_and_keys_explained(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(pilot, app)
        editor, panel = pane.side.editor, pane.side
        await pilot.press("i")
        editor.move_cursor(editor.document.end)
        await pilot.press(*"ord", "tab", *"shuf", "down", "enter")  # the list came by itself
        assert pane.side.text.endswith("\norder: shuffled-rounds")
        assert panel.subtitle.startswith("order: ")
        await pilot.press("enter", *"env: {A: '{ki", "tab", *"}'}")
        assert pane.side.text.endswith("\nenv: {A: '{kind}'}")
        await pilot.press("enter", *"re", "escape")  # from the list, then from the text
        assert editor.has_focus
        await pilot.press("escape")
        assert pane.side.text.endswith("\nre") and not editor.has_focus


async def test_what_tasks_print_becomes_a_metric(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(pilot, app)
        before = pane.side.text
        await pilot.press("m")
        await wait_until(pilot, lambda: "no other number" in str([one.message for one in app._notifications]))
        pane = await rewrite(pilot, app, lambda text: text.replace("  loss: 'loss: (@float@)'\n", ""))
        outputs = pane.outputs
        assert not outputs.is_on_screen and outputs.shown.about is None  # nothing is read for a panel that is not seen
        await pilot.press("vertical_line")
        await wait_until(pilot, lambda: [one.name for one in outputs.shown.offered.offers] == ["loss"])
        line = outputs.shown.lines[outputs.shown.places[0][-1].line]
        assert re.fullmatch(r"loss: [0-9.]+", line) and line in str(outputs.query_one(Static).render())
        outputs.query_one(Menu).focus()
        await pilot.press("enter")
        offers = await wait_until(pilot, lambda: isinstance(app.screen, OffersScreen) and app.screen)
        assert str(offers.box.border_title) == "Which values of loss are better?"
        await pilot.press("escape", "escape")
        pane.focus()
        await pilot.press("m", "enter", "escape")
        offers = await wait_until(pilot, lambda: isinstance(app.screen, OffersScreen) and app.screen)
        assert "Metrics in the outputs of 3 tasks" in str(offers.box.border_title)
        await pilot.press("enter")
        assert str(offers.box.border_title) == "Which values of loss are better?"
        assert "makes loss: {pattern: '\\bloss: *(@float@)', goal: min}" in shown(app, "OffersScreen Static")
        await pilot.press("end", "enter")
        await wait_until(pilot, lambda: pane.side.text.endswith("\n  loss: '\\bloss: *(@float@)'\n"))
        assert pane.side.editor.cursor_location[0] == pane.side.text.count("\n") - 1  # what it finds is shown
        await pilot.press("i", "ctrl+z", "ctrl+z")
        assert pane.side.text == before
        await pilot.press("escape")
        pane = await rewrite(pilot, app, lambda text: text[: text.index("metrics:")])
        pane.focus()
        await pilot.press("m", "space", "space", "space", "space", "enter")  # in one go
        await wait_until(pilot, lambda: len(re.findall(r"^  (?:loss|score): .*@", pane.side.text, re.MULTILINE)) == 2)
        assert not isinstance(app.screen, OffersScreen)


async def test_metrics_are_offered_after_the_first_task(own_lab: Workbench) -> None:
    path = own_lab.write("bare.yaml", "command: 'echo \"acc: 0.{x}\"'\nparameters: {x: [1, 2]}\n")
    app = LabApp(own_lab.lab_path, file=path)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot, app)
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: isinstance(app.screen, LaunchDialog))
        await pilot.press("enter")
        said = "tasks of bare print acc: m in the Experiment pane makes metrics of them"
        await wait_until(pilot, lambda: said in [one.message for one in app._notifications])


async def test_a_launch_asks_once_and_runs(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await rewrite(pilot, app, lambda text: text.replace("repeat: 2", "repeat: 3"))
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: isinstance(app.screen, LaunchDialog))
        await wait_until(pilot, lambda: "localhost (2 slots)" in shown(app, "#question"))
        assert shown(app, "#question").startswith("Run 6 tasks of small on localhost (2 slots)?")
        app.screen.query_one("#nodes", Input).value = "localhost 0"
        await wait_until(pilot, lambda: app.screen.query_one("#yes").disabled)
        app.screen.query_one("#nodes", Input).value = "localhost 1"
        app.screen.query_one("#new", Checkbox).toggle()
        await wait_until(pilot, lambda: "Run 4 tasks of small on localhost (1 slot)?" in shown(app, "#question"))
        await pilot.press("ctrl+j")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "tasks")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.query(FrameTable))  # else it is being made
        until(lambda: len(own_lab.events("submitted", "small")) == 2)
        assert "repeat: 3" in (own_lab.folder / "small.yaml").read_text()
        until(lambda: sum(task["state"] == "done" for task in own_lab.tasks("small")) >= 9)
    event = own_lab.events("submitted", "small")[-1]
    assert event["nodes"][0]["slots"] == 1 and event["queued"]


async def test_a_launch_does_not_take_the_user_back(own_lab: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted, gone = asyncio.Event(), asyncio.Event()
    submit = Launcher.submit

    async def slow(self: Launcher, *words: Any) -> str | None:
        submitted.set()
        await gone.wait()
        return await submit(self, *words)

    monkeypatch.setattr(Launcher, "submit", slow)
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await rewrite(pilot, app, lambda text: text.replace("repeat: 2", "repeat: 3"))
        await pilot.press("ctrl+r")
        await wait_until(pilot, lambda: isinstance(app.screen, LaunchDialog) and "Run 6" in shown(app, "#question"))
        await pilot.press("ctrl+j")
        await submitted.wait()
        await pilot.press("alt+5")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "query")
        gone.set()
        launched = [worker for worker in app.workers if worker.group == "experiment-ask"]
        await app.workers.wait_for_complete(launched)
        await pilot.pause()
        assert app.pane is not None and app.pane.NAME == "query"
        until(lambda: len(own_lab.events("submitted", "small")) == 2)


@pytest.mark.slow
async def test_the_question_counts_what_is_chosen(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        await rewrite(pilot, app, lambda text: text.replace("to stderr", "to  stderr"))  # an edit of its looks
        await pilot.press("ctrl+r")
        await wait_until(
            pilot, lambda: isinstance(app.screen, LaunchDialog) and "Run 8 tasks" in shown(app, "#question")
        )
        app.screen.query_one("#adopt", Checkbox).toggle()
        await wait_until(pilot, lambda: "Run 2 tasks" in shown(app, "#question"))  # those that failed
        app.screen.query_one("#adopt", Checkbox).toggle()
        await wait_until(pilot, lambda: "Run 8 tasks" in shown(app, "#question"))
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is app.screen_stack[0])
        pane_of(app).side.reload()
        await wait_until(pilot, lambda: "2 tasks to run" in shown(app, "#forecast-text"))
        await pilot.press("ctrl+r")
        await wait_until(
            pilot, lambda: isinstance(app.screen, LaunchDialog) and "Run 2 tasks" in shown(app, "#question")
        )
        app.screen.query_one("#rerun", Checkbox).toggle()
        await wait_until(pilot, lambda: "Run 8 tasks" in shown(app, "#question"))
        await pilot.press("escape")
        await wait_until(pilot, lambda: app.screen is app.screen_stack[0])
    assert len(own_lab.events("submitted", "small")) == 1


async def test_a_new_experiment_from_a_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = LabApp(tmp_path / "lab")
    async with app.run_test(size=(80, 24)) as pilot:
        app.show_pane("experiment")
        await wait_until(pilot, lambda: pane_of(app).is_mounted and app.focused is pane_of(app))
        await pilot.press("n")
        await wait_until(pilot, lambda: isinstance(app.screen, NewDialog) and app.screen.query_one(Input).value)
        await pilot.press("enter")
        pane = await opened(pilot, app)
        assert pane.side.file is not None and pane.side.file.path == tmp_path / "experiment.yaml"
        assert pane.unsaved and "9 tasks to run" in shown(app, "#forecast-text")
        await pilot.press("ctrl+s")
        await wait_until(pilot, lambda: (tmp_path / "experiment.yaml").exists())


async def test_opening_another_file(own_lab: Workbench) -> None:
    other = own_lab.write("other.yaml", "command: echo {z}\nparameters: {z: [1, 2, 3]}\n")
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(pilot, app)
        await pilot.press("o")
        await wait_until(pilot, lambda: isinstance(app.screen, OpenDialog))
        await pilot.press(*"oth", "tab")
        assert app.screen.query_one(Input).value == "other.yaml"
        app.screen.query_one(Input).value = ""
        await wait_until(pilot, lambda: app.screen.query_one(OptionList).highlighted == 0)
        await pilot.press("enter")
        await wait_until(pilot, lambda: pane.side.file is not None and pane.side.file.path == other)
        await wait_until(pilot, lambda: "3 tasks to run" in shown(app, "#forecast-text"))


async def test_keys_wait_for_the_file_of_the_experiment(own_lab: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    may_find, find = threading.Event(), ExperimentFolder.file
    monkeypatch.setattr(ExperimentFolder, "file", lambda self: (may_find.wait(60), find(self))[1])
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        try:
            await pilot.press("alt+1")
            await wait_until(pilot, lambda: app.query_one(ExperimentPane).side.file is None)
            app.post_message(events.Key("ctrl+r", None))
            await pilot.pause()
        finally:
            may_find.set()
        await wait_until(pilot, lambda: isinstance(app.screen, LaunchDialog))


async def test_a_text_typed_while_another_file_is_looked_for_stays(
    own_lab: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = own_lab.write("other.yaml", "command: echo {z}\nparameters: {z: [1, 2, 3]}\n")
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(pilot, app)
        typed = threading.Event()

        def found(*_: object) -> Path:
            typed.wait(60)
            return other

        monkeypatch.setattr(ExperimentFolder, "file", found)
        looking = pane._open_experiment("small", pane.side.file)
        pane.side.editor.focus()
        await pilot.press("#", "x")
        assert pane.unsaved
        typed.set()
        await wait_until(pilot, lambda: looking.is_finished)
        assert pane.unsaved == "small.yaml" and pane.side.text.startswith("#x")
        told = "small.yaml is not saved: the file of small was not opened"
        assert told in [one.message for one in app._notifications]
        pane.side.give_up()
        await wait_until(pilot, lambda: not pane.unsaved)
        pane._open_experiment("small", pane.side.file)
        await wait_until(pilot, lambda: pane.side.file is not None and pane.side.file.path == other)


@pytest.mark.slow
async def test_a_narrow_window_shows_the_plan_or_the_pattern(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(80, 24)) as pilot:
        pane = await opened(pilot, app)
        plan, tester = pane.query_one("#plan-panel"), pane.query_one("#tester-panel")
        await wait_until(pilot, lambda: plan.display and not tester.display)
        on_metric("loss")(pane)
        await wait_until(pilot, lambda: tester.display and not plan.display)
        await pilot.press("f4")
        await wait_until(pilot, lambda: plan.display)


@pytest.mark.slow
async def test_a_huge_sweep_is_planned_when_it_is_asked_for(own_lab: Workbench) -> None:
    app = small(own_lab)
    async with app.run_test(size=(120, 40)) as pilot:
        await rewrite(pilot, app, lambda text: text.replace("x: [1, 3]", "x: {range: [0, 500_000]}".replace("_", "")))
        await wait_until(pilot, lambda: "1,000,000 combinations" in shown(app, "#forecast-text"))


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda one: one.file)
def test_templates_have_no_mistake(template: Any, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "input.nml").write_text("&run dt = {dt}, nu = {viscosity} /\n")
    experiment = load(tmp_path / template.file, template.text)
    assert experiment.notices == () and len(experiment.metrics) >= 1


def test_nodes_as_words() -> None:
    nodes = nodes_of("localhost 4 gpu")
    assert [(node["name"], node["slots"]) for node in nodes] == [("localhost", 4)]
    assert nodes_words(nodes) == "localhost 4 gpu"
    known: list[NodeEntry] = [
        {"name": "tower", "host": "192.0.2.9", "user": "ana", "slots": 16, "tags": ["x86"], "workdir": "~/exp"}
    ]
    assert nodes_of("tower 4, localhost", known) == [{**known[0], "slots": 4}, {**nodes[0], "slots": 0, "tags": []}]
    assert slots_of(known) == 16 and slots_of([{"name": "far", "host": "far", "slots": 0}]) is None
    with pytest.raises(UsageError, match="given twice"):
        nodes_of("tower, tower", known)


def test_paths_are_completed(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    for name in ("a.yaml", "run.yml", "run.txt", ".hidden.yaml"):
        (tmp_path / name).write_text("")
    assert entries("", tmp_path) == ["a.yaml", "run.yml", "runs/"]
    assert entries("run", tmp_path) == ["run.yml", "runs/", "run.txt"]
    assert entries("nowhere/", tmp_path) == []


@pytest.mark.parametrize(("key", "dialog"), [("ctrl+o", OpenDialog), ("f2", NewDialog)])
async def test_a_path_that_no_file_can_have_is_refused(own_lab: Workbench, key: str, dialog: type[Screen[Any]]) -> None:
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("alt+1")
        await wait_until(pilot, lambda: app.pane is not None and app.pane.NAME == "experiment")
        await pilot.press(key)
        await wait_until(pilot, lambda: isinstance(app.screen, dialog))
        for text in ("x" * 100_000, "y" * 300):
            field = app.screen.query_one(Input)
            field.value = text
            field.focus()
            await pilot.press("enter")
            await pilot.pause()
            assert isinstance(app.screen, dialog)
