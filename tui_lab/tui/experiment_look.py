"""How the Experiment pane looks, and its keys."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.actions import Action

ACTIONS: Final[tuple[Action, ...]] = (
    Action("experiment.edit", "i,enter", "Edit", "Go into the text."),
    Action("experiment.launch", "ctrl+r,r", "Run", "Run the experiment, after one question."),
    Action("experiment.save", "ctrl+s", "Save", "Save the file."),
    Action("experiment.external", "ctrl+e,e", "$EDITOR", "Edit the file in your own editor."),
    Action("experiment.open", "ctrl+o,o", "Open", "Open an experiment file."),
    Action("experiment.new", "f2,n", "New", "Make a new experiment from a template."),
    Action("experiment.next_problem", "f8,ctrl+n", "Problem", "Go to the next problem in the text."),
    Action("experiment.previous_problem", "shift+f8", "Back", "Go to the problem before.", shown=False),
    Action("experiment.plan", "f5", "Plan", "Plan again, however large the sweep is.", shown=False),
    Action("experiment.older", "right_square_bracket,alt+down", "Older output",
           "Try the pattern on the task that ended before.", shown=False),
    Action("experiment.newer", "left_square_bracket,alt+up", "Newer output",
           "Try the pattern on the task that ended after.", shown=False),
    Action("experiment.side", "f4", "Plan/pattern", "In a narrow window: the plan, or the pattern.", shown=False),
    Action("experiment.reload", "f9", "Read again", "Read the file from disk again.", shown=False),
)  # fmt: skip
HELP: Final = """
The file of an experiment, checked as you type: a mistake is marked at its line, and all of them are listed beside the
text, where enter goes to one. Without mistakes the list makes room for the plan: what a run would do, why, how long
it takes by past durations, and the first commands exactly as they would run.

With the cursor on a metric its pattern is tried on a real output, and on `rows` all of them are found in it; `]` and
`[` choose another task's.

Saving keeps comments, layout, line ends and the file's mode. An unsaved text is kept aside every few seconds, and
offered again should the machine die. A run asks one question first, and goes on when you leave.
"""
CSS: Final = """
ExperimentPane {
    & #body { height: 1fr; }
    & #text { width: 11fr; }
    & #side { width: 9fr; border-left: vkey $panel; }
    & .title {
        height: 1; padding: 0 1; background: $panel; text-style: bold; text-wrap: nowrap; text-overflow: ellipsis;
    }
    & #plan { height: 3fr; }
    & #tester { height: 2fr; min-height: 7; }
    &.narrow #body { layout: vertical; }
    &.narrow #text { width: 1fr; height: 1fr; }
    &.narrow #side { width: 1fr; height: 40%; min-height: 4; border-left: none; }
    &.narrow #plan, &.narrow #tester { height: 1fr; min-height: 0; }
    &.narrow.on-plan #tester, &.narrow.on-plan #tester-title { display: none; }
    &.narrow.on-tester #plan, &.narrow.on-tester #plan-title { display: none; }
}
"""
