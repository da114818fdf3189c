"""A run on a terminal while it is going: a live block, or plain lines elsewhere."""

from __future__ import annotations

import re
import sys
import time
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tui_lab.client.follow import Followed, View, failure_line
from tui_lab.client.formatting import STATE_MARKS, STATE_STYLES, shortened, span, stages_line
from tui_lab.results.terminal.guard import console as new_console
from tui_lab.store.spare import counts_without_spare

LINES_EVERY: Final = 10.0  # seconds between plain lines


def terminal_view() -> View:
    """Return the view for this standard error: a live one on a terminal, else lines."""
    console = new_console(stderr=True)
    return LiveView(console) if sys.stderr.isatty() and not console.is_dumb_terminal else LinesView(console)


def progress_block(runs: list[Followed], notice: str, width: int) -> RenderableType:
    """Return a bar for each experiment, with counts by state, rate, time left and last failure. width: in cells."""
    parts: list[RenderableType] = []
    for run in runs:
        parts += [_bar(run, width), _counts(run)]
        if stages := stages_line(run.state.stage_counts()):
            parts.append(Text(shortened(f"  {stages}", width - 1), style="dim"))
        if run.failure is not None:
            parts.append(Text(shortened("  " + failure_line(run), width - 1), style="red"))
    if notice:
        parts.append(Text(f"! {notice}", style="bold yellow"))
    return Group(*parts)


def _bar(run: Followed, width: int) -> RenderableType:
    ended = min(run.ended, run.asked)
    share = f"{ended:,}/{run.asked:,}"
    speed = [] if run.rate is None else [f"{run.rate:.1f}/s" if run.rate < 100 else f"{run.rate:.0f}/s"]
    left = [f"{span(run.remaining)} left"] if run.remaining else []
    words = "  ".join([share, *speed, *left])
    line = Table.grid(padding=(0, 1))
    room = max(8, width - len(run.folder.name) - len(words) - 4)
    line.add_row(
        Text(run.folder.name, style="bold"),
        ProgressBar(total=max(1, run.asked), completed=ended, width=min(room, 40), complete_style="cyan"),
        Text(words),
    )
    return line


def _counts(run: Followed) -> Text:
    text = Text("  ")
    for name, count in counts_without_spare(run.state)[0].items():
        if count or name == "running":
            text.append(f"{STATE_MARKS[name]} {count:,} {name}", style=STATE_STYLES[name])
            text.append("   ")
    return text


class LiveView:
    """The block of `progress_block`, in place."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, refresh_per_second=8, transient=True)
        self.live.start()

    def update(self, runs: list[Followed], notice: str) -> None:
        """Draw the state of the runs again."""
        self.live.update(progress_block(runs, notice, self.console.width))

    def say(self, text: str) -> None:
        """Print a line above the progress bars."""
        self.live.console.print(Text(text))

    def close(self, runs: list[Followed]) -> None:
        """Remove the progress bars."""
        self.live.update("")
        self.live.stop()


_LASTING: Final = re.compile(r" \([0-9.]+ (s|min)\)")  # how long something has lasted: no reason to say it again


class LinesView:
    """A line every ten seconds, and one for the first failure: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.next = time.monotonic() + LINES_EVERY
        self.printed: set[str] = set()

    def update(self, runs: list[Followed], notice: str) -> None:
        """Print failures and notices that were not printed before."""
        for run in runs:
            if run.failure is not None and run.folder.name not in self.printed:
                self.printed.add(run.folder.name)
                self.say(f"{run.folder.name}: {failure_line(run)}")
        same = _LASTING.sub("", notice)
        if notice and same not in self.printed:
            self.printed.add(same)
            self.say(notice)
        if time.monotonic() >= self.next:
            self.next = time.monotonic() + LINES_EVERY
            for run in runs:
                self.say(self._line(run))

    def _line(self, run: Followed) -> str:
        counts, _ = counts_without_spare(run.state)
        shown = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
        stages = stages_line(run.state.stage_counts())
        shown = f"{stages}; {shown}" if stages else shown
        left = "" if run.remaining is None else f", {span(run.remaining)} left"
        return f"{time.strftime('%H:%M:%S')} {run.folder.name}: {run.ended:,} of {run.asked:,} ended ({shown}{left})"

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def close(self, runs: list[Followed]) -> None:
        """Do nothing: all lines are printed."""
