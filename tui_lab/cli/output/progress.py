"""How a run is shown while it is going: a live block on a terminal, plain lines elsewhere, JSON for programs."""

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

from tui_lab.cli.options import print_json
from tui_lab.client.follow import Followed, View, failure_line
from tui_lab.client.formatting import STATE_MARKS, STATE_STYLES, shortened, span
from tui_lab.results.terminal.guard import console as new_console
from tui_lab.store.spare import counts_without_spare

LINES_EVERY: Final = 10.0  # seconds between plain lines
JSON_EVERY: Final = 1.0


def make_view(json: bool) -> View:
    """Return the view for this standard error: a live one on a terminal, lines elsewhere, or JSON for programs."""
    if json:
        return JsonView()
    console = new_console(stderr=True)
    return LiveView(console) if sys.stderr.isatty() and not console.is_dumb_terminal else LinesView(console)


class LiveView:
    """A bar for each experiment, with counts by state, rate, time left, and the last failure."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live = Live(console=console, refresh_per_second=8, transient=True)
        self.live.start()

    def update(self, runs: list[Followed], notice: str) -> None:
        """Draw the state of the runs again."""
        self.live.update(self._shown(runs, notice))

    def say(self, text: str) -> None:
        """Print a line above the progress bars."""
        self.live.console.print(Text(text))

    def close(self, runs: list[Followed]) -> None:
        """Remove the progress bars."""
        self.live.update("")
        self.live.stop()

    def _shown(self, runs: list[Followed], notice: str) -> RenderableType:
        width = self.console.width
        parts: list[RenderableType] = []
        for run in runs:
            parts += [self._bar(run, width), self._counts(run)]
            if run.failure is not None:
                parts.append(self._failure(run, width))
        if notice:
            parts.append(Text(f"! {notice}", style="bold yellow"))
        return Group(*parts)

    def _bar(self, run: Followed, width: int) -> RenderableType:
        ended = min(run.ended, run.asked)
        share = f"{ended:,}/{run.asked:,}"
        speed = [] if run.rate is None else [f"{run.rate:.1f}/s" if run.rate < 100 else f"{run.rate:.0f}/s"]
        left = [] if run.remaining is None else [f"{span(run.remaining)} left"]
        words = "  ".join([share, *speed, *left])
        line = Table.grid(padding=(0, 1))
        room = max(8, width - len(run.folder.name) - len(words) - 4)
        line.add_row(
            Text(run.folder.name, style="bold"),
            ProgressBar(total=max(1, run.asked), completed=ended, width=min(room, 40), complete_style="cyan"),
            Text(words),
        )
        return line

    def _counts(self, run: Followed) -> Text:
        text = Text("  ")
        for name, count in counts_without_spare(run.state)[0].items():
            if count or name == "running":
                text.append(f"{STATE_MARKS[name]} {count:,} {name}", style=STATE_STYLES[name])
                text.append("   ")
        return text

    def _failure(self, run: Followed, width: int) -> Text:
        return Text(shortened("  " + failure_line(run), width - 1), style="red")


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
        left = "" if run.remaining is None else f", {span(run.remaining)} left"
        return f"{time.strftime('%H:%M:%S')} {run.folder.name}: {run.ended:,} of {run.asked:,} ended ({shown}{left})"

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)

    def close(self, runs: list[Followed]) -> None:
        """Do nothing: all lines are printed."""


class JsonView:
    """One object a second on standard output, `{"event": "progress", ...}`."""

    def __init__(self) -> None:
        self.next = 0.0

    def update(self, runs: list[Followed], notice: str) -> None:
        """Print the counts of the runs, at most once in a while."""
        if time.monotonic() < self.next:
            return
        self.next = time.monotonic() + JSON_EVERY
        for run in runs:
            print_json(
                {
                    "event": "progress",
                    "experiment": run.folder.name,
                    "asked": run.asked,
                    "ended": run.ended,
                    "counts": counts_without_spare(run.state)[0],
                    "rate": run.rate,
                    "remaining": run.remaining,
                    "notice": notice or None,
                }
            )

    def say(self, text: str) -> None:
        """Print a line as an event `message`."""
        print_json({"event": "message", "text": text})

    def close(self, runs: list[Followed]) -> None:
        """Do nothing: all events are printed."""
