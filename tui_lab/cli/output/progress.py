"""How `--run` shows a run while it is going: for a terminal or a log, or as JSON for programs."""

from __future__ import annotations

import time
from typing import Final

from tui_lab.cli.options import print_json
from tui_lab.client.follow import Followed, View
from tui_lab.client.progress import terminal_view
from tui_lab.store.spare import counts_without_spare

JSON_EVERY: Final = 1.0  # seconds


def make_view(json: bool) -> View:
    """Return the view for this standard error, or that for programs."""
    return JsonView() if json else terminal_view()


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
                    "stages": run.state.stage_counts(),
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
