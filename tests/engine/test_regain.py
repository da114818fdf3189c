"""What an engine makes of attempts that an agent still knows while the journal has ended them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.events import AT
from tests.store.planner import Planner
from tui_lab.engine.run import LOSS_BUDGET, ExperimentRun
from tui_lab.store.events import Assigned, EndState, Finished, Requeued, Started

ONE = "name: grid\ncommand: echo {a}\nparameters: {a: [1]}\nretries: 2\n"
KEY = (0, 1)


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


@pytest.mark.parametrize(("state", "reason"), [("failed", "exit"), ("failed", "signal"), ("lost", "start")])
def test_an_end_that_was_not_acknowledged_is_not_taken_for_a_loss(
    planner: Planner, state: EndState, reason: str
) -> None:
    """The engine died between its journal and its word to the agent."""
    given(planner)
    ended(planner, state, reason)
    run = ExperimentRun(planner.folder)
    losses = run.state.columns["losses"][0]
    assert not run.regain(KEY, "here")
    assert not run.flight
    assert run.on_late(KEY, {"state": state, "reason": reason}) is None
    assert run.state.columns["losses"][0] == losses
    run.journal.close()


def test_a_node_that_comes_back_each_time_loses_nothing(planner: Planner) -> None:
    given(planner)
    for _ in range(LOSS_BUDGET + 2):
        ended(planner, "lost", "node-lost")
        run = ExperimentRun(planner.folder)
        assert run.regain(KEY, "here")
        assert run.state.columns["losses"][0] == 0
        run.journal.close()
    run = ExperimentRun(planner.folder)
    event = run.on_finished(KEY, {"state": "lost", "reason": "node-lost"})
    assert event.again is not None
    run.journal.close()


def test_every_execution_that_is_lost_counts_once(planner: Planner) -> None:
    executions = 0
    while True:
        executions += 1
        given(planner, executions)
        run = ExperimentRun(planner.folder)
        event = run.on_finished((0, executions), {"state": "lost", "reason": "start"})
        run.record([event])
        run.journal.close()
        if event.again is None:
            break
        # The engine dies before it has acknowledged that, and the agent tells the next one of it again.
        run = ExperimentRun(planner.folder)
        assert not run.regain((0, executions), "here")
        run.journal.close()
    assert executions == LOSS_BUDGET + 1
