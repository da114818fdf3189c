"""The actions of the Experiment pane, and its help."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.base.actions import Action

ACTIONS: Final[tuple[Action, ...]] = (
    Action("experiment.edit", "i,enter", "Edit", "Edit the text."),
    Action("experiment.launch", "ctrl+r,r", "Run", "Run the experiment, after one question."),
    Action("experiment.save", "ctrl+s", "Save", "Save the file."),
    Action("experiment.external", "ctrl+e,e", "$EDITOR", "Edit the file in your own editor."),
    Action("experiment.open", "ctrl+o,o", "Open", "Open an experiment file."),
    Action("experiment.new", "f2,n", "New", "Make a new experiment from a template."),
    Action("experiment.next_problem", "f8,ctrl+n", "Problem", "Go to the next problem in the text."),
    Action("experiment.previous_problem", "shift+f8", "Back", "Go to the previous problem.", shown=False),
    Action("experiment.fix", "f7", "Correct", "Correct a problem as its message suggests.", shown=False),
    Action("experiment.widen", "w,alt+w", "Widen", "Give the parameter under the cursor more values, its neighbours."),
    Action("experiment.undo", "u,alt+u", "Undo", "Undo the last change of the text (in the text: ctrl+z, too).",
           shown=False),
    Action("experiment.metrics", "m,alt+m", "Metrics", "Make a metric of a number that tasks have written."),
    Action("experiment.complete", "ctrl+space,ctrl+@", "Complete", "In the text: complete the word (also `tab`).",
           shown=False),
    Action("experiment.plan", "f5", "Plan", "Plan again, even if the sweep is large.", shown=False),
    Action("experiment.older", "right_square_bracket,alt+down", "Older output",
           "Try the pattern on the previous task.", shown=False),
    Action("experiment.newer", "left_square_bracket,alt+up", "Newer output",
           "Try the pattern on the next task.", shown=False),
    Action("experiment.side", "f4", "Plan/pattern", "In a narrow window: show the plan, or the pattern.", shown=False),
    Action("experiment.reload", "f9", "Read again", "Read the file from disk again.", shown=False),
)  # fmt: skip
HELP: Final = """
The file of an experiment, checked as you type. Mistakes are marked in the text and listed beside it; enter goes to
one, and f7 corrects it where its message suggests how. Without mistakes, the list shows the plan: what a run would do,
and why, the time that it takes by past durations, and the first commands exactly as they would run.

In the text, keys, words, parameters in braces and files are completed: a list opens behind two letters, or with `tab`.
The border says what the key under the cursor means.

`w` makes a sweep of a single value: `0.1` becomes `[0.01, 0.1, 1.0]`, and `3` becomes `[3, 6, 12]`. With the cursor on
such a value, the line below the text says what would be written. `w` again adds a value at each end; `u` takes it back.

`m` offers the numbers that the last tasks have printed, or written to JSON and CSV files, as metrics: enter takes one,
and asks which of its values are better; `space` marks several. No pattern has to be typed. `u` takes it back. Outputs,
which is beside the plan in a wide window and behind `|` in others, marks these numbers in what the last task has
printed.

With the cursor on a metric or on `rows`, its pattern is tried on a real output; `]` and `[` choose the output of
another task.

Saving keeps comments, layout, line ends and the file's mode. An unsaved text is kept every few seconds, and offered
again after a crash. If its metrics have changed, the outputs are read by them at once; nothing runs. A run asks one
question first, and goes on when you leave.
"""
