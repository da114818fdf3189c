"""Following runs: reads the journals until they are over, shows their progress, passes on Ctrl-C.

A follower decides nothing. It may die at any time; the engine and the tasks go on.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, Protocol

from tui_lab.client.eta import Pace
from tui_lab.client.formatting import printable

# SELF from Followed
from tui_lab.client.node_formatting import stop_line
from tui_lab.engine.client import EngineClient, EngineGone, EngineSilent

# SELF from Followed
from tui_lab.protocol.control import AskStatus, Drain, Resume, Stop, StoppingTasks
from tui_lab.results.failures.messages import telling_line
from tui_lab.store import layout, ranges
from tui_lab.store.errors import LabError, StorageError
from tui_lab.store.events import DependencyDone, DependencyFailed, Event, Extended, Finished
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State
from tui_lab.store.lab import Lab

TICK: Final = 0.1  # seconds between looks at the journal, at most
ASK: Final = 1.0  # seconds between questions to the engine
FIRST_TICK: Final = 0.01  # of the first look; each further one waits a little longer
TWICE: Final = 1.0  # seconds within which a second SIGTERM is the same one: `timeout` sends it to its group, too
PATIENCE: Final = 5.0  # seconds that the engine may take to answer
RESTARTS: Final = 3  # engines that a follower starts in place of dead ones while no task ends


@dataclass
class Followed:
    """One experiment that a client follows."""

    folder: ExperimentFolder
    submission: int
    asked: int  # tasks that this call runs
    state: State
    began: float = field(default_factory=time.monotonic)
    ended: int = 0  # of those, how many have
    failure: Finished | None = None  # the last task that failed
    notes: list[str] = field(default_factory=list)  # on the run, not printed yet
    recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=100))
    remaining: float | None = None
    """Seconds until the end."""
    pace: Pace | None = None

    def refresh(self) -> bool:
        """Read new events; return whether the run is over."""
        state = self.state
        if self.pace is None:
            self.pace = Pace()
            self.pace.begin(state)
        state.follow(self.folder.journal, self._hear)
        now = time.monotonic()
        if not self.recent or now - self.recent[-1][0] >= TICK:
            self.recent.append((now, self.ended))
            left = max(0, self.asked - self.ended)
            self.remaining = None if state.paused else self.pace.remaining(left, drained=state.drained)
        return state.ended is not None and len(state.submissions) > self.submission

    def _hear(self, event: Event) -> None:
        if self.pace is not None:
            self.pace.hear(event, self.state)
        if isinstance(event, Extended):
            self.asked += ranges.count(event.queued)
            if event.note:
                self.notes.append(event.note)
        if isinstance(event, DependencyFailed | DependencyDone):
            self.ended += sum(self.state.stage(task) is None for task in ranges.each(event.tasks))
        if isinstance(event, Finished) and event.again is None and not event.duplicate:
            self.ended += self.state.stage(event.task) is None and not event.waits
            if event.state in ("failed", "lost"):
                self.failure = event

    @property
    def rate(self) -> float | None:
        """Tasks that have ended per second, recently."""
        (since, before), (now, ended) = self.recent[0], self.recent[-1]
        if ended == before:
            return self.ended / (now - self.began) if self.ended and now > self.began else None
        return (ended - before) / (now - since)


class Heard:
    """What a follower is told from outside."""

    count = 0
    """How often Ctrl-C was pressed: the first lets running tasks finish, the second stops them."""
    leave = False
    """Whether the follower is to leave once it has passed that on."""
    followed = False
    """Whether a follower takes care of it."""

    def restore(self) -> None:
        """End listening."""


class Interrupts(Heard):
    """Counts Ctrl-C and SIGTERM from the moment at which tasks may begin: the follower passes them on. Before it
    follows, a second Ctrl-C leaves. Only for the main thread."""

    def __init__(self) -> None:
        self._terminated = -TWICE
        self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}

    def _hear(self, number: int, frame: FrameType | None) -> None:
        # Only counted here: a handler may not touch the socket in the middle of a request.
        now = time.monotonic()
        if number == signal.SIGTERM:
            if now - self._terminated < TWICE:
                return
            self._terminated = now
        self.count += 2 if number == signal.SIGTERM and self.count < 1 else 1
        if not self.followed and self.count > 1 and number == signal.SIGINT:
            raise KeyboardInterrupt

    def restore(self) -> None:
        """Put the signal handlers back that were there before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)


