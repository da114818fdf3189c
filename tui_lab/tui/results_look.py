"""How the Results pane looks, and its keys."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.actions import Action

ACTIONS: Final[tuple[Action, ...]] = (
    Action("results.metric", "m", "Metric", "Judge by the next metric."),
    Action("results.previous_metric", "M", "Back", "Judge by the metric before.", shown=False),
    Action("results.baseline", "b", "Baseline", "Compare all settings with the one under the cursor, or stop."),
    Action("results.by", "v", "Settings", "Choose the parameters that make a setting; average over the others."),
    Action("results.pareto", "o", "Pareto", "Show only settings that no other beats in two metrics, or all."),
    Action("results.plot", "p", "Plot", "Draw the metric over the parameters."),
    Action("results.copy", "y", "Copy", "Copy the table as Markdown."),
    Action("results.goal", "d", "Goal", "Turn around what is better, here only.", shown=False),
    Action("results.refresh", "ctrl+r,f5", "Refresh", "Read the results again now.", shown=False),
)
HELP: Final = """
One row per setting: its mean with the confidence interval, best first. `★ best`, and `≈ tied` for all that can't be
told from it. Several values of one setting come from `repeat`, or from a parameter named `seed`.

`b` makes the setting under the cursor the baseline: each other one shows its difference with interval, a verdict, the
corrected p and the ratio. Enter lists the tasks of a setting. `s` on a metric's column judges by it.

The same on the command line: `tui-lab stats`.
"""
CSS: Final = """
ResultsPane {
    & #results-title, & #results-here {
        height: 1; padding: 0 1; background: $panel; text-wrap: nowrap; text-overflow: ellipsis;
    }
    & #results-how { height: auto; max-height: 2; padding: 0 1; }
    & #results-table { height: 1fr; }
    & #results-importance { height: auto; max-height: 2; padding: 0 1; }
    & #results-notes { height: auto; max-height: 5; padding: 0 1; }
    &.short #results-how, &.short #results-importance { max-height: 1; }
    &.short #results-notes { max-height: 2; }
    &.tiny #results-how, &.tiny #results-notes { display: none; }
    &.short #results-how, &.short #results-importance, &.short #results-notes {
        text-wrap: nowrap; text-overflow: ellipsis;
    }
    & #results-message { height: 1fr; padding: 1 2; display: none; }
    &.empty #results-message { display: block; }
    &.empty #results-table, &.empty #results-how, &.empty #results-importance, &.empty #results-here {
        display: none;
    }
}
"""
