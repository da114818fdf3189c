"""Another engine in place of one that died: what was going goes on, with the environment of this screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from textual.notifications import SeverityLevel

    from tui_lab.tui.app import LabApp


def start_engine(app: LabApp) -> tuple[str, SeverityLevel]:
    """Start it where none is alive, and resume. What to tell. Blocks."""
    from tui_lab.store.errors import LabError

    snapshot = app.snapshot
    left = [one.name for one in snapshot.experiments if one.queued and not (one.ended or one.paused or one.drained)]
    if snapshot.lab is None or not left:
        return "nothing was going: the next run starts an engine by itself", "information"
    try:
        client = app.engine()
        for name in left:
            client.request("resume", experiment=name, environment=app.command_environment())
        client.close()
    except LabError as error:
        return str(error), "error"
    return f"an engine is running again: {', '.join(left)}", "information"
