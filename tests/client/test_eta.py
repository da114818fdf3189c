"""Estimates of when a run ends: simulated runs, with the events of a journal."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.store.events import submitted
from tui_lab.client.eta import Eta, Pace
from tui_lab.store.events import Assigned, Event, Finished, Paused, Requeued, Resumed, Started
from tui_lab.store.fold import State

Known = list[tuple[float, float | None]]
"""What is shown at a second of the run, and the seconds that are left."""


class Simulation:
    """Tasks of log-normal durations on some slots, that start `delay` seconds after they were asked for."""

    def __init__(self, tasks: int, slots: int, mean: float, seed: int = 1, delay: float = 0.0) -> None:
        self.random = random.Random(seed)
        self.delay = delay
        self.tasks, self.mean = tasks, mean
        self.slots = {0.0: slots}
        self.pauses: list[tuple[float, float]] = []

    def events(self) -> Iterator[Event]:
        """The events of the run, in their order."""
        yield submitted([(0, self.tasks - 1)], at=0.0)
        running: list[tuple[float, int, float]] = []
        at, task = self.delay, 0
        while task < self.tasks or running:
            slots = next(number for since, number in reversed(self.slots.items()) if since <= at)
            while task < self.tasks and len(running) < slots:
                duration = self.mean * self.random.lognormvariate(-0.25, 0.7)
                yield Assigned(at, "here", [(task, 1)])
                yield Started(at, task, 1)
                heapq.heappush(running, (at + duration, task, duration))
                task += 1
            at, ended, duration = heapq.heappop(running)
            yield Finished(at, ended, 1, "done", exit_code=0, duration=duration)

    def shown(self, pace: Pace) -> Known:
        """What is shown each second, and the truth."""
        state, left = State(), self.tasks
        found: Known = []
        events = list(self.events())
        second = 1.0
        for event in events:
            while event.at > second:  # type: ignore[union-attr]
                found.append((second, pace.remaining(left, second)))
                second += 1.0
            state.apply(event)
            pace.hear(event, state)
            left -= isinstance(event, Finished)
        return found


@pytest.mark.parametrize("slots", [2, 8, 32])
@pytest.mark.parametrize("mean", [0.5, 8.0, 60.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_an_estimate_does_not_swing_and_is_near(slots: int, mean: float, seed: int) -> None:
    run = Simulation(round(max(20 * slots, min(6000, 900 * slots / mean))), slots, mean, seed)
    shown = run.shown(Pace())
    end = shown[-1][0] + 1
    pairs = [(at, one, two) for (at, one), (_, two) in pairwise(shown) if one and two]
    for at, one, two in pairs:
        assert abs(two - max(0, one - 1)) <= 0.2 * one + 1, f"a jump at {at} of {end}: {one} to {two}"
    late = [(at, eta) for at, eta in shown if at > 0.3 * end and eta is not None]
    errors = sorted(abs(eta - (end - at)) / end for at, eta in late)
    assert errors[len(errors) // 2] < 0.2
    turns = sum((two > one) for _, one, two in pairs)
    assert turns < len(pairs) / 3 or end < 60, "mostly it counts down"


@pytest.mark.parametrize("delay", [0.5, 3.0])
def test_a_quick_run_after_a_slow_start_is_not_said_to_be_long(delay: float) -> None:
    known = Simulation(1500, 2, 0.04, delay=delay).shown(Pace())
    end = known[-1][0] + 1
    wrong = [(at, eta, end - at) for at, eta in known if eta is not None and not 0.5 < (eta + 1) / (end - at + 1) < 1.6]
    assert not wrong and known[5][1] is not None


def test_a_bad_first_estimate_is_soon_forgotten() -> None:
    eta = Eta()
    shown = [eta.update(float(at), 100.0 if at == 0 else 20.0 - at, 200) or 0.0 for at in range(16)]
    assert shown[15] < 3 * 5, shown


def test_more_slots_and_pauses_begin_anew() -> None:
    run = Simulation(2000, 4, 8.0)
    run.slots[1000.0] = 16
    shown = dict(run.shown(Pace()))
    before, after = shown[999.0], shown[1040.0]
    assert before and after and after < before / 2.5, "it is shown at once, not after minutes"
    pace, state = Pace(), State()
    for event in run.events():
        if event.at > 500:  # type: ignore[union-attr]
            break
        state.apply(event)
        pace.hear(event, state)
    left = 2000 - sum(code == 2 for code in state.columns["state"])
    assert (calm := pace.remaining(left, 500.0)) and calm > 3000
    drained = pace.remaining(left, 500.5, drained=True)
    assert drained is not None
    for event in (Paused(501.0, "asked", 0), Resumed(900.0)):
        state.apply(event)
        pace.hear(event, state)
    again = pace.remaining(left, 900.0)
    assert again and 0.5 * calm < again < 1.5 * calm


@pytest.mark.parametrize("between", [(), (Paused(120.0, "asked", 0), Resumed(180.0)), (Requeued(180.0, [(0, 0)], {}),)])
def test_one_that_comes_later_agrees(between: tuple[Paused | Resumed | Requeued, ...]) -> None:
    run, early, late, state = Simulation(400, 8, 10.0), Pace(), Pace(), State()
    second, left = 1.0, 400
    for event in heapq.merge(run.events(), between, key=lambda event: event.at):  # type: ignore[union-attr]
        while event.at > second and second < 250:  # type: ignore[union-attr]
            early.remaining(left, second)
            second += 1
        if event.at > 250:  # type: ignore[union-attr]
            break
        state.apply(event)
        early.hear(event, state)
        left -= isinstance(event, Finished)
    late.begin(state)
    one, two = early.remaining(left, 250.0), late.remaining(left, 250.0)
    assert one and two and abs(one - two) < 0.2 * two
    assert early.rate(250.0) == late.rate(250.0)


def test_nothing_is_known_before_the_first_end() -> None:
    pace, eta = Pace(), Eta()
    pace.begin(State())
    assert (pace.remaining(5, 1.0), pace.rate(1.0)) == (None, None)
    assert (eta.update(0.0, 9.0), eta.update(1.0, None), eta.update(2.0, 5.0)) == (9.0, None, 5.0)
    assert eta.update(2.0, 99.0) == 5.0, "no time has passed"
    assert eta.update(60.0, 0.0) == 0.0
