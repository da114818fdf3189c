"""The Tasks pane on a lab that really ran: filter, order, groups, marks, retry, stop, copy, and the log below."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

from tests.tui.conftest import wait_until
from tests.workbench import Workbench, until
from tui_lab.tui.app.app import LabApp
from tui_lab.tui.base.config import Config
from tui_lab.tui.panes.experiment.pane import ExperimentPane
from tui_lab.tui.panes.tasks.choose_columns import ChooseColumns
from tui_lab.tui.panes.tasks.pane import TasksPane
from tui_lab.tui.tasks import live
from tui_lab.tui.widgets.dialogs import Choose, Confirm
from tui_lab.tui.widgets.log import panel as log_panel
from tui_lab.tui.widgets.log.view import LogView
from tui_lab.tui.widgets.panels.panel import Panel


class Screen:
    def __init__(self, app: LabApp, pilot: Pilot[Any]) -> None:
        self.app, self.pilot = app, pilot
        self.copied: list[str] = []
        app.copy = lambda text, what: self.copied.append(text)  # type: ignore[method-assign]

    @property
    def pane(self) -> TasksPane:
        return self.app.query_one(TasksPane)

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)

    async def until(self, condition: Any) -> Any:
        return await wait_until(self.pilot, condition)

    @property
    def ids(self) -> list[int]:
        frame = self.pane.table.frame
        return frame["task_id"].to_list() if "task_id" in frame.columns else []

    @property
    def task(self) -> Any:
        return self.pane.table.key_at(self.pane.table.cursor_row)

    def log(self) -> str:
        return self.pane.log_panel.view.text

    @property
    def titles(self) -> list[str]:
        return [column.name for column in self.pane.table.columns]


@asynccontextmanager
async def screen(lab: Path, size: tuple[int, int] = (100, 30), config: Config | None = None) -> AsyncIterator[Screen]:
    app = LabApp(lab, config=config)
    async with app.run_test(size=size) as pilot:
        found = Screen(app, pilot)
        await found.until(lambda: app.query(TasksPane))
        await found.until(lambda: found.ids and found.pane.table.has_focus)
        yield found


async def test_all_tasks_are_there_with_their_metrics_and_the_log_of_the_first(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        assert s.ids == list(range(8))
        await s.until(lambda: s.pane.table.frame["score"].to_list()[0] == 1.5)
        await s.until(lambda: "loss: 0.10" in s.log())
        assert "kind" in s.titles and "version" not in s.titles
        await s.press("j")
        await s.until(lambda: "loss: 0.11" in s.log())


async def test_why_did_it_fail_is_two_keys_away(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        await s.press("f")
        await s.until(lambda: s.task == 6 and s.log().endswith("no such kind"))
        assert "failed (exit 3)" in s.pane.log_panel.title
        await s.press("f")
        await s.until(lambda: s.task == 7)
        await s.press("f")
        await s.until(lambda: s.task == 6)
        await s.press("F")
        groups = s.pane.tasks.groups
        await s.until(lambda: groups.frame.height == 1)
        assert groups.row(0) == {"group": 0, "tasks": 2, "reason": "exit 3", "line": "no such kind", "share": ""}
        await s.press("enter")
        await s.until(lambda: s.ids == [6, 7])
        await s.press("escape")
        await s.until(lambda: len(s.ids) == 8)


async def test_filter_while_typing_by_words_and_by_sql(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        await s.press("slash", *"failed")
        await s.until(lambda: s.ids == [6, 7])
        await s.press("enter")
        assert s.pane.table.has_focus
        await s.press("escape")
        await s.until(lambda: len(s.ids) == 8)
        s.pane.tasks.filter.focus()
        s.pane.tasks.filter.value = "score < 2 and kind = 'a'"
        await s.until(lambda: s.ids == [0, 1])
        s.pane.tasks.filter.value = "score < "
        await s.until(lambda: "ends too early" in s.pane.query_one("#task-list", Panel).title)
        assert s.ids == [0, 1]  # what was there stays while someone is typing
        s.pane.tasks.filter.value = "no such thing"
        await s.until(lambda: s.ids == [])
        await s.press("escape", "escape")
        await s.until(lambda: len(s.ids) == 8)


async def test_order_by_the_column_under_the_cursor(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        await s.until(lambda: s.pane.table.frame["score"].to_list()[0] == 1.5)
        s.pane.table.cursor_column = s.titles.index("score")
        await s.press("s", "s")
        await s.until(lambda: s.ids == [4, 5, 0, 1, 2, 3, 6, 7])
        assert s.task == 0  # the cursor stays on its task
        await s.press("s")
        await s.until(lambda: s.ids == list(range(8)))


async def test_columns_are_chosen(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        await s.press("c")
        await s.until(lambda: isinstance(s.app.screen, ChooseColumns))
        await s.press("a", "enter")
        await s.until(lambda: "version" in s.titles and "seed" in s.titles)
        await s.press("c")
        await s.until(lambda: isinstance(s.app.screen, ChooseColumns))
        await s.press("d")
        await s.until(lambda: "version" not in s.titles)


async def test_groups_by_a_parameter(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        await s.press("v")
        await s.until(lambda: isinstance(s.app.screen, Choose))
        assert isinstance(s.app.screen, Choose)
        names = [name for name, _ in s.app.screen.choices]
        s.app.screen.dismiss("kind")
        assert "kind" in names
        await s.until(lambda: s.pane.tasks.groups.frame.height == 2)
        row = s.pane.tasks.groups.row(1)
        assert row is not None and (row["group"], row["tasks"], row["failed"]) == ("b", 4, 2)
        await s.press("j", "enter")
        await s.until(lambda: s.ids == [2, 3, 6, 7])
        assert s.pane.tasks.filter.value == "kind = 'b'"


async def test_marks(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        await s.press("space", "j", "space")
        assert s.pane.table.marked == {0, 2}
        assert s.pane.tasks.chosen_tasks() == [0, 2]
        await s.press("asterisk")
        assert len(s.pane.table.marked) == 8
        await s.press("asterisk")
        assert not s.pane.table.marked
        assert s.pane.tasks.chosen_tasks() == [s.task]


async def test_copies(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        for what, wanted in (("command", "loss: 0."), ("address", "small/0"), ("folder", "tasks/0/0"), ("cell", "0")):
            await s.press("y")
            await s.until(lambda: isinstance(s.app.screen, Choose))
            s.app.screen.dismiss(what)
            await s.until(lambda: s.copied and wanted in s.copied[-1])


async def test_retry_asks_and_runs_again(own_lab: Workbench) -> None:
    async with screen(own_lab.lab_path) as s:
        asked: list[str] = []

        async def confirm(title: str, body: str, yes: str) -> bool:
            asked.append(f"{title} {body}")
            return True

        s.app.confirm = confirm  # type: ignore[method-assign]
        await s.press("asterisk", "r")
        await s.until(lambda: asked)
        assert "2 tasks" in asked[0] and "2 failed" in asked[0] and "6 other tasks" in asked[0]
        await s.until(lambda: s.pane.model.table.frame["attempts"].to_list()[6:] == [2, 2])  # type: ignore[union-attr]
        await s.until(lambda: s.pane.model.table.frame["state"].to_list()[6:] == ["failed", "failed"])  # type: ignore[union-attr]
        assert not s.pane.table.marked
        await s.press("f")
        await s.until(lambda: "attempt 2 of 2" in s.pane.log_panel.title)
        await s.until(lambda: own_lab.engine_pid() is None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "way", "then"),
    [("", "tasks run the present files", "done"), ("code: prog.sh\n", "tasks run the submitted copy", "failed")],
)
async def test_retry_tells_what_changed_since(workbench: Workbench, code: str, way: str, then: str) -> None:
    program = workbench.write("prog.sh", "exit 3\n")
    file = workbench.write("grid.yaml", f"command: sh prog.sh {{a}}\n{code}parameters: {{a: [1, 2]}}\n")
    workbench("--run", file, code=1)
    program.write_text("exit 0\n")
    async with screen(workbench.lab_path, (150, 40)) as s:
        await s.until(lambda: workbench.engine_pid() is None)  # that of the first run
        await s.press("asterisk", "r")
        await s.until(lambda: isinstance(s.app.screen, Confirm))
        body = str(s.app.screen.query(Static).first().render())
        assert f"prog.sh changed since the submission: {way}" in " ".join(body.split())
        await s.press("n")
        await s.until(lambda: len(s.app.screen_stack) == 1)
        assert workbench.experiment("grid").state().counts_by_name()["failed"] == 2
        assert workbench.engine_pid() is None
        await s.press("r", "y")
        await s.until(lambda: s.pane.model.table.frame["attempts"].to_list() == [2, 2])  # type: ignore[union-attr]
        await s.until(lambda: s.pane.model.table.frame["state"].to_list() == [then, then])  # type: ignore[union-attr]
        await s.until(lambda: workbench.engine_pid() is None)


async def test_what_runs_is_followed_and_stopped(workbench: Workbench) -> None:
    file = workbench.write(
        "experiment.yaml",
        """
        name: e
        command: "for i in $(seq 1 2000); do echo tick $i; sleep 0.05; done"
        parameters: {x: [1, 2]}
        metrics: {tick: 'tick (@int@)', first: '(?P<value>@int@)$'}
        """,
    )
    workbench.start("--run", file, "--node", "localhost", 1, "--detach")
    until(lambda: workbench.lab_path.exists() and workbench.events("started"))
    async with screen(workbench.lab_path) as s:
        await s.until(lambda: s.pane.table.row(0) and s.pane.table.row(0)["state"] == "running")  # type: ignore[index]
        await s.until(lambda: "tick" in s.log())
        first = s.log()
        await s.until(lambda: s.log() != first)
        table = s.pane.table
        await s.until(lambda: any(column.title == "tick now" for column in table.columns))
        said = await s.until(lambda: (table.row(0) or {}).get(live.VALUE))
        await s.until(lambda: (table.row(0) or {})[live.VALUE] > said)
        assert len((table.row(0) or {})[live.TREND]) == live.TREND_WIDTH
        await s.until(lambda: table.sight.held == 1 and "1 running" in s.pane.query_one("#task-list", Panel).title)
        await s.press("m")
        await s.until(lambda: any(column.title == "first now" for column in table.columns))
        s.app.confirm = lambda title, body, yes: _yes()  # type: ignore[method-assign]
        await s.press("asterisk", "x")
        await s.until(lambda: s.pane.model.table.frame["state"].to_list() == ["stopped", "stopped"])  # type: ignore[union-attr]
        await s.until(lambda: s.pane.log_panel.detail is not None and s.pane.log_panel.detail.state == "stopped")
        await s.until(lambda: live.VALUE not in s.titles)


async def _yes() -> bool:
    return True


async def test_other_panes_open_a_task_or_show_some(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        s.app.open_task("small", 5)
        await s.until(lambda: s.task == 5)
        await s.until(lambda: s.pane.log_panel.detail is not None and s.pane.log_panel.detail.task == 5)
        s.app.show_tasks("small", "state = 'failed'")
        await s.until(lambda: s.ids == [6, 7])
        s.app.open_task("small", 1)  # hidden by the filter, which gives way
        await s.until(lambda: s.task == 1 and len(s.ids) == 8)


async def test_zoom_and_the_way_back(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        await s.press("enter")
        await s.until(lambda: s.pane.log_panel.view.has_focus)
        assert not s.pane.query_one("#task-list").display
        await s.press("escape")
        await s.until(lambda: s.pane.table.has_focus)


@pytest.mark.slow
async def test_it_fits_a_small_terminal(small_lab: Path) -> None:
    for size in ((80, 24), (40, 12), (20, 8)):
        async with screen(small_lab, size) as s:
            await s.press("f", "F", "escape", "slash", "a", "escape", "v", "escape", "c", "escape", "enter", "escape")
            assert s.app.is_running


async def test_a_lab_without_experiments(tmp_path: Path) -> None:
    from tui_lab.store.lab import Lab

    Lab.create(tmp_path / "lab")
    app = LabApp(tmp_path / "lab")
    async with app.run_test(size=(80, 24)) as pilot:
        await wait_until(pilot, lambda: app.snapshot.lab is not None)
        await wait_until(pilot, lambda: app.pane is not None)
        app.show_pane("tasks")
        await wait_until(pilot, lambda: "No tasks yet" in str(app.query_one(TasksPane).table.placeholder))
        await pilot.press("f", "F", "escape", "r", "x", "y", "space", "asterisk", "c", "t", "enter", "escape")
        assert app.is_running


async def test_tasks_whose_file_can_not_be_read_are_there_all_the_same(own_lab: Workbench) -> None:
    (own_lab.experiment("small").plans / "1.yaml").write_text("name: [broken")
    async with screen(own_lab.lab_path, size=(160, 30)) as seen:
        await seen.until(lambda: len(seen.ids) == 8 and seen.log())
        assert "score" not in seen.titles and "x" in seen.titles
        assert "8 tasks · no metrics: " in seen.pane.query_one("#task-list", Panel).title


async def test_why_tasks_can_not_be_read_is_said(own_lab: Workbench) -> None:
    (own_lab.experiment("small").plans / "1.parquet").unlink()
    app = LabApp(own_lab.lab_path)
    async with app.run_test(size=(100, 30)) as pilot:
        await wait_until(pilot, lambda: "1.parquet: can't be read" in str(app.query_one(TasksPane).table.placeholder))


async def test_commands_that_do_not_fit_end_in_an_ellipsis(workbench: Workbench) -> None:
    workbench.run_text("command: 'echo {x}'\nparameters: {x: ['" + "x" * 200 + "']}\n", code=None)
    async with screen(workbench.lab_path, size=(80, 24)) as seen:

        def cut() -> bool:
            lines = ["".join(part.text for part in line) for line in seen.app.screen._compositor.render_strips()]
            return any(line.startswith(" $ echo xxxx") and line.rstrip().endswith("x…") for line in lines)

        await seen.until(cut)
        assert seen.pane.query_one("#task-list", Panel).title == "Tasks  1 task"


@pytest.mark.slow
async def test_a_log_that_is_read_stays_with_its_task_and_tells_the_time(workbench: Workbench) -> None:
    command = f"echo begin {{x}}; until [ -e {workbench.folder}/go{{x}} ]; do sleep 0.05; done; echo end {{x}}"
    file = workbench.write("waits.yaml", f"command: '{command}'\nparameters: {{x: [1, 2]}}\n")
    workbench("--run", file, "--detach", "--node", "localhost", 2)
    async with screen(workbench.lab_path) as it:
        it.pane.tasks.set_text("state = 'running'")
        await it.until(lambda: it.ids == [0, 1])
        await it.until(lambda: "begin 1" in it.log())
        await it.press("enter")
        log = it.pane.log_panel
        before = log.title
        await it.until(lambda: log.title != before)  # seconds go by
        (workbench.folder / "go1").touch()
        await it.until(lambda: it.ids == [1])
        await it.until(lambda: "end 1" in it.log())
        assert it.pane.log_panel.detail is not None
        await it.until(lambda: it.pane.log_panel.detail is not None and it.pane.log_panel.detail.state == "done")
        assert it.pane.log_panel.detail.task == 0
        await it.press("escape")  # back to the rows: the log is that of the cursor's
        await it.until(lambda: "begin 2" in it.log())
        (workbench.folder / "go2").touch()


async def test_new_rows_let_no_key_go_that_waits_for_a_hit(small_lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thing that keys wait for lets go its own: rows come each second while something runs."""
    goes_on, real = threading.Event(), log_panel.seek

    def slow(*about: Any) -> Any:
        goes_on.wait(10)
        return real(*about)

    monkeypatch.setattr(log_panel, "seek", slow)
    async with screen(small_lab) as s:
        await s.until(lambda: "loss" in s.log())
        s.pane.log_panel.action_error(1)
        waits = set(s.app._input._holds)
        assert waits
        s.pane.table.show_view(replace(s.pane.model.view, text="failed"))
        await s.until(lambda: s.ids == [6, 7])
        assert waits <= set(s.app._input._holds)
        goes_on.set()
        await s.until(lambda: not s.app._input._holds)


