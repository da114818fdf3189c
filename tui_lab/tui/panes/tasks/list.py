"""The list of tasks: the filter, the table or the groups in its place, and what of them a key acts on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from textual import on
from textual.app import ComposeResult
from textual.content import Content
from textual.widgets import Input

from tui_lab.tui.base.empty import Instead
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.panes.tasks.expansion import StageRun
from tui_lab.tui.panes.tasks.groups import FAILURES, GroupView
from tui_lab.tui.panes.tasks.model import TaskModel
from tui_lab.tui.panes.tasks.table import UNREAD, TaskTableView
from tui_lab.tui.panes.tasks.view import View
from tui_lab.tui.panes.tasks.why import Why
from tui_lab.tui.tasks import live
from tui_lab.tui.widgets.panels.panel import Panel
from tui_lab.tui.widgets.table.table import FrameTable, next_order

TYPING: Final = 0.12
"""Seconds after a letter before the filter acts."""
FAILED: Final = ("failed", "lost")


class TaskList(Panel):
    """The tasks of a model, one by one or in groups."""

    DEFAULT_CSS = """
    TaskList {
        & #task-filter { height: 1; border: none; padding: 0 1; background: $boost; }
        & #tasks, & #task-groups { height: 1fr; }
        &.-grouped #tasks, & #task-groups { display: none; }
        &.-grouped #task-groups { display: block; }
    }
    """

    def __init__(
        self,
        model: TaskModel,
        rest_on: Callable[[int], None],
        counted: Callable[[], None],
        arrange: Callable[[bool], None],
        *,
        id: str,
    ) -> None:
        """rest_on: opens the log of a task. counted: called when other tasks are shown or marked. arrange: makes room
        for `why`, where failures are shown, or takes it away."""
        super().__init__(id=id)
        self._model, self._rest_on, self._counted, self._arrange = model, rest_on, counted, arrange
        self.why = Why()
        self.wanted: int | None = None
        """The task that the cursor goes to once it is there."""
        self.table = TaskTableView(model, self._rows_shown, self._say_problem, id="tasks")
        self.groups = GroupView(model, id="task-groups")
        self.filter = Input(id="task-filter", compact=True)

    def compose(self) -> ComposeResult:
        key = host_of(self).key("tasks.filter")
        self.filter.placeholder = f"{key} filter: words, or SQL as in loss < 0.3"
        yield self.filter
        yield self.table
        yield self.groups

    @property
    def is_grouped(self) -> bool:
        """Whether groups are shown in the place of tasks."""
        return self.has_class("-grouped")

    @property
    def shows_failures(self) -> bool:
        """Whether these are the kinds of failures."""
        return self.has_class("-failures")

    @property
    def rows(self) -> FrameTable:
        """The rows that are shown: tasks or groups."""
        return self.groups if self.is_grouped else self.table

    def open(self, kept: View) -> None:
        """Make room for the tasks of another experiment, in the view that was left there."""
        self.leave_groups()
        self.table.marked.clear()
        self.table.sort_by = kept.order
        with self.prevent(Input.Changed):
            self.filter.value = kept.text

    def close(self, note: Instead) -> None:
        """Show no tasks, and a note in their place."""
        self.leave_groups()
        self.table.empty(note)
        self.say("")

    def await_tasks(self) -> None:
        """Say that the tasks are being read. Keys for them wait."""
        self.table.empty(UNREAD)
        self.table.await_rows()

    # --- How many are shown

    def _rows_shown(self) -> None:
        if not (self._model.problem and self.table.frame.height):
            self.go_to_wanted()
        self.say_count()
        self.groups.update_groups()

    def say_count(self) -> None:
        """Show how many tasks are shown, and tell the other panes which."""
        model, table = self._model, self.table
        host_of(self).chosen = model.chosen(table.frame, table.total, table.marked)
        self._counted()
        if model.table is None:
            self.say("")
        elif self.is_grouped:
            self.say(f"{self.groups.words()} · {host_of(self).key('app.leave_text')} goes back")
        elif model.problem:
            self._say_problem(model.problem.partition("\n")[0])
        else:
            self.say(model.count(table.frame, table.total, table.marked))

    def say(self, text: str, wrong: bool = False) -> None:
        """Show a text beside the title. wrong: as an error."""
        count = Content.styled(text, "$text-error") if wrong else Content(text)
        self.set_title(Content.assemble("Tasks", "  " if text else "", count))

    def _say_problem(self, problem: str) -> None:
        self.say(problem, wrong=True)

    # --- Filter and order

    @on(Input.Changed, "#task-filter")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.table.show_view(replace(self._model.view, text=event.value), TYPING)

    def set_text(self, text: str) -> None:
        """Filter the tasks by words or a SQL condition."""
        with self.prevent(Input.Changed):
            self.filter.value = text
        self.table.show_view(replace(self._model.view, text=text, only=None))

    @on(FrameTable.HeaderSelected, "#tasks")
    def _header(self, event: FrameTable.HeaderSelected) -> None:
        event.stop()
        if event.column in live.SCHEMA:
            return  # what is read for the rows in sight gives no order
        self.table.sort_by = next_order(self._model.view.order, event.column)
        self.table.show_view(replace(self._model.view, order=self.table.sort_by))

    # --- The cursor

    @property
    def here(self) -> int | None:
        """The number of the task, or of the run of a stage, under the cursor."""
        task: int | None = self.table.key_at(self.table.cursor_row)
        return task

    def go_to_wanted(self) -> None:
        """Put the cursor on the wanted task, if any; where the filter hides it, without the filter."""
        task = self.wanted
        if task is None or self._model.table is None:
            return
        if self.table.go_to(task):
            self.wanted = None
            self._rest_on(task)
        elif self._model.view.text or self._model.view.only is not None:
            self.set_text("")
        else:
            self.wanted = None
            host_of(self).tell(f"there is no task {task}", "warning")

    def next_failed(self) -> int | None:
        """Put the cursor on the next failed task of those that are shown, round the end. Return it, or None."""
        if self.is_grouped:
            self.leave_groups()
        table, known = self.table, self._model.table
        if "state" not in table.frame.columns:
            return None
        failed = table.frame["state"].is_in(FAILED).arg_true()
        if not failed.len():
            hidden = known is not None and bool(known.frame["state"].is_in(FAILED).any())
            host_of(self).tell("none of the tasks shown failed" if hidden else "no task failed", "information")
            return None
        behind = failed.filter(failed > table.cursor_row)
        task: int = table.key_at(int(behind[0] if behind.len() else failed[0]))
        table.go_to(task)
        return task

    # --- Runs of stages

    def toggle_stages(self) -> None:
        """Show the runs of stages behind the task under the cursor, or hide them."""
        task = self.here
        if task is None or self.is_grouped:
            return
        if self._model.stage_run(task) is not None or task == self._model.view.expanded:
            self.collapse()
        else:
            self.table.show_view(replace(self._model.view, expanded=task))

    def collapse(self) -> None:
        """Hide the runs of stages."""
        run = self._model.stage_run(self.here)
        if run is not None:
            self.table.go_to(run.task)
        self.table.show_view(replace(self._model.view, expanded=None))

    # --- Groups

    def group_by(self, by: str) -> None:
        """Show groups: by a column, or the kinds of failures."""
        self.add_class("-grouped")
        self._are_failures_shown(by == FAILURES)
        self.groups.open(by, unread=self.table.placeholder)

    def leave_groups(self) -> None:
        """Show tasks one by one again."""
        self.groups.close()
        self.remove_class("-grouped")
        self._are_failures_shown(False)
        self.say_count()

    def _are_failures_shown(self, shown: bool) -> None:
        if shown != self.shows_failures:
            self.set_class(shown, "-failures")
            self._arrange(shown)

    @on(GroupView.Regrouped)
    def _regrouped(self, event: GroupView.Regrouped) -> None:
        event.stop()
        self.say_count()

    def show_group(self, where: str, only: tuple[str, tuple[int, ...]] | None) -> None:
        """Show the tasks of a group."""
        self.leave_groups()
        if where:
            self.set_text(where)
        elif only is not None:
            self.table.show_view(replace(self._model.view, only=only))

    @on(FrameTable.RowHighlighted, "#task-groups")
    def _group_highlighted(self, event: FrameTable.RowHighlighted) -> None:
        """Show the log of the first task of a group, and why such tasks failed."""
        event.stop()
        if self.shows_failures:
            self.why.show(self.groups.kind_here())
        if event.row is not None and self.is_grouped and (tasks := self.groups.tasks_of(event.row["group"])):
            self._rest_on(tasks[0])

    # --- Marks, and what a key acts on

    def mark(self) -> None:
        """Mark the task under the cursor, or don't any more."""
        if self.is_grouped:
            return
        if self._model.stage_run(self.here) is not None:
            host_of(self).tell("only tasks can be marked", "information")
            return
        self.table.toggle_mark()
        self.say_count()

    def mark_all(self) -> None:
        """Mark all tasks that are shown, or none of them."""
        frame = self._model.tasks_of(self.table.frame)
        ids = set(frame["task_id"].to_list() if "task_id" in frame.columns else [])
        if ids <= self.table.marked:
            self.table.marked -= ids
        else:
            self.table.marked |= ids
        self.table.refresh()
        self.say_count()

    def unmark(self) -> None:
        """Mark none."""
        self.table.marked.clear()
        self.table.refresh()

    def chosen_tasks(self) -> list[int]:
        """Return the tasks of the group, the marked ones, or the one under the cursor."""
        if self.is_grouped:
            return self.groups.tasks()
        if self.table.marked:
            return sorted(self.table.marked)
        return [] if self.here is None else [self.here]

    def chosen(self) -> StageRun | list[int]:
        """Return what a key acts on: the run of a stage under the cursor, or tasks."""
        run = None if self.is_grouped or self.table.marked else self._model.stage_run(self.here)
        return self.chosen_tasks() if run is None else run