class View(Protocol):
    """Shows a run while it is going."""

    def update(self, runs: list[Followed], notice: str) -> None:
        """Show the state of the runs. notice: what the engine waits for; empty where it does not wait."""

    def say(self, text: str) -> None:
        """Show a line of text."""

    def close(self, runs: list[Followed]) -> None:
        """End the view."""


class Follower:
    """Watches runs until all are over."""

    def __init__(
        self,
        lab: Lab,
        client: EngineClient,
        runs: list[Followed],
        view: View,
        heard: Heard,
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """environment: of the submitter, for the tasks, which another engine needs if this one dies."""
        self.lab = lab
        self.client = client
        self.runs = runs
        self.view = view
        self._heard = heard
        self._environment = environment
        self._asked = 0.0
        self._restarts = 0
        self._ended = 0
        self._notice = ""
        self._unheard = False  # the engine did not take the last Ctrl-C
        self._stopping: list[StoppingTasks] = []
        self._full: list[str] = []  # runs that wait for room on a disk

    def follow(self) -> bool:
        """Follow until every run is over; return whether the user interrupted it. Raises LabError where no engine can
        be started or a run can't continue, StorageError where no node can be reached."""
        self._heard.followed = True
        handled = 0
        tick = FIRST_TICK
        try:
            while not self._over():
                heard = self.interrupts
                if handled < heard:
                    if handled < 2:  # also where several came at once: leaving means that the tasks are stopped
                        self._pass_on()
                    handled = heard
                    if handled > 2 and self._leaves():
                        return True
                if self._heard.leave:
                    return True
                self._ask()
                if self._beyond_reach():
                    return True
                self._tell()
                self.view.update(self.runs, self._notice)
                if self.client.wait(tick):
                    self._replace_engine()
                tick = min(TICK, tick * 1.2)
        finally:
            self._heard.restore()
            self.view.close(self.runs)
        if not self.interrupts:
            self._complain()
        return self.interrupts > 0

    def _over(self) -> bool:
        """Read the events of every run; return whether all are over."""
        over = [run.refresh() for run in self.runs]
        return all(over)

    def _tell(self) -> None:
        for run in self.runs:
            for note in run.notes:
                self.view.say(f"{run.folder.name}: {note}")
            run.notes.clear()

    def _complain(self) -> None:
        """Raise the error of a run that could not continue."""
        for run in self.runs:
            pause = run.state.paused
            if pause is not None and pause.reason == "no_node":
                raise StorageError(pause.message, "after a repair, the same command continues")
            if pause is not None and pause.reason == "error":
                raise LabError(f"{run.folder.name}: {pause.message}")

    @property
    def interrupts(self) -> int:
        """How often Ctrl-C was pressed."""
        return self._heard.count

    def _leaves(self) -> bool:
        """Return whether a third Ctrl-C leaves: if the engine hangs or the disk is full, waiting is no use."""
        stopping = (
            "The engine did not answer: tasks may still be running"
            if self._unheard
            else "The running tasks are being stopped"
        )
        self.view.say(f"Left. {stopping}; `tui-lab status` shows the progress.")
        return True

    def _beyond_reach(self) -> bool:
        """Return whether only tasks on nodes that are away are left, or events that wait for room on the disk. That may
        take long, and the engine takes care of it. Prints a line."""
        if self.interrupts >= 2 and self._full:
            self.view.say(f"Left. {self._notice}: the engine has stopped the tasks, and will record it then.")
            return True
        if self.interrupts < 2 or not self._stopping or any(one.away_for is None for one in self._stopping):
            return False
        going = {run.folder.name for run in self.runs if not run.refresh()}
        if not going <= {one.experiment for one in self._stopping}:
            return False
        self.view.say("Left. All reachable tasks are stopped; the engine continues with the rest:")
        for one in self._stopping:
            self.view.say(stop_line(one))
        return True

    def _pass_on(self) -> None:
        """The first Ctrl-C lets running tasks finish, the second (and SIGTERM) stops them."""
        try:
            for run in self.runs:
                if not run.refresh():
                    self._interrupt(run)
        except EngineGone:
            self._restart(resume=False)
            self._pass_on()
            return
        except EngineSilent as error:
            self._unheard = True
            self.view.say(str(error))
            return
        self._unheard = False
        if self._heard.leave:
            self.view.say("Starting no more tasks; running ones may finish.")
        elif self.interrupts == 1:
            self.view.say("Starting no more tasks; running ones may finish. Press Ctrl-C again to stop them.")
        else:
            self.view.say("Stopping the running tasks. Press Ctrl-C again to leave that to the engine.")

    def _interrupt(self, run: Followed) -> None:
        if self.interrupts == 1:
            self.client.request(Drain(run.folder.name), patience=PATIENCE)
        else:
            self.client.request(Stop(run.folder.name, interrupt=True), patience=PATIENCE)

    def _ask(self) -> None:
        """Ask the engine for its status from time to time; it may not know a run any more."""
        if time.monotonic() - self._asked < ASK:
            return
        first = self._asked == 0.0
        self._asked = time.monotonic()
        if first:
            return  # it has answered a moment ago
        try:
            status = self.client.request(AskStatus(), patience=PATIENCE)
        except EngineGone:
            self._replace_engine()
            return
        except EngineSilent as error:
            self._notice = str(error)
            return
        errors = [f"node {node.name}: {node.error}" for node in status.nodes if node.error]
        self._notice = "; ".join(filter(None, [status.notice, *errors]))
        names = [run.folder.name for run in self.runs]
        self._full = [name for name in status.full if name in names]
        self._stopping = [one for one in status.stopping if one.experiment in names]
        for run in self.runs:
            if run.folder.name not in status.active and not run.refresh():
                self._require_experiment(run)
                if not status.notice:  # else its last words wait for room on the disk
                    self._resume(run)

    def _require_experiment(self, run: Followed) -> None:
        """Raises LabError where the experiment's folder was removed, StorageError where the lab was."""
        if not run.folder.exists():
            self._require_lab()
            raise LabError(f"{run.folder.path}: was removed while its tasks ran", "they have been stopped")

    def _require_lab(self) -> None:
        """Raises StorageError where the lab was removed."""
        if not (self.lab.path / layout.LAB_FILE).exists():
            what = f"{self.lab.path}: was moved or removed while its tasks ran; they have been stopped"
            raise StorageError(what, "if it was moved, continue with the same command and --lab DIR")

    def _replace_engine(self) -> None:
        if not self._over():
            self._restart(resume=self.interrupts == 0)

    def _restart(self, resume: bool) -> None:
        """Start another engine after one has died."""
        ended = sum(run.ended for run in self.runs)
        self._restarts = self._restarts + 1 if ended == self._ended else 1
        self._ended = ended
        if self._restarts > RESTARTS:
            raise StorageError("the engine keeps dying", f"see {self.lab.path / layout.ENGINE_LOG}")
        self._require_lab()
        self.view.say("The engine has died. Starting another one; nothing is lost.")
        self.client.close()
        self.client = EngineClient.start(self.lab)
        for run in self.runs:
            if run.refresh():
                continue
            if resume:
                self._resume(run)
            else:
                self._interrupt(run)

    def _resume(self, run: Followed) -> None:
        self._require_experiment(run)
        self.client.request(Resume(run.folder.name, dict(self._environment)))


def failure_line(run: Followed) -> str:
    """The last failure in a line: task, reason, and its exception or what its standard error says."""
    event = run.failure
    assert event is not None
    what = {"exit": f"exit {event.exit_code}", "signal": f"signal {event.signal}"}
    reason = what.get(event.reason or "", event.reason or event.state)
    place = run.folder.task_folder(event.task)
    raised = event.raised.line if event.raised else ""
    line = printable(raised or telling_line(place, event.attempt, event.message, event.signal))
    stage = run.folder.stage_of(event.task)
    which = f"task {event.task}" if stage is None else f"run {event.task} of {stage}"
    return f"✗ {which}: {reason}" + (f": {line}" if line else "")
