"""Metrics by Python functions in the Tasks pane: in a lab from elsewhere they are not called, and a note says why."""

from __future__ import annotations

from tests.tui.panes.tasks.test_pane import screen
from tests.workbench import Workbench
from tui_lab.store import trust
from tui_lab.tui.widgets.panels.panel import Panel

PARSERS = """
from pathlib import Path
with open({called!r}, "a") as file:
    file.write("called ")
def two(folder):
    text = (Path(folder) / "stdout").read_text()
    return {{"words": len(text.split()), "lines": text.count("\\n")}}
"""


async def test_a_note_says_that_a_lab_is_not_trusted(own_lab: Workbench) -> None:
    called = own_lab.folder / "called"
    parsers = own_lab.write("parsers.py", PARSERS.format(called=str(called)))
    small = own_lab.experiment("small")
    head = small.spec_text().partition("metrics:")[0]
    small.write_metrics(f"{head}metrics:\n  function: {parsers}::two\n", small.plan().number)

    async with screen(own_lab.lab_path, (160, 30)) as s:
        panel = s.pane.query_one("#task-list", Panel)
        await s.until(lambda: "8 tasks · not executed, because lab came from elsewhere" in panel.title)
        assert "`tui-lab trust " in panel.title and "words" not in s.titles
    assert not called.exists()

    trust.trust(own_lab.lab_path)
    async with screen(own_lab.lab_path, (160, 30)) as s:  # the names come with the values
        await s.until(lambda: "words" in s.titles and s.pane.table.frame["words"].to_list()[0] == 4)
        assert s.pane.table.frame["lines"].to_list()[0] == 2
        assert "not executed" not in s.pane.query_one("#task-list", Panel).title
