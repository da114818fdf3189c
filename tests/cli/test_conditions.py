"""One language of conditions in every command: parameters, metrics and facts by the names that SQL has."""

from __future__ import annotations

import pytest

from tests.workbench import Workbench

TEXT = """
    command: echo loss={x}; test {x} != 3
    parameters: {x: [1, 2, 3, 4], state: [a]}
    metrics: {loss: 'loss=(@float@)', x: 'loss=(@int@)'}
"""


@pytest.fixture
def ran(workbench: Workbench) -> Workbench:
    workbench.run_text(TEXT, code=1)
    return workbench


@pytest.fixture(scope="module")
def to_read(shared_workbench: Workbench) -> Workbench:
    shared_workbench.run_text(TEXT, code=1)
    return shared_workbench


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("logs", "loss > 3"), "loss=4\n"),
        (("logs", "e/out_x > 3 AND in_state = 'a'"), "loss=4\n"),
        (("show", "--command", "loss = 2"), "test 2 != 3"),
        (("clean", "e", "--where", "loss < 3"), "would remove 2 tasks"),
        (("plan", "experiment.yaml", "--only", "loss > 2 AND in_state = 'a'"), "would run 1 task"),
        (("plan", "experiment.yaml", "--only", "loss > 2 AND state = 'done'"), "would run 0 tasks"),
        (("plan", "experiment.yaml", "--only", "attempts = 1 AND duration >= 0 AND in_x > 2"), "would run 1 task"),
    ],
)
def test_metrics_and_facts_are_known_everywhere(to_read: Workbench, words: tuple[str, ...], said: str) -> None:
    answer = to_read(*words)
    assert said in answer.out


def test_retry_by_a_metric_runs_that_task(ran: Workbench) -> None:
    ran("retry", "loss = 3", code=1)
    assert [task["attempts"] for task in ran.tasks()] == [1, 1, 2, 1]


def test_new_tasks_have_no_metrics_and_are_pending(ran: Workbench) -> None:
    grown = TEXT.replace("3, 4]", "3, 4, 5]")
    ran.run_text(grown, "--only", "loss IS NULL AND state = 'pending' AND attempts = 0 AND planned", code=None)
    assert [task["in_state"] for task in ran.tasks()] == ["a"] * 5
    assert [task["attempts"] for task in ran.tasks()] == [1, 1, 1, 1, 1]


def test_a_misspelt_metric_is_suggested(to_read: Workbench) -> None:
    for words in (("logs", "los > 3"), ("retry", "los > 3"), ("plan", "experiment.yaml", "--only", "los > 3")):
        answer = to_read(*words, code=2)
        assert 'unknown name "los"; did you mean "loss"?' in answer.err
