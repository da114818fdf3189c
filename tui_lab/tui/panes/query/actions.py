"""The keys of the Query pane, and its help."""

from __future__ import annotations

from typing import Final

from tui_lab.tui.base.actions import Action

HELP: Final = """
Query the lab with SQL (DuckDB's), also during a run. A query changes nothing.

| table | rows |
|---|---|
| `NAME` | done tasks of experiment NAME |
| `NAME_tasks` | every task ever, with `state` and `reason` |
| `NAME_steps` | values by step |
| `NAME_rows` | the rows that `rows` finds |
| `NAME_stages` | the runs of stages before the last |
| `results` | NAME of the current experiment |
| `nodes` | samples of the nodes |
| `'FILE'` | a CSV, JSON or Parquet file of the lab |

`best('METRIC')`, `compare('A', 'B')`, `failures()`, `slowest()` stand where a table may, and alone.
`.schema` lists columns, `@NAME` runs a saved query, `$name` asks for a value; `ci95(x)` is half of the
95 % interval of a mean. Selected text runs alone.
"""
ACTIONS: Final = (
    Action("query.run", "ctrl+j,ctrl+enter,f5", "Run", "Run the query, or the part of it that is selected."),
    Action("query.cancel", "escape,ctrl+c", "Cancel", "Stop the query that is running.", shown=False),
    Action("query.edit", "e,i", "Edit", "Go to the text of the query."),
    Action(
        "query.new",
        "n,alt+n",
        "New",
        "Empty the text for another query (ctrl+z in it brings the text back).",
        shown=False,
    ),
    Action("query.chart", "p,alt+p", "Chart", "Draw the answer in the Chart pane."),
    Action("query.export", "x,alt+x", "Export", "Write the answer to a CSV, Parquet, JSON or Markdown file."),
    Action("query.history", "ctrl+r", "History", "Pick one of the earlier queries of this lab."),
    Action("query.saved", "ctrl+o", "Saved", "Pick one of the lab's saved queries.", shown=False),
    Action("query.save", "ctrl+s", "Save", "Keep the query in the lab under a name.", shown=False),
    Action("query.earlier", "ctrl+up", "Earlier", "The previous query.", shown=False, call="step(-1)"),
    Action("query.later", "ctrl+down", "Later", "The next query.", shown=False, call="step(1)"),
    Action(
        "query.complete",
        "ctrl+space,ctrl+@",
        "Complete",
        "Complete the name or word at the cursor; tab after a word does, too.",
        shown=False,
    ),
    Action("query.schema", "ctrl+b", "Tables", "Show or hide the tables and their columns."),
    Action("query.all_rows", "L,alt+l", "All rows", "Show up to 1,000,000 rows, or 10,000 again.", shown=False),
    Action("query.auto", "R,alt+r", "Follow", "Repeat the query automatically during a run."),
    Action("query.copy_table", "ctrl+y", "Copy table", "Copy the answer, tab-separated.", shown=False),
    Action("query.copy_markdown", "M", "Copy Markdown", "Copy the answer as a Markdown table.", shown=False),
)
