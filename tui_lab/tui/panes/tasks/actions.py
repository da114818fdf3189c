"""The actions of the Tasks pane, and its help."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.base.actions import Action

HELP: Final = """
Every task of the experiment, live; below, the log of the task under the cursor.

**Filter** (`/`): words that must all occur in a row (`failed relu`), or SQL: `loss < 0.3 and state = 'failed'`.
**Why did it fail?** `f` goes to the next failed task and shows the end of its standard error; `F` groups all failures
by what they said, and says beside them what those of a kind share: `enter` filters, `r` and `R` retry, `e` leaves these
combinations out of the file (`where`, not saved yet), `y` copies the condition and `Y` all that is said. Elsewhere
`enter` opens the log as large as the pane, `esc` goes back.
**Stages**: `e` shows the runs of stages behind a task, below it: `train ×12` is one that 12 tasks share. Log, retry,
stop and copy then act on the run under the cursor, whose name is that of the task and the stage, as `grid/17:train`.
**What runs** stands on top, unless an order was chosen. It says its newest value of a metric with its curve, how far it
is, and what is left: by its steps where done tasks ended at the same one, else by how long others took. `m` shows
another metric.
**Marks**: `space` marks a task, `*` all that are shown; `r`, `x` act on what is marked, else on the task under the
cursor. `c` shows two to five marked tasks side by side: the parameters in which they differ, their values, curves and
logs, and by `i` their pictures. Columns that have one value everywhere are hidden: `C` shows them, and `c` while no
task is marked.
**Pictures** (`i`) that the task has written into its folder (PNG, JPEG, GIF, WebP, SVG, a PDF's first page) take the
place of the log; of marked tasks they stand side by side, and `[` and `]` show those of the next name. `p` loads one
that stayed on its node, or has more than 5 MB and is on the machine of the lab.
"""


def _action(name: str, keys: str, label: str, help: str, shown: bool = False) -> Action:
    return Action(f"tasks.{name}", keys, label, help, shown=shown)


ACTIONS: Final = (
    _action("filter", "slash", "Filter", "Show the tasks with some words, or that meet a SQL condition.", True),
    _action("next_failed", "f", "Next failed", "Go to the next failed task and the end of its standard error.", True),
    _action("failures", "F", "Failures", "Group the failures by what they said and share.", True),
    _action("exclude", "e", "Leave out", "Leave the combinations out of the file that such failures share.", True),
    _action("expand", "e", "Stages", "Show the runs of stages behind the task below it, or hide them.", True),
    _action("mark", "space", "Mark", "Mark or unmark the task.", True),
    _action("mark_all", "asterisk", "Mark all", "Mark all tasks that are shown, or none."),
    _action("retry", "r", "Retry", "Run the marked tasks again, or the one under the cursor.", True),
    _action("retry_changed", "R", "Retry with changes", "Run them again with more time or memory."),
    _action("stop", "x,delete", "Stop", "Stop the marked tasks, or the one under the cursor.", True),
    _action(
        "try_one",
        "t",
        "Try",
        "Run the task here, after a question, and show its output; its results are not kept.",
    ),
    _action("copy", "y", "Copy", "Copy the command that repeats the task, a cell, the row, or the log.", True),
    _action("compare", "c", "Compare", "Show the marked tasks side by side: values, curves, logs, pictures.", True),
    _action("columns", "c,C", "Columns", "Choose the columns; while tasks are marked, by the second key.", True),
    _action("group", "v", "Group", "Group the tasks by state, by a parameter, or see them one by one.", True),
    _action("pictures", "i", "Pictures", "Show the pictures that the task has written, or its log again."),
    Action(
        "tasks.picture_before",
        "left_square_bracket",
        "Picture before",
        "Show the picture before.",
        shown=False,
        call="picture(-1)",
    ),
    Action(
        "tasks.next_picture",
        "right_square_bracket",
        "Next picture",
        "Show the next picture.",
        shown=False,
        call="picture(1)",
    ),
    Action("tasks.load_picture", "p", "Load picture", "Load a picture that is large, or on a node.", shown=False),
    _action("metric", "m", "Metric", "Show the live values of another metric of the tasks that run."),
    _action("zoom", "z", "Zoom", "Enlarge the log, or shrink it again."),
    _action(
        "back",
        "escape",
        "Back",
        "Leave the field, what is loading, the log, the groups, the stages, the filter, the marks: one at a time.",
    ),
)
