"""The actions of the Tasks pane, and its help."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.actions import Action

HELP: Final = """
Every task of the experiment, live; below, the log of the task under the cursor.

**Filter** (`/`): words that must all occur in a row (`failed relu`), or SQL: `loss < 0.3 and state = 'failed'`.
**Why did it fail?** `f` goes to the next failed task and shows the end of its standard error; `F` groups all failures
by their last line. `enter` opens the log as large as the pane, `esc` goes back.
**Marks**: `space` marks a task, `*` all that are shown; `r`, `x` act on what is marked, else on the task under the
cursor. Columns that have one value everywhere are hidden: `c` shows them.
"""


def _action(name: str, keys: str, label: str, help: str, shown: bool = False) -> Action:
    return Action(f"tasks.{name}", keys, label, help, shown=shown)


ACTIONS: Final = (
    _action("filter", "slash", "Filter", "Show the tasks with some words, or that meet a SQL condition.", True),
    _action("next_failed", "f", "Next failed", "Go to the next failed task and the end of its standard error.", True),
    _action("failures", "F", "Failures", "Group the failures by their last line.", True),
    _action("mark", "space", "Mark", "Mark the task, or take its mark away.", True),
    _action("mark_all", "asterisk", "Mark all", "Mark all tasks that are shown, or none."),
    _action("retry", "r", "Retry", "Run the marked tasks again, or the one under the cursor.", True),
    _action("retry_changed", "R", "Retry with changes", "Run them again with more time or memory."),
    _action("stop", "x,delete", "Stop", "Stop the marked tasks, or the one under the cursor.", True),
    _action(
        "try_one",
        "t",
        "Try",
        "Run the task here, after a question, and see its output; nothing of it is kept.",
    ),
    _action("copy", "y", "Copy", "Copy the command that repeats the task, a cell, the row, or the log.", True),
    _action("columns", "c", "Columns", "Choose the columns.", True),
    _action("group", "v", "Group", "Group the tasks by state, by a parameter, or see them one by one.", True),
    _action("zoom", "z", "Zoom", "The log as large as the pane, or back."),
    _action("back", "escape", "Back", "Leave the field, the log, the groups, the filter, the marks: one at a time."),
)
