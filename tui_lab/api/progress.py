"""How a run is shown while a script or a notebook waits for it."""

from __future__ import annotations

import io
import sys
import time
from typing import Any, Final

from rich.console import Console

from tui_lab.client.follow import Followed, View
from tui_lab.client.progress import progress_block, terminal_view
from tui_lab.store.spare import counts_without_spare

EVERY: Final = 0.25  # seconds between two updates of a notebook
WIDTH: Final = 100  # cells of a block in a notebook
_HTML: Final = '<pre style="line-height: normal; white-space: pre; font-family: monospace">{code}</pre>'


def make_view(progress: bool) -> View:
    """Return the view for the place in which the program runs."""
    if not progress:
        return SilentView()
    display = notebook_display()
    return terminal_view() if display is None else NotebookView(display)


def notebook_display() -> Any:
    """Return the module that shows things in the notebook in which this runs; None where this is no notebook."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return sys.modules.get("IPython.display") if hasattr(shell, "kernel") else None


def counts_line(run: Followed) -> str:
    """Return the number of tasks in each state, in a line."""
    counts, _ = counts_without_spare(run.state)
    return f"{run.folder.name}: {', '.join(f'{count:,} {state}' for state, count in counts.items() if count)}"


class SilentView:
    """Shows nothing."""

    def update(self, runs: list[Followed], notice: str) -> None:
        """Do nothing."""

    def say(self, text: str) -> None:
        """Do nothing."""

    def close(self, runs: list[Followed]) -> None:
        """Do nothing."""


class NotebookView:
    """The progress of runs below a cell, updated in place. display: the module `IPython.display`."""

    def __init__(self, display: Any) -> None:
        self._display = display
        self._handle: Any = None
        self._next = 0.0
        self._said: list[str] = []

    def update(self, runs: list[Followed], notice: str) -> None:
        """Show the state of the runs, a few times a second."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + EVERY
            self._show(runs, notice)

    def say(self, text: str) -> None:
        """Keep a line of text above the progress."""
        self._said.append(text)

    def close(self, runs: list[Followed]) -> None:
        """Show how the runs ended."""
        self._show(runs, "")

    def _show(self, runs: list[Followed], notice: str) -> None:
        console = Console(file=io.StringIO(), width=WIDTH, record=True, force_jupyter=False, force_terminal=True)
        for text in self._said:
            console.print(text, markup=False, highlight=False)
        console.print(progress_block(runs, notice, WIDTH))
        shown = {
            "text/html": console.export_html(inline_styles=True, code_format=_HTML, clear=False),
            "text/plain": console.export_text().rstrip(),
        }
        if self._handle is None:
            self._handle = self._display.display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)
