"""What the keys of the Tasks pane do to tasks: mark, group, retry, stop, try, copy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from textual import on

from tui_lab.client.errors import UsageError
from tui_lab.client.formatting import plural
from tui_lab.store.errors import LabError
from tui_lab.tui.base.workers import promised, work
from tui_lab.tui.panes.tasks import actions
from tui_lab.tui.panes.tasks.detail import command_line
from tui_lab.tui.panes.tasks.foreground import TaskTry
from tui_lab.tui.panes.tasks.grouping import TaskGrouping
from tui_lab.tui.panes.tasks.table import TaskTableView
from tui_lab.tui.widgets.dialogs import Ask, Choose
from tui_lab.tui.widgets.table.table import FrameTable

FAILED: Final = ("failed", "lost")


class TaskCommands(TaskGrouping):
    """The part of the pane that acts on tasks."""

    # Marks.

    def action_mark(self) -> None:
        if not self.has_class("-grouped"):
            self._pane.table.toggle_mark()
            self._pane.say_count()

    def action_mark_all(self) -> None:
        table = self._pane.table
        ids = set(self._pane.ids_shown())
        if ids <= table.marked:
            table.marked -= ids
        else:
            table.marked |= ids
        table.refresh()
        self._pane.say_count()

    def chosen_tasks(self) -> list[int]:
        """The tasks that a key acts on: those of the group, the marked ones, or the one under the cursor."""
        pane = self._pane
        if self.has_class("-grouped"):
            row = pane.groups.row(pane.groups.cursor_row)
            return self._tasks_of(row) if row is not None else []
        if pane.table.marked:
            return sorted(pane.table.marked)
        task = pane.table.key_at(pane.table.cursor_row)
        return [] if task is None else [task]

    # Retry and stop.

    def action_retry(self) -> None:
        self._retry("")

    @work(exclusive=True, group="dialog")
    async def action_retry_changed(self) -> None:
        words = await self.app.push_screen_wait(
            Ask(
                "Retry with changes",
                "What is to be otherwise this time:",
                placeholder="timeout=2h needs.memory=16G",
                check=actions.wrong_changes,
            )
        )
        if words is not None:
            self._retry(words)

    @work(exclusive=True, group="retry")
    async def _retry(self, words: str) -> None:
        pane = self._pane
        source = pane.source
        found = self._targets(actions.AGAIN)
        if source is None or found is None:
            return
        if not found.tasks:
            pane.lab_app.tell("only what failed, was stopped or lost can be run again", "warning")
            return
        body = f"{found} {'runs' if len(found.tasks) == 1 else 'run'} again; attempts count afresh."
        body += f"\nWith {words}." if words else ""
        body += f"\n{plural(found.others, 'other task')} stay as they are." if found.others else ""
        changed = await pane.lab_app.before_question(asyncio.to_thread(actions.changed_program, source))
        body += "".join(f"\n{line}." for line in changed)
        if await pane.lab_app.confirm(f"Retry {plural(len(found.tasks), 'task')}?", body, "Retry"):
            environment = pane.lab_app.command_environment()
            self._do(lambda: self._ask_retry(found.tasks, environment, words))

    def _ask_retry(self, tasks: Sequence[int], environment: dict[str, str], words: str) -> str:
        source = self._pane.source
        assert source is not None
        engine = self._pane.lab_app.engine()
        try:
            return actions.retry(engine, source, tasks, environment, words)
        finally:
            engine.close()

    @work(exclusive=True, group="stop")
    async def action_stop(self) -> None:
        pane = self._pane
        source, lab = pane.source, pane.lab_app.lab
        found = self._targets(actions.GOING)
        if source is None or found is None or lab is None:
            return
        if not found.tasks:
            pane.lab_app.tell("only what runs or waits can be stopped", "warning")
            return
        body = f"{found}: what runs is ended, what waits does not begin. `r` runs them again."
        if await pane.lab_app.confirm(f"Stop {plural(len(found.tasks), 'task')}?", body, "Stop"):
            self._do(lambda: actions.stop(lab, source, found.tasks))

    def _targets(self, states: Sequence[int]) -> actions.Targets | None:
        pane = self._pane
        if pane.source is None:
            return None
        try:
            return actions.targets(pane.source, self.chosen_tasks(), states)
        except (LabError, OSError) as error:
            pane.lab_app.tell(str(error), "error")
            return None

    @work(thread=True, group="do")
    def _do(self, act: Callable[[], str]) -> None:
        app = self._pane.lab_app
        try:
            with promised():
                said = act()
        except (LabError, UsageError, OSError) as error:
            self.app.call_from_thread(app.tell, str(error), "error")
        else:
            self.app.call_from_thread(self._done, said)

    def _done(self, said: str) -> None:
        self._pane.table.marked.clear()
        self._pane.table.refresh()
        self._pane.lab_app.tell(said)

    # One on its own.

    @work(exclusive=True, group="dialog")
    async def action_try_one(self) -> None:
        pane = self._pane
        source, task, lab = pane.source, pane.table.key_at(pane.table.cursor_row), pane.lab_app.lab
        if source is None or task is None or lab is None or self.has_class("-grouped"):
            return
        name = f"{source.folder.name}/{task}"
        body = "It runs on this machine, beside what is going; nothing of it is kept."
        if await pane.lab_app.confirm(f"Try {name}?", body, "Try"):
            words = (str(lab.path), source.folder.name, str(task))
            await self.app.push_screen_wait(TaskTry(name, words, pane.lab_app.command_environment()))

    # Copying.

    @on(TaskTableView.CopyAsked)
    def _copy_asked(self) -> None:
        self.action_copy()

    @work(exclusive=True, group="dialog")
    async def action_copy(self) -> None:
        pane = self._pane
        table, source = pane.table, pane.source
        task = table.key_at(table.cursor_row)
        if source is None or task is None or self.has_class("-grouped"):
            return
        address = f"{source.folder.name}/{task}"
        name = table.columns[table.cursor_column].name
        choices = [
            ("command", "the command that repeats it"),
            ("address", f"its name: {address}"),
            ("folder", "the path of its folder"),
            ("cell", f"the cell: {name}"),
            ("row", "the row"),
            ("log", "the log in sight"),
        ]
        what = await self.app.push_screen_wait(Choose(f"Copy of {address}", choices))
        if what == "cell":
            table.copy_cell()
        elif what == "row":
            table.action_copy_row()
        elif what == "address":
            pane.lab_app.copy(address, "the name")
        elif what == "folder":
            pane.lab_app.copy(str(source.folder.task_folder(task)), "the path")
        elif what == "log":
            pane.lab_app.copy(pane.log_panel.view.text, "the log in sight")
        elif what == "command":
            try:
                pane.lab_app.copy(command_line(source, task), "the command")
            except (LabError, UsageError, ValueError, OSError) as error:
                pane.lab_app.tell(str(error), "error")

    # Why it failed.

    def action_next_failed(self) -> None:
        """Go to the next failed task of those that are shown, round the end."""
        pane = self._pane
        if self.has_class("-grouped"):
            self.leave_groups()
        frame = pane.table.frame
        if "state" not in frame.columns:
            return
        failed = frame["state"].is_in(FAILED).arg_true()
        if not failed.len():
            hidden = pane.made is not None and bool(pane.made.frame["state"].is_in(FAILED).any())
            pane.lab_app.tell("none of the tasks shown failed" if hidden else "no task failed", "information")
            return
        behind = failed.filter(failed > pane.table.cursor_row)
        row = int(behind[0] if behind.len() else failed[0])
        choice = pane.log_panel.choice
        pane.log_panel.choice = replace(choice, streams=None, attempt=None, step=None)
        pane.table.go_to(pane.table.key_at(row))
        pane.rest_on(pane.table.key_at(row))
        pane.focus_first()

    def action_zoom(self) -> None:
        self.toggle_class("-zoomed")
        if self.has_class("-zoomed"):
            self._pane.log_panel.view.focus()
        else:
            self._pane.focus_first()

    @on(FrameTable.RowSelected, "#tasks")
    def _selected(self, event: FrameTable.RowSelected) -> None:
        event.stop()
        self.action_zoom()
