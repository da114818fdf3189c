"""What an engine makes of attempts that an agent still knows while the journal has ended them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.events import AT
from tests.store.planner import Planner
from tui_lab.engine.core.ends import ended_event
from tui_lab.engine.core.model import Moment
from tui_lab.engine.core.retries import LOSS_BUDGET
from tui_lab.engine.core.run import RunState
from tui_lab.engine.run_files import RunFiles
from tui_lab.store.events import Assigned, EndState, Finished, Requeued, Started

ONE = "name: grid\ncommand: echo {a}\nparameters: {a: [1]}\nretries: 2\n"
KEY = (0, 1)
NOW = Moment(1.0, 2.0)


@pytest.fixture
def planner(tmp_path: Any) -> Planner:
    planner = Planner(tmp_path)
    planner.submit(ONE, done=False)
    planner.journal(Requeued(AT, [[0, 0]], {}))
    return planner


def given(planner: Planner, attempt: int = 1) -> None:
    planner.journal(Assigned(AT, "here", [(0, attempt)]))
    planner.journal(Started(AT, 0, attempt))


def ended(planner: Planner, state: EndState, reason: str, attempt: int = 1) -> None:
    planner.journal(Finished(AT, 0, attempt, state, reason=reason, again=1.0))


def run_of(planner: Planner) -> RunState:
    """What an engine that begins now makes of the journal."""
    files = RunFiles(planner.folder)
    files.journal.close()
    return RunState("grid", files.state, files.settings(extends=False))


@pytest.mark.parametrize(("state", "reason"), [("failed", "exit"), ("failed", "signal"), ("lost", "start")])
def test_an_end_that_was_not_acknowledged_is_not_taken_for_a_loss(
    planner: Planner, state: EndState, reason: str
) -> None:
    """The engine died between its journal and its word to the agent."""
    given(planner)
    ended(planner, state, reason)
    run = run_of(planner)
    losses = run.state.columns["losses"][0]
    assert not run.reclaim(KEY, "here", NOW)
    assert not run.in_flight
    assert not run.late_result_counts(KEY, state)
    assert run.state.columns["losses"][0] == losses


def test_a_node_that_comes_back_each_time_loses_nothing(planner: Planner) -> None:
    given(planner)
    for _ in range(LOSS_BUDGET + 2):
        ended(planner, "lost", "node-lost")
        reclaimed = run_of(planner).reclaim(KEY, "here", NOW)
        assert reclaimed
        planner.journal(*reclaimed)
        assert run_of(planner).state.columns["losses"][0] == 0
    assert run_of(planner).lost(KEY, NOW).again is not None


def test_every_execution_that_is_lost_counts_once(planner: Planner) -> None:
    executions = 0
    while True:
        executions += 1
        given(planner, executions)
        key = (0, executions)
        event = run_of(planner).finished(key, ended_event(key, "lost", "start", NOW), NOW)
        planner.journal(event)
        if event.again is None:
            break
        # The engine dies before it has acknowledged that, and the agent tells the next one of it again.
        assert not run_of(planner).reclaim(key, "here", NOW)
    assert executions == LOSS_BUDGET + 1
