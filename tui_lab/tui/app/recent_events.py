"""The last events of an experiment that are worth a line."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from tui_lab.client.formatting import plural, span
from tui_lab.store import ranges
from tui_lab.store.events import Drained, Ended, Event, Extended, Finished, Paused, Quarantined, Resumed, Submitted
from tui_lab.store.fold import REASONS, STATES, State
from tui_lab.tui.base.formatting import paused_words
from tui_lab.tui.base.snapshot import Happening

MOST: Final = 50
APART: Final = 1.0
"""Seconds between two tasks that are done of which each has a line: else the first has, with the number of others."""
_ENDS: Final = tuple(STATES.index(name) for name in ("done", "failed", "stopped", "lost"))


class RecentEvents:
    """Keeps the last events of one experiment."""

    def __init__(self, experiment: str) -> None:
        self._experiment = experiment
        self._events: deque[Happening] = deque(maxlen=MOST)
        self._done = 0.0
        self._more = 0
        """Done tasks without a line, since the last one that has one."""
        self._last: tuple[Happening, ...] = ()
        self._is_new = False

    def begin(self, state: State) -> None:
        """Take in the last ends of tasks before the experiment is watched."""
        if not state.size:
            return
        codes = np.frombuffer(state.columns["state"], dtype=np.int8)
        ended = np.frombuffer(state.columns["ended"], dtype=np.float64)
        stage = np.frombuffer(state.columns["stage"], dtype=np.int16)
        over = np.flatnonzero(np.isin(codes, _ENDS) & (stage == 0) & ~np.isnan(ended))
        if len(over) > MOST:
            over = over[np.argpartition(ended[over], len(over) - MOST)[-MOST:]]
        for task in over[np.argsort(ended[over])].tolist():
            reason = REASONS[state.columns["reason"][task]]
            code = state.columns["signal" if reason == "signal" else "exit_code"][task]
            took = state.columns["duration"][task]
            self._add_end(float(ended[task]), task, STATES[codes[task]], reason, took, code)

    def hear(self, event: Event, state: State) -> None:
        """Take in an event. state: with it."""
        match event:
            case Finished():
                if event.again is None and not event.duplicate and not event.waits and state.stage(event.task) is None:
                    code = event.signal if event.reason == "signal" else event.exit_code
                    self._add_end(event.at, event.task, event.state, event.reason or "", event.duration, code)
            case Submitted():
                self._add(event.at, "submitted", f"{plural(ranges.count(event.queued), 'task')} to run")
            case Extended():
                self._add(event.at, "extended", f"{plural(ranges.count(event.queued), 'task')} more to run")
            case Paused():
                self._add(event.at, "paused", paused_words(event))
            case Resumed():
                self._add(event.at, "resumed", "goes on")
            case Drained():
                self._add(event.at, "drained", "starts nothing more")
            case Quarantined():
                self._add(event.at, "quarantined", f"{event.node} gets no more tasks: the first ones failed there")
            case Ended():
                counts = ", ".join(f"{count:,} {name}" for name, count in event.counts.items() if count)
                self._add(event.at, "ended", f"has ended: {counts}")
            case _:
                pass

    def _add_end(self, at: float, task: int, state: str, reason: str, duration: float | None, code: int | None) -> None:
        """code: the exit status or the signal by which it ended."""
        if state == "done":
            if at - self._done < APART:
                self._more += 1
                self._is_new = True
                return
            self._count_more()
            self._done, self._more = at, 0
            words = f"done in {span(duration)}" if duration is not None and duration == duration else state
        else:
            words = f"{reason} {code}" if reason in ("exit", "signal") else reason or state
        self._add(at, state, words, task)

    def _add(self, at: float, kind: str, text: str, task: int | None = None) -> None:
        self._events.append(Happening(at, self._experiment, kind, text, task))
        self._is_new = True

    def _count_more(self) -> None:
        """Note at the last line of a done task how many have none."""
        place = next((at for at in reversed(range(len(self._events))) if self._events[at].kind == "done"), None)
        if place is not None:
            self._events[place] = self._events[place]._replace(more=self._more)

    def take(self) -> tuple[Happening, ...]:
        """Return them, the newest last; the same object while nothing is new."""
        if self._is_new:
            self._count_more()
            self._last, self._is_new = tuple(self._events), False
        return self._last
