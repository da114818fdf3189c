"""The panel of the pattern: the metric under the cursor, tried on a real output, and metrics that outputs offer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from textual.app import ComposeResult
from textual.content import Content
from textual.timer import Timer
from textual.worker import Worker

from tui_lab.experiment.model import Experiment
from tui_lab.tui.base.empty import Empty
from tui_lab.tui.base.pane import host_of
from tui_lab.tui.base.workers import deliver, work
from tui_lab.tui.panes.experiment.offers import named, offered
from tui_lab.tui.panes.experiment.tester import PatternTester
from tui_lab.tui.panes.experiment.trial import NO_METRIC, Asked, Outputs, Trial, asked_at, try_out
from tui_lab.tui.widgets.panels.panel import Panel

LOOK: Final = 2.0
"""Seconds between looks whether a task has ended."""


class TesterPanel(Panel):
    """Tries patterns in a thread. which: the output, counted from the newest."""

    def __init__(self, metric_here: Callable[[bool], None], *, id: str) -> None:
        """metric_here: told whether there is a metric under the cursor, when it is another one."""
        super().__init__(title="Pattern", id=id)
        self.outputs = Outputs()
        self.which = 0
        self._metric_here = metric_here
        self._about = ""  # the metric under the cursor
        self._asked: Asked | None = None
        self._trial: Worker[Any] | None = None
        self._waiting: Timer | None = None

    def compose(self) -> ComposeResult:
        yield PatternTester("tester")

    def say_no_file(self) -> None:
        """Say what will be here once there is a file."""
        said = Empty(
            "What its metrics find in an output is shown here", "experiment.new", "makes a file from a template"
        )
        self.query_one(PatternTester).show_words(said)

    def choose(self, step: int) -> None:
        """Choose an older output for the next trial, or a newer one."""
        self.which = max(0, self.which + step)

    def try_at(self, path: Path, text: str, line: int) -> None:
        """Try the pattern in a line of a text, from 0."""
        asked = asked_at(path, text, line, self.which)
        about = "" if isinstance(asked, str) else asked.name
        if about != self._about:
            self._about = about
            self._metric_here(bool(about))
        if isinstance(asked, str):
            self._asked = None
            self.query_one(PatternTester).show_words(
                Empty(asked, "experiment.metrics", "offers what tasks have printed") if asked == NO_METRIC else asked
            )
            self.set_title("Pattern")
        elif asked != self._asked or self._trial is None or self._trial.is_finished:
            self._asked = asked
            self._trial = self._try_out(asked)

    @work(thread=True, exclusive=True, group="experiment-try")
    def _try_out(self, asked: Asked) -> None:
        deliver(self, self._show_trial, try_out(host_of(self).lab, asked, self.outputs))

    def _show_trial(self, trial: Trial) -> None:
        if trial.asked != self._asked:
            return
        self.query_one(PatternTester).show_trial(trial)
        title = Content("Pattern")
        if trial.outputs:
            older, newer = (host_of(self).key(f"experiment.{action}") for action in ("older", "newer"))
            place = f"output {trial.asked.which % trial.outputs + 1} of {trial.outputs:,}, esc, then {older} or {newer}"
            place += " for others"
            title += Content.from_markup("[not bold $foreground 68% $quiet]  $place[/]", place=place)
        self.set_title(title)

    # --- Metrics that are offered

    def wait_for_output(self, name: str, path: Path, text: str, experiment: Experiment | None) -> None:
        """Offer metrics once a task has ended, to a user who has launched a file that has none."""
        if self._waiting is not None:
            self._waiting.stop()
        if experiment is not None and not experiment.metrics and experiment.rows is None:
            self._waiting = self.set_interval(LOOK, partial(self._look_for_output, name, path, text))

    def _look_for_output(self, name: str, path: Path, text: str) -> None:
        one = host_of(self).snapshot.experiment(name)
        if one is None or self._waiting is None or not (one.counts.get("done") or one.ended):
            return
        self._waiting.stop()
        self._waiting = None
        if one.counts.get("done"):
            self._say_offers(name, path, text)

    @work(thread=True, exclusive=True, group="experiment-offers")
    def _say_offers(self, name: str, path: Path, text: str) -> None:
        host = host_of(self)
        found = offered(host.lab, path, text, self.outputs)
        if found.offers:
            names = named(found.offers)
            key = host.key("experiment.metrics")
            host.tell(f"tasks of {name} print {names}: {key} in the Experiment pane makes metrics of them")
