"""When a run pauses because of its failures, and when it goes on: the core alone."""

from __future__ import annotations

import numpy as np

from tests.store.events import AT, submitted
from tui_lab.engine.core.ends import ended_event
from tui_lab.engine.core.failures import FIRST_FAILURES
from tui_lab.engine.core.model import Moment, RunSettings
from tui_lab.engine.core.run import RunState
from tui_lab.store.events import Assigned, EndState, JournalBegun, Resumed
from tui_lab.store.fold import State

NOW = Moment(1.0, AT)
COUNT = 60


class Core:
    """A run, without nodes: its tasks end as they are told to."""

    def __init__(self, max_failures: int | None = None) -> None:
        self.state = State()
        self.state.apply(JournalBegun(2, "0123456789abcdef"))
        ids = np.arange(COUNT, dtype=np.int64)
        self.settings = RunSettings(tasks=ids, repeats=ids * 0, max_failures=max_failures)
        self.submit()

    def begin(self) -> None:
        """An engine takes the run up."""
        self.run = RunState("grid", self.state, self.settings)
        self.run.queue_up()

    def submit(self, first: int = 0) -> None:
        self.state.apply(submitted([[0, COUNT - 1]], [[first, COUNT - 1]], plan=len(self.state.submissions) + 1))
        self.begin()

    def resume(self) -> None:
        self.state.apply(Resumed(AT))
        self.begin()

    def end(self, first: int, count: int, state: EndState = "failed") -> int:
        """End so many tasks, until the run pauses; how many have ended."""
        for number in range(count):
            key = (first + number, self.state.columns["attempts"][first + number] + 1)
            self.state.apply(Assigned(AT, "here", [key]))
            self.run.in_flight[key] = "here"
            self.run.order.popleft()
            self.state.apply(self.run.finished(key, ended_event(key, state, "exit", NOW), NOW))
            pause = self.run.pause_after_failures(NOW)
            if pause is not None:
                self.state.apply(pause)
                return number + 1
        return count

    @property
    def why(self) -> str:
        return self.state.paused.reason if self.state.paused is not None else ""


def test_the_first_tasks_all_fail() -> None:
    core = Core()
    assert core.end(0, COUNT) == FIRST_FAILURES
    assert core.why == "first_failures"


def test_a_resumed_run_is_not_paused_again_for_its_first_tasks() -> None:
    core = Core()
    core.end(0, COUNT)
    core.resume()
    assert core.end(FIRST_FAILURES, 15) == 15
    core.begin()  # by another engine
    assert core.end(FIRST_FAILURES + 15, 15) == 15
    core.submit(FIRST_FAILURES + 30)  # another submission is watched anew
    assert core.end(FIRST_FAILURES + 30, 20) == FIRST_FAILURES


def test_tasks_that_ran_before_are_no_first_tasks() -> None:
    core = Core()
    core.end(0, COUNT)
    core.submit()
    assert core.end(0, FIRST_FAILURES) == FIRST_FAILURES
    assert core.why == ""
    core.begin()  # by another engine
    assert core.end(FIRST_FAILURES, 20) == FIRST_FAILURES
    assert core.why == "first_failures"


def test_nothing_pauses_where_tasks_are_done_since_earlier() -> None:
    core = Core()
    core.end(0, 1, "done")
    core.submit(1)
    assert core.end(1, 40) == 40
    assert core.why == ""


def test_a_resumed_run_may_fail_as_often_again() -> None:
    core = Core(max_failures=3)
    core.end(0, 2, "done")
    assert core.end(2, 20) == 3
    assert core.why == "max_failures"
    core.resume()
    assert core.end(5, 20) == 3
    assert core.why == "max_failures"
