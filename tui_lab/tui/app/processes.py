"""Programs beside the screen: one at a time, its output in a panel below the pane while it comes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from textual.app import App

from tui_lab.store import mirrors
from tui_lab.tui.base.pane import Host


class Processes:
    """Runs modules of Python in a panel, on the machine of the lab."""

    def __init__(self, app: App[int], host: Host) -> None:
        """app, host: the same, as Textual and as panes know it."""
        self._app, self._host = app, host

    async def stream(self, title: str, module: Sequence[str], tied: bool) -> None:
        """Show a module while it runs; see `Host.stream`. One that runs is stopped after a question. Only in a
        worker."""
        from tui_lab.tui.widgets.process import ProcessHere, ProcessPanel, Program

        host, base = self._host, self._app.screen_stack[0]
        release = host.hold_input()
        try:
            for before in base.query(ProcessPanel):
                if before.running:
                    body = f"It is shown in the panel where {title} would be."
                    release()
                    if not await host.confirm(f"Stop {before.program.title}?", body, "Stop"):
                        return
                    release = host.hold_input()
                await before.remove()
            if (side := mirrors.other_side(host.lab_path)) is not None:
                start: Callable[[Path, int], mirrors.Running] = partial(side.run, module)
            else:
                words = (sys.executable, "-P", "-m", *module)
                own = {} if tied else {"TUI_LAB_DIR": str(host.lab_path.absolute())}
                start = partial(ProcessHere, words, host.command_environment() | own, tied)
            panel = ProcessPanel(Program(title, start, tied))
            await base.mount(panel, after="#panes")
        finally:
            release()

    def close_ended(self) -> bool:
        """Close the panel if its program has ended; return whether there is one."""
        base = self._app.screen_stack[0]
        if not base.query("#process"):
            return False
        from tui_lab.tui.widgets.process import ProcessPanel

        ended = [panel for panel in base.query(ProcessPanel) if not panel.running]
        for panel in ended:
            panel.post_message(ProcessPanel.Closed())
        return bool(ended)

    async def close(self) -> None:
        """Close the panel; the focus goes back to the pane."""
        await self._app.screen_stack[0].query("#process").remove()
        if self._host.pane is not None:
            self._host.pane.focus_first()
