"""The keys of the Chart pane, and its help."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.base.actions import Action

HELP: Final = """
Draws the answer of a query (`p` in the Query pane), or the steps or results of an experiment; `o` chooses. Steps grow
during a run. With `task` as hue, each task has its own curve: the tasks that are marked in the Tasks pane, else those
that its filter shows. The line at the top names them.

The line above the chart says what is drawn. Each of its keys opens a list. Null and NaN are left out, and counted in
the line below. The same data in words and numbers stands beside the chart, if there is room; `T` shows it alone.

The arrows move a crosshair, and a click sets it: the lower border has the values there, and the legend marks the
nearest series. `]`, `[` or the wheel show less
or more of the x axis, `}`, `{` or shift and the wheel of the y axis; shift and the arrows, or the mouse, move what is
shown. `home` shows all of it again.

In `parallel`, `left` and `right` go to an axis, `up` and `down` along it; `space` begins and ends a brush there, and
`enter` shows the tasks of the settings in it. A brush of the metric holds for each task by itself. `space` twice in one
place removes it.

Tables of tasks and of results mark the values of the hue as the chart does that was shown last.

`g` shows small charts, one for each metric, and of the slots, load, memory and GPUs of the nodes: the arrows go to one,
`enter` shows it alone, `/` shows those with a text in their names, `pagedown` the next ones.
"""

ACTIONS: Final = (
    Action("chart.kind", "k", "Kind", "Choose lines, bars, box, histogram, scatter, heatmap ..."),
    Action("chart.x", "x", "X axis", "Choose the column along x.", call="pick('x')"),
    Action("chart.y", "y", "Y axis", "Choose the column along y.", call="pick('y')"),
    Action("chart.hue", "h", "Hue", "Choose the column whose values make several series.", call="pick('hue')"),
    Action("chart.z", "z", "Cells", "Choose the column that is shown over x and y.", shown=False, call="pick('z')"),
    Action("chart.aggregate", "m", "Mean", "Choose how several values at one point are combined.", shown=False),
    Action("chart.error", "e", "Error", "Choose what error bars and bands show."),
    Action("chart.log", "l", "Log", "Choose the axes that are logarithmic."),
    Action("chart.smooth", "s", "Smooth", "Smooth learning curves more, or not at all.", shown=False),
    Action("chart.range", "r", "Range", "Set the limits of the y axis.", shown=False),
    Action("chart.fit", "b", "Bars", "Begin bars near the least one, or at 0.", shown=False),
    Action("chart.grid", "g", "Grid", "Show a small chart for each metric and for the nodes, or one chart."),
    Action("chart.filter", "slash", "Filter", "Show the small charts whose names have a text.", shown=False),
    Action("chart.table", "T", "Table", "Show the same data in words and numbers."),
    Action("chart.source", "o", "Source", "Choose the source: steps, results, or a query's answer."),
    Action("chart.ascii", "a", "ASCII", "Draw with ASCII characters only, or not.", shown=False),
    Action("chart.defaults", "Z", "Defaults", "Choose kind and columns automatically again.", shown=False),
    Action("chart.save", "w", "Save", "Write the chart to a picture in the lab's folder of charts."),
    Action("chart.write", "W", "Write", "Write the chart to a picture, a text or a table.", shown=False),
)
