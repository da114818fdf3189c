"""What a person can do in the Chart pane, and what there is to choose from."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.actions import Action

HELP: Final = """
Draws the answer of a query (`p` in the Query pane), or an experiment's steps and results as they are now:
with `o` choose which. Steps grow while tasks run; as hue, `task` gives each task a curve of its own. They are those of
the tasks that are marked in the Tasks pane, else of those that its filter shows: the line at the top says so.

The line above the chart says what is drawn. Each of its keys opens a list. Null and NaN are left out, and
counted in the line below. `T` shows the same in words and numbers.
"""

ACTIONS: Final = (
    Action("chart.kind", "k", "Kind", "Choose lines, bars, box, histogram, scatter, heatmap ..."),
    Action("chart.x", "x", "X axis", "Choose the column along x.", call="pick('x')"),
    Action("chart.y", "y", "Y axis", "Choose the column along y.", call="pick('y')"),
    Action("chart.hue", "h", "Hue", "Choose the column by whose values there are several series.", call="pick('hue')"),
    Action("chart.z", "z", "Cells", "Choose the column that a heatmap's cells show.", shown=False, call="pick('z')"),
    Action("chart.aggregate", "m", "Mean", "Choose how several values at one place become one.", shown=False),
    Action("chart.error", "e", "Error", "Choose what error bars and bands show."),
    Action("chart.log", "l", "Log", "Choose the axes that are logarithmic."),
    Action("chart.range", "r", "Range", "Say from where to where the y axis goes.", shown=False),
    Action("chart.table", "T", "Table", "Show the same data in words and numbers."),
    Action("chart.source", "o", "Source", "Choose what is drawn: steps, results, or a query's answer."),
    Action("chart.ascii", "a", "ASCII", "Draw with ASCII characters only, or not.", shown=False),
    Action("chart.defaults", "0", "Defaults", "Draw what the columns ask for by themselves.", shown=False),
    Action("chart.write", "w", "Write", "Write the chart to a picture, a text or a table.", shown=False),
)
