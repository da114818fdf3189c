"""What can be copied of a task: the command that repeats it, its name, its folder, a cell, the row, the log."""

from __future__ import annotations

import asyncio

from tui_lab.client.errors import UsageError
from tui_lab.store.errors import LabError
from tui_lab.tui.base.pane import Host
from tui_lab.tui.panes.tasks.expansion import StageRun
from tui_lab.tui.panes.tasks.table import TaskTableView
from tui_lab.tui.tasks.detail import command_line
from tui_lab.tui.tasks.frame import TaskSource
from tui_lab.tui.widgets.dialogs import Choose


async def ask_copy(
    host: Host, source: TaskSource, table: TaskTableView, task: int, run: StageRun | None, log: str
) -> None:
    """Ask what to copy of the row under the cursor, and copy it. run: of a stage, which the row shows. log: what of the
    log is in sight."""
    address = f"{source.folder.name}/{task}" if run is None else f"{source.folder.name}/{run.task}:{run.stage}"
    choices = [
        ("command", "the command that repeats it"),
        ("address", f"its name: {address}"),
        ("folder", "the path of its folder"),
        ("cell", f"the cell: {table.columns[table.cursor_column].name}"),
        ("row", "the row"),
        ("log", "the log in sight"),
    ]
    match await host.ask(Choose(f"Copy of {address}", choices)):
        case "cell":
            table.copy_cell()
        case "row":
            table.action_copy_row()
        case "address":
            host.copy(address, "the name")
        case "folder":
            host.copy(str(source.folder.task_folder(task)), "the path")
        case "log":
            host.copy(log, "the log in sight")
        case "command":
            await _copy_command(host, source, task)


async def _copy_command(host: Host, source: TaskSource, task: int) -> None:
    try:
        line = await asyncio.to_thread(command_line, source, task)
    except (LabError, UsageError, ValueError, OSError) as error:
        host.tell(str(error), "error")
    else:
        host.copy(line, "the command")