async def test_a_border_shows_which_panel_has_the_focus(small_lab: Path) -> None:
    async with screen(small_lab) as s:
        tasks, log = s.pane.query_one("#task-list", Panel), s.pane.log_panel
        focused, quiet = tasks.styles.border_top, log.styles.border_top
        assert focused != quiet
        s.pane.query_one(LogView).focus()
        await s.until(lambda: (tasks.styles.border_top, log.styles.border_top) == (quiet, focused))
        s.pane.table.focus()
        await s.until(lambda: (tasks.styles.border_top, log.styles.border_top) == (focused, quiet))


DIVERGING = """
name: wide
command: |
  echo "lr {lr}"
  [ {lr} -lt 6 ] || { echo "step {seed}: loss is nan" >&2; echo "see the manual"; exit 3; }
parameters:
  lr: [1, 2, 6, 10]
  act: [a, b]
"""


async def test_failures_say_what_they_share_and_e_leaves_that_out(workbench: Workbench) -> None:
    file = workbench.write("wide.yaml", DIVERGING)
    workbench("--run", file.name, "--keep-going", "--node", "localhost", 2, code=1)
    async with screen(workbench.lab_path, (120, 40)) as s:
        await s.press("F")
        await s.until(lambda: s.pane.tasks.groups.frame.height == 1)
        said, shared = s.pane.tasks.why.said, s.pane.tasks.why.shared
        await s.until(lambda: "all 4 with lr >= 6; none of 4 below" in shared.text)
        assert said.title == "What they said  1" and said.text.endswith(": loss is nan  4 tasks, first 4")
        await s.press("y", "Y")
        assert s.copied[0] == "lr >= 6"
        assert s.copied[1].split("\n")[0] == "4 tasks failed: exit 3"
        assert s.copied[1].split("\n")[1:] == [f"  {said.text}", shared.text.split("\n")[0]]
        for size, columns in (((80, 24), 1), ((200, 60), 3), ((120, 40), 2)):
            await s.pilot.resize_terminal(*size)
            await s.until(partial(lambda count: len(s.pane.row.shown) == count, columns))
            parts = [s.pane.query_one(f"#task-{name}", Panel) for name in ("list", "said", "shared", "log")]
            await s.until(partial(lambda parts: all(part.size.height >= 3 for part in parts), parts))
        await s.press("escape")
        await s.until(lambda: not shared.display and not said.display)
        await s.press("F")
        await s.until(lambda: shared.display and s.pane.tasks.groups.frame.height == 1)
        await s.press("e")
        await s.until(lambda: "where: 'not (lr >= 6)'" in s.app.query_one(ExperimentPane).side.text)
        assert s.app.query_one(ExperimentPane).side.unsaved
        assert "where" not in file.read_text()
