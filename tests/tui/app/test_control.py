"""The keys that change what runs, from every pane: they say first what they do, and are undone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Static

from tests.tui.conftest import wait_until
from tests.workbench import Workbench
from tui_lab.store.events import Paused
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base import panes
from tui_lab.tui.base.snapshot import ExperimentSnapshot, SnapshotTaken
from tui_lab.tui.widgets import dialogs
from tui_lab.tui.widgets.dialogs import Ask, Decide

LONG = "command: 'while [ ! -e go ]; do sleep 0.02; done; echo {x}'\nparameters: {x: [1, 2, 3]}\n"


def said(app: LabApp) -> str:
    """All short messages on the screen."""
    return "\n".join(one.message for one in app._notifications)


@pytest.mark.slow
async def test_each_key_acts_from_every_pane_and_is_undone(own_lab: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    own_lab.write("long.yaml", LONG)
    own_lab.run("long.yaml", "--node", "localhost", "1", "--detach")
    monkeypatch.chdir(own_lab.folder)
    app = LabApp(own_lab.lab_path)

    def long() -> ExperimentSnapshot:
        found = app.snapshot.experiment("long")
        assert found is not None
        return found

    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.current == "long")
        await wait_until(pilot, lambda: long().counts["running"])
        for number, name in enumerate(panes.NAMES):
            await pilot.press(f"alt+{panes.digit(name)}", "escape", "P")
            if number % 2 == 0:
                await wait_until(pilot, lambda: long().paused is not None)
                assert "nothing more of long starts" in said(app)
            else:
                await wait_until(pilot, lambda: long().paused is None)
                assert "tasks left" in said(app)
        if long().paused is None:
            await pilot.press("P")
            await wait_until(pilot, lambda: long().paused)
        await pilot.press("U")
        await wait_until(pilot, lambda: not long().paused)
        assert "undo pause long: goes on" in said(app)

        def node() -> tuple[int | None, str | None]:
            assert app.snapshot.engine is not None
            return app.snapshot.engine.nodes[0].slots, app.snapshot.engine.nodes[0].state

        await pilot.press("greater_than_sign", "greater_than_sign", "less_than_sign")
        await wait_until(pilot, lambda: node() == (2, "up"))
        await pilot.press("U", "U", "D")  # 3 again, 2 again
        await wait_until(pilot, lambda: node() == (2, "drained"))
        assert "no other node takes tasks" in said(app)
        await pilot.press("U", "U")
        await wait_until(pilot, lambda: node() == (1, "up"))
        await pilot.press("O")
        await wait_until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("backspace", "7", "enter")
        await wait_until(pilot, lambda: "long gets priority 7, instead of 0" in said(app))
        await wait_until(pilot, lambda: own_lab.events("prioritized", "long"))

        await pilot.press("X", "n")  # in one go: the second key is for the question
        assert long().counts["stopped"] == 0
        await pilot.press("X", "y")
        await wait_until(pilot, lambda: long().ended)
        assert long().counts["stopped"] == 3
        await pilot.press("X")
        await wait_until(pilot, lambda: "nothing is running" in said(app))
        (own_lab.folder / "go").touch()
        await pilot.press("U")
        await wait_until(pilot, lambda: long().counts["done"] == 3)
        assert "runs 3 tasks again" in said(app)
        await pilot.press("P")
        await wait_until(pilot, lambda: "long: nothing is running or waits" in said(app))


async def test_the_question_names_what_is_lost_and_all_that_runs(
    small_lab: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = LabApp(small_lab)
    async with app.run_test(size=(100, 30), notifications=True) as pilot:
        await wait_until(pilot, lambda: app.pane is not None and app.current)
        for key in ("U", "D", "less_than_sign", "X", "O", "P"):
            app.clear_notifications()
            await pilot.press(key)
            await wait_until(pilot, lambda: said(app))
        # What has ended since the last look is no question.
        now = app.snapshot
        going = replace(now, experiments=tuple(replace(one, active=True) for one in now.experiments))
        app.post_message(SnapshotTaken(going, app._watcher))
        await wait_until(pilot, lambda: app.snapshot is going)
        app.clear_notifications()
        await pilot.press("X")
        await wait_until(pilot, lambda: "nothing is running" in said(app))
        # A message that names the key means the experiment that it names.
        away = replace(now.experiments[0], name="away", paused=Paused(1.0, "first_failures", 10), queued=3)
        before = replace(going, experiments=(*now.experiments, replace(away, paused=None)))
        for snapshot in (before, replace(before, experiments=(*now.experiments, away))):
            app.post_message(SnapshotTaken(snapshot, app._watcher))
            await wait_until(pilot, lambda snapshot=snapshot: app.snapshot is snapshot)  # type: ignore[misc]
        await wait_until(pilot, lambda: "away is paused: the first tasks failed; P goes on" in said(app))
        await pilot.press("P")
        await wait_until(pilot, lambda: 'no experiment "away"' in said(app))
        answers = [("this", "y", "Stop grid"), ("all", "a", "Stop all")]
        found: list[str] = []
        for key, answer in (("y", "this"), ("a", "all"), ("n", ""), ("enter", "this")):
            app.push_screen(Decide("Stop grid?", "12 running tasks", answers), lambda one: found.append(one or ""))
            await pilot.pause()
            await pilot.press(key)
            assert found.pop() == answer
        counts = iter(["2 running tasks", "no running task"])

        async def again() -> str:
            return next(counts, "none")

        monkeypatch.setattr(dialogs, "AGAIN", 0.01)
        question = Decide("Stop grid?", "12 running tasks", answers, again=again)
        app.push_screen(question)
        await wait_until(pilot, lambda: str(question.query_one("#body", Static).render()) == "none")
