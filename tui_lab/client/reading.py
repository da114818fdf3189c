"""Notes on the terminal that outputs or files are being read, if that takes longer than a second."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tui_lab.results.terminal.guard import console as new_console

PATIENCE = 1.0  # seconds before anything appears


@contextmanager
def reading(name: str, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; yield a function to call with (tasks read, tasks to read)."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = new_console(stderr=True)
    columns = (TextColumn(f"reading {name}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    began = time.monotonic()
    with Progress(*columns, console=console, transient=True, disable=quiet or not sys.stderr.isatty()) as bar:
        task = bar.add_task("", visible=False, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=time.monotonic() - began > PATIENCE)

        yield show


@contextmanager
def noted(name: str) -> Iterator[None]:
    """Print a note, once, if reading takes long."""

    def say() -> None:
        print(f"reading {name} …", file=sys.stderr, flush=True)

    timer = threading.Timer(PATIENCE, say)
    timer.daemon = True
    if sys.stderr.isatty():
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
