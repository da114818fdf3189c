"""Following runs: reads the journals until they are over, shows how they stand, passes on Ctrl-C.

A follower decides nothing. It may die at any time; the engine and the tasks go on.
"""

from __future__ import annotations

import os
import signal
import time
from collections import deque
from dataclasses import dataclass, field
from types import FrameType
from typing import Final, Protocol

from tui_lab.engine.client import EngineClient, EngineGone
from tui_lab.store import layout
from tui_lab.store.errors import LabError
from tui_lab.store.experiment import ExperimentFolder
from tui_lab.store.fold import State
from tui_lab.store.journal import Event
from tui_lab.store.lab import Lab

TICK: Final = 0.1  # seconds between looks at the journal
ASK: Final = 1.0  # seconds between questions to the engine
RESTARTS: Final = 3  # engines that a follower starts in place of dead ones


@dataclass
class Followed:
    """One experiment as a follower sees it."""

    folder: ExperimentFolder
    submission: int
    asked: int  # tasks that this call runs
    state: State
    began: float = field(default_factory=time.monotonic)
    ended: int = 0  # of those, how many have
    failure: Event | None = None  # the last task that failed
    recent: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=100))

    def look(self) -> bool:
        """Take in what happened; whether the run is over."""
        state = self.state
        for event in state.follow(self.folder.journal):
            if event.get("event") == "finished" and "again" not in event:
                self.ended += 1
                if event["state"] in ("failed", "lost"):
                    self.failure = event
        self.recent.append((time.monotonic(), self.ended))
        return state.ended is not None and len(state.submissions) > self.submission

    @property
    def rate(self) -> float | None:
        """Tasks that end per second, of late."""
        (since, before), (now, ended) = self.recent[0], self.recent[-1]
        if ended == before:
            return self.ended / (now - self.began) if self.ended and now > self.began else None
        return (ended - before) / (now - since)

    @property
    def remaining(self) -> float | None:
        """Seconds until the end at this rate."""
        rate = self.rate
        return max(0, self.asked - self.ended) / rate if rate else None


class View(Protocol):
    """Shows a run while it is going."""

    def update(self, runs: list[Followed], notice: str) -> None: ...
    def say(self, text: str) -> None: ...
    def close(self, runs: list[Followed]) -> None: ...


class Follower:
    """Watches runs until all are over."""

    def __init__(self, lab: Lab, client: EngineClient, runs: list[Followed], view: View) -> None:
        self.lab = lab
        self.client = client
        self.runs = runs
        self.view = view
        self.interrupts = 0
        self._asked = 0.0
        self._restarts = 0
        self._notice = ""

    def follow(self) -> bool:
        """Until every run is over; whether a person interrupted it. Raises LabError where no engine can be had."""
        before = {number: signal.signal(number, self._interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        handled = 0
        try:
            while not all([run.look() for run in self.runs]):
                if handled < self.interrupts:
                    handled = self.interrupts
                    self._pass_on()
                self._ask()
                self.view.update(self.runs, self._notice)
                time.sleep(TICK)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.view.close(self.runs)
        return self.interrupts > 0

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        # Only counted here: a handler may not touch the socket in the middle of a request.
        self.interrupts += 2 if number == signal.SIGTERM else 1

    def _pass_on(self) -> None:
        """The first Ctrl-C lets running tasks finish, the second (and SIGTERM) stops them."""
        names = [run.folder.name for run in self.runs]
        try:
            for name in names:
                if self.interrupts == 1:
                    self.client.request("drain", experiment=name)
                else:
                    self.client.request("stop", experiment=name, interrupt=True)
        except EngineGone:
            self._restart()
            self._pass_on()
            return
        if self.interrupts == 1:
            self.view.say("Starting nothing more; running tasks may finish. Press Ctrl-C again to stop them.")
        else:
            self.view.say("Stopping the running tasks.")

    def _ask(self) -> None:
        if time.monotonic() - self._asked < ASK:
            return
        self._asked = time.monotonic()
        try:
            answer = self.client.request("status")
        except EngineGone:
            if not all(run.look() for run in self.runs):
                self._restart()
            return
        errors = [f"node {node['name']}: {node['error']}" for node in answer["nodes"] if node["error"]]
        self._notice = answer["notice"] or "; ".join(errors)

    def _restart(self) -> None:
        """The engine died: nothing is lost, another one goes on."""
        self._restarts += 1
        if self._restarts > RESTARTS:
            raise LabError("the engine keeps dying", f"see {self.lab.path / layout.ENGINE_LOG}")
        self.view.say("The engine has died; starting another one. Nothing is lost.")
        self.client = EngineClient.start(self.lab)
        for run in self.runs:
            if not run.look():
                self.client.request("resume", experiment=run.folder.name, environment=dict(os.environ))
